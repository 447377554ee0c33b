//! Google Meet and Zoom as the stand-in plays them.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::Answer;

/// The RSA key of RFC 7515 §A.2.1.
const KEY: &str = include_str!("../vectors/providers/rsa_key.jwk.json");
/// The service account and the user it acts for.
pub(crate) const SERVICE_ACCOUNT: &str = "cabildo@stub.iam.gserviceaccount.com";
pub(crate) const SUBJECT: &str = "meetings@example.org";
/// What requests for tokens are for.
pub(crate) const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// The account with Zoom.
pub(crate) const ACCOUNT: &str = "stub-account";
pub(crate) const CLIENT: &str = "stub-client";
pub(crate) const CLIENT_SECRET: &str = "stub-client-secret";
pub(crate) const HOST: &str = "host@example.org";
/// What Zoom's links for hosts contain, and nothing of ours may.
pub(crate) const HOST_TOKEN: &str = "zak-of-the-host";
/// When calls of the stand-in begin and end, unless a test says otherwise.
const BEGAN: &str = "2023-11-14T22:13:20.5Z";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) access: String,
    /// Beginning and end of each call, the newest first.
    pub(crate) calls: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZoomMeeting {
    pub(crate) topic: String,
    pub(crate) agenda: String,
    pub(crate) is_running: bool,
}

/// What both hold.
#[derive(Default)]
pub(super) struct Providers {
    pub(super) spaces: BTreeMap<String, Space>,
    pub(super) meetings: BTreeMap<i64, ZoomMeeting>,
    /// Meetings of somebody else in the same account, as they are in lists.
    pub(super) foreign_meetings: Vec<Value>,
    /// How many were ever made: no name is used twice.
    spaces_made: u32,
    meetings_made: i64,
    tokens: BTreeSet<String>,
    pub(super) tokens_given: u32,
}

impl Providers {
    /// Ends every token that was given.
    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn respond(
        &mut self,
        (method, segments): (&str, &[&str]),
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Answer> {
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let authorization = authorization.unwrap_or_default();
        match (method, segments) {
            ("POST", ["token"]) => return Some(self.google_token(body)),
            ("POST", ["oauth", "token"]) => return Some(self.zoom_token(query, authorization)),
            (
                _,
                ["v2", "spaces" | "conferenceRecords" | "meetings", ..]
                | ["v2", "users", _, "meetings"],
            ) => {}
            _ => return None,
        }
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let is_zoom = matches!(segments, ["v2", "users" | "meetings", ..]);
        if !self.tokens.contains(token) {
            return Some(if is_zoom {
                Answer::refusal(401, &json!({ "code": 124, "message": "Invalid access token." }))
            } else {
                google_refusal(401, "UNAUTHENTICATED")
            });
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let answer = match (method, segments) {
            ("POST", ["v2", "spaces"]) => self.create_space(&asked),
            ("GET", ["v2", "spaces", id]) => self.space(id),
            ("PATCH", ["v2", "spaces", id]) => self.patch_space(id, &asked),
            ("POST", ["v2", "spaces", action]) => self.end_conference(action),
            ("GET", ["v2", "conferenceRecords"]) => self.records(query),
            (_, ["v2", "users", user, _]) if *user != HOST => {
                Answer::refusal(404, &json!({ "code": 1_001, "message": "no such user" }))
            }
            ("POST", ["v2", "users", _, "meetings"]) => self.create_meeting(&asked),
            ("GET", ["v2", "users", _, "meetings"]) => self.meetings(),
            ("GET", ["v2", "meetings", id]) => self.meeting(id),
            ("PUT", ["v2", "meetings", id, "status"]) => self.end_meeting(id, &asked),
            ("DELETE", ["v2", "meetings", id]) => self.delete_meeting(id),
            _ => Answer::status(StatusCode::NOT_FOUND),
        };
        Some(answer)
    }

    fn give_token(&mut self, service: &str) -> Answer {
        self.tokens_given += 1;
        let token = format!("stub-{service}-{}", self.tokens_given);
        self.tokens.insert(token.clone());
        Answer::json(&json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3_600 }))
    }

