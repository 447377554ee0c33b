//! Erasing recordings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cabildo::custody::repository::CustodyRepository as _;
use cabildo::custody::{CustodyError, CustodyLog, Erased, ErasureReason};
use cabildo::domain::claim::Work;
use cabildo::domain::id::{RecordedTrackId, SessionKey, TenantId};
use cabildo::domain::recording::PlayableState;
use cabildo::evidence::EventKind;
use cabildo::evidence::repository::EvidenceRepository;
use cabildo::history::{ConfirmedMinutes, History, HistoryError};
use cabildo::recorder::repository::{PlayableOf, RecordingRepository};
use cabildo::vault::{ObjectName, VaultError};
use ciborium::Value;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use sha2::{Digest, Sha256};

use crate::custody::deletions::{Deletion, Deletions};
use crate::custody::faulty::Life;
use crate::custody::fixture::{Fixture, Recorded};

/// Every erasure entry of a log: target, reason and hash.
async fn erasures(fixture: &Fixture, recorded: &Recorded) -> Vec<(u64, u64, Vec<u8>)> {
    let entries = fixture
        .store
        .entries(SessionKey::new(recorded.tenant, recorded.id), 0, 9_999)
        .await
        .expect("read");
    let mut found = Vec::new();
    for entry in entries {
        let value: Value = ciborium::from_reader(&entry.bytes[..]).expect("CBOR");
        let items = value.as_array().expect("an array");
        if items[1] == Value::from(5) {
            let body = items[4].as_array().expect("a body");
            let number = |item: &Value| {
                u64::try_from(item.as_integer().expect("a number")).expect("not negative")
            };
            let hash = body[2].as_bytes().expect("a hash").clone();
            found.push((number(&body[0]), number(&body[1]), hash));
        }
    }
    found
}

/// What the log has to say about each key, by target.
async fn wrapped_hashes(fixture: &Fixture, recorded: &Recorded) -> BTreeMap<u64, Vec<u8>> {
    let (tenant, id) = (recorded.tenant, recorded.id);
    let mut hashes = BTreeMap::new();
    for track in fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read") {
        let wrapped = track.wrapped_key.expect("a key");
        hashes.insert(track.seq, Sha256::digest(wrapped).to_vec());
    }
    let log = fixture.store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    hashes.insert(0, Sha256::digest(log.events_key.expect("a key")).to_vec());
    hashes
}

async fn nothing_is_left(fixture: &Fixture, recorded: &Recorded) {
    let (tenant, id) = (recorded.tenant, recorded.id);
    assert_eq!(fixture.objects(recorded).await, []);
    for track in fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read") {
        assert_eq!((track.wrapped_key, track.name.as_str()), (None, ""));
    }
    for playable in fixture.store.playables(SessionKey::new(tenant, id)).await.expect("read") {
        assert_eq!((playable.wrapped_key, playable.state), (None, PlayableState::Erased));
    }
    let log = fixture.store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!(log.events_key, None);
    assert_eq!(
        fixture.store.events(SessionKey::new(tenant, id), &[], 0, 9).await.expect("read"),
        []
    );
    let far = fixture.now().after(Duration::from_hours(99_999));
    assert_eq!(fixture.store.due_for_erasure(far, 9).await.expect("read"), []);
}

async fn due(fixture: &Fixture) -> Recorded {
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    fixture.store.put_retention(SessionKey::new(tenant, id), fixture.now()).await.expect("put");
    recorded
}

#[tokio::test]
async fn a_session_that_has_not_begun_is_not_erased() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::generate();
    let key = SessionKey::new(tenant, fixture.session(tenant).await);
    let refused = fixture.custody().erase_session(key, ErasureReason::Requested).await;
    assert!(matches!(refused, Err(CustodyError::NotOver)), "{refused:?}");
    assert!(!fixture.store.is_erased(key).await.expect("read"), "its retention would never end");
}

