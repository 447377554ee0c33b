//! Stories of one log. What is awaited is a state of the store, however long
//! it takes; when heads are due is told by the engine's own tests.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey};
use cabildo::evidence::media::{MediaEntry, TrackTail};
use cabildo::evidence::repository::StoredHead;
use cabildo::evidence::{EventKind, EvidenceError, LogStatus, ProofQuery, TilePath, WAITING_MAX};
use ciborium::Value;

use crate::evidence::fixture::{
    Fixture, POLICY, a_segment, a_track, bytes, read_entry, segment_hash,
};
use crate::evidence::format::Message;
use crate::evidence::merkle;
use crate::evidence::store::{Fault, Process};

/// Waits until a head covers everything.
async fn covered(fixture: &Fixture) {
    let is_covered = || {
        let log = fixture.log();
        log.heads.last().is_some_and(|head| head.tree_size == log.record.size)
    };
    until(is_covered).await;
}

async fn until(holds: impl Fn() -> bool) {
    let holding = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), holding).await.expect("it holds in the end");
}

fn b64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

#[tokio::test]
async fn a_meeting_is_taken_from_its_policy_to_its_end() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let mut heads = evidence.heads();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    evidence.open(SessionKey::new(tenant, session), "another policy").await.expect("it is there");
    for _ in 0..3 {
        fixture.decide();
    }
    evidence.room_events_kept(SessionKey::new(tenant, session));
    let started = evidence
        .note(SessionKey::new(tenant, session), EventKind::SessionState, "started".to_owned())
        .await
        .expect("noted");
    let track = RecordedTrackId::random();
    evidence
        .append_media(SessionKey::new(tenant, session), a_track(track))
        .await
        .expect("appended");
    for index in 0..3 {
        evidence
            .append_media(SessionKey::new(tenant, session), a_segment(track, index))
            .await
            .expect("appended");
    }
    fixture.decide();
    let tails = vec![TrackTail { track, last_index: 2, tail: segment_hash(track, 2) }];
    evidence.close(SessionKey::new(tenant, session), tails, 1).await.expect("closed");

    let log = fixture.log();
    let judged = fixture.judge();
    assert_eq!(judged.kinds, [0, 3, 3, 3, 3, 3, 1, 2, 2, 2, 3, 7]);
    assert_eq!(started, 5, "what the room decided before stands before");
    assert_eq!(log.record.room_seq, 4);
    let texts: Vec<&str> = log.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts[0], POLICY);
    assert_eq!(texts[5], r#"{"seq":4,"type":"turn_started"}"#);
    let (_, close) = read_entry(&log.entries[11].bytes, 11);
    let tail = Value::Array(vec![
        Value::Bytes(track.as_uuid().as_bytes().to_vec()),
        2.into(),
        Value::Bytes(segment_hash(track, 2).to_vec()),
    ]);
    assert_eq!(close, [Value::Array(vec![tail]), 10.into(), 1.into()]);
    // Everything is covered when closing returns, and was told only then.
    let last = log.heads.last().expect("a head");
    assert_eq!(last.tree_size, 12);
    let told = heads.recv().await.expect("told");
    assert_eq!((told.tenant, told.session), (tenant, session));
    assert!(log.heads.contains(&told.head));
}

#[tokio::test]
async fn what_the_store_refuses_for_good_is_given_up_and_takes_nothing_with_it() {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    process.refuse_text(Some("poison"));
    let note = |text: &str| {
        evidence.note(SessionKey::new(tenant, session), EventKind::SessionState, text.to_owned())
    };
    let (before, refused, after) = tokio::join!(note("before"), note("poison"), note("after"));
    before.expect("noted");
    assert_eq!(refused, Err(EvidenceError::Refused("as planned".to_owned())));
    after.expect("noted");
    assert!(evidence.is_well(), "the log was written to since");
    assert_eq!(note("poison").await, Err(EvidenceError::Refused("as planned".to_owned())));
    assert!(!evidence.is_well(), "nothing was written since");
    note("better").await.expect("noted");
    assert!(evidence.is_well());
    covered(&fixture).await;
    let texts: Vec<String> = fixture.log().events.into_iter().map(|event| event.text).collect();
    assert_eq!(texts, [POLICY, "before", "after", "better"]);
    fixture.judge();
}

