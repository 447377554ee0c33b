//! What the clients of Google Meet and Zoom make of providers that are well, slow,
//! wrong, down or malicious, and how they use tokens.

use std::time::Duration;

use cabildo::clock::Clock;
use cabildo::domain::secret::Secret;
use cabildo::domain::time::Timestamp;
use cabildo::services::{
    CallState, CreateError, GOOGLE_MEET_SCOPE, GoogleAccountOptions, GoogleMeetAccess,
    GoogleMeetClient, GoogleMeetOptions, MeetingAtProvider, ServiceError, ServiceSetupError,
    WantedMeeting, ZoomClient, ZoomOptions,
};

use super::fixture::{options, session};
use crate::platform::providers::{
    ACCOUNT, AUDIENCE, CLIENT, CLIENT_SECRET, HOST, SERVICE_ACCOUNT, SUBJECT, private_key,
};
use crate::platform::{Mood, Platform};

pub(super) struct Providers {
    pub(super) platform: Platform,
    pub(super) google_meet: GoogleMeetClient,
    pub(super) zoom: ZoomClient,
}

fn clock() -> Clock {
    Clock::from_fn(|| Timestamp::from_unix_us(1_700_000_000_000_000))
}

fn google_options(url: &str, timeout: Duration) -> GoogleMeetOptions {
    GoogleMeetOptions {
        api: options(url, timeout),
        account: GoogleAccountOptions {
            token: options(&format!("{url}/token"), timeout),
            client_email: SERVICE_ACCOUNT.to_owned(),
            key_id: Some("stub".to_owned()),
            private_key: Secret::new(private_key()),
            audience: AUDIENCE.to_owned(),
            subject: Some(SUBJECT.to_owned()),
            scope: GOOGLE_MEET_SCOPE,
        },
        access: GoogleMeetAccess::Trusted,
    }
}

fn zoom_options(url: &str, timeout: Duration) -> ZoomOptions {
    ZoomOptions {
        api: options(&format!("{url}/v2"), timeout),
        token: options(&format!("{url}/oauth/token"), timeout),
        account_id: ACCOUNT.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Secret::new(CLIENT_SECRET.to_owned()),
        host_user: HOST.to_owned(),
    }
}

impl Providers {
    pub(super) async fn new() -> Self {
        Self::with_timeout(Duration::from_secs(30)).await
    }

    async fn with_timeout(timeout: Duration) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let platform = Platform::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = platform.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let google_meet = GoogleMeetClient::new(google_options(&url, timeout), clock());
        let zoom = ZoomClient::new(zoom_options(&url, timeout), clock());
        Self {
            platform,
            google_meet: google_meet.expect("a client"),
            zoom: zoom.expect("a client"),
        }
    }

    /// What each of them says when it is to make a meeting.
    async fn created(&self) -> [Result<MeetingAtProvider, CreateError>; 2] {
        [self.google_meet.create().await, self.zoom.create(&wanted()).await]
    }
}

pub(super) fn wanted() -> WantedMeeting {
    WantedMeeting {
        session: session(),
        title: "Asamblea".to_owned(),
        start_at: Timestamp::from_unix_us(1_700_000_000_500_000),
        minutes: 90,
    }
}

#[tokio::test]
async fn meetings_are_made_found_and_closed() {
    let providers = Providers::new().await;
    let [space, meeting] = providers.created().await.map(|made| made.expect("made"));
    assert_eq!(space.external_id, "spaces/Space-1");
    let (google_meet, zoom) = (&providers.google_meet, &providers.zoom);
    assert_eq!(google_meet.find("spaces/Space-1").await.expect("asked"), Some(space));
    assert_eq!(google_meet.find("spaces/Space-9").await.expect("asked"), None);
    let id = meeting.external_id.clone();
    assert_eq!(zoom.find(&id).await.expect("asked"), Some(meeting.clone()));
    assert_eq!(zoom.find_by_session(session()).await.expect("asked"), Some(meeting));
    let nobodys = cabildo::domain::id::SessionId::generate();
    assert_eq!(zoom.find_by_session(nobodys).await.expect("asked"), None);
    let state = async || {
        let space = google_meet.call_state("spaces/Space-1").await.expect("asked");
        (space, zoom.call_state(&id).await.expect("asked"))
    };
    assert_eq!(state().await, (CallState::Idle, CallState::Idle));
    google_meet.end("spaces/Space-1").await.expect("none to end");
    for external_id in ["spaces/Space-1", &id] {
        providers.platform.set_call(external_id, true, None);
    }
    assert_eq!(state().await, (CallState::Running, CallState::Running));
    let sent = providers.platform.calls();
    let create = sent.iter().find(|call| call.path.ends_with("/meetings")).expect("made");
    let body: serde_json::Value = serde_json::from_slice(&create.body).expect("JSON");
    assert_eq!(body["start_time"], "2023-11-14T22:13:20Z");
    assert!(sent.iter().all(|call| !call.headers.contains_key("x-service-id")));
    google_meet.end("spaces/Space-1").await.expect("ended");
    google_meet.restrict("spaces/Space-1").await.expect("restricted");
    zoom.close(&id).await.expect("closed");
    zoom.close(&id).await.expect("closed already");
    let ended = Timestamp::parse_rfc3339("2023-11-14T22:13:20.5Z").expect("a moment");
    assert_eq!(state().await, (CallState::Over(ended), CallState::Gone));
}