    /// Checks the signed request as Google describes it.
    fn google_token(&mut self, body: &[u8]) -> Answer {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        let refused = || Answer::refusal(400, &json!({ "error": "invalid_grant" }));
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        if form.get("grant_type").map(String::as_str) != Some(grant) {
            return refused();
        }
        let key: Value = serde_json::from_str(KEY).expect("JSON");
        let text = |name: &str| key[name].as_str().expect("a number");
        let key = DecodingKey::from_rsa_components(text("n"), text("e")).expect("a key");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[AUDIENCE]);
        // Tests have clocks of their own.
        validation.validate_exp = false;
        let assertion = form.get("assertion").cloned().unwrap_or_default();
        let Ok(claims) = jsonwebtoken::decode::<Value>(&assertion, &key, &validation) else {
            return refused();
        };
        let claims = claims.claims;
        let number = |name: &str| claims[name].as_i64().unwrap_or_default();
        let is_right = claims["iss"] == SERVICE_ACCOUNT
            && claims["scope"] == "https://www.googleapis.com/auth/meetings.space.created"
            && (1..=3_600).contains(&(number("exp") - number("iat")));
        if !is_right {
            return refused();
        }
        if claims["sub"] != SUBJECT {
            return Answer::refusal(401, &json!({ "error": "unauthorized_client" }));
        }
        self.give_token("google")
    }

    fn zoom_token(&mut self, query: &BTreeMap<String, String>, authorization: &str) -> Answer {
        let login = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}")));
        let text = |name: &str| query.get(name).map(String::as_str);
        if authorization != login || text("grant_type") != Some("account_credentials") {
            return Answer::refusal(400, &json!({ "reason": "no", "error": "invalid_client" }));
        }
        if text("account_id") != Some(ACCOUNT) {
            return Answer::refusal(400, &json!({ "reason": "no", "error": "invalid_request" }));
        }
        self.give_token("zoom")
    }

    fn create_space(&mut self, asked: &Value) -> Answer {
        let access = asked["config"]["accessType"].as_str().unwrap_or("TRUSTED").to_owned();
        self.spaces_made += 1;
        let id = format!("Space-{}", self.spaces_made);
        self.spaces.insert(id.clone(), Space { access, calls: Vec::new() });
        self.space(&id)
    }

    fn space(&self, id: &str) -> Answer {
        let Some(space) = self.spaces.get(id) else { return google_refusal(404, "NOT_FOUND") };
        Answer::json(&json!({
            "name": format!("spaces/{id}"),
            "meetingUri": format!("https://meet.google.com/{}", id.to_lowercase()),
            "meetingCode": id.to_lowercase(),
            "config": { "accessType": space.access },
        }))
    }

    fn patch_space(&mut self, id: &str, asked: &Value) -> Answer {
        let access = asked["config"]["accessType"].as_str().unwrap_or_default().to_owned();
        if let Some(space) = self.spaces.get_mut(id) {
            space.access = access;
        }
        self.space(id)
    }

    fn end_conference(&mut self, action: &str) -> Answer {
        let Some(id) = action.strip_suffix(":endActiveConference") else {
            return google_refusal(404, "NOT_FOUND");
        };
        let Some(space) = self.spaces.get_mut(id) else { return google_refusal(404, "NOT_FOUND") };
        match space.calls.first_mut() {
            Some((_, end @ None)) => {
                *end = Some(BEGAN.to_owned());
                Answer::json(&json!({}))
            }
            _ => google_refusal(400, "FAILED_PRECONDITION"),
        }
    }

    fn records(&self, query: &BTreeMap<String, String>) -> Answer {
        let filter = query.get("filter").cloned().unwrap_or_default();
        let name = filter.strip_prefix("space.name=\"").and_then(|rest| rest.strip_suffix('"'));
        let space = name.and_then(|name| self.spaces.get(name.strip_prefix("spaces/")?));
        let records = space.into_iter().flat_map(|space| &space.calls).map(|(begin, end)| {
            let mut record = json!({
                "name": "conferenceRecords/1", "space": name, "startTime": begin,
                "expireTime": "2123-11-14T22:13:20Z",
            });
            if let Some(end) = end {
                record["endTime"] = end.as_str().into();
            }
            record
        });
        let records: Vec<Value> = records.collect();
        if records.is_empty() {
            return Answer::json(&json!({}));
        }
        Answer::json(&json!({ "conferenceRecords": records }))
    }

    fn create_meeting(&mut self, asked: &Value) -> Answer {
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        self.meetings_made += 1;
        let id = 90_000_000_000 + self.meetings_made;
        let (topic, agenda) = (text("topic"), text("agenda"));
        self.meetings.insert(id, ZoomMeeting { topic, agenda, is_running: false });
        let mut answer = self.meeting(&id.to_string());
        answer.status = StatusCode::CREATED;
        answer
    }

    fn meetings(&self) -> Answer {
        let foreign = self.foreign_meetings.iter().cloned();
        let meetings = self.meetings.iter().map(|(id, meeting)| {
            json!({
                "id": id, "uuid": "/a//b==", "topic": meeting.topic, "agenda": meeting.agenda,
                "join_url": format!("https://zoom.us/j/{id}?pwd=abc"),
            })
        });
        let meetings: Vec<Value> = foreign.chain(meetings).collect();
        Answer::json(&json!({ "meetings": meetings, "next_page_token": "" }))
    }

    fn meeting(&self, id: &str) -> Answer {
        let Some(meeting) = id.parse().ok().and_then(|id: i64| self.meetings.get(&id)) else {
            return meeting_is_gone();
        };
        let id: i64 = id.parse().expect("found by it");
        Answer::json(&json!({
            "id": id, "uuid": "/a//b==", "topic": meeting.topic, "agenda": meeting.agenda,
            "status": if meeting.is_running { "started" } else { "waiting" },
            "join_url": format!("https://zoom.us/j/{id}?pwd=abc"),
            "start_url": format!("https://zoom.us/s/{id}?zak={HOST_TOKEN}"),
            "password": "abc",
        }))
    }

    fn end_meeting(&mut self, id: &str, asked: &Value) -> Answer {
        let meeting = id.parse().ok().and_then(|id: i64| self.meetings.get_mut(&id));
        match meeting {
            Some(meeting) if asked["action"] == "end" => {
                meeting.is_running = false;
                Answer::status(StatusCode::NO_CONTENT)
            }
            _ => meeting_is_gone(),
        }
    }

    fn delete_meeting(&mut self, id: &str) -> Answer {
        let Ok(id) = id.parse::<i64>() else { return meeting_is_gone() };
        match self.meetings.get(&id) {
            None => meeting_is_gone(),
            Some(meeting) if meeting.is_running => {
                Answer::refusal(400, &json!({ "code": 3_002, "message": "in progress" }))
            }
            Some(_) => {
                self.meetings.remove(&id);
                Answer::status(StatusCode::NO_CONTENT)
            }
        }
    }

    /// Somebody deletes a meeting at the provider, whether people are in it or not.
    pub(super) fn lose_meeting(&mut self, external_id: &str) {
        let removed = match external_id.strip_prefix("spaces/") {
            Some(space) => self.spaces.remove(space).is_some(),
            None => external_id.parse().is_ok_and(|id| self.meetings.remove(&id).is_some()),
        };
        assert!(removed, "there is no meeting {external_id}");
    }

    /// Has a call begin or end, at `at` as RFC 3339 where the provider says when.
    pub(super) fn set_call(&mut self, external_id: &str, is_running: bool, at: Option<&str>) {
        let at = at.unwrap_or(BEGAN).to_owned();
        if let Some(space) = external_id.strip_prefix("spaces/") {
            let space = self.spaces.get_mut(space).expect("a space");
            match space.calls.first_mut() {
                Some((_, end)) if !is_running => *end = Some(at),
                _ => space.calls.insert(0, (at, None)),
            }
        } else {
            let id = external_id.parse().expect("the number of a meeting");
            self.meetings.get_mut(&id).expect("a meeting").is_running = is_running;
        }
    }
}

