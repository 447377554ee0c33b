//! Bundles and disclosures, judged by the verifier, which shares nothing with
//! who wrote them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::custody::{Archive, BundleWanted, ClipWanted, CustodyError, ErasureReason, Exported};
use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::evidence::EventKind;
use cabildo::evidence::repository::EvidenceRepository;
use cabildo::recorder::repository::RecordingRepository;
use cabildo::vault::ObjectName;
use cabildo::verify::files::Directory;
use cabildo::verify::{Options, Report, TrustedKeys, Verdict, verify_bundle};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::custody::fixture::{BEGAN_MS, Fixture, Recorded, SEGMENT_MS, SEGMENTS};

fn verified(fixture: &Fixture, out: &Path) -> Report {
    let keys = json!({"v": 1, "iss": crate::custody::log::ISSUER, "keys": fixture.log.signing.published(),
        "operator": null});
    let options =
        Options { keys: TrustedKeys::Independent(keys.to_string().into_bytes()), held_heads: None };
    verify_bundle(&Directory::new(out), &options)
}

fn holds(fixture: &Fixture, out: &Path) -> Report {
    let report = verified(fixture, out);
    assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
    report
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("a directory")
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

fn document(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

async fn handed_out(fixture: &Fixture, recorded: &Recorded) -> Vec<Value> {
    let events = fixture
        .store
        .events(SessionKey::new(recorded.tenant, recorded.id), &[EventKind::Disclosure], 0, 99)
        .await;
    let texts = events.expect("read");
    texts.iter().map(|event| serde_json::from_str(&event.text).expect("JSON")).collect()
}

fn clip_of(from_ms: u64, to_ms: u64) -> ClipWanted {
    ClipWanted { from_ms, to_ms, ..ClipWanted::default() }
}

#[tokio::test]
async fn a_full_bundle_verifies_and_is_noted_in_itself() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let out = fixture.out("bundle");
    let exported =
        fixture.custody().export(SessionKey::new(recorded.tenant, recorded.id), &out).await;
    let exported = exported.expect("exported");
    assert_eq!((exported.objects, exported.damaged, exported.erased_tracks), (6, 0, 0));
    assert_eq!(
        names(&out),
        [
            "bundle.json",
            "disclosures.json",
            "entries.cborseq",
            "heads.cborseq",
            "keys.json",
            "objects"
        ]
    );
    let bundle = document(&out.join("bundle.json"));
    assert_eq!(bundle["kind"], "full");
    let log = fixture
        .store
        .log(SessionKey::new(recorded.tenant, recorded.id))
        .await
        .expect("read")
        .expect("a log");
    assert_eq!(
        (bundle["head"]["tree_size"].as_u64(), exported.entries),
        (Some(log.size), log.size)
    );
    assert_eq!(handed_out(&fixture, &recorded).await, [json!({"what": "export"})]);
    holds(&fixture, &out);
    // What is taken out or changed is found.
    let object = out.join(format!("objects/{}/1", recorded.tracks[0]));
    let bytes = fs::read(&object).expect("an object");
    let mut changed = bytes.clone();
    changed[100] ^= 1;
    fs::write(&object, changed).expect("written");
    assert_eq!(verified(&fixture, &out).verdict, Verdict::Invalid);
    fs::remove_file(&object).expect("removed");
    assert_ne!(verified(&fixture, &out).verdict, Verdict::Valid);
}

#[tokio::test]
async fn a_bundle_of_what_goes_on_ends_where_its_head_does() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recording(TenantId::generate()).await;
    let out = fixture.out("bundle");
    let exported =
        fixture.custody().export(SessionKey::new(recorded.tenant, recorded.id), &out).await;
    assert_eq!(exported.expect("exported").objects, 6);
    assert_eq!(document(&out.join("bundle.json"))["status"], "live");
    let report = verified(&fixture, &out);
    assert_ne!(report.verdict, Verdict::Invalid, "{report:?}");
}