#[tokio::test]
async fn a_decision_that_the_store_refuses_ends_the_attempt_and_stays_for_the_next() {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    process.refuse_text(Some("turn_started"));
    fixture.decide();
    evidence.room_events_kept(SessionKey::new(tenant, session));
    // What needs the decision is refused and not kept waiting, and everything else goes on.
    let (track, close) = tokio::join!(
        evidence.append_media(SessionKey::new(tenant, session), a_track(RecordedTrackId::random())),
        evidence.close(SessionKey::new(tenant, session), Vec::new(), 1),
    );
    track.expect("stored");
    assert_eq!(close, Err(EvidenceError::Refused("as planned".to_owned())));
    assert!(!evidence.is_well(), "the decision is not in the log");
    assert_eq!(fixture.log().record.room_seq, 0);
    process.refuse_text(None);
    let again = evidence
        .append_media(SessionKey::new(tenant, session), a_track(RecordedTrackId::random()))
        .await;
    again.expect("stored");
    assert!(!evidence.is_well(), "the decision is not in the log");
    evidence.room_events_kept(SessionKey::new(tenant, session));
    until(|| fixture.log().record.room_seq == 1).await;
    covered(&fixture).await;
    assert!(evidence.is_well());
    fixture.judge();
}

#[tokio::test]
async fn a_closed_log_takes_only_what_may_follow() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    let track = RecordedTrackId::random();
    let track_seq = evidence
        .append_media(SessionKey::new(tenant, session), a_track(track))
        .await
        .expect("appended");
    evidence
        .append_media(SessionKey::new(tenant, session), a_segment(track, 0))
        .await
        .expect("appended");
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed");
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed already");
    fixture.decide();
    evidence.room_events_kept(SessionKey::new(tenant, session));

    let note = |kind| evidence.note(SessionKey::new(tenant, session), kind, "text".to_owned());
    assert_eq!(note(EventKind::Failure).await, Err(EvidenceError::Closed));
    assert_eq!(note(EventKind::Vote).await, Err(EvidenceError::Closed));
    let second = evidence.append_media(SessionKey::new(tenant, session), a_segment(track, 1)).await;
    assert_eq!(second, Err(EvidenceError::Closed));
    let other = evidence
        .append_media(SessionKey::new(tenant, session), a_track(RecordedTrackId::random()))
        .await;
    assert_eq!(other, Err(EvidenceError::Closed));
    let opened = note(EventKind::RecordingAccess).await.expect("somebody opened the recording");
    let erased = evidence
        .erase(SessionKey::new(tenant, session), track_seq, 1, [4; 32])
        .await
        .expect("erased");
    let again = evidence
        .erase(SessionKey::new(tenant, session), track_seq, 2, [5; 32])
        .await
        .expect("erased");
    assert_eq!((opened, erased, again), (5, 6, 6));
    let not_a_track = evidence.erase(SessionKey::new(tenant, session), 1, 1, [4; 32]).await;
    assert_eq!(not_a_track, Err(EvidenceError::EntryNotFound(1)));
    covered(&fixture).await;
    assert_eq!(fixture.judge().kinds, [0, 3, 1, 2, 7, 3, 5]);
}

