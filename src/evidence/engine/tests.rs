use super::*;
use crate::domain::media::Codec;
use crate::domain::secret::Secret;
use crate::evidence::repository::LogRecord;

const OLD: Hash = [1; 32];
const NEW: Hash = [2; 32];

fn at() -> Timestamp {
    Timestamp::from_unix_us(1_700_000_000_000_000)
}

fn key() -> EventsKey {
    EventsKey::new(Secret::new([3; 32]))
}

fn begun() -> LogEngine {
    let beginning = Beginning {
        log_id: [4; 16],
        kid: OLD,
        build_hash: [5; 32],
        policy: "{}".to_owned(),
        events_key: key(),
    };
    LogEngine::begin(beginning, at()).expect("begun")
}

#[expect(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]
fn start() -> Instant {
    Instant::now()
}

fn after(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

/// Stores pending entries and signs due heads, as a driver would.
fn store_and_sign(log: &mut LogEngine, now: Instant) {
    log.poll_append();
    log.handle_stored(now);
    if let Some(due) = log.next_head() {
        log.handle_head_stored(due.point);
    }
}

#[test]
fn a_head_is_due_a_second_after_the_first_entry_that_none_covers() {
    let start = start();
    let mut log = begun();
    assert_eq!(log.poll_timeout(), None, "no entry is stored");
    assert_eq!(log.poll_append().expect("the beginning").entries.len(), 2);
    log.handle_stored(start);
    assert_eq!(log.poll_timeout(), Some(after(start, 1_000)));
    log.handle_event(EventKind::Failure, "a".to_owned(), at()).expect("taken");
    assert!(log.poll_head(after(start, 5_000)).is_none(), "the event is not stored");
    log.poll_append();
    log.handle_stored(after(start, 900));
    assert_eq!(log.poll_timeout(), Some(after(start, 1_000)), "further entries do not delay it");
    assert!(log.poll_head(after(start, 999)).is_none());
    let due = log.poll_head(after(start, 1_000)).expect("due");
    assert_eq!((due.point.size, due.previous, due.kid), (3, Point::none(), OLD));
    log.handle_head_stored(due.point);
    assert_eq!(log.poll_timeout(), None);
    assert!(log.next_head().is_none(), "no entry is new");
    assert!(HEAD_DELAY < Duration::from_millis(HEAD_INTERVAL_MS));
}

#[test]
fn a_closing_head_is_due_at_once() {
    let start = start();
    let mut log = begun();
    store_and_sign(&mut log, start);
    log.handle_close(&[], 1, at()).expect("closed");
    log.poll_append();
    log.handle_stored(after(start, 10));
    assert_eq!(log.poll_timeout(), Some(after(start, 10)));
    assert!(log.poll_head(after(start, 10)).is_some());
}

#[test]
fn the_old_key_signs_its_own_end_before_anything_else_is_taken() {
    let start = start();
    let mut log = begun();
    store_and_sign(&mut log, start);
    log.handle_active_key(OLD, at());
    assert!(log.poll_append().is_none(), "the same key");
    log.handle_active_key(NEW, at());
    log.poll_append().expect("the change");
    assert!(log.needs_handover());
    log.handle_active_key([9; 32], at());
    assert_eq!(log.pending_entries(), 1, "only one key entry is pending");
    log.handle_stored(after(start, 10));
    let due = log.poll_head(after(start, 10)).expect("at once");
    assert_eq!((due.point.size, due.kid), (3, OLD));
    log.handle_head_stored(due.point);
    assert!(!log.needs_handover());
    log.handle_event(EventKind::Failure, "a".to_owned(), at()).expect("taken");
    log.poll_append();
    log.handle_stored(after(start, 20));
    assert_eq!(log.next_head().expect("new").kid, NEW);
}

#[test]
fn a_decision_is_taken_once() {
    let mut log = begun();
    store_and_sign(&mut log, start());
    for seq in [1, 2, 2, 1, 3] {
        log.handle_decision(seq, format!("{seq}"), at()).expect("taken or known");
    }
    let append = log.poll_append().expect("three");
    let texts: Vec<&str> = append.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts, ["1", "2", "3"]);
    assert_eq!((append.expected_size, append.room_seq, append.last_event_seq), (2, 3, 4));
}

#[test]
fn a_log_is_recalled_as_it_was() {
    let start = start();
    let mut log = begun();
    let track = RecordedTrackId::random();
    let subject = "{}".to_owned();
    let taken = MediaEntry::Track { track, codec: Codec::Opus, subject };
    log.handle_media(taken.clone(), at()).expect("taken");
    log.handle_active_key(NEW, at());
    let append = log.poll_append().expect("pending").clone();
    log.handle_stored(start);
    let record = LogRecord {
        log_id: [4; 16],
        size: log.size(),
        room_seq: 0,
        last_event_seq: 1,
        closed_seq: None,
        events_key: Some(Vec::new()),
    };
    let recall = |entries: &[StoredEntry], head| {
        let mut recollection = Recollection::new(&record, Some(key()));
        for entry in entries {
            recollection.handle_entry(entry)?;
        }
        recollection.finish(&record, head, start)
    };
    let mut recalled = recall(&append.entries, None).expect("whole");
    assert_eq!(recalled.next_head(), log.next_head());
    assert!(recalled.needs_handover());
    assert_eq!(recalled.handle_media(taken, at()), Ok(2), "known");

    let point = log.next_head().expect("due").point;
    assert!(recall(&append.entries, Some(point)).is_ok());
    let refused = [
        recall(&append.entries[..3], None),
        recall(&append.entries, Some(Point { size: 9, root: point.root })),
        recall(&append.entries, Some(Point { size: 3, root: point.root })),
        recall(&append.entries[1..], None),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        let error = refused.expect_err("refused");
        assert!(matches!(error, EvidenceError::Integrity(_)), "{number}: {error}");
    }
}