#[tokio::test]
async fn an_erased_session_is_still_proven() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    custody
        .erase_track(SessionKey::new(tenant, id), recorded.tracks[1], ErasureReason::Requested)
        .await
        .expect("1");
    let exported = custody
        .export(SessionKey::new(tenant, id), &fixture.out("without one"))
        .await
        .expect("exported");
    assert_eq!((exported.objects, exported.erased_tracks), (3, 1));
    holds(&fixture, &fixture.out("without one"));
    custody
        .erase_session(SessionKey::new(tenant, id), ErasureReason::Requested)
        .await
        .expect("erased");
    let exported = custody
        .export(SessionKey::new(tenant, id), &fixture.out("without all"))
        .await
        .expect("exported");
    assert_eq!((exported.objects, exported.erased_tracks), (0, 2));
    holds(&fixture, &fixture.out("without all"));
    let out = fixture.out("clip");
    let refused = custody.clip(SessionKey::new(tenant, id), &clip_of(0, u64::MAX), &out).await;
    assert!(matches!(refused, Err(CustodyError::Nothing)), "{refused:?}");
    let refused = custody.disclose(SessionKey::new(tenant, id), &[1]).await;
    assert!(matches!(refused, Err(CustodyError::Erased)), "{refused:?}");
}

#[tokio::test]
async fn a_clip_proves_and_opens_its_segments_and_no_others() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    let second = BEGAN_MS + SEGMENT_MS;
    let out = fixture.out("clip");
    let wanted = ClipWanted { reveals_subjects: true, ..clip_of(second + 10, second + 20) };
    let exported = custody.clip(SessionKey::new(tenant, id), &wanted, &out).await.expect("a clip");
    assert_eq!((exported.objects, exported.damaged), (2, 0));
    assert!(!out.join("entries.cborseq").exists());
    for track in &recorded.tracks {
        assert_eq!(names(&out.join(format!("objects/{track}"))), ["1"]);
    }
    let disclosures = document(&out.join("disclosures.json"));
    let indexes: Vec<_> = disclosures["segments"]
        .as_array()
        .expect("segments")
        .iter()
        .map(|segment| segment["index"].as_u64())
        .collect();
    assert_eq!(indexes, [Some(1), Some(1)]);
    assert_eq!(disclosures["subjects"].as_array().map(Vec::len), Some(2));
    assert_eq!(disclosures["events"], json!([]));
    holds(&fixture, &out);
    // A key that opens another segment is none for this one.
    let mut wrong = disclosures.clone();
    wrong["segments"][0]["key"] = URL_SAFE_NO_PAD.encode([7; 32]).into();
    fs::write(out.join("disclosures.json"), wrong.to_string()).expect("written");
    assert_eq!(verified(&fixture, &out).verdict, Verdict::Invalid);
    assert_eq!(handed_out(&fixture, &recorded).await[0]["what"], "clip");
}

#[tokio::test]
async fn a_clip_is_of_the_tracks_and_times_that_are_wanted() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    let end = BEGAN_MS + SEGMENTS * SEGMENT_MS;
    for (name, from_ms, to_ms, objects) in [
        ("all", 0, u64::MAX, 3),
        ("first", BEGAN_MS, BEGAN_MS + 1, 1),
        ("border", BEGAN_MS + SEGMENT_MS - 20, BEGAN_MS + SEGMENT_MS, 1),
        ("two", BEGAN_MS + SEGMENT_MS - 20, BEGAN_MS + SEGMENT_MS + 1, 2),
    ] {
        let tracks = vec![recorded.tracks[1]];
        let wanted = ClipWanted { tracks, ..clip_of(from_ms, to_ms) };
        let exported = custody
            .clip(SessionKey::new(tenant, id), &wanted, &fixture.out(name))
            .await
            .expect(name);
        assert_eq!(exported.objects, objects, "{name}");
        assert_eq!(names(&fixture.out(name).join("objects")), [recorded.tracks[1].to_string()]);
        holds(&fixture, &fixture.out(name));
    }
    let before = handed_out(&fixture, &recorded).await.len();
    for (from_ms, to_ms) in [(end, u64::MAX), (0, BEGAN_MS), (BEGAN_MS + 9, BEGAN_MS)] {
        let refused = custody
            .clip(SessionKey::new(tenant, id), &clip_of(from_ms, to_ms), &fixture.out("none"))
            .await;
        assert!(matches!(refused, Err(CustodyError::Nothing)), "{from_ms}: {refused:?}");
    }
    let unknown = RecordedTrackId::random();
    let wanted = ClipWanted { tracks: vec![unknown], ..clip_of(0, u64::MAX) };
    let refused = custody.clip(SessionKey::new(tenant, id), &wanted, &fixture.out("none")).await;
    assert!(matches!(refused, Err(CustodyError::NoSuchTrack(track)) if track == unknown));
    assert_eq!(handed_out(&fixture, &recorded).await.len(), before, "nothing was handed out");
    custody
        .erase_track(SessionKey::new(tenant, id), recorded.tracks[0], ErasureReason::Ordered)
        .await
        .expect("gone");
    let wanted = ClipWanted { tracks: recorded.tracks.clone(), ..clip_of(0, u64::MAX) };
    let refused = custody.clip(SessionKey::new(tenant, id), &wanted, &fixture.out("none")).await;
    assert!(matches!(refused, Err(CustodyError::Erased)), "{refused:?}");
}