#[tokio::test]
async fn segments_continue_their_track_or_are_refused() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    let track = RecordedTrackId::random();
    let append = |entry| evidence.append_media(SessionKey::new(tenant, session), entry);
    assert_eq!(append(a_segment(track, 0)).await, Err(EvidenceError::TrackUnknown));
    let gap = MediaEntry::Gap { track, from_ms: 1, to_ms: 2, reason: 1 };
    assert_eq!(append(gap.clone()).await, Err(EvidenceError::TrackUnknown));
    assert_eq!(append(a_track(track)).await, Ok(2));
    assert_eq!(append(a_track(track)).await, Ok(2), "repeated, because no answer was heard");
    let mut stolen = a_track(track);
    if let MediaEntry::Track { subject, .. } = &mut stolen {
        *subject = "{}".to_owned();
    }
    assert_eq!(append(stolen).await, Err(EvidenceError::TrackConflict));
    assert_eq!(append(a_segment(track, 1)).await, Err(EvidenceError::OutOfOrder { taken: 0 }));
    assert_eq!(append(a_segment(track, 0)).await, Ok(3));
    assert_eq!(append(a_segment(track, 0)).await, Ok(3), "repeated");
    let mut other = a_segment(track, 1);
    if let MediaEntry::Segment { previous, .. } = &mut other {
        *previous = Some([0; 32]);
    }
    assert_eq!(append(other).await, Err(EvidenceError::OutOfOrder { taken: 1 }), "chain");
    assert_eq!(append(gap).await, Ok(4));
    // Whoever closes and believes in a segment that is not there is refused.
    let tail = |last_index, tail| vec![TrackTail { track, last_index, tail }];
    let missing =
        evidence.close(SessionKey::new(tenant, session), tail(1, segment_hash(track, 1)), 1).await;
    assert_eq!(missing, Err(EvidenceError::OutOfOrder { taken: 1 }));
    let other = evidence.close(SessionKey::new(tenant, session), tail(0, [0; 32]), 1).await;
    assert_eq!(other, Err(EvidenceError::OutOfOrder { taken: 1 }));
    let nobody = vec![TrackTail { track: RecordedTrackId::random(), last_index: 0, tail: [0; 32] }];
    let nobody = evidence.close(SessionKey::new(tenant, session), nobody, 1).await;
    assert_eq!(nobody, Err(EvidenceError::TrackUnknown));
    evidence
        .close(SessionKey::new(tenant, session), tail(0, segment_hash(track, 0)), 1)
        .await
        .expect("closed");
    assert_eq!(fixture.judge().kinds, [0, 3, 1, 2, 4, 7]);
}

#[tokio::test]
async fn a_session_without_a_log_has_none() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, SessionId::generate());
    evidence.room_events_kept(SessionKey::new(tenant, session));
    let noted = evidence
        .note(SessionKey::new(tenant, session), EventKind::SessionState, "x".to_owned())
        .await;
    assert_eq!(noted, Err(EvidenceError::NoLog));
    let proof = evidence
        .proof(SessionKey::new(tenant, session), LogStatus::Live, &ProofQuery::default())
        .await;
    assert_eq!(proof, Err(EvidenceError::NoLog));
    let long = "x".repeat(cabildo::evidence::TEXT_BYTES_MAX + 1);
    assert_eq!(
        evidence.note(SessionKey::new(tenant, session), EventKind::SessionState, long).await,
        Err(EvidenceError::TooLarge)
    );
    assert!(fixture.store.disk().logs.is_empty());
}

#[tokio::test]
async fn a_store_that_refuses_is_asked_again_and_nothing_stands_twice() {
    let faults = [Fault::Refuse, Fault::DoAndRefuse, Fault::Hang, Fault::DoAndHang];
    futures_util::future::join_all(faults.map(fail_once)).await;
}

