//! Makes bundles: everything that an independent verifier needs to check a recording or a part of
//! it, as `docs/EVIDENCE.md` §Bundle defines, in a directory or as one archive. Memory does not grow
//! with the recording, since entries, heads and objects are processed in pieces.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::custody::bundle_files::Seen;
use crate::custody::disclosure::{Disclosures, Revealing, Texts};
use crate::custody::entries::{GAP, REST};
use crate::custody::output::Directory;
use crate::custody::{Custody, CustodyError, CustodyLogError};
use crate::domain::id::{RecordedTrackId, SessionKey, UserId};
use crate::evidence::{Body, Entry, PROOF_SEQS_MAX};
use crate::recorder::repository::{RecordedSegment, RecordedTrack};

/// Most segments of a clip: more than eleven hours of one track. For longer times export a full
/// bundle.
pub const CLIP_SEGMENTS_MAX: usize = 10_000;
/// Entries, heads or segments read at once.
pub(super) const ROWS_PER_READ: u32 = 500;
/// How often making a proof starts again because another head was signed meanwhile.
const PROOF_TRIES: usize = 8;

/// What a bundle is to contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleWanted {
    /// The whole log and every object; these texts of its events are disclosed.
    Full(Option<Texts>),
    /// What was recorded between two times, with the keys of these segments.
    Clip(ClipWanted),
    /// These entries, disclosed: the text of an event, the subject of a track, or a segment with
    /// its key.
    Entries(Vec<u64>),
}

/// The contents of a requested clip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClipWanted {
    /// Begin, in milliseconds since 1970.
    pub from_ms: u64,
    /// End (exclusive), in milliseconds since 1970.
    pub to_ms: u64,
    /// The tracks; empty for all that were not erased.
    pub tracks: Vec<RecordedTrackId>,
    /// Whether the persons whose tracks these are are disclosed.
    pub reveals_subjects: bool,
}

/// The result of writing a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// Number of log entries.
    pub entries: u64,
    /// Number of sealed objects.
    pub objects: u64,
    /// Size of the objects in bytes.
    pub bytes: u64,
    /// Tracks whose objects are left out because they were erased.
    pub erased_tracks: u64,
    /// Objects that the vault does not have, or that differ from the log.
    pub damaged: u64,
    /// The names of the first of these objects in the vault.
    pub damaged_names: Vec<String>,
}

/// A bundle that was prepared: it was decided what it contains, and entered in the log that it is
/// handed out.
pub struct Bundle {
    pub(super) custody: Custody,
    pub(super) key: SessionKey,
    /// `bundle.json`, `keys.json` and `disclosures.json`.
    pub(super) documents: Vec<(&'static str, Bytes)>,
    /// Its signed head.
    pub(super) head: Vec<u8>,
    pub(super) contents: Contents,
    /// The tracks whose objects it contains; they were not erased when it was prepared.
    pub(super) tracks: Vec<RecordedTrackId>,
    /// How many tracks are left out because they were erased.
    pub(super) erased_tracks: u64,
    /// Whether the texts of the log's events were not erased.
    pub(super) has_texts: bool,
    /// What the objects were found to be.
    pub(super) seen: Mutex<Seen>,
}

pub(super) enum Contents {
    /// The first entries of the log, this many, and their objects.
    Full(u64),
    /// The entries of this many receipts, and these objects.
    Part { receipts: u64, segments: Vec<RecordedSegment> },
}

/// Entries that a part of a log is proven by, and what of them is disclosed.
#[derive(Default)]
pub(super) struct Part {
    pub(super) seqs: Vec<u64>,
    pub(super) disclosures: Disclosures,
    pub(super) segments: Vec<RecordedSegment>,
}

impl Custody {
    /// Writes the full bundle of a session to the directory `out`, which must not exist or must be
    /// empty. Damaged objects are listed in the result; the bundle contains what is left of them.
    pub async fn export(&self, key: SessionKey, out: &Path) -> Result<Exported, CustodyError> {
        self.write_to_directory(key, &BundleWanted::Full(None), out).await
    }

    /// As [`Self::export`]; the bundle also discloses these texts of its events.
    pub async fn export_disclosing(
        &self,
        key: SessionKey,
        texts: Option<Texts>,
        out: &Path,
    ) -> Result<Exported, CustodyError> {
        self.write_to_directory(key, &BundleWanted::Full(texts), out).await
    }

    /// Writes a clip to the directory `out`, which must not exist or must be empty: the segments
    /// between two times, receipts for their entries, and the keys of these segments.
    pub async fn clip(
        &self,
        key: SessionKey,
        wanted: &ClipWanted,
        out: &Path,
    ) -> Result<Exported, CustodyError> {
        self.write_to_directory(key, &BundleWanted::Clip(wanted.clone()), out).await
    }

    async fn write_to_directory(
        &self,
        key: SessionKey,
        wanted: &BundleWanted,
        out: &Path,
    ) -> Result<Exported, CustodyError> {
        // First, so that nothing is entered in the log when it can't be written.
        let mut directory = Directory::begin(out).await?;
        let bundle = self.prepare(key, wanted, None).await?;
        let exported = bundle.write(&mut directory).await?;
        directory.finish().await?;
        Ok(exported)
    }

