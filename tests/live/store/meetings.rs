//! Meetings at other providers: begun once, found by their request, due, fenced.

use std::time::Duration;

use cabildo::claims::repository::ClaimRepository as _;
use cabildo::domain::claim::{Fence, Work};
use cabildo::domain::id::{InstanceId, SessionId, SessionKey, TenantId};
use cabildo::domain::session::Provider;
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::meetings::{
    Call, Intent, MeetingRepository as _, MeetingRow, MeetingState, ORPHAN_AFTER,
};
use cabildo::store::Store;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_request_that_comes_again_finds_the_meeting_it_had_begun,
    a_meeting_is_made_kept_and_closed,
    older_news_of_a_call_change_nothing,
    an_instance_that_was_replaced_notes_nothing_of_a_meeting,
);

const LONG: Duration = Duration::from_mins(1);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn intent(tenant: TenantId, origin: Option<u8>) -> Intent {
    Intent {
        key: SessionKey::new(tenant, SessionId::generate()),
        provider: Provider::Zoom,
        origin: origin.map(|byte| [byte; 32]),
        at: NOW,
    }
}

async fn claimed(store: &Store, meeting: &MeetingRow, lease: Duration) -> Fence {
    let (work, instance) = (Work::Meeting, InstanceId::generate());
    let taken = store.take(meeting.key, work, instance, lease).await;
    Fence { session: meeting.key.session, work, epoch: taken.expect("answered").expect("free") }
}

async fn a_request_that_comes_again_finds_the_meeting_it_had_begun(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let tenant = TenantId::generate();
    let begun = first.intend(&intent(tenant, Some(1))).await.expect("stored");
    assert_eq!((begun.state, begun.call), (MeetingState::Intended, Call::None));
    assert_eq!(second.intend(&intent(tenant, Some(1))).await, Ok(begun.clone()));
    let again = Intent { key: begun.key, ..intent(tenant, None) };
    assert_eq!(second.intend(&again).await, Ok(begun.clone()), "by its session");
    for other in [intent(tenant, Some(2)), intent(tenant, None), intent(tenant, None)] {
        assert_eq!(second.intend(&other).await.expect("stored").key, other.key);
    }
    let others = intent(TenantId::generate(), Some(1));
    assert_eq!(first.intend(&others).await.expect("stored").key, others.key);
    // One that is closed is not found any more, and its request begins anew.
    let fence = claimed(first, &begun, LONG).await;
    first.closed(fence, &begun).await.expect("noted");
    let anew = intent(tenant, Some(1));
    assert_eq!(first.intend(&anew).await.expect("stored").key, anew.key);
}

async fn a_meeting_is_made_kept_and_closed(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let begun = first.intend(&intent(TenantId::generate(), None)).await.expect("stored");
    let fence = claimed(first, &begun, LONG).await;
    assert_eq!(first.due(later(1), 9).await, Ok(vec![]), "its request makes it");
    assert_eq!(first.due(NOW.after(ORPHAN_AFTER), 9).await, Ok(vec![begun.clone()]));
    first.attempted(fence, &begun, Some(later(1))).await.expect("noted");
    let read = async || {
        let read = second.of_session(begun.key).await;
        read.expect("answered").expect("there")
    };
    assert_eq!(read().await.attempted_at, Some(later(1)));
    assert_eq!(first.open().await, Ok(0));
    first.made(fence, &begun, "90000000001", later(30)).await.expect("noted");
    let made = read().await;
    assert_eq!((made.state, made.attempted_at), (MeetingState::Made, None));
    assert_eq!(second.named(Provider::Zoom, "90000000001").await, Ok(Some(made.clone())));
    assert_eq!(second.named(Provider::GoogleMeet, "90000000001").await, Ok(None));
    assert_eq!(second.open().await, Ok(1));
    first.postpone(fence, &made, later(60), 3).await.expect("noted");
    assert_eq!(second.due(later(59), 9).await, Ok(vec![]));
    assert_eq!(read().await.tries, 3);
    second.close(made.key, later(5)).await.expect("noted");
    let closing = read().await;
    assert_eq!((closing.state, closing.tries), (MeetingState::Closing, 0));
    assert_eq!(second.due(later(5), 9).await, Ok(vec![closing.clone()]));
    // What was decided before does not put it off.
    first.postpone(fence, &made, later(99), 0).await.expect("noted");
    assert_eq!(second.due(later(5), 9).await, Ok(vec![closing.clone()]));
    first.closed(fence, &closing).await.expect("noted");
    assert_eq!(second.due(later(999), 9).await, Ok(vec![]));
    assert_eq!(second.open().await, Ok(0));
    second.close(made.key, later(9)).await.expect("nothing to do");
    assert_eq!(read().await.state, MeetingState::Closed);
    first.begin_anew(fence, &closing, Provider::GoogleMeet, later(20)).await.expect("noted");
    let anew = read().await;
    assert_eq!((anew.state, anew.provider), (MeetingState::Intended, Provider::GoogleMeet));
    assert_eq!((anew.call, anew.external_id), (Call::None, None));
}

async fn older_news_of_a_call_change_nothing(fixture: Fixture) {
    let store = fixture.store();
    let begun = store.intend(&intent(TenantId::generate(), None)).await.expect("stored");
    assert_eq!(store.call_is(&begun, Call::Running, later(1)).await, Ok(false), "not made yet");
    let fence = claimed(store, &begun, LONG).await;
    store.made(fence, &begun, "1", later(999)).await.expect("noted");
    assert_eq!(store.call_is(&begun, Call::Running, later(5)).await, Ok(true));
    assert_eq!(store.due(later(5), 9).await.expect("read").len(), 1, "it is looked at");
    assert_eq!(store.call_is(&begun, Call::Running, later(6)).await, Ok(false), "known");
    assert_eq!(store.call_is(&begun, Call::Ended, later(4)).await, Ok(false), "older");
    assert_eq!(store.call_is(&begun, Call::Ended, later(7)).await, Ok(true));
    let read = store.of_session(begun.key).await.expect("read").expect("there");
    assert_eq!((read.call, read.call_at), (Call::Ended, later(7)));
}

async fn an_instance_that_was_replaced_notes_nothing_of_a_meeting(fixture: Fixture) {
    let store = fixture.store();
    let begun = store.intend(&intent(TenantId::generate(), None)).await.expect("stored");
    let old = claimed(store, &begun, Duration::ZERO).await;
    claimed(store, &begun, LONG).await;
    for noted in [
        store.attempted(old, &begun, Some(NOW)).await,
        store.made(old, &begun, "1", NOW).await,
        store.postpone(old, &begun, NOW, 1).await,
        store.closed(old, &begun).await,
        store.begin_anew(old, &begun, Provider::Zoom, NOW).await,
    ] {
        assert_eq!(noted, Err(StoreError::Fenced));
    }
    assert_eq!(store.of_session(begun.key).await, Ok(Some(begun)));
}