async fn fail_once(fault: Fault) {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    process.fail_writes(&[fault, Fault::Refuse]);
    let seq = evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "once".to_owned())
        .await
        .expect("in the end");
    let log = fixture.log();
    let events: Vec<_> = log.events.iter().filter(|event| event.text == "once").collect();
    assert_eq!(events.len(), 1, "{fault:?}");
    assert_eq!(events[0].seq, seq, "{fault:?}");
    covered(&fixture).await;
    // The same for a head.
    evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "head".to_owned())
        .await
        .expect("noted");
    process.fail_writes(&[fault]);
    covered(&fixture).await;
    fixture.judge();
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    process.fail_writes(&[Fault::Refuse; 3]);
    let many = (0..3 * WAITING_MAX).map(|number| {
        let evidence = evidence.clone();
        tokio::spawn(async move {
            evidence
                .note(SessionKey::new(tenant, session), EventKind::Failure, format!("{number}"))
                .await
        })
    });
    let many: Vec<_> = many.collect();
    let (mut noted, mut refused) = (0, 0);
    for one in many {
        match one.await.expect("no panic") {
            Ok(_) => noted += 1,
            Err(EvidenceError::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0 && noted >= WAITING_MAX, "{noted} noted, {refused} refused");
    assert!(noted <= 2 * WAITING_MAX + 512, "{noted} waited");
    assert_eq!(fixture.log().events.len(), noted + 1);
    fixture.judge();
}

#[tokio::test]
async fn two_processes_continue_one_log_without_a_fork() {
    let fixture = Fixture::new();
    let (one, _) = fixture.start();
    let (two, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    let (first, second) = tokio::join!(
        one.open(SessionKey::new(tenant, session), POLICY),
        two.open(SessionKey::new(tenant, session), POLICY)
    );
    first.and(second).expect("opened");
    for round in 0..40_u32 {
        fixture.decide();
        one.room_events_kept(SessionKey::new(tenant, session));
        two.room_events_kept(SessionKey::new(tenant, session));
        let (a, b) = tokio::join!(
            one.note(SessionKey::new(tenant, session), EventKind::Failure, format!("one {round}")),
            two.note(SessionKey::new(tenant, session), EventKind::Failure, format!("two {round}"))
        );
        assert_ne!(a.expect("noted"), b.expect("noted"));
        if round % 13 == 0 {
            covered(&fixture).await;
        }
    }
    one.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed");
    two.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed already");
    let log = fixture.log();
    fixture.judge();
    assert_eq!(log.events.len(), 1 + 40 + 80, "each once");
    assert_eq!(log.heads.last().expect("a head").tree_size, log.record.size);
}

#[tokio::test]
async fn a_key_changes_in_the_middle_of_a_meeting() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    covered(&fixture).await;
    fixture.signing.rotate().expect("rotated");
    evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "a".to_owned())
        .await
        .expect("noted");
    fixture.signing.rotate().expect("rotated");
    evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "b".to_owned())
        .await
        .expect("noted");
    covered(&fixture).await;
    // Once more across a restart, and after the end.
    evidence.shutdown().await;
    let (evidence, _) = fixture.start();
    fixture.signing.rotate().expect("rotated");
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed");
    fixture.signing.rotate().expect("rotated");
    evidence
        .note(SessionKey::new(tenant, session), EventKind::Disclosure, "exported".to_owned())
        .await
        .expect("noted");
    covered(&fixture).await;
    assert_eq!(fixture.judge().kinds, [0, 3, 6, 3, 6, 3, 6, 7, 6, 3]);
    let head = fixture.log().heads.last().expect("a head").clone();
    assert_eq!(Message::read(&head.cose).kid(), fixture.signing.active().kid());
    let published = evidence.published_keys(None).await.expect("read");
    assert_eq!(published["keys"].as_array().expect("keys").len(), 5);
}

#[tokio::test]
async fn a_log_that_contradicts_its_head_is_not_continued() {
    type Tamper = fn(&mut crate::evidence::store::Log);
    let tampers: [(&str, Tamper); 5] = [
        ("rolled back", |log| {
            log.entries.pop();
            log.events.pop();
            log.record.size -= 1;
        }),
        ("an entry changed", |log| {
            let last = log.entries[2].bytes.len() - 1;
            log.entries[2].bytes[last] ^= 1;
        }),
        ("an entry missing", |log| drop(log.entries.remove(1))),
        ("the head forged", |log| {
            let head = log.heads.last_mut().expect("a head");
            *head.cose.last_mut().expect("bytes") ^= 1;
        }),
        ("another root claimed", |log| log.heads.last_mut().expect("a head").root[0] ^= 1),
    ];
    for (what, tamper) in tampers {
        let fixture = Fixture::new();
        let (evidence, process) = fixture.start();
        let (tenant, session) = (fixture.tenant, fixture.session);
        evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
        evidence
            .note(SessionKey::new(tenant, session), EventKind::Failure, "a".to_owned())
            .await
            .expect("noted");
        covered(&fixture).await;
        process.kill();
        tamper(
            fixture.store.disk().logs.get_mut(&SessionKey::new(tenant, session)).expect("there"),
        );
        let before = fixture.log();
        let (evidence, _) = fixture.start();
        let noted = evidence
            .note(SessionKey::new(tenant, session), EventKind::Failure, "b".to_owned())
            .await;
        assert!(matches!(noted, Err(EvidenceError::Integrity(_))), "{what}: {noted:?}");
        let closed = evidence.close(SessionKey::new(tenant, session), Vec::new(), 3).await;
        assert!(matches!(closed, Err(EvidenceError::Integrity(_))), "{what}: {closed:?}");
        let after = fixture.log();
        assert_eq!((after.entries, after.heads), (before.entries, before.heads), "{what}");
    }
}

