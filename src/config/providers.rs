//! The section about other providers of meetings.

use serde::Deserialize;

use super::reader::Reader;
use super::sections::is_http_url;
use crate::domain::network::is_loopback_host;
use crate::domain::secret::Secret;

/// Google Meet: a service account that acts for a user of a Workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleMeetConfig {
    /// Where the interface is.
    pub api_url: String,
    /// Where tokens are given.
    pub token_url: String,
    /// `token_uri` of the key file, which requests for tokens name.
    pub audience: String,
    /// The address of the service account.
    pub client_email: String,
    /// The id of its key.
    pub key_id: Option<String>,
    /// Its key, as PEM.
    pub private_key: Secret<String>,
    /// The user whose meetings they are.
    pub subject: String,
    /// `OPEN`, `TRUSTED` or `RESTRICTED`.
    pub access: String,
}

/// Zoom: a server-to-server application of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoomConfig {
    /// Where the interface is.
    pub api_url: String,
    /// Where tokens are given.
    pub token_url: String,
    /// The account.
    pub account_id: String,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// The user whose meetings they are.
    pub host_user: String,
    /// What webhooks are signed with; without it they are not taken.
    pub webhook_secret: Option<Secret<String>>,
}

/// Other providers of meetings. Sessions can't name those that are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidersConfig {
    /// Seconds without anybody in the meeting after which its session ends; 0 when
    /// governance alone ends sessions.
    pub end_after_s: u32,
    /// Google Meet.
    pub google_meet: Option<GoogleMeetConfig>,
    /// Zoom.
    pub zoom: Option<ZoomConfig>,
}

/// Five minutes: a call that broke off is taken up again before.
const END_AFTER_S_DEFAULT: u32 = 300;
/// A day.
const END_AFTER_S_MAX: u32 = 86_400;
const GOOGLE_API: &str = "https://meet.googleapis.com";
const ZOOM_API: &str = "https://api.zoom.us/v2";
const ZOOM_TOKEN: &str = "https://zoom.us/oauth/token";
const ACCESS: [&str; 3] = ["OPEN", "TRUSTED", "RESTRICTED"];

/// What is read of the key file of a service account of Google.
#[derive(Debug, Clone, Deserialize)]
pub struct GoogleKeyFile {
    /// The address of the service account.
    pub client_email: String,
    /// Its key, as PEM.
    private_key: KeyText,
    /// The id of its key.
    #[serde(default)]
    pub private_key_id: Option<String>,
    /// Where tokens are given, and what requests for them name.
    pub token_uri: String,
}

/// A key as it is read.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct KeyText(String);

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl GoogleKeyFile {
    /// Reads the text of a key file; `None` when it is none.
    pub(super) fn read(text: &Secret<String>) -> Option<Self> {
        serde_json::from_str(text.expose()).ok()
    }

    /// Its key, as PEM.
    #[must_use]
    pub fn private_key(&self) -> Secret<String> {
        Secret::new(self.private_key.0.clone())
    }
}

pub(super) fn read(reader: &mut Reader) -> ProvidersConfig {
    let end_after_s =
        reader.number_u32("providers.end_after_s", END_AFTER_S_DEFAULT, 0..=END_AFTER_S_MAX);
    let google_meet = read_google_meet(reader);
    ProvidersConfig { end_after_s, google_meet, zoom: read_zoom(reader) }
}

fn read_google_meet(reader: &mut Reader) -> Option<GoogleMeetConfig> {
    let credentials = reader.secret("providers.google_meet.credentials");
    let subject = reader.text("providers.google_meet.subject");
    let access = reader.text("providers.google_meet.access");
    let api_url = read_url(reader, "providers.google_meet.api_url");
    let token_url = read_url(reader, "providers.google_meet.token_url");
    let access = access.unwrap_or_else(|| "OPEN".to_owned());
    if !ACCESS.contains(&access.as_str()) {
        let expected = format_args!("expected one of {}", ACCESS.join(", ")).to_string();
        reader.problem("providers.google_meet.access", expected);
    }
    let is_absent = credentials.is_none() && subject.is_none();
    if is_absent && !reader.has_problem("providers.google_meet.") {
        return None;
    }
    let key = credentials.and_then(|text| {
        let key = GoogleKeyFile::read(&text);
        if key.is_none() {
            let expected = "expected the JSON key file of a service account";
            reader.problem("providers.google_meet.credentials", expected);
        }
        key
    });
    for (name, is_given) in [("credentials", key.is_some()), ("subject", subject.is_some())] {
        let name = format!("providers.google_meet.{name}");
        if !is_given && !reader.has_problem(&name) {
            reader.problem(&name, "must be given");
        }
    }
    let key = key?;
    let private_key = key.private_key();
    let GoogleKeyFile { client_email, private_key_id, token_uri, .. } = key;
    if token_url.is_none() && !is_safe_url(&token_uri) {
        let expected = "its token_uri is not an https URL";
        reader.problem("providers.google_meet.credentials", expected);
    }
    Some(GoogleMeetConfig {
        api_url: api_url.unwrap_or_else(|| GOOGLE_API.to_owned()),
        token_url: token_url.unwrap_or_else(|| token_uri.clone()),
        audience: token_uri,
        client_email,
        key_id: private_key_id,
        private_key,
        subject: subject?,
        access,
    })
}

fn read_zoom(reader: &mut Reader) -> Option<ZoomConfig> {
    let key_of = |member: &str| format!("providers.zoom.{member}");
    let account_id = reader.text(&key_of("account_id"));
    let client_id = reader.text(&key_of("client_id"));
    let client_secret = reader.secret(&key_of("client_secret"));
    let host_user = reader.text(&key_of("host_user"));
    let webhook_secret = reader.secret(&key_of("webhook_secret"));
    let api_url = read_url(reader, &key_of("api_url"));
    let token_url = read_url(reader, &key_of("token_url"));
    let given = [
        ("account_id", account_id.is_some()),
        ("client_id", client_id.is_some()),
        ("client_secret", client_secret.is_some()),
        ("host_user", host_user.is_some()),
    ];
    let is_absent = given.iter().all(|(_, is_given)| !is_given) && webhook_secret.is_none();
    if is_absent && !reader.has_problem("providers.zoom.") {
        return None;
    }
    for (name, is_given) in given {
        if !is_given && !reader.has_problem(&key_of(name)) {
            reader.problem(&key_of(name), "must be given");
        }
    }
    Some(ZoomConfig {
        api_url: api_url.unwrap_or_else(|| ZOOM_API.to_owned()),
        token_url: token_url.unwrap_or_else(|| ZOOM_TOKEN.to_owned()),
        account_id: account_id?,
        client_id: client_id?,
        client_secret: client_secret?,
        host_user: host_user?,
        webhook_secret,
    })
}

pub(super) fn read_url(reader: &mut Reader, key: &str) -> Option<String> {
    let url = reader.text(key)?;
    if !is_safe_url(&url) {
        let expected = "expected an https URL without credentials or query; http on this machine";
        reader.problem(key, expected);
    }
    Some(url)
}

/// Whether secrets can be sent there.
pub(super) fn is_safe_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let is_loopback = uri.host().is_some_and(is_loopback_host);
    let is_secret = uri.scheme_str() == Some("https") || is_loopback;
    is_http_url(text) && is_secret && !text.contains('@') && uri.query().is_none()
}