fn google_refusal(code: u16, status: &str) -> Answer {
    Answer::refusal(code, &json!({ "error": { "code": code, "message": "no", "status": status } }))
}

fn meeting_is_gone() -> Answer {
    Answer::refusal(404, &json!({ "code": 3_001, "message": "Meeting does not exist." }))
}

/// The key file of the service account.
pub(crate) fn google_credentials() -> String {
    json!({
        "type": "service_account", "client_email": SERVICE_ACCOUNT, "private_key_id": "stub",
        "private_key": private_key(), "token_uri": AUDIENCE,
    })
    .to_string()
}

/// The key of the service account as PEM: PKCS #1 (RFC 8017 §A.1.2).
pub(crate) fn private_key() -> String {
    let key: Value = serde_json::from_str(KEY).expect("JSON");
    let mut members = integer(&[0]);
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let text = key[name].as_str().expect("a number");
        members.extend(integer(&URL_SAFE_NO_PAD.decode(text).expect("base64url")));
    }
    let label = concat!("RSA PRIVATE", " KEY");
    let base64 = STANDARD.encode(element(0x30, &members));
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line));
    let body = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A positive whole number in DER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut value = bytes.to_vec();
    if value.first().is_some_and(|first| first & 0x80 != 0) {
        value.insert(0, 0);
    }
    element(0x02, &value)
}

fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("short");
    let mut element = vec![tag];
    match length {
        0..=127 => element.push(length.to_be_bytes()[1]),
        128..=255 => element.extend([0x81, length.to_be_bytes()[1]]),
        _ => {
            element.push(0x82);
            element.extend(length.to_be_bytes());
        }
    }
    element.extend(value);
    element
}