#[tokio::test]
async fn a_store_that_forgets_under_a_running_process_is_noticed() {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    let backup = fixture.log();
    evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "a".to_owned())
        .await
        .expect("noted");
    covered(&fixture).await;
    fixture.store.disk().logs.insert(SessionKey::new(tenant, session), backup);
    let noted =
        evidence.note(SessionKey::new(tenant, session), EventKind::Failure, "b".to_owned()).await;
    assert!(matches!(noted, Err(EvidenceError::Integrity(_))), "{noted:?}");
    drop(process);
}

#[tokio::test]
async fn stopping_stores_what_was_accepted_and_signs_it() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    let accepted: Vec<_> = (0..20)
        .map(|number| {
            let evidence = evidence.clone();
            tokio::spawn(async move {
                evidence
                    .note(SessionKey::new(tenant, session), EventKind::Failure, format!("{number}"))
                    .await
            })
        })
        .collect();
    fixture.decide();
    evidence.room_events_kept(SessionKey::new(tenant, session));
    tokio::task::yield_now().await;
    evidence.shutdown().await;
    for one in accepted {
        one.await.expect("no panic").expect("noted");
    }
    let refused = evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "late".to_owned())
        .await;
    assert_eq!(refused, Err(EvidenceError::Stopping));
    let log = fixture.log();
    fixture.judge();
    assert_eq!(log.record.room_seq, 1);
    assert_eq!(log.heads.last().expect("a head").tree_size, log.record.size);
    let leaf = fixture.store.disk().leaves.last().expect("a leaf").1.clone();
    assert_eq!(leaf, log.heads.last().expect("a head").cose, "also in the operator log");
}

#[tokio::test]
async fn stopping_ends_although_the_store_does_not_answer() {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    process.fail_writes(&[Fault::Hang; 64]);
    let noting = evidence.clone();
    let noted = tokio::spawn(async move {
        noting.note(SessionKey::new(tenant, session), EventKind::Failure, "x".to_owned()).await
    });
    until(|| process.writes.load(Ordering::SeqCst) > 1).await;
    evidence.shutdown().await;
    assert_eq!(noted.await.expect("no panic"), Err(EvidenceError::Stopping));
}

