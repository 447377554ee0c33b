//! Processes that die at any call to the store, and what is left of them.

use std::sync::Mutex;
use std::time::Duration;

use cabildo::domain::id::{RecordedTrackId, SessionKey};
use cabildo::evidence::repository::StoredHead;
use cabildo::evidence::{EventKind, Evidence};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::evidence::fixture::{Fixture, POLICY, a_segment, a_track};
use crate::evidence::store::{Fault, Process};

/// How many processes work on each fixture, and how many fixtures are made.
const LIVES: u32 = 4;
const FIXTURES: u64 = 100;

/// What was promised to whoever asked.
#[derive(Default)]
struct Promises {
    notes: Vec<(u64, String)>,
    segments: Vec<(u64, u64)>,
    heads: Vec<StoredHead>,
}

/// One process at work until it dies.
async fn work(
    fixture: &Fixture,
    evidence: &Evidence,
    life: u32,
    seed: u64,
    promises: &Mutex<Promises>,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let (tenant, session) = (fixture.tenant, fixture.session);
    if evidence.open(SessionKey::new(tenant, session), POLICY).await.is_err() {
        return;
    }
    for step in 0..12_u32 {
        match random.random_range(0..10) {
            0..3 => {
                fixture.decide();
                evidence.room_events_kept(SessionKey::new(tenant, session));
            }
            3..7 => {
                let text = format!("{seed} {life} {step}");
                if let Ok(seq) = evidence
                    .note(SessionKey::new(tenant, session), EventKind::Failure, text.clone())
                    .await
                {
                    promises.lock().expect("no panic").notes.push((seq, text));
                }
            }
            7 => fixture.signing.rotate().expect("rotated"),
            _ => tokio::time::sleep(Duration::from_millis(random.random_range(0..700))).await,
        }
    }
}

/// One recorder that begins where the log left its track, as a recorder would
/// after a restart: it repeats what it did not hear of.
async fn record(
    fixture: &Fixture,
    evidence: &Evidence,
    track: RecordedTrackId,
    promises: &Mutex<Promises>,
) {
    let (tenant, session) = (fixture.tenant, fixture.session);
    if evidence.append_media(SessionKey::new(tenant, session), a_track(track)).await.is_err() {
        return;
    }
    let heard = promises.lock().expect("no panic").segments.len() as u64;
    for index in heard..heard + 6 {
        let Ok(seq) =
            evidence.append_media(SessionKey::new(tenant, session), a_segment(track, index)).await
        else {
            return;
        };
        promises.lock().expect("no panic").segments.push((index, seq));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn live(
    fixture: &Fixture,
    life: u32,
    seed: u64,
    track: RecordedTrackId,
    promises: &Mutex<Promises>,
) {
    let mut random = StdRng::seed_from_u64(seed ^ 0xdead);
    let calls = random.random_range(2..60);
    let process = Process::dying(&fixture.store, calls, random.random());
    let faults: Vec<Fault> = (0..random.random_range(0..3))
        .map(|_| match random.random_range(0..16) {
            0 => Fault::Hang,
            1 => Fault::DoAndHang,
            2..8 => Fault::Refuse,
            _ => Fault::DoAndRefuse,
        })
        .collect();
    process.fail_writes(&faults);
    let evidence = fixture.start_as(&process);
    let mut heads = evidence.heads();
    let dies = async {
        while !process.is_dead() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What the dying call did is on the disk by then.
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let lives = async {
        tokio::join!(
            work(fixture, &evidence, life, seed, promises),
            record(fixture, &evidence, track, promises)
        );
    };
    tokio::select! { () = dies => {} () = lives => {} }
    process.kill();
    while let Ok(notice) = heads.try_recv() {
        promises.lock().expect("no panic").heads.push(notice.head);
    }
}

async fn build(seed: u64) {
    let fixture = Fixture::new();
    let promises = Mutex::new(Promises::default());
    let track = RecordedTrackId::random();
    for life in 0..LIVES {
        live(&fixture, life, seed * 100 + u64::from(life), track, &promises).await;
    }
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 3).await.expect("closed");
    evidence.shutdown().await;

    let log = fixture.log();
    let judged = fixture.judge();
    let promises = promises.into_inner().expect("no panic");
    for (seq, text) in &promises.notes {
        let at = log.events.iter().filter(|event| event.text == *text);
        let at: Vec<u64> = at.map(|event| event.seq).collect();
        assert_eq!(at, [*seq], "fixture {seed}: {text}");
    }
    for event in &log.events {
        let same = log.events.iter().filter(|other| other.text == event.text).count();
        assert_eq!(same, 1, "fixture {seed}: {} stands {same} times", event.text);
    }
    for (index, seq) in &promises.segments {
        let at = usize::try_from(*seq).expect("small");
        assert_eq!(judged.kinds[at], 2, "fixture {seed}: segment {index}");
    }
    assert!(judged.segments >= promises.segments.len(), "fixture {seed}");
    for head in &promises.heads {
        assert!(log.heads.contains(head), "fixture {seed}: told, and not stored");
    }
    let decided: Vec<String> = log
        .events
        .iter()
        .filter(|event| event.kind == EventKind::RoomEvent)
        .map(|event| event.text.clone())
        .collect();
    let room: Vec<String> = fixture.store.disk().room.iter().map(|it| it.text.clone()).collect();
    assert_eq!(decided, room, "fixture {seed}: the room's decisions, each once, in order");
    assert_eq!(log.heads.last().expect("a head").tree_size, log.record.size, "fixture {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_forked_wherever_a_process_dies() {
    let fixtures: Vec<_> = (0..FIXTURES).map(|seed| tokio::spawn(build(seed))).collect();
    for fixture in fixtures {
        fixture.await.expect("it holds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_forked_while_several_processes_die_beside_each_other() {
    let fixtures: Vec<_> =
        (1_000..1_000 + FIXTURES / 3).map(|seed| tokio::spawn(build_beside(seed))).collect();
    for fixture in fixtures {
        fixture.await.expect("it holds");
    }
}

async fn build_beside(seed: u64) {
    let fixture = Fixture::new();
    let (promises, others) = (Mutex::new(Promises::default()), Mutex::new(Promises::default()));
    let (one, two) = (RecordedTrackId::random(), RecordedTrackId::random());
    for life in 0..LIVES {
        let seed = seed * 1_000 + u64::from(life);
        tokio::join!(
            live(&fixture, life, seed, one, &promises),
            live(&fixture, life + 100, seed + 500, two, &others)
        );
    }
    let (evidence, _) = fixture.start();
    let (tenant, session) = (fixture.tenant, fixture.session);
    evidence.open(SessionKey::new(tenant, session), POLICY).await.expect("opened");
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 3).await.expect("closed");
    fixture.judge();
    let log = fixture.log();
    let one = promises.into_inner().expect("no panic");
    let two = others.into_inner().expect("no panic");
    for (seq, text) in one.notes.iter().chain(&two.notes) {
        let event = log.events.iter().find(|event| event.seq == *seq).expect("there");
        assert_eq!(event.text, *text, "fixture {seed}");
    }
    for head in one.heads.iter().chain(&two.heads) {
        assert!(log.heads.contains(head), "fixture {seed}: told, and not stored");
    }
}