#[tokio::test]
async fn an_erased_session_leaves_entries_and_nothing_else() {
    let fixture = Fixture::new().await;
    let (recorded, other) = (due(&fixture).await, fixture.recorded(TenantId::generate()).await);
    let hashes = wrapped_hashes(&fixture, &recorded).await;
    let custody = fixture.custody();
    let (tenant, id) = (recorded.tenant, recorded.id);
    let erased = custody
        .erase_session(SessionKey::new(tenant, id), ErasureReason::Ordered)
        .await
        .expect("erased");
    // Two tracks, two files and the events; six segments and four parts.
    assert_eq!(erased, Erased { keys: 5, objects: 10, ..Erased::default() });
    nothing_is_left(&fixture, &recorded).await;
    let logged = erasures(&fixture, &recorded).await;
    assert_eq!(logged.last().map(|(target, ..)| *target), Some(0), "events did not go last");
    assert!(logged.iter().all(|(_, reason, _)| *reason == 3));
    let logged: BTreeMap<_, _> =
        logged.into_iter().map(|(target, _, hash)| (target, hash)).collect();
    assert_eq!(logged, hashes);

    // Once more changes nothing.
    custody
        .erase_session(SessionKey::new(tenant, id), ErasureReason::Requested)
        .await
        .expect("erased again");
    assert_eq!(erasures(&fixture, &recorded).await.len(), 3);
    // What is not asked for stays.
    assert_eq!(fixture.objects(&other).await.len(), 10);
    assert_eq!(erasures(&fixture, &other).await, []);
}

/// Text of speech, its correction and confirmed minutes are texts of the log.
#[tokio::test]
async fn what_was_said_is_erased_with_the_recording() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    fixture.store.put_retention(SessionKey::new(tenant, id), fixture.now()).await.expect("put");
    let minutes = ConfirmedMinutes::new(
        1,
        "es".to_owned(),
        "chair".to_owned(),
        "# Acta".to_owned(),
        fixture.now(),
    );
    let correction = r#"{"type":"transcript_corrected","at":"2027-01-15T09:00:00.000Z","of":1,"text":"sí","by":"chair"}"#;
    let noted = minutes.notes(None).into_iter().map(|note| (EventKind::Minutes, note));
    for (kind, text) in noted.chain([(EventKind::Correction, correction.to_owned())]) {
        fixture
            .log
            .note(SessionKey::new(tenant, id), kind, text)
            .await
            .expect("a closed log takes it");
    }
    let store = Arc::new(fixture.store.clone());
    let history = History::new(store.clone(), store);
    let (read, _) = history.confirmed_minutes(SessionKey::new(tenant, id)).await.expect("read");
    assert_eq!(read, Some(minutes));
    history.transcript(SessionKey::new(tenant, id)).await.expect("read");

    let custody = fixture.custody();
    custody
        .erase_session(SessionKey::new(tenant, id), ErasureReason::Requested)
        .await
        .expect("erased");
    nothing_is_left(&fixture, &recorded).await;
    let erased = HistoryError::Erased;
    assert_eq!(history.confirmed_minutes(SessionKey::new(tenant, id)).await, Err(erased.clone()));
    assert_eq!(history.transcript(SessionKey::new(tenant, id)).await, Err(erased.clone()));
    assert_eq!(history.minutes(SessionKey::new(tenant, id)).await, Err(erased));
}

#[tokio::test]
async fn an_erasure_that_is_cut_short_anywhere_is_finished_by_the_next() {
    let mut steps = 0;
    loop {
        let fixture = Fixture::new().await;
        let recorded = due(&fixture).await;
        let hashes = wrapped_hashes(&fixture, &recorded).await;
        let (tenant, id) = (recorded.tenant, recorded.id);
        let mortal = fixture.mortal_custody(Life::of(steps));
        let reason = ErasureReason::RetentionOver;
        let survived = mortal.erase_session(SessionKey::new(tenant, id), reason).await.is_ok();
        // Whoever died may still hold its claim.
        fixture.leases_run_out().await;
        // Its last change may have been the last one of all.
        let due = fixture.store.due_for_erasure(fixture.now(), 9).await.expect("read").len();
        let erased = fixture.custody().erase_due().await.expect("looked up");
        assert_eq!(usize::try_from(erased), Ok(due), "after {steps} steps");
        nothing_is_left(&fixture, &recorded).await;
        let logged = erasures(&fixture, &recorded).await;
        assert_eq!(logged.len(), 3, "an erasure is logged twice after {steps} steps: {logged:?}");
        let logged: BTreeMap<_, _> =
            logged.into_iter().map(|(target, _, hash)| (target, hash)).collect();
        assert_eq!(logged, hashes, "after {steps} steps");
        if survived {
            break;
        }
        steps += 1;
    }
    assert!(steps > 40, "only {steps} steps were tried");
}