#[tokio::test]
async fn an_event_is_revealed_by_its_salt_until_it_is_erased() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    let seq = evidence
        .note(SessionKey::new(tenant, session), EventKind::SessionState, "started".to_owned())
        .await
        .expect("noted");
    let track = RecordedTrackId::random();
    let track_seq = evidence
        .append_media(SessionKey::new(tenant, session), a_track(track))
        .await
        .expect("appended");
    let entries = fixture.log().entries;

    let commit = |what: &str, salt: &str, text: &str| {
        let value = Value::Array(vec![what.into(), Value::Bytes(b64(salt)), text.into()]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).expect("writable");
        <sha2::Sha256 as sha2::Digest>::digest(bytes).to_vec()
    };
    let event =
        evidence.event_disclosure(SessionKey::new(tenant, session), seq).await.expect("revealed");
    assert_eq!((event.seq, event.event.as_str()), (seq, "started"));
    let (_, body) = read_entry(&entries[2].bytes, seq);
    assert_eq!(bytes(&body[1]), commit("ev1", &event.salt, &event.event));
    let subject = r#"{"user_id":"maria","name":"María","source":"camera"}"#.to_owned();
    let reveal =
        |subject| evidence.subject_disclosure(SessionKey::new(tenant, session), track_seq, subject);
    let shown = reveal(subject.clone()).await.expect("revealed");
    let (_, body) = read_entry(&entries[3].bytes, track_seq);
    assert_eq!(bytes(&body[4]), commit("sub1", &shown.salt, &subject));
    assert!(matches!(reveal("{}".to_owned()).await, Err(EvidenceError::Integrity(_))));
    let no_event = evidence.event_disclosure(SessionKey::new(tenant, session), track_seq).await;
    assert_eq!(no_event, Err(EvidenceError::EntryNotFound(track_seq)));

    evidence.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed");
    let erased = evidence.erase_events(SessionKey::new(tenant, session), 2).await.expect("erased");
    assert_eq!(erased, 5);
    let log = fixture.log();
    assert!(log.record.events_key.is_none() && log.events.is_empty());
    let revealed = evidence.event_disclosure(SessionKey::new(tenant, session), seq).await;
    assert_eq!(revealed, Err(EvidenceError::Erased));
    let noted = evidence
        .note(SessionKey::new(tenant, session), EventKind::RecordingAccess, "opened".to_owned())
        .await;
    assert_eq!(noted, Err(EvidenceError::Erased));
    assert_eq!(evidence.erase_events(SessionKey::new(tenant, session), 2).await, Ok(5));
    let noted = evidence.erase(SessionKey::new(tenant, session), track_seq, 2, [1; 32]).await;
    assert_eq!(noted, Ok(6), "an erasure needs no salt");
    covered(&fixture).await;
    fixture.judge();
}

#[tokio::test]
async fn an_erasure_that_was_interrupted_is_finished() {
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    process.fail_writes(&[]);
    let erasing = evidence.clone();
    let erasing =
        tokio::spawn(
            async move { erasing.erase_events(SessionKey::new(tenant, session), 2).await },
        );
    while fixture.log().entries.len() < 3 {
        tokio::task::yield_now().await;
    }
    process.kill();
    assert!(fixture.log().record.events_key.is_some(), "the process died in between");
    erasing.abort();
    let (evidence, _) = fixture.start();
    evidence.room_events_kept(SessionKey::new(tenant, session));
    until(|| fixture.log().record.events_key.is_none()).await;
    fixture.judge();
}

#[tokio::test]
async fn the_public_proof_verifies_by_hand() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    for round in 0..12 {
        evidence
            .note(SessionKey::new(tenant, session), EventKind::Failure, format!("{round}"))
            .await
            .expect("noted");
    }
    covered(&fixture).await;
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed");

    let query = ProofQuery { seqs: vec![3, 0, 3], from_size: Some(14) };
    let proof = evidence
        .proof(SessionKey::new(tenant, session), LogStatus::Closed, &query)
        .await
        .expect("proven");
    let json = serde_json::to_value(&proof).expect("JSON");
    assert_eq!(json["status"], "closed");
    assert_eq!(json["session"], session.to_string());
    assert_eq!(json["iss"], "https://notary.test");
    let log = fixture.log();
    let leaves: Vec<_> = log.entries.iter().map(|entry| merkle::leaf(&entry.bytes)).collect();
    let root = merkle::root(&leaves);
    assert_eq!(b64(&proof.log), log.record.log_id);
    assert_eq!((proof.head.tree_size, b64(&proof.head.root)), (15, root.to_vec()));
    assert_eq!(b64(&proof.head.cose), log.heads.last().expect("a head").cose);
    let spki = b64(&proof.keys[0].spki);

    let close = proof.close.clone().expect("closed");
    assert_eq!(close.seq, 14);
    for shown in proof.receipts.iter().chain([&close]) {
        let seq = usize::try_from(shown.seq).expect("small");
        assert_eq!(b64(&shown.entry), log.entries[seq].bytes);
        let message = Message::read(&b64(&shown.receipt));
        let (size, index, path) = message.proof(-1);
        assert_eq!((size, index), (15, shown.seq));
        assert_eq!(merkle::root_of_path(index, size, leaves[seq], &path), Some(root));
        assert!(message.is_signed(&spki, &root));
    }
    let message = Message::read(&b64(&proof.consistency[0]));
    let (one, two, path) = message.proof(-2);
    assert!(merkle::is_consistent(one, two, (merkle::root(&leaves[..14]), root), &path));
    assert!(message.is_signed(&spki, &root));

    let ask = |seqs, from_size| {
        let query = ProofQuery { seqs, from_size };
        let evidence = evidence.clone();
        async move { evidence.proof(SessionKey::new(tenant, session), LogStatus::Closed, &query).await }
    };
    assert!(ask(Vec::new(), Some(15)).await.expect("equal").consistency.is_empty());
    assert_eq!(ask(Vec::new(), Some(0)).await, Err(EvidenceError::NotCovered(0)));
    assert_eq!(ask(Vec::new(), Some(16)).await, Err(EvidenceError::NotCovered(16)));
    assert_eq!(ask(vec![15], None).await, Err(EvidenceError::NotCovered(15)));
    assert_eq!(ask(vec![u64::MAX], None).await, Err(EvidenceError::NotCovered(u64::MAX)));
    assert_eq!(ask(vec![0; 65], None).await, Err(EvidenceError::TooMany));
    assert_eq!(ask(vec![0; 64], None).await.expect("proven").receipts.len(), 64);
}