#[tokio::test]
async fn a_clip_of_more_entries_than_one_proof_takes_is_by_one_head() {
    let mut fixture = Fixture::new().await;
    fixture.segments = 70;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let out = fixture.out("clip");
    let wanted = clip_of(0, u64::MAX);
    let exported =
        fixture.custody().clip(SessionKey::new(recorded.tenant, recorded.id), &wanted, &out).await;
    // Genesis, policy, two tracks and their segments.
    assert_eq!(exported.expect("a clip").entries, 4 + 140);
    let bundle = document(&out.join("bundle.json"));
    assert_eq!(bundle["receipts"].as_array().map(Vec::len), Some(144));
    holds(&fixture, &out);
}

#[tokio::test]
async fn a_disclosure_is_what_the_entries_commit_to() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    let decision = fixture
        .store
        .events(SessionKey::new(tenant, id), &[EventKind::RoomEvent], 0, 1)
        .await
        .expect("read")
        .remove(0);
    let track = fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read").remove(1);
    let segment = fixture
        .store
        .segments(SessionKey::new(tenant, id), track.id, 2, 1)
        .await
        .expect("read")
        .remove(0);
    let seqs = [segment.seq, 1, decision.seq, track.seq, decision.seq];
    let text = custody.disclose(SessionKey::new(tenant, id), &seqs).await.expect("disclosed");
    let disclosed: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(disclosed["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(disclosed["events"][1]["event"], decision.text);
    assert_eq!(disclosed["segments"][0]["index"], 2);
    let subject = disclosed["subjects"][0]["subject"].as_str().expect("a subject");
    assert_eq!(subject, r#"{"name":"Jordi","source":"camera","user_id":"jordi"}"#);
    let note = &handed_out(&fixture, &recorded).await[0];
    assert_eq!(note["what"], "disclosure");
    // Beside a bundle it is checked against the log.
    let out = fixture.out("bundle");
    custody.export(SessionKey::new(tenant, id), &out).await.expect("exported");
    fs::write(out.join("disclosures.json"), &text).expect("written");
    holds(&fixture, &out);
    let forged = String::from_utf8(text).expect("text").replace("Jordi", "María");
    fs::write(out.join("disclosures.json"), forged).expect("written");
    assert_eq!(verified(&fixture, &out).verdict, Verdict::Invalid);
}

#[tokio::test]
async fn a_disclosure_is_in_the_log_only_when_its_file_is_written_and_overwrites_nothing() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let custody = fixture.custody();
    let place = fixture.out("disclosed");
    fs::create_dir(&place).expect("made");
    let nowhere = custody.disclose_into(key, &[1], &place.join("none/d.json")).await;
    assert!(matches!(nowhere, Err(CustodyError::Output { .. })), "{nowhere:?}");
    fs::write(place.join("d.json"), "mine").expect("written");
    let taken = custody.disclose_into(key, &[1], &place.join("d.json")).await;
    assert!(matches!(taken, Err(CustodyError::OutputExists(_))), "{taken:?}");
    assert_eq!(fs::read(place.join("d.json")).expect("read"), b"mine");
    let refused = custody.disclose_into(key, &[9_999], &place.join("e.json")).await;
    assert!(matches!(refused, Err(CustodyError::NotDisclosable { .. })), "{refused:?}");
    let names = || fs::read_dir(&place).expect("read").count();
    assert_eq!((names(), handed_out(&fixture, &recorded).await), (1, vec![]));

    custody.disclose_into(key, &[1], &place.join("e.json")).await.expect("disclosed");
    let disclosed: Value =
        serde_json::from_slice(&fs::read(place.join("e.json")).expect("read")).expect("JSON");
    assert_eq!(disclosed["events"].as_array().map(Vec::len), Some(1));
    assert_eq!((names(), handed_out(&fixture, &recorded).await.len()), (2, 1));
    // Without a log to enter it in, nothing of it stays.
    let nobodys = SessionKey::new(recorded.tenant, SessionId::generate());
    custody.disclose_into(nobodys, &[1], &place.join("f.json")).await.expect_err("no log");
    assert_eq!(names(), 2);
}

#[tokio::test]
async fn what_holds_nothing_or_is_not_there_is_not_disclosed() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    for seq in [0, 9_999, u64::MAX] {
        let refused = custody.disclose(SessionKey::new(tenant, id), &[1, seq]).await;
        assert!(
            matches!(refused, Err(CustodyError::NotDisclosable { seq: named, .. }) if named == seq),
            "{seq}: {refused:?}"
        );
    }
    let many: Vec<u64> = (0..20_000).collect();
    let refused = custody.disclose(SessionKey::new(tenant, id), &many).await;
    assert!(matches!(refused, Err(CustodyError::TooMany { .. })), "{refused:?}");
    assert_eq!(handed_out(&fixture, &recorded).await, [] as [Value; 0]);
    let nobodys = custody.disclose(SessionKey::new(tenant, SessionId::generate()), &[1]).await;
    assert!(matches!(nobodys, Err(CustodyError::NoLog)), "{nobodys:?}");
    let strangers = custody.disclose(SessionKey::new(TenantId::generate(), id), &[1]).await;
    assert!(matches!(strangers, Err(CustodyError::NoLog)), "{strangers:?}");
}