    /// Decides what a bundle contains, and enters in the log that it is handed out, and to whom.
    pub async fn prepare(
        &self,
        key: SessionKey,
        wanted: &BundleWanted,
        to: Option<&UserId>,
    ) -> Result<Bundle, CustodyError> {
        let (part, mut what) = match wanted {
            BundleWanted::Full(None) => (None, json!({"what": "export"})),
            BundleWanted::Full(Some(texts)) => {
                (None, json!({"what": "export", "discloses": texts.as_str()}))
            }
            BundleWanted::Clip(clip) => {
                let (part, what) = self.clip_part(key, clip).await?;
                (Some(part), what)
            }
            BundleWanted::Entries(seqs) => {
                let part = self.disclosed_part(key, seqs).await?;
                (Some(part), json!({"what": "disclosure", "seqs": seqs}))
            }
        };
        if let Some(to) = to {
            what["to"] = to.as_str().into();
        }
        self.note_handed_out(key, &what).await?;
        let Some(mut part) = part else {
            let proof = self.prove(key, &[]).await?;
            let size = tree_size(&proof)?;
            let disclosures = match wanted {
                BundleWanted::Full(Some(texts)) => self.disclose_texts(key, *texts, size).await?,
                _ => Disclosures::default(),
            };
            return self.bundle(key, proof, &disclosures, Contents::Full(size)).await;
        };
        // The genesis and the policy show to which log the entries belong.
        part.seqs.extend([0, 1]);
        part.seqs.sort_unstable();
        part.seqs.dedup();
        let proof = self.prove(key, &part.seqs).await?;
        let receipts = proof["receipts"].as_array().map_or(0, Vec::len);
        let receipts = u64::try_from(receipts).unwrap_or(u64::MAX);
        let contents = Contents::Part { receipts, segments: part.segments };
        self.bundle(key, proof, &part.disclosures, contents).await
    }

    /// Writes the documents of a bundle, so that they are the same however often it is sent.
    async fn bundle(
        &self,
        key: SessionKey,
        mut proof: Value,
        disclosures: &Disclosures,
        contents: Contents,
    ) -> Result<Bundle, CustodyError> {
        let head = head_cose(&proof)?;
        let issuer = proof["iss"].as_str().ok_or_else(|| malformed("it has no issuer"))?;
        let keys = self.parts.log.published_keys(issuer).await?;
        let kind = match &contents {
            Contents::Full(_) => "full",
            Contents::Part { .. } => "clip",
        };
        let document = proof.as_object_mut().ok_or_else(|| malformed("it is not an object"))?;
        document.insert("kind".to_owned(), kind.into());
        let documents = vec![
            ("bundle.json", format!("{proof:#}\n").into()),
            ("keys.json", format!("{keys:#}\n").into()),
            ("disclosures.json", disclosures.to_json()?.into()),
        ];
        let log = self.parts.evidence.log(key).await?.ok_or(CustodyError::NoLog)?;
        let all = self.parts.recordings.tracks(key).await?;
        let mut tracks: Vec<_> =
            all.iter().filter(|it| it.wrapped_key.is_some()).map(|it| it.id).collect();
        let erased_tracks = u64::try_from(all.len() - tracks.len()).unwrap_or(u64::MAX);
        if let Contents::Part { segments, .. } = &contents {
            let wanted: BTreeSet<_> = segments.iter().map(|segment| segment.track).collect();
            if !wanted.iter().all(|track| tracks.contains(track)) {
                return Err(CustodyError::Erased);
            }
            tracks = wanted.into_iter().collect();
        }
        let has_texts = log.events_key.is_some();
        let custody = self.clone();
        let seen = Mutex::default();
        Ok(Bundle {
            custody,
            key,
            documents,
            head,
            contents,
            tracks,
            erased_tracks,
            has_texts,
            seen,
        })
    }

    /// The entries and segments of a clip, and what is entered in the log about it.
    async fn clip_part(
        &self,
        key: SessionKey,
        wanted: &ClipWanted,
    ) -> Result<(Part, Value), CustodyError> {
        let mut revealing = Revealing::open(self, key).await?;
        let tracks = clip_tracks(&revealing, wanted)?;
        let mut part = Part::default();
        for track in &tracks {
            let room = CLIP_SEGMENTS_MAX - part.segments.len();
            let segments = self.segments_between(key, track, wanted, room).await?;
            if segments.is_empty() {
                continue;
            }
            part.seqs.push(track.seq);
            if wanted.reveals_subjects {
                part.disclosures.subjects.push(revealing.subject(track).await?);
            }
            for segment in &segments {
                part.seqs.push(segment.seq);
                part.disclosures.segments.push(revealing.segment(track, segment.index).await?);
            }
            part.segments.extend(segments);
        }
        if part.segments.is_empty() {
            return Err(CustodyError::Nothing);
        }
        part.seqs.extend(self.gaps_between(key, &tracks, wanted).await?);
        let what = json!({
            "what": "clip",
            "from_ms": wanted.from_ms,
            "to_ms": wanted.to_ms,
            "tracks": tracks.iter().map(|track| track.id.to_string()).collect::<Vec<_>>(),
        });
        Ok((part, what))
    }

