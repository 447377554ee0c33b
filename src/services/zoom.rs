//! Zoom, as `contracts/zoom.json` describes it: one account, by its server-to-server
//! application, and one user in whose name all meetings are made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::domain::id::SessionId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::services::body::{invalid, read};
use crate::services::client::{
    Question, RemoteService, ServiceClient, ServiceOptions, ServiceState,
};
use crate::services::error::{ServiceError, ServiceSetupError};
use crate::services::meeting::{
    AccessToken, CallState, CreateError, MeetingAtProvider, ProviderClient, TokenSource,
    WantedMeeting, join_url,
};

/// Meetings in one page, as many as there may be, and the pages read at most.
const MEETINGS_PAGE: &str = "300";
const MEETING_PAGES_MAX: usize = 20;
/// Longest title that Zoom takes, in characters.
const TOPIC_CHARS_MAX: usize = 200;
/// Codes of refusals (Zoom's list of errors of meetings).
const NOT_FOUND: &str = "3001";
const BAD_REQUEST: &str = "300";

/// How Zoom is used.
#[derive(Debug, Clone)]
pub struct ZoomOptions {
    /// Where its interface is, with the version in its path.
    pub api: ServiceOptions,
    /// Where tokens are given.
    pub token: ServiceOptions,
    /// The account.
    pub account_id: String,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// The user, by id or address, whose meetings they are.
    pub host_user: String,
}

/// A client of Zoom.
pub struct ZoomClient {
    client: ProviderClient<Account>,
    host_user: String,
}

/// The account, whose application is given tokens for its id and secret.
struct Account {
    client: ServiceClient,
    /// The whole value of `Authorization`.
    login: Secret<String>,
    id: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: i64,
}

/// A meeting. What lets a caller in as its host is not read.
#[derive(Deserialize)]
struct MeetingAnswer {
    id: i64,
    join_url: String,
    #[serde(default)]
    status: Option<String>,
}

#[derive(Deserialize)]
struct ListAnswer {
    /// Those of other people and applications are among them, in shapes that are not ours to
    /// judge.
    #[serde(default)]
    meetings: Vec<Value>,
    #[serde(default)]
    next_page_token: Option<String>,
}

impl ZoomClient {
    /// A client. A rustls provider must be installed for the process.
    pub fn new(options: ZoomOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        let login = format!("{}:{}", options.client_id, options.client_secret.expose());
        let login = Secret::new(format!("Basic {}", STANDARD.encode(login)));
        let api = ServiceClient::new(RemoteService::Zoom, &options.api, clock.clone())?;
        let client = ServiceClient::new(RemoteService::ZoomToken, &options.token, clock)?;
        let account = Account { client, login, id: options.account_id };
        Ok(Self { client: ProviderClient::new(api, account), host_user: options.host_user })
    }

    /// How its two services are doing.
    #[must_use]
    pub fn states(&self) -> [ServiceState; 2] {
        self.client.states()
    }

    /// Makes a meeting. Each call makes another one; the session in its agenda tells
    /// which it is for.
    pub async fn create(&self, wanted: &WantedMeeting) -> Result<MeetingAtProvider, CreateError> {
        let start_s = Timestamp::from_unix_us(wanted.start_at.unix_s().saturating_mul(1_000_000));
        let start_time = start_s.to_string().replace(".000Z", "Z");
        let body = json!({
            "topic": wanted.title.chars().take(TOPIC_CHARS_MAX).collect::<String>(),
            "type": 2,
            "start_time": start_time,
            "timezone": "UTC",
            "duration": wanted.minutes,
            "agenda": marker(wanted.session),
            "settings": {
                "join_before_host": true,
                "waiting_room": false,
                "mute_upon_entry": true,
            },
        });
        let path = ["users", self.host_user.as_str(), "meetings"];
        let mut question = Question::write(Method::POST, &path);
        question.body = Some(&body);
        self.client.create(&question, meeting_of).await.map(|(meeting, _)| meeting)
    }

    /// The meeting that was made for a session; `None` when there is none.
    pub async fn find_by_session(
        &self,
        session: SessionId,
    ) -> Result<Option<MeetingAtProvider>, ServiceError> {
        let (path, marker) = (["users", self.host_user.as_str(), "meetings"], marker(session));
        let mut page = String::new();
        for _ in 0..MEETING_PAGES_MAX {
            let mut query = vec![("type", "scheduled"), ("page_size", MEETINGS_PAGE)];
            if !page.is_empty() {
                query.push(("next_page_token", page.as_str()));
            }
            let list: ListAnswer = self
                .client
                .call(&Question::get(&path, &query), |answer| read(RemoteService::Zoom, answer))
                .await?;
            if let Some(found) = list.meetings.iter().find(|meeting| meeting["agenda"] == *marker) {
                let id = found["id"].as_i64().unwrap_or_default();
                return meeting_at(id, found["join_url"].as_str().unwrap_or_default()).map(Some);
            }
            match list.next_page_token {
                Some(next) if !next.is_empty() => page = next,
                _ => break,
            }
        }
        Ok(None)
    }