#[tokio::test]
async fn an_erased_track_takes_what_it_is_heard_in_along() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let [first, second] = recorded.tracks[..] else { panic!("two tracks") };
    let custody = fixture.custody();
    // The second track has no file of its own.
    let erased =
        custody.erase_track(SessionKey::new(tenant, id), second, ErasureReason::Requested).await;
    assert_eq!(erased.expect("erased"), Erased { keys: 2, objects: 5, ..Erased::default() });
    let playables = fixture.store.playables(SessionKey::new(tenant, id)).await.expect("read");
    for playable in playables {
        let kept = playable.of == PlayableOf::Track(first);
        assert_eq!(playable.state == PlayableState::Ready, kept, "{:?}", playable.of);
    }
    let tracks = fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read");
    assert_eq!(
        tracks.iter().map(|track| track.wrapped_key.is_some()).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(tracks[1].name, "Jordi", "whose it was is disclosed by what the log holds");
    let log = fixture.store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert!(log.events_key.is_some());
    assert_eq!(fixture.objects(&recorded).await.len(), 5);
    let logged = erasures(&fixture, &recorded).await;
    assert_eq!(logged.iter().map(|(target, ..)| *target).collect::<Vec<_>>(), [tracks[1].seq]);
    custody
        .erase_track(SessionKey::new(tenant, id), second, ErasureReason::Requested)
        .await
        .expect("again");
    assert_eq!(erasures(&fixture, &recorded).await.len(), 1);

    let unknown = RecordedTrackId::random();
    let refused =
        custody.erase_track(SessionKey::new(tenant, id), unknown, ErasureReason::Requested).await;
    assert!(matches!(refused, Err(CustodyError::NoSuchTrack(track)) if track == unknown));
    // The rest goes later, without a second entry for the track.
    custody
        .erase_session(SessionKey::new(tenant, id), ErasureReason::Requested)
        .await
        .expect("erased");
    assert_eq!(erasures(&fixture, &recorded).await.len(), 3);
}

#[tokio::test]
async fn what_is_still_recorded_or_worked_on_is_not_erased() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recording(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    let refused =
        custody.erase_session(SessionKey::new(tenant, id), ErasureReason::Requested).await;
    assert!(matches!(refused, Err(CustodyError::StillRecorded)), "{refused:?}");
    let refused = custody
        .erase_track(SessionKey::new(tenant, id), recorded.tracks[0], ErasureReason::Requested)
        .await;
    assert!(matches!(refused, Err(CustodyError::StillRecorded)), "{refused:?}");
    assert_eq!(fixture.objects(&recorded).await.len(), 6);

    let recorded = fixture.recorded(tenant).await;
    let somebody = fixture.claims(Life::of(u64::MAX));
    let claim =
        somebody.take(SessionKey::new(tenant, recorded.id), Work::Custody).await.expect("taken");
    let refused =
        custody.erase_session(SessionKey::new(tenant, recorded.id), ErasureReason::Requested).await;
    assert!(matches!(refused, Err(CustodyError::Claimed)), "{refused:?}");
    claim.release().await;
    let erased =
        custody.erase_session(SessionKey::new(tenant, recorded.id), ErasureReason::Requested).await;
    erased.expect("the claim is over");
}

#[tokio::test]
async fn one_that_fails_keeps_no_other_from_being_erased() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::generate();
    let broken = fixture.recording(tenant).await;
    fixture
        .store
        .put_retention(SessionKey::new(tenant, broken.id), fixture.now())
        .await
        .expect("put");
    let never_recorded = fixture.cancelled(tenant).await;
    fixture
        .store
        .put_retention(SessionKey::new(tenant, never_recorded), fixture.now())
        .await
        .expect("put");
    let later = due(&fixture).await;
    assert_eq!(fixture.custody().erase_due().await.expect("looked up"), 2);
    nothing_but(&fixture, &broken).await;
    assert_eq!(fixture.objects(&later).await, []);
    assert_eq!(fixture.custody().erase_due().await.expect("looked up"), 0);
}

async fn nothing_but(fixture: &Fixture, recorded: &Recorded) {
    let due = fixture.store.due_for_erasure(fixture.now(), 99).await.expect("read");
    assert_eq!(due, [SessionKey::new(recorded.tenant, recorded.id)]);
}

#[tokio::test]
async fn the_task_erases_what_is_due_and_stops() {
    let fixture = Fixture::new().await;
    let recorded = due(&fixture).await;
    let task = fixture.custody().start(Duration::from_hours(1));
    // Objects are deleted after everything that is due was erased.
    while !fixture.store.due_for_erasure(fixture.now(), 1).await.expect("read").is_empty()
        || !fixture.store.due_for_deletion(fixture.now(), 1).await.expect("read").is_empty()
    {
        tokio::task::yield_now().await;
    }
    task.shutdown().await;
    nothing_is_left(&fixture, &recorded).await;
}

