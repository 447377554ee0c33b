//! The section about events that other services are told.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::reader::Reader;
use super::sections::is_http_url;
use crate::domain::id::TenantId;
use crate::domain::secret::Secret;

/// One endpoint of webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Whose events it gets.
    pub tenant: TenantId,
    /// Where it is.
    pub url: String,
    /// What signatures are made with.
    pub secret: Secret<Vec<u8>>,
    /// Which types of events it gets; all when empty.
    pub types: BTreeSet<String>,
    /// Whether it may be inside the operator's network, and without TLS.
    pub allow_private_network: bool,
}

/// What other services are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsConfig {
    /// Endpoints by their name.
    pub webhooks: BTreeMap<String, WebhookConfig>,
}

/// Longest name of an endpoint.
const NAME_CHARS_MAX: usize = 32;
/// Most endpoints. Raising it raises the memory for events that wait, a few MiB
/// for each endpoint that is down.
const WEBHOOKS_MAX: usize = 100;
/// What secrets of Standard Webhooks begin with.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a secret: as the specification wants.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

pub(super) fn read(reader: &mut Reader) -> EventsConfig {
    let names = reader.names_below("events.webhooks");
    if names.len() > WEBHOOKS_MAX {
        reader.problem("events.webhooks", format_args!("has more than {WEBHOOKS_MAX} endpoints"));
    }
    let mut webhooks = BTreeMap::new();
    for name in names {
        let key = format!("events.webhooks.{name}");
        let is_plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
            reader.problem(&key, "expected a name of at most 32 of a-z, 0-9, - and _");
        }
        if let Some(webhook) = read_webhook(reader, &key) {
            webhooks.insert(name, webhook);
        }
    }
    EventsConfig { webhooks }
}

fn read_webhook(reader: &mut Reader, key: &str) -> Option<WebhookConfig> {
    let (tenant_key, url_key) = (format!("{key}.tenant_id"), format!("{key}.url"));
    let tenant = reader.parsed(&tenant_key, "the UUID of a tenant");
    if tenant.is_none() && !reader.has_problem(&tenant_key) {
        reader.problem(&tenant_key, "must be given");
    }
    let url = reader.required(&url_key, None);
    if !url.is_empty() && !is_endpoint(&url) {
        reader.problem(&url_key, "expected an http or https URL without credentials");
    }
    let secret = read_secret(reader, &format!("{key}.secret"));
    let types = reader.list(&format!("{key}.types"), "types of events").into_iter().collect();
    let allowed = reader.parsed(&format!("{key}.allow_private_network"), "true or false");
    Some(WebhookConfig {
        tenant: tenant?,
        url,
        secret: secret?,
        types,
        allow_private_network: allowed.unwrap_or(false),
    })
}

/// Whether events can be sent there: credentials in an address would reach logs.
fn is_endpoint(text: &str) -> bool {
    is_http_url(text)
        && Url::parse(text).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
}

fn read_secret(reader: &mut Reader, key: &str) -> Option<Secret<Vec<u8>>> {
    let Some(text) = reader.secret(key) else {
        if !reader.has_problem(key) {
            reader.problem(key, "must be given");
        }
        return None;
    };
    let text = text.expose().trim();
    let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text));
    let bytes = bytes.ok().filter(|bytes| SECRET_BYTES.contains(&bytes.len()));
    if bytes.is_none() {
        reader.problem(key, "expected whsec_ and base64 of 24 to 64 random bytes");
    }
    bytes.map(Secret::new)
}