    /// A meeting that was made before; `None` when it is gone.
    pub async fn find(&self, id: &str) -> Result<Option<MeetingAtProvider>, ServiceError> {
        Ok(self.meeting(id).await?.map(|(meeting, _)| meeting))
    }

    /// Whether people are in a meeting.
    pub async fn call_state(&self, id: &str) -> Result<CallState, ServiceError> {
        Ok(match self.meeting(id).await? {
            None => CallState::Gone,
            Some((_, status)) if status.as_deref() == Some("started") => CallState::Running,
            Some(_) => CallState::Idle,
        })
    }

    /// Ends the call of a meeting, if there is one, and then deletes the meeting, so that
    /// its link leads nowhere.
    pub async fn close(&self, id: &str) -> Result<(), ServiceError> {
        let Some((_, status)) = self.meeting(id).await? else { return Ok(()) };
        if status.as_deref() == Some("started") {
            let body = json!({"action": "end"});
            let path = ["meetings", id, "status"];
            let mut question = Question::write(Method::PUT, &path);
            question.body = Some(&body);
            self.do_unless_gone(&question).await?;
        }
        let path = ["meetings", id];
        self.do_unless_gone(&Question::write(Method::DELETE, &path)).await
    }

    async fn do_unless_gone(&self, question: &Question<'_>) -> Result<(), ServiceError> {
        match self.client.call(question, |_| Ok(())).await {
            // Writes say by 300 as well that there is no such meeting any more.
            Err(error) if has_code(&error, &[NOT_FOUND, BAD_REQUEST]) => Ok(()),
            done => done,
        }
    }

    async fn meeting(
        &self,
        id: &str,
    ) -> Result<Option<(MeetingAtProvider, Option<String>)>, ServiceError> {
        let path = ["meetings", id];
        match self.client.call(&Question::get(&path, &[]), meeting_of).await {
            Ok((meeting, _)) if meeting.external_id != id => {
                let (service, what) = (RemoteService::Zoom, "it is about another meeting");
                Err(ServiceError::Contradicts { service, what })
            }
            Ok(meeting) => Ok(Some(meeting)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl TokenSource for Account {
    fn client(&self) -> &ServiceClient {
        &self.client
    }

    async fn token(&self, now: Timestamp) -> Result<AccessToken, ServiceError> {
        let query = [("grant_type", "account_credentials"), ("account_id", self.id.as_str())];
        // Not repeated: each answer is another token, and there may be few.
        let mut question = Question::write(Method::POST, &[]);
        question.query = &query;
        question.authorization = Some(&self.login);
        self.client.ask(question, |answer| token_of(answer, now)).await
    }
}

/// What the agenda of a session's meeting is.
fn marker(session: SessionId) -> String {
    format!("Cabildo session {session}")
}

fn token_of(answer: &[u8], now: Timestamp) -> Result<AccessToken, ServiceError> {
    let service = RemoteService::ZoomToken;
    let answer: TokenAnswer = read(service, answer)?;
    AccessToken::new(service, &answer.access_token, answer.expires_in, now)
}

fn meeting_of(answer: &[u8]) -> Result<(MeetingAtProvider, Option<String>), ServiceError> {
    let meeting: MeetingAnswer = read(RemoteService::Zoom, answer)?;
    Ok((meeting_at(meeting.id, &meeting.join_url)?, meeting.status))
}

fn meeting_at(id: i64, address: &str) -> Result<MeetingAtProvider, ServiceError> {
    let service = RemoteService::Zoom;
    if id <= 0 {
        return Err(invalid(service, "id"));
    }
    let join_url = join_url(service, "join_url", address)?;
    Ok(MeetingAtProvider { external_id: id.to_string(), join_url })
}

/// Whether a refusal says that there is no such meeting. The code decides: a 404 without
/// it may be of something else that listens at the address.
fn is_gone(error: &ServiceError) -> bool {
    has_code(error, &[NOT_FOUND])
}

/// Whether a refusal has one of these codes, and a status that fits them.
fn has_code(error: &ServiceError, codes: &[&str]) -> bool {
    matches!(error, ServiceError::Refused { status: 400 | 404, code, .. }
        if codes.contains(&code.as_str()))
}