#[tokio::test]
async fn whoever_asks_again_and_again_does_not_make_the_store_answer() {
    const PROOFS: i64 = 1_000;
    let fixture = Fixture::new();
    let (evidence, process) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    let mut heads = evidence.heads();
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    let first = heads.recv().await.expect("signed").head.tree_size;
    let before = process.calls();
    for index in 0..PROOFS {
        // Each costs a read of its entry and a signature once.
        let seq = index.unsigned_abs() % first;
        let query = ProofQuery { seqs: vec![seq], from_size: Some(seq + 1) };
        let proof = evidence.proof(SessionKey::new(tenant, session), LogStatus::Live, &query).await;
        assert_eq!(proof.expect("proven").head.tree_size, first);
    }
    let calls = process.calls() - before;
    assert!(calls < PROOFS, "{PROOFS} proofs made {calls} calls");
    let before = process.calls();
    for _ in 0..PROOFS {
        // What does not exist costs no more than what does.
        let query = ProofQuery { seqs: vec![u64::MAX], from_size: None };
        let refused =
            evidence.proof(SessionKey::new(tenant, session), LogStatus::Live, &query).await;
        assert_eq!(refused, Err(EvidenceError::NotCovered(u64::MAX)));
    }
    let calls = process.calls() - before;
    assert!(calls < PROOFS, "{PROOFS} proofs of nothing made {calls} calls");

    evidence
        .note(SessionKey::new(tenant, session), EventKind::Failure, "more".to_owned())
        .await
        .expect("noted");
    let newest = heads.recv().await.expect("signed").head.tree_size;
    let query = ProofQuery::default();
    let proof = evidence
        .proof(SessionKey::new(tenant, session), LogStatus::Live, &query)
        .await
        .expect("proven");
    assert_eq!(proof.head.tree_size, newest, "a head that was signed here is seen at once");
}

#[tokio::test]
async fn a_proof_of_entries_that_were_changed_is_not_given() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    covered(&fixture).await;
    fixture.store.disk().logs.get_mut(&SessionKey::new(tenant, session)).expect("there").entries
        [1]
    .bytes[9] ^= 1;
    let query = ProofQuery { seqs: vec![1], from_size: None };
    let proof = evidence.proof(SessionKey::new(tenant, session), LogStatus::Live, &query).await;
    assert!(matches!(proof, Err(EvidenceError::Integrity(_))), "{proof:?}");
}

#[tokio::test]
async fn a_log_without_a_signed_head_has_no_proof_yet() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let key = SessionKey::new(fixture.tenant, fixture.session);
    evidence.open(key, POLICY).await.expect("opened");
    covered(&fixture).await;
    fixture.store.disk().logs.get_mut(&key).expect("there").heads.clear();
    let (another, _) = fixture.start();
    let proof = another.proof(key, LogStatus::Live, &ProofQuery::default()).await;
    assert_eq!(proof, Err(EvidenceError::NoHead));
}

