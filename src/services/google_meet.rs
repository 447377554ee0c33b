//! Google Meet, as `contracts/google_meet.json` describes it. Meetings are made for a
//! user of a Workspace, in whose name a service account acts.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::clock::Clock;
use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;
use crate::services::body::{invalid, read};
use crate::services::client::{
    Question, RemoteService, ServiceClient, ServiceOptions, ServiceState,
};
use crate::services::error::{ServiceError, ServiceSetupError};
use crate::services::google_account::{GoogleAccountOptions, ServiceAccount};
use crate::services::meeting::{
    CallState, CreateError, MeetingAtProvider, ProviderClient, join_url,
};

/// The one scope that is needed: spaces that this application made.
pub const GOOGLE_MEET_SCOPE: &str = "https://www.googleapis.com/auth/meetings.space.created";
/// Longest name of a space, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Calls of a space in one page, and the pages read at most: a space is of one
/// session, which has a few calls.
const RECORDS_PAGE: &str = "100";
const RECORD_PAGES_MAX: usize = 10;

named_values!(
    /// Who may join a space without being let in.
    GoogleMeetAccess {
        /// Who has the link.
        Open => "OPEN",
        /// Who belongs to the Workspace, was invited, or calls by telephone.
        Trusted => "TRUSTED",
        /// Who was invited.
        Restricted => "RESTRICTED",
    }
);

/// How Google Meet is used.
#[derive(Debug, Clone)]
pub struct GoogleMeetOptions {
    /// Where its interface is.
    pub api: ServiceOptions,
    /// The service account, which acts for a user of the Workspace, whose meetings they are.
    pub account: GoogleAccountOptions,
    /// Who may join.
    pub access: GoogleMeetAccess,
}

/// A client of Google Meet.
pub struct GoogleMeetClient {
    client: ProviderClient<ServiceAccount>,
    access: GoogleMeetAccess,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Space {
    name: String,
    meeting_uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Records {
    #[serde(default)]
    conference_records: Vec<Record>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    space: String,
    #[serde(default)]
    end_time: Option<String>,
}

impl GoogleMeetClient {
    /// A client. A rustls provider must be installed for the process.
    pub fn new(options: GoogleMeetOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        let api = ServiceClient::new(RemoteService::GoogleMeet, &options.api, clock.clone())?;
        let account = ServiceAccount::new(options.account, clock)?;
        let access = options.access;
        Ok(Self { client: ProviderClient::new(api, account), access })
    }

    /// How its two services are doing.
    #[must_use]
    pub fn states(&self) -> [ServiceState; 2] {
        self.client.states()
    }

    /// Makes a space. Each call makes another one.
    pub async fn create(&self) -> Result<MeetingAtProvider, CreateError> {
        let config = json!({"accessType": self.access.as_str(), "entryPointAccess": "ALL"});
        let body = json!({ "config": config });
        let mut question = Question::write(Method::POST, &["v2", "spaces"]);
        question.body = Some(&body);
        self.client.create(&question, space_of).await
    }

    /// A space that was made before; `None` when it is gone.
    pub async fn find(&self, name: &str) -> Result<Option<MeetingAtProvider>, ServiceError> {
        let id = id_of(name)?;
        let path = ["v2", "spaces", id];
        let question = Question::get(&path, &[]);
        match self.client.call(&question, space_of).await {
            Ok(space) if space.external_id == name => Ok(Some(space)),
            Ok(_) => {
                let (service, what) = (RemoteService::GoogleMeet, "it is about another space");
                Err(ServiceError::Contradicts { service, what })
            }
            Err(ServiceError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether people are in a space.
    pub async fn call_state(&self, name: &str) -> Result<CallState, ServiceError> {
        id_of(name)?;
        let filter = format!("space.name=\"{name}\"");
        let mut page = String::new();
        let mut over: Option<Timestamp> = None;
        for _ in 0..RECORD_PAGES_MAX {
            let mut query = vec![("filter", filter.as_str()), ("pageSize", RECORDS_PAGE)];
            if !page.is_empty() {
                query.push(("pageToken", page.as_str()));
            }
            let question = Question::get(&["v2", "conferenceRecords"], &query);
            let CallPage { ends, next } =
                self.client.call(&question, |answer| records_of(name, answer)).await?;
            for end in ends {
                let Some(end) = end else { return Ok(CallState::Running) };
                over = over.max(Some(end));
            }
            match next {
                Some(next) if !next.is_empty() => page = next,
                _ => break,
            }
        }
        Ok(over.map_or(CallState::Idle, CallState::Over))
    }

    /// Ends the call in a space; also when there is none. The space stays.
    pub async fn end(&self, name: &str) -> Result<(), ServiceError> {
        let id = format!("{}:endActiveConference", id_of(name)?);
        let path = ["v2", "spaces", id.as_str()];
        let body = json!({});
        let mut question = Question::write(Method::POST, &path);
        question.body = Some(&body);
        let any = |_: &[u8]| Ok(());
        match self.client.call(&question, any).await {
            // What is answered when there is no call is not described.
            Err(ServiceError::Refused { status: 400 | 404 | 409 | 410 | 412, .. }) => Ok(()),
            ended => ended,
        }
    }

    /// Lets nobody into a space any more who has only its link.
    pub async fn restrict(&self, name: &str) -> Result<(), ServiceError> {
        let path = ["v2", "spaces", id_of(name)?];
        let body = json!({"config": {"accessType": GoogleMeetAccess::Restricted.as_str()}});
        let mut question = Question::write(Method::PATCH, &path);
        question.query = &[("updateMask", "config.accessType")];
        question.body = Some(&body);
        let any = |_: &[u8]| Ok(());
        match self.client.call(&question, any).await {
            Err(ServiceError::Refused { status: 404, .. }) => Ok(()),
            restricted => restricted,
        }
    }
}

fn space_of(answer: &[u8]) -> Result<MeetingAtProvider, ServiceError> {
    let service = RemoteService::GoogleMeet;
    let space: Space = read(service, answer)?;
    id_of(&space.name)?;
    let join_url = join_url(service, "meetingUri", &space.meeting_uri)?;
    Ok(MeetingAtProvider { external_id: space.name, join_url })
}

/// A page of the calls of a space.
struct CallPage {
    /// When each ended; `None` for one that runs.
    ends: Vec<Option<Timestamp>>,
    next: Option<String>,
}

fn records_of(name: &str, answer: &[u8]) -> Result<CallPage, ServiceError> {
    let service = RemoteService::GoogleMeet;
    // An empty list may come as an empty object.
    let page: Records = read(service, answer)?;
    let mut ends = Vec::with_capacity(page.conference_records.len());
    for record in page.conference_records {
        if record.space != name {
            let what = "it is about another space";
            return Err(ServiceError::Contradicts { service, what });
        }
        let end = record
            .end_time
            .map(|text| Timestamp::parse_rfc3339(&text).ok_or_else(|| invalid(service, "endTime")));
        ends.push(end.transpose()?);
    }
    Ok(CallPage { ends, next: page.next_page_token })
}

/// The id in the name of a space, `spaces/{id}`.
fn id_of(name: &str) -> Result<&str, ServiceError> {
    let id = name.strip_prefix("spaces/").filter(|id| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=NAME_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_plain)
    });
    id.ok_or_else(|| invalid(RemoteService::GoogleMeet, "name"))
}