#[tokio::test]
async fn damaged_objects_are_named_and_the_rest_is_written() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let name = |index| ObjectName::segment(SessionKey::new(tenant, id), recorded.tracks[0], index);
    fixture.vault.delete(&name(1)).await.expect("deleted");
    let spoilt = fixture.out("vault").join(name(2).as_str());
    fs::set_permissions(&spoilt, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("ours");
    fs::write(&spoilt, b"something else").expect("written");
    let out = fixture.out("bundle");
    let exported =
        fixture.custody().export(SessionKey::new(tenant, id), &out).await.expect("exported");
    let mut damaged = exported.damaged_names.clone();
    damaged.sort();
    assert_eq!(damaged, [name(1).as_str(), name(2).as_str()]);
    assert_eq!(
        Exported { damaged_names: vec![], bytes: 0, entries: 0, ..exported },
        Exported { objects: 5, damaged: 2, ..Exported::default() }
    );
    for index in 0..3 {
        assert_eq!(fixture.damaged.is_noted(&name(index)), index > 0, "operators are told");
    }
    assert!(fixture.damaged.problem().is_some());
    assert_eq!(verified(&fixture, &out).verdict, Verdict::Invalid);
}

#[tokio::test]
async fn a_bundle_is_written_where_nothing_is_and_whole_or_not_at_all() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let custody = fixture.custody();
    let empty = fixture.out("empty");
    fs::create_dir(&empty).expect("made");
    custody.export(SessionKey::new(tenant, id), &empty).await.expect("an empty directory is taken");
    holds(&fixture, &empty);
    let file = fixture.out("file");
    fs::write(&file, "mine").expect("written");
    for taken in [&empty, &file] {
        let refused = custody.export(SessionKey::new(tenant, id), taken).await;
        assert!(matches!(refused, Err(CustodyError::OutputNotEmpty(_))), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("read"), "mine");
    let nowhere = fixture.out("no/such/parent");
    let refused = custody.export(SessionKey::new(tenant, id), &nowhere).await;
    let Err(CustodyError::Output { path, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(Some(path.as_path()), nowhere.parent(), "what is missing is named");
    let refused =
        custody.export(SessionKey::new(tenant, SessionId::generate()), &fixture.out("none")).await;
    assert!(matches!(refused, Err(CustodyError::NoLog)), "{refused:?}");
    let left: Vec<_> =
        names(fixture.directory.path()).into_iter().filter(|name| name.contains("none")).collect();
    assert_eq!(left, [] as [String; 0], "half a bundle is left behind");
}

async fn archive_of(fixture: &Fixture, recorded: &Recorded, wanted: &BundleWanted) -> Arc<Archive> {
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let to = "secretary".parse().expect("a user");
    let bundle = fixture.custody().prepare(key, wanted, Some(&to)).await.expect("prepared");
    Arc::new(bundle.into_archive("bundle".to_owned()).await.expect("measured"))
}

async fn taken(archive: &Arc<Archive>, range: Range<u64>) -> Result<Vec<u8>, CustodyError> {
    let pieces = Arc::clone(archive).stream(range, ());
    pieces.map_ok(|piece| piece.to_vec()).try_concat().await
}

/// Takes a whole archive and unpacks it.
async fn unpacked(fixture: &Fixture, recorded: &Recorded, wanted: &BundleWanted) -> PathBuf {
    let archive = archive_of(fixture, recorded, wanted).await;
    let bytes = taken(&archive, 0..archive.length()).await.expect("an archive");
    assert_eq!(u64::try_from(bytes.len()), Ok(archive.length()));
    unpack(fixture, &bytes)
}

fn unpack(fixture: &Fixture, bytes: &[u8]) -> PathBuf {
    let out = fixture.out(&format!("unpacked-{}", SessionId::generate()));
    tar::Archive::new(bytes).unpack(&out).expect("unpacked");
    out.join("bundle")
}

#[tokio::test]
async fn an_archive_holds_what_a_directory_does() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let archive = unpacked(&fixture, &recorded, &BundleWanted::Full(None)).await;
    holds(&fixture, &archive);
    let out = fixture.out("bundle");
    let key = SessionKey::new(recorded.tenant, recorded.id);
    fixture.custody().export(key, &out).await.expect("exported");
    assert_eq!(names(&archive), names(&out));
    for track in &recorded.tracks {
        let objects = format!("objects/{track}");
        assert_eq!(names(&archive.join(&objects)), names(&out.join(&objects)));
    }
    assert_eq!(
        handed_out(&fixture, &recorded).await,
        [json!({"what": "export", "to": "secretary"}), json!({"what": "export"})]
    );
}

#[tokio::test]
async fn an_archive_of_a_clip_opens_its_segments() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let second = BEGAN_MS + SEGMENT_MS;
    let wanted = BundleWanted::Clip(clip_of(second + 10, second + 20));
    let archive = unpacked(&fixture, &recorded, &wanted).await;
    let report = holds(&fixture, &archive);
    assert_eq!(document(&archive.join("bundle.json"))["kind"], "clip");
    assert_eq!(names(&archive.join("objects")).len(), 2, "{report:?}");
    let note = &handed_out(&fixture, &recorded).await[0];
    assert_eq!((&note["what"], &note["to"]), (&json!("clip"), &json!("secretary")));
}