    /// Makes a proof with receipts for any number of entries, all for one head.
    async fn prove(&self, key: SessionKey, seqs: &[u64]) -> Result<Value, CustodyError> {
        for _ in 0..PROOF_TRIES {
            if let Some(proof) = self.prove_by_one_head(key, seqs).await? {
                return Ok(proof);
            }
        }
        let moved =
            "new heads are signed too often to make a proof; end the session first".to_owned();
        Err(CustodyLogError::Unavailable(moved).into())
    }

    /// As [`Self::prove`]; `None` when another head was signed meanwhile.
    async fn prove_by_one_head(
        &self,
        key: SessionKey,
        seqs: &[u64],
    ) -> Result<Option<Value>, CustodyError> {
        let log = &self.parts.log;
        let (first, rest) = seqs.split_at(seqs.len().min(PROOF_SEQS_MAX));
        let mut proof = log.proof(key, first).await?;
        let mut receipts = Vec::new();
        for seqs in rest.chunks(PROOF_SEQS_MAX) {
            let mut more = log.proof(key, seqs).await?;
            if more["head"] != proof["head"] {
                return Ok(None);
            }
            let more = more["receipts"].as_array_mut();
            receipts.append(more.ok_or_else(|| malformed("it has no receipts"))?);
        }
        let all = proof["receipts"].as_array_mut();
        all.ok_or_else(|| malformed("it has no receipts"))?.append(&mut receipts);
        Ok(Some(proof))
    }

    /// The segments of a track that overlap the requested time, without a gap in their numbers: if
    /// the clock was set back, the segments in between are included.
    async fn segments_between(
        &self,
        key: SessionKey,
        track: &RecordedTrack,
        wanted: &ClipWanted,
        segments_max: usize,
    ) -> Result<Vec<RecordedSegment>, CustodyError> {
        let touches = |segment: &RecordedSegment| {
            segment.from_ms < wanted.to_ms && segment.to_ms >= wanted.from_ms
        };
        let recordings = &self.parts.recordings;
        let mut chosen = Vec::new();
        let mut since_last = Vec::new();
        let mut next = 0;
        loop {
            let segments = recordings.segments(key, track.id, next, ROWS_PER_READ).await?;
            let Some(last) = segments.last() else { return Ok(chosen) };
            next = last.index + 1;
            for segment in segments {
                if touches(&segment) {
                    chosen.append(&mut since_last);
                    chosen.push(segment);
                } else if !chosen.is_empty() && since_last.len() <= segments_max {
                    since_last.push(segment);
                }
                if chosen.len() > segments_max {
                    let what = "segments of a clip";
                    return Err(CustodyError::TooMany { what, max: CLIP_SEGMENTS_MAX });
                }
            }
        }
    }

    /// The gap and rest entries of the tracks in this time.
    async fn gaps_between(
        &self,
        key: SessionKey,
        tracks: &[RecordedTrack],
        wanted: &ClipWanted,
    ) -> Result<Vec<u64>, CustodyError> {
        let mut gaps = self.entries_of_kind(key, GAP).await?;
        gaps.extend(self.entries_of_kind(key, REST).await?);
        let touches = |entry: &&Entry| match &entry.body {
            Body::Gap { track, from_ms, to_ms, .. } | Body::Rest { track, from_ms, to_ms, .. } => {
                let is_shown = tracks.iter().any(|shown| shown.id == *track);
                is_shown && *from_ms < wanted.to_ms && *to_ms >= wanted.from_ms
            }
            _ => false,
        };
        Ok(gaps.iter().filter(touches).map(|entry| entry.seq).collect())
    }
}

/// The tracks of a clip. A track that was requested by id must not have been erased.
fn clip_tracks(
    revealing: &Revealing<'_>,
    wanted: &ClipWanted,
) -> Result<Vec<RecordedTrack>, CustodyError> {
    let mut tracks = revealing.tracks();
    if wanted.tracks.is_empty() {
        tracks.retain(|track| track.wrapped_key.is_some());
        return Ok(tracks);
    }
    for wanted in &wanted.tracks {
        if revealing.track(*wanted)?.wrapped_key.is_none() {
            return Err(CustodyError::Erased);
        }
    }
    tracks.retain(|track| wanted.tracks.contains(&track.id));
    Ok(tracks)
}

fn tree_size(proof: &Value) -> Result<u64, CustodyError> {
    proof["head"]["tree_size"].as_u64().ok_or_else(|| malformed("it has no tree size"))
}

pub(super) fn malformed(problem: &str) -> CustodyError {
    CustodyError::Disagrees(format!("the proof: {problem}"))
}

fn head_cose(proof: &Value) -> Result<Vec<u8>, CustodyError> {
    let cose = proof["head"]["cose"].as_str().and_then(|cose| URL_SAFE_NO_PAD.decode(cose).ok());
    cose.ok_or_else(|| malformed("it has no head"))
}