#[tokio::test]
async fn the_operator_log_holds_the_heads_of_all_sessions() {
    let fixture = Fixture::new();
    let (evidence, _) = fixture.start();
    let tenant = fixture.tenant;
    let sessions: Vec<_> = (0..3).map(|_| SessionId::generate()).collect();
    for session in &sessions {
        evidence.open(SessionKey::new(tenant, *session), POLICY).await.expect("opened");
    }
    for session in &sessions {
        let key = SessionKey::new(tenant, *session);
        evidence.close(key, Vec::new(), 1).await.expect("closed");
        // A slow machine has signed another head before that, whose leaf is there, too.
        let has_leaf = || {
            let disk = fixture.store.disk();
            let log = &disk.logs[&key];
            let last = log.heads.last().filter(|head| head.tree_size == log.record.size);
            let is_it = |head: &StoredHead| disk.leaves.iter().any(|(_, leaf)| *leaf == head.cose);
            log.record.closed_seq.is_some() && last.is_some_and(is_it)
        };
        until(has_leaf).await;
    }

    let proof = evidence
        .proof(SessionKey::new(tenant, sessions[0]), LogStatus::Live, &ProofQuery::default())
        .await
        .expect("proven");
    let operator = proof.operator.expect("a leaf");
    let disk: Vec<Vec<u8>> =
        fixture.store.disk().leaves.iter().map(|(_, leaf)| leaf.clone()).collect();
    let leaves: Vec<_> = disk.iter().map(|leaf| merkle::leaf(leaf)).collect();
    let root = merkle::root(&leaves);
    let message = Message::read(&b64(&operator.receipt));
    let (size, index, path) = message.proof(-1);
    assert_eq!(disk[usize::try_from(index).expect("small")], b64(&operator.head));
    assert_eq!(
        merkle::root_of_path(index, size, merkle::leaf(&b64(&operator.head)), &path),
        Some(root)
    );
    assert!(message.is_signed(&b64(&proof.keys[0].spki), &root));
    assert_eq!(message.claims()[1].1, "urn:cabildo:operator-log".into());
    let start = format!("notary.test/log\n{size}\n{}\n\n— notary.test/log ", STANDARD.encode(root));
    assert!(operator.checkpoint.starts_with(&start), "{}", operator.checkpoint);
    assert_eq!(evidence.checkpoint().await.expect("signed"), operator.checkpoint);

    let width = u16::try_from(leaves.len()).expect("small");
    let tile = |level, index, width| evidence.tile(TilePath { level, index, width });
    assert_eq!(tile(Some(0), 0, width).await, Ok(Some(leaves.concat())));
    assert_eq!(tile(Some(0), 0, width + 1).await, Ok(None));
    assert_eq!(tile(Some(0), 0, 256).await, Ok(None));
    assert_eq!(tile(Some(7), u64::MAX, 1).await, Ok(None));
    let mut entries = Vec::new();
    for leaf in &disk {
        entries.extend(u16::try_from(leaf.len()).expect("short").to_be_bytes());
        entries.extend(leaf);
    }
    assert_eq!(tile(None, 0, width).await, Ok(Some(entries)));
    assert_eq!(tile(None, 0, width + 1).await, Ok(None));
    assert_eq!(tile(None, u64::MAX, 1).await, Ok(None));
}

#[tokio::test]
async fn a_log_begins_although_the_store_fails_at_first() {
    for fault in [Fault::Refuse, Fault::DoAndRefuse, Fault::Hang, Fault::DoAndHang] {
        let fixture = Fixture::new();
        let process = Process::new(&fixture.store);
        process.fail_writes(&[fault]);
        let evidence = fixture.start_as(&process);
        evidence
            .open(SessionKey::new(fixture.tenant, fixture.session), POLICY)
            .await
            .expect("in the end");
        covered(&fixture).await;
        assert_eq!(fixture.judge().kinds, [0, 3], "{fault:?}");
    }
}