#[tokio::test]
async fn disclosed_entries_are_a_bundle_that_proves_itself() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let events = fixture.store.events(key, &[EventKind::RoomEvent], 0, 1).await.expect("read");
    let decision = &events[0];
    let track = fixture.store.tracks(key).await.expect("read").remove(1);
    let segment = fixture.store.segments(key, track.id, 2, 1).await.expect("read").remove(0);
    let seqs = vec![decision.seq, track.seq, segment.seq];
    for wanted in [vec![decision.seq], seqs] {
        let archive = unpacked(&fixture, &recorded, &BundleWanted::Entries(wanted)).await;
        holds(&fixture, &archive);
        let disclosures = document(&archive.join("disclosures.json"));
        assert_eq!(disclosures["events"][0]["event"], decision.text);
        let path = archive.join("disclosures.json");
        let forged = disclosures.to_string().replace(r#"\"type\":\""#, r#"\"type\":\"not_"#);
        assert_ne!(forged, disclosures.to_string(), "nothing was forged");
        fs::write(path, forged).expect("written");
        assert_eq!(verified(&fixture, &archive).verdict, Verdict::Invalid);
    }
}

#[tokio::test]
async fn an_archive_that_nobody_takes_ends() {
    let mut fixture = Fixture::new().await;
    fixture.segments = 250;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let bundle =
        fixture.custody().prepare(key, &BundleWanted::Full(None), None).await.expect("prepared");
    let archive = Arc::new(bundle.into_archive("bundle".to_owned()).await.expect("measured"));
    let (held, released) = tokio::sync::oneshot::channel::<()>();
    let all = 0..archive.length();
    let mut pieces = archive.stream(all, held);
    pieces.next().await.expect("a piece").expect("bytes");
    drop(pieces);
    assert!(released.await.is_err(), "what it held is dropped, not sent");
    // It can be had again.
    let archive = unpacked(&fixture, &recorded, &BundleWanted::Full(None)).await;
    holds(&fixture, &archive);
}

/// Puts other bytes in the place of an object; none take it away.
async fn spoil(fixture: &Fixture, name: &ObjectName, bytes: Option<&[u8]>) {
    let path = fixture.out("vault").join(name.as_str());
    let Some(bytes) = bytes else { return fixture.vault.delete(name).await.expect("deleted") };
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    fs::write(&path, bytes).expect("written");
}

