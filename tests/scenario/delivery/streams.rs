//! Event streams: cursors, limits and slow readers.

use std::sync::Arc;
use std::time::Duration;

use cabildo::delivery::{
    Cursor, EventStream, STREAMS_PER_TENANT_MAX, Start, StreamError, StreamItem, StreamTimes,
};
use cabildo::domain::id::{SessionId, SessionKey, TenantId};

use super::fixture::{Memory, streams};

/// The next event's cursor and request.
async fn next(stream: &mut EventStream) -> (Cursor, String) {
    loop {
        match stream.next().await.expect("it goes on").expect("fast enough") {
            StreamItem::Event(placed) => {
                let json: serde_json::Value =
                    serde_json::from_str(&placed.event.to_json()).expect("JSON");
                let request = json["data"]["request_id"].as_str().expect("a request").to_owned();
                return (placed.cursor, request);
            }
            StreamItem::Heartbeat(_) => {}
        }
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_after_any_event_misses_none_and_hears_none_twice() {
    let outbox = Arc::new(Memory::default());
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    outbox.approve(SessionKey::new(tenant, session), &[1, 2, 3]);
    outbox.approve(SessionKey::new(TenantId::generate(), SessionId::generate()), &[7]);
    outbox.approve(SessionKey::new(tenant, session), &[4]);
    outbox.approve(SessionKey::new(tenant, session), &[5, 6]);
    let streams = streams(outbox, StreamTimes::default());
    let mut start = Start::Oldest;
    for seq in 1..=6 {
        let mut stream = streams.open(tenant, start, None).await.expect("opened");
        let (cursor, request) = next(&mut stream).await;
        assert_eq!(request, format!("r{seq}"));
        start = Start::After(cursor.to_string().parse().expect("a cursor"));
    }
}

#[tokio::test]
async fn an_event_that_happens_while_a_reader_waits_reaches_it() {
    let outbox = Arc::new(Memory::default());
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    let streams = streams(outbox.clone(), StreamTimes::default());
    let mut stream = streams.open(tenant, Start::Newest, None).await.expect("opened");
    for seq in 1..=3 {
        outbox.approve(SessionKey::new(tenant, session), &[seq]);
        assert_eq!(next(&mut stream).await.1, format!("r{seq}"));
    }
    streams.shutdown();
    while let Some(item) = stream.next().await {
        item.expect("it ends as others do");
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_disconnected() {
    let outbox = Arc::new(Memory::default());
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    for seq in 1..=200 {
        outbox.approve(SessionKey::new(tenant, session), &[seq]);
    }
    let times = StreamTimes { slow_after: Duration::from_millis(50), ..StreamTimes::default() };
    let streams = streams(outbox, times);
    let mut stream = streams.open(tenant, Start::Oldest, None).await.expect("opened");
    // It takes one, and then nothing until the stream was given up.
    let (cursor, request) = next(&mut stream).await;
    assert_eq!(request, "r1");
    tokio::time::timeout(Duration::from_mins(1), stream.given_up()).await.expect("given up");
    assert!(stream.next().await.expect("an end").is_err(), "the reader was too slow");
    drop(stream);
    let mut again = streams.open(tenant, Start::After(cursor), None).await.expect("opened");
    assert_eq!(next(&mut again).await.1, "r2");
}

#[tokio::test]
async fn one_tenant_takes_no_more_than_its_share_of_streams() {
    let streams = streams(Arc::default(), StreamTimes::default());
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let mut open = Vec::new();
    for _ in 0..STREAMS_PER_TENANT_MAX {
        open.push(streams.open(tenant, Start::Oldest, None).await.expect("opened"));
    }
    let refused = streams.open(tenant, Start::Oldest, None).await;
    assert!(matches!(refused, Err(StreamError::Full(_))));
    streams.open(other, Start::Oldest, None).await.expect("another tenant's");
    open.pop();
    streams.open(tenant, Start::Oldest, None).await.expect("there is room again");
}

#[tokio::test]
async fn what_was_erased_while_it_waited_for_its_reader_is_left_out() {
    let outbox = Arc::new(Memory::default());
    let (tenant, erased, other) =
        (TenantId::generate(), SessionId::generate(), SessionId::generate());
    for seq in 1..=3 {
        outbox.approve(SessionKey::new(tenant, erased), &[seq]);
    }
    outbox.approve(SessionKey::new(tenant, other), &[4]);
    let streams = streams(outbox.clone(), StreamTimes::default());
    let mut stream = streams.open(tenant, Start::Oldest, None).await.expect("opened");
    assert_eq!(next(&mut stream).await.1, "r1");
    outbox.erase(SessionKey::new(tenant, erased));
    assert_eq!(next(&mut stream).await.1, "r4");
}