#[tokio::test]
async fn locked_objects_stay_and_their_keys_go() {
    let mut fixture = Fixture::new().await;
    let recorded = due(&fixture).await;
    // A bucket whose objects are locked.
    let judge = |_: &ObjectName, _: Deletion| Err::<(), _>(VaultError::Locked);
    fixture.vault = Arc::new(Deletions { inner: fixture.vault, judge });
    let (tenant, id) = (recorded.tenant, recorded.id);
    let erased = fixture
        .custody()
        .erase_session(SessionKey::new(tenant, id), ErasureReason::RetentionOver)
        .await;
    assert_eq!(erased.expect("erased"), Erased { keys: 5, locked: 10, ..Erased::default() });
    assert_eq!(fixture.objects(&recorded).await.len(), 10);
    let tracks = fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read");
    assert!(tracks.iter().all(|track| track.wrapped_key.is_none()));
    assert_eq!(fixture.store.due_for_erasure(fixture.now(), 9).await.expect("read"), []);
}

/// Has a vault delete nothing whose name contains a text, for as long as there is one.
struct Keeping {
    kept: Mutex<Option<(&'static str, VaultError)>>,
    tried: AtomicUsize,
}

impl Keeping {
    fn of(fixture: &mut Fixture, kept: &'static str, error: VaultError) -> Arc<Self> {
        let (kept, tried) = (Mutex::new(Some((kept, error))), AtomicUsize::new(0));
        let keeping = Arc::new(Self { kept, tried });
        let judging = Arc::clone(&keeping);
        let judge = move |name: &ObjectName, when: Deletion| match when {
            Deletion::Begins => judging.judge(name),
            Deletion::Is => Ok(()),
        };
        fixture.vault = Arc::new(Deletions { inner: Arc::clone(&fixture.vault), judge });
        keeping
    }