#[tokio::test]
async fn an_archive_is_continued_from_any_place() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let archive = archive_of(&fixture, &recorded, &BundleWanted::Full(None)).await;
    let length = archive.length();
    // A part before anything else was taken, so nothing is known of the objects yet.
    let end = taken(&archive, length - 3_000..length).await.expect("the end");
    let whole = taken(&archive, 0..length).await.expect("an archive");
    assert_eq!(whole[whole.len() - 3_000..], end);
    let step = usize::try_from(length / 41).expect("small");
    for from in (0..length).step_by(step) {
        let rest = taken(&archive, from..length).await.expect("the rest");
        assert_eq!(rest, whole[usize::try_from(from).expect("small")..], "from {from}");
        let to = (from + 700).min(length);
        let part = taken(&archive, from..to).await.expect("a part");
        assert_eq!(part.len(), usize::try_from(to - from).expect("small"));
        assert!(rest.starts_with(&part), "{from}..{to}");
    }
    holds(&fixture, &unpack(&fixture, &whole));
    assert_eq!(handed_out(&fixture, &recorded).await.len(), 1, "it was handed out once");
}

#[tokio::test]
async fn damaged_objects_do_not_change_the_length_of_an_archive() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let name = |track: usize, index| ObjectName::segment(key, recorded.tracks[track], index);
    let longer = fs::read(fixture.out("vault").join(name(1, 0).as_str())).expect("an object");
    let longer = [longer.as_slice(), &[0; 2_000]].concat();
    let whole = archive_of(&fixture, &recorded, &BundleWanted::Full(None)).await.length();
    spoil(&fixture, &name(0, 1), None).await;
    spoil(&fixture, &name(0, 2), Some(b"shorter")).await;
    spoil(&fixture, &name(1, 0), Some(&longer)).await;
    let archive = archive_of(&fixture, &recorded, &BundleWanted::Full(None)).await;
    let bytes = taken(&archive, 0..archive.length()).await.expect("an archive");
    assert!(archive.length().abs_diff(whole) < 4_096, "one more entry and head");
    for from in (0..archive.length()).step_by(10_007) {
        let rest = taken(&archive, from..archive.length()).await.expect("the rest");
        assert_eq!(rest, bytes[usize::try_from(from).expect("small")..], "from {from}");
    }
    let out = unpack(&fixture, &bytes);
    assert_eq!(names(&out.join(format!("objects/{}", recorded.tracks[0]))), ["0", "2"]);
    assert_eq!(verified(&fixture, &out).verdict, Verdict::Invalid);
    for name in [name(0, 1), name(0, 2), name(1, 0)] {
        assert!(fixture.damaged.is_noted(&name), "operators are told of {name:?}");
    }
    assert!(!fixture.damaged.is_noted(&name(0, 0)));
    // What is whole again, or erased, is no problem any more.
    spoil(&fixture, &name(1, 0), Some(&longer[..longer.len() - 2_000])).await;
    let archive = archive_of(&fixture, &recorded, &BundleWanted::Full(None)).await;
    taken(&archive, 0..archive.length()).await.expect("an archive");
    assert!(!fixture.damaged.is_noted(&name(1, 0)));
    assert!(fixture.damaged.problem().is_some());
    fixture.custody().erase_session(key, ErasureReason::Requested).await.expect("erased");
    assert_eq!(fixture.damaged.problem(), None);
}

#[tokio::test]
async fn an_archive_whose_objects_changed_meanwhile_is_not_continued_with_others() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let key = SessionKey::new(recorded.tenant, recorded.id);
    let archive = archive_of(&fixture, &recorded, &BundleWanted::Full(None)).await;
    let length = archive.length();
    taken(&archive, 0..length).await.expect("an archive");
    assert!(archive.is_current().await.expect("read"));
    let name = ObjectName::segment(key, recorded.tracks[0], 1);
    spoil(&fixture, &name, Some(b"something else")).await;
    let again = taken(&archive, 0..length).await;
    assert!(matches!(again, Err(CustodyError::Disagrees(_))), "{:?}", again.map(|it| it.len()));
    fixture
        .custody()
        .erase_track(key, recorded.tracks[1], ErasureReason::Requested)
        .await
        .expect("erased");
    assert!(!archive.is_current().await.expect("read"), "a track of it is erased");
}
