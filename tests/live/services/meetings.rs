//! The meeting of a session is made once, whoever asks and how often.

use std::sync::Arc;
use std::time::Duration;

use cabildo::claims::{Claims, ClaimsParts, LeaseTimes};
use cabildo::clock::{BootClock, Clock};
use cabildo::domain::id::{AssemblyId, InstanceId, SessionId, SessionKey, TenantId};
use cabildo::domain::session::{Modality, Provider, Session};
use cabildo::meetings::{Meetings, VideoProvider, VideoProviders};
use cabildo::sessions::{
    FixedLimits, MeetingError, NewSession, SessionError, SessionPatch, SessionService,
};
use cabildo::store::{Store, StoreOptions};

use super::providers::Providers;
use crate::platform::{Mood, Platform};

/// Two instances on one database.
struct Instances {
    services: [SessionService; 2],
    platform: Platform,
    tenant: TenantId,
    _data: tempfile::TempDir,
}

impl Instances {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let options = StoreOptions::sqlite_file(&data.path().join("cabildo.db"));
        let providers = Providers::new().await;
        let platform = providers.platform.clone();
        let zoom: Arc<dyn VideoProvider> = Arc::new(providers.zoom);
        let mut services = Vec::new();
        for _ in 0..2 {
            let store = Store::connect(&options).await.expect("a store");
            let claims = Claims::start(ClaimsParts {
                repository: Arc::new(store.clone()),
                instance: InstanceId::generate(),
                clock: BootClock::system(),
                times: LeaseTimes::default(),
            });
            let known = VideoProviders::from([(Provider::Zoom, Arc::clone(&zoom))]);
            let meetings = Meetings::new(known, Arc::new(store.clone()), claims);
            let limits = Arc::new(FixedLimits::default());
            let service = SessionService::new(Arc::new(store), limits, Vec::new());
            services.push(service.making_by(Arc::new(meetings)));
        }
        let services = services.try_into().unwrap_or_else(|_| panic!("two"));
        Self { services, platform, tenant: TenantId::generate(), _data: data }
    }

    fn wanted(&self, provider: Provider) -> NewSession {
        let assembly = AssemblyId::generate();
        let wanted = NewSession::new(self.tenant, assembly, "Asamblea", Modality::Virtual);
        NewSession { provider: Some(provider), ..wanted }
    }

    async fn create(&self, at: usize, origin: u8) -> Result<Session, SessionError> {
        let (wanted, now) = (self.wanted(Provider::Zoom), Clock::system().now());
        self.services[at]
            .create_once(wanted, (SessionId::generate(), Some([origin; 32])), now)
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_at_once_one_makes_the_meeting() {
    let instances = Instances::start().await;
    instances.platform.set_mood("zoom", Mood::Slow(Duration::from_millis(300)));
    let (first, second) = tokio::join!(instances.create(0, 1), instances.create(1, 1));
    assert_eq!(instances.platform.meetings().len(), 1);
    let made = first.as_ref().or(second.as_ref()).expect("one made it").clone();
    for other in [first, second] {
        match other {
            Ok(session) => assert_eq!(session.id, made.id),
            Err(SessionError::Meeting(MeetingError::Unavailable { retry_after, .. })) => {
                assert_eq!(retry_after, Duration::from_secs(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    for at in [0, 1] {
        assert_eq!(instances.create(at, 1).await.expect("there").id, made.id);
    }
    assert_eq!(instances.platform.meetings().len(), 1);
    // Another request is another session.
    let other = instances.create(1, 2).await.expect("made");
    assert_ne!(other.id, made.id);
    assert_eq!(instances.platform.meetings().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_between_intent_and_answer_leaves_no_second_meeting() {
    let instances = Instances::start().await;
    instances.platform.set_mood("zoom", Mood::Unheard(504));
    let lost = instances.create(0, 1).await.expect_err("no answer");
    assert!(matches!(lost, SessionError::Meeting(MeetingError::Unavailable { .. })), "{lost}");
    assert_eq!(instances.platform.meetings().len(), 1);
    // While Zoom can't be asked whether it has the meeting, none is made either.
    instances.platform.set_mood("zoom", Mood::Failing(500));
    instances.create(1, 1).await.expect_err("no answer");
    instances.platform.set_mood("zoom", Mood::Well);
    let made = instances.create(1, 1).await.expect("found");
    assert_eq!(instances.platform.meetings().len(), 1);
    let (id, _) = instances.platform.meetings().into_iter().next().expect("made");
    assert_eq!(made.meeting_url, Some(format!("https://zoom.us/j/{id}?pwd=abc")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_to_a_provider_once() {
    let instances = Instances::start().await;
    let service = &instances.services[0];
    let now = Clock::system().now();
    let own = service.create(instances.wanted(Provider::Webrtc), now).await.expect("created");
    assert_eq!(own.meeting_url, None);
    let to = |provider| SessionPatch {
        provider: cabildo::sessions::Change::Set(provider),
        ..SessionPatch::default()
    };
    let patched =
        service.patch(SessionKey::new(instances.tenant, own.id), 1, to(Provider::Zoom), now).await;
    let patched = patched.expect("moved");
    assert!(patched.meeting_url.is_some());
    let back = service
        .patch(SessionKey::new(instances.tenant, own.id), 2, to(Provider::Webrtc), now)
        .await;
    let Err(SessionError::Invalid(problems)) = back else { panic!("{back:?}") };
    assert_eq!(problems[0].field, "provider");
    let started =
        service.start(SessionKey::new(instances.tenant, own.id), None, now).await.expect("started");
    assert_eq!(started.meeting_url, patched.meeting_url);
    let meet = service.create(instances.wanted(Provider::GoogleMeet), now).await;
    let not_configured = SessionError::Meeting(MeetingError::NotConfigured(Provider::GoogleMeet));
    assert_eq!(meet, Err(not_configured));
    assert_eq!(instances.platform.meetings().len(), 1);
}