#[tokio::test]
async fn every_failure_of_a_provider_has_its_error_and_says_whether_a_meeting_may_exist() {
    for (mood, kind, may_exist) in [
        (Mood::Failing(500), "refused", true),
        (Mood::Unheard(502), "refused", true),
        (Mood::Failing(403), "refused", false),
        (Mood::Failing(429), "refused", false),
        (Mood::Limited("7".to_owned()), "refused", false),
        (Mood::Redirecting("http://127.0.0.1:1/inside".to_owned()), "refused", true),
        (Mood::NotJson, "not_by_contract", true),
        (Mood::WrongShape, "not_by_contract", true),
        (Mood::Lying, "not_by_contract", true),
        (Mood::Endless, "too_long", true),
    ] {
        let providers = Providers::new().await;
        for service in ["google_meet", "zoom"] {
            providers.platform.set_mood(service, mood.clone());
        }
        for made in providers.created().await {
            let error = made.expect_err("not made");
            assert_eq!((error.error.kind(), error.may_exist), (kind, may_exist), "{mood:?}");
        }
        // A call that makes a meeting is made once, whatever comes of it.
        let calls = providers.platform.calls();
        let creates = calls
            .iter()
            .filter(|call| call.path.ends_with("/meetings") || call.path.ends_with("/spaces"));
        assert_eq!(creates.count(), 2, "{mood:?}");
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_waited_for_until_the_time_out() {
    let providers = Providers::with_timeout(Duration::from_millis(300)).await;
    for service in ["google_meet", "zoom"] {
        providers.platform.set_mood(service, Mood::Silent);
    }
    for made in providers.created().await {
        let error = made.expect_err("not made");
        assert_eq!((error.error.kind(), error.may_exist), ("timed_out", true));
    }
}

#[tokio::test]
async fn the_wait_that_a_provider_asks_for_is_kept_and_its_words_are_not_repeated() {
    let providers = Providers::new().await;
    providers.platform.set_mood("zoom", Mood::Limited("2023-11-15".to_owned()));
    let error = providers.zoom.create(&wanted()).await.expect_err("limited").error;
    assert_eq!(error.retry_after(), Duration::from_secs(6_400));
    let ServiceError::Refused { status, code, .. } = &error else { panic!("{error}") };
    assert_eq!((*status, code.as_str()), (429, "none"));
}

#[tokio::test]
async fn all_calls_of_a_process_share_one_token_and_a_refused_one_is_replaced() {
    let providers = Providers::new().await;
    let zoom = &providers.zoom;
    let many = futures_util::future::join_all((0..8).map(|_| zoom.find("1"))).await;
    assert!(many.into_iter().all(|found| found.expect("asked").is_none()));
    assert_eq!(providers.platform.tokens_given(), 1);
    providers.google_meet.find("spaces/a").await.expect("asked");
    assert_eq!(providers.platform.tokens_given(), 2);
    providers.platform.revoke_tokens();
    for made in providers.created().await {
        made.expect("made with another token");
    }
    assert_eq!(providers.platform.tokens_given(), 4);
    assert_eq!(providers.platform.meetings().len(), 1);
    assert_eq!(providers.platform.spaces().len(), 1);
    // Many that find the token refused at once ask for one new token.
    providers.platform.revoke_tokens();
    let many = futures_util::future::join_all((0..8).map(|_| zoom.find("1"))).await;
    assert!(many.into_iter().all(|found| found.is_ok()));
    assert_eq!(providers.platform.tokens_given(), 5);
}

#[tokio::test]
async fn without_a_token_nothing_is_made() {
    let providers = Providers::new().await;
    for service in ["google_token", "zoom_token"] {
        providers.platform.set_mood(service, Mood::Failing(400));
    }
    for made in providers.created().await {
        let error = made.expect_err("no token");
        assert!(!error.may_exist);
    }
    for service in ["google_token", "zoom_token"] {
        providers.platform.set_mood(service, Mood::NotJson);
    }
    for made in providers.created().await {
        assert!(!made.expect_err("no token").may_exist);
    }
    assert!(providers.platform.meetings().is_empty() && providers.platform.spaces().is_empty());
}

#[test]
fn a_key_that_is_none_is_noticed_at_the_start() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut options = google_options("http://127.0.0.1:1", Duration::from_secs(1));
    options.account.private_key = Secret::new("nothing".to_owned());
    let refused = GoogleMeetClient::new(options, clock()).err();
    assert!(matches!(refused, Some(ServiceSetupError::KeyInvalid)));
}