    fn judge(&self, name: &ObjectName) -> Result<(), VaultError> {
        match &*self.kept.lock().expect("sound") {
            Some((kept, error)) if name.as_str().contains(kept) => {
                self.tried.fetch_add(1, Ordering::SeqCst);
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }

    fn gives_way(&self) {
        *self.kept.lock().expect("sound") = None;
    }
}

fn forbidden() -> VaultError {
    VaultError::Refused("AccessDenied".to_owned())
}

/// Everything of a session that the database alone decides is gone.
async fn nothing_is_readable(fixture: &Fixture, recorded: &Recorded) {
    let key = SessionKey::new(recorded.tenant, recorded.id);
    for track in fixture.store.tracks(key).await.expect("read") {
        assert_eq!((track.wrapped_key, track.name.as_str()), (None, ""));
    }
    for playable in fixture.store.playables(key).await.expect("read") {
        assert_eq!((playable.wrapped_key, playable.state), (None, PlayableState::Erased));
    }
    let log = fixture.store.log(key).await.expect("read").expect("a log");
    assert_eq!(log.events_key, None);
    assert_eq!(fixture.store.events(key, &[], 0, 9).await.expect("read"), []);
}

#[tokio::test]
async fn a_vault_that_refuses_to_delete_holds_up_no_erasure_and_is_asked_again() {
    let mut fixture = Fixture::new().await;
    let recorded = due(&fixture).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let vault = Keeping::of(&mut fixture, "/", forbidden());
    let custody = fixture.custody();
    let erased = custody.erase_session(key, ErasureReason::Requested).await.expect("erased");
    let kept = Erased { keys: 5, waiting: 10, failure: Some(forbidden()), ..Erased::default() };
    assert_eq!(erased, kept);
    nothing_is_readable(&fixture, &recorded).await;
    assert_eq!(erasures(&fixture, &recorded).await.len(), 3);
    assert_eq!(custody.undeleted(key).await.expect("read"), 10);

    // Not at once, but with the next round, an hour later.
    vault.gives_way();
    custody.erase_due().await.expect("looked up");
    assert_eq!(fixture.objects(&recorded).await.len(), 10);
    fixture.pass(Duration::from_hours(1));
    custody.erase_due().await.expect("looked up");
    assert_eq!(custody.undeleted(key).await.expect("read"), 0);
    nothing_is_left(&fixture, &recorded).await;
    let far = fixture.now().after(Duration::from_hours(99_999));
    assert_eq!(fixture.store.due_for_deletion(far, 9).await.expect("read"), []);
}

#[tokio::test]
async fn a_retention_that_is_over_destroys_every_key_before_it_deletes_objects() {
    let mut fixture = Fixture::new().await;
    let all = [due(&fixture).await, due(&fixture).await];
    let away = VaultError::Unavailable("read-only filesystem".to_owned());
    let vault = Keeping::of(&mut fixture, "/", away);
    let custody = fixture.custody();
    assert_eq!(custody.erase_due().await.expect("looked up"), 2);
    for recorded in &all {
        nothing_is_readable(&fixture, recorded).await;
    }
    vault.gives_way();
    fixture.pass(Duration::from_hours(1));
    assert_eq!(custody.erase_due().await.expect("looked up"), 0);
    for recorded in &all {
        nothing_is_left(&fixture, recorded).await;
    }
}

#[tokio::test]
async fn an_object_that_is_not_deleted_keeps_no_other_from_being_deleted() {
    let mut fixture = Fixture::new().await;
    let recorded = due(&fixture).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    Keeping::of(&mut fixture, "00000001", forbidden());
    let custody = fixture.custody();
    let erased = custody.erase_session(key, ErasureReason::Ordered).await.expect("erased");
    // The second of each of two tracks and two files.
    assert_eq!((erased.objects, erased.waiting), (6, 4));
    assert_eq!(fixture.objects(&recorded).await.len(), 4);
    // Who has a track erased does not wait for the vault either.
    let track = recorded.tracks[0];
    let again = custody.erase_track(key, track, ErasureReason::Requested).await.expect("erased");
    assert_eq!((again.keys, again.waiting), (0, 4));
}

#[tokio::test]
async fn a_vault_that_is_away_is_not_asked_for_every_object() {
    let mut fixture = Fixture::new().await;
    fixture.segments = 60;
    let recorded = due(&fixture).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let vault = Keeping::of(&mut fixture, "/", VaultError::Unavailable("no answer".to_owned()));
    let custody = fixture.custody();
    let erased = custody.erase_session(key, ErasureReason::Ordered).await.expect("erased");
    assert_eq!((erased.keys, erased.waiting), (5, 124));
    let tried = vault.tried.load(Ordering::SeqCst);
    assert!(tried < 100, "{tried} of 124 objects were tried");
}

/// The files of the database that contain a text.
fn files_with(fixture: &Fixture, text: &str) -> Vec<String> {
    let directory = std::fs::read_dir(fixture.directory.path()).expect("a directory");
    let mut found = Vec::new();
    for entry in directory {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.starts_with("cabildo.sqlite") {
            let bytes = std::fs::read(&path).expect("read");
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(name);
            }
        }
    }
    found
}

async fn with_words(fixture: &Fixture, words: &str) -> Recorded {
    let recorded = due(fixture).await;
    let text = format!(r#"{{"type":"chat_message","text":"{words}"}}"#);
    let key = SessionKey::new(recorded.tenant, recorded.id);
    // Confirmed minutes are entered in a log that is closed, in parts.
    fixture.log.note(key, EventKind::Minutes, text).await.expect("noted");
    recorded
}

#[tokio::test]
async fn nothing_that_was_erased_is_left_in_the_files_of_the_database() {
    const WORDS: &str = "what nobody may read again";
    let fixture = Fixture::new().await;
    let recorded = with_words(&fixture, WORDS).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    assert_ne!(files_with(&fixture, WORDS), [""; 0]);
    assert_ne!(files_with(&fixture, "Jordi"), [""; 0]);
    let custody = fixture.custody();
    let erased = custody.erase_session(key, ErasureReason::Requested).await.expect("erased");
    assert!(!erased.unscrubbed);
    assert_eq!(files_with(&fixture, WORDS), [""; 0]);
    assert_eq!(files_with(&fixture, "Jordi"), [""; 0]);
}

#[tokio::test]
async fn files_of_the_database_that_somebody_reads_are_cleaned_later() {
    const WORDS: &str = "what somebody still reads";
    let fixture = Fixture::new().await;
    let recorded = with_words(&fixture, WORDS).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let path = fixture.directory.path().join("cabildo.sqlite");
    let url = format!("sqlite:{}?mode=ro", path.display());
    let reader = sea_orm::Database::connect(url).await.expect("connected");
    let reading = reader.begin().await.expect("begun");
    reading.execute_unprepared("SELECT count(*) FROM sessions").await.expect("read");
    let custody = fixture.custody();
    let erased = custody.erase_session(key, ErasureReason::Requested).await.expect("erased");
    assert!(erased.unscrubbed, "{erased:?}");
    nothing_is_left(&fixture, &recorded).await;
    assert_ne!(files_with(&fixture, WORDS), [""; 0]);
    reading.rollback().await.expect("ended");
    fixture.pass(Duration::from_hours(1));
    custody.erase_due().await.expect("looked up");
    assert_eq!(files_with(&fixture, WORDS), [""; 0]);
    let far = fixture.now().after(Duration::from_hours(99_999));
    assert_eq!(fixture.store.due_for_deletion(far, 9).await.expect("read"), []);
}
