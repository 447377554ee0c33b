//! Exports bundles: everything that an independent verifier needs to check a recording, in one
//! directory, as `docs/EVIDENCE.md` §Bundle defines. Memory does not grow with the recording, since
//! entries, heads and objects are processed in pieces.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::custody::disclosure::{Disclosures, Revealing, Texts};
use crate::custody::entries::{GAP, REST};
use crate::custody::output::Output;
use crate::custody::{Custody, CustodyError, CustodyLogError};
use crate::domain::id::{RecordedTrackId, SessionKey};
use crate::evidence::{Body, Entry, PROOF_SEQS_MAX};
use crate::recorder::repository::{RecordedSegment, RecordedTrack};
use crate::vault::{ObjectName, VaultError};

/// Most segments of a clip: more than eleven hours of one track. For longer times export a full
/// bundle.
pub const CLIP_SEGMENTS_MAX: usize = 10_000;
/// Entries or heads read at once.
const ROWS_PER_READ: u32 = 500;
/// Bytes of an object read at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Objects copied at the same time.
const COPIES_AT_ONCE: usize = 8;
/// How often making a proof starts again because another head was signed meanwhile.
const PROOF_TRIES: usize = 8;
/// Most missing or changed objects that are listed by name.
const NAMED_MAX: usize = 100;

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

/// The result of an export.
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

/// The result of copying one object.
enum Copied {
    Whole(u64),
    Missing(ObjectName),
    Changed(ObjectName, u64),
}

impl Custody {
    /// Writes the full bundle of a session to the directory `out`, which must not exist or must be
    /// empty. Damaged objects are listed in the result; the bundle contains what is left of them.
    pub async fn export(&self, key: SessionKey, out: &Path) -> Result<Exported, CustodyError> {
        self.export_disclosing(key, None, out).await
    }

    /// As [`Self::export`]; the bundle also discloses these texts of its events.
    pub async fn export_disclosing(
        &self,
        key: SessionKey,
        texts: Option<Texts>,
        out: &Path,
    ) -> Result<Exported, CustodyError> {
        let output = Output::begin(out).await?;
        let what = match texts {
            None => json!({"what": "export"}),
            Some(texts) => json!({"what": "export", "discloses": texts.as_str()}),
        };
        self.note_handed_out(key, &what).await?;
        let proof = self.prove(key, &[]).await?;
        let size = tree_size(&proof)?;
        let mut exported = Exported::default();
        self.write_entries(&output, key, size, &mut exported).await?;
        self.write_heads(&output, key, size).await?;
        output.directory("objects").await?;
        for track in self.parts.recordings.tracks(key).await? {
            self.write_track(&output, key, &track, size, &mut exported).await?;
        }
        let disclosures = match texts {
            None => Disclosures::default(),
            Some(texts) => self.disclose_texts(key, texts, size).await?,
        };
        self.write_documents(&output, proof, "full", &disclosures).await?;
        output.finish().await?;
        Ok(exported)
    }

    /// Writes a clip to the directory `out`, which must not exist or must be empty: the segments
    /// between two times, receipts for their entries, and the keys of these segments.
    pub async fn clip(
        &self,
        key: SessionKey,
        wanted: &ClipWanted,
        out: &Path,
    ) -> Result<Exported, CustodyError> {
        let output = Output::begin(out).await?;
        let mut revealing = Revealing::open(self, key).await?;
        let tracks = clip_tracks(&revealing, wanted)?;
        let mut disclosures = Disclosures::default();
        // The genesis and the policy show to which log the entries belong.
        let mut seqs = vec![0, 1];
        let mut chosen = Vec::new();
        for track in &tracks {
            let room = CLIP_SEGMENTS_MAX - chosen.len();
            let segments = self.segments_between(key, track, wanted, room).await?;
            if segments.is_empty() {
                continue;
            }
            seqs.push(track.seq);
            if wanted.reveals_subjects {
                disclosures.subjects.push(revealing.subject(track).await?);
            }
            for segment in &segments {
                seqs.push(segment.seq);
                disclosures.segments.push(revealing.segment(track, segment.index).await?);
            }
            chosen.extend(segments);
        }
        if chosen.is_empty() {
            return Err(CustodyError::Nothing);
        }
        seqs.extend(self.gaps_between(key, &tracks, wanted).await?);
        seqs.sort_unstable();
        seqs.dedup();
        let what = json!({
            "what": "clip",
            "from_ms": wanted.from_ms,
            "to_ms": wanted.to_ms,
            "tracks": tracks.iter().map(|track| track.id.to_string()).collect::<Vec<_>>(),
        });
        self.note_handed_out(key, &what).await?;
        let proof = self.prove(key, &seqs).await?;
        let mut exported =
            Exported { entries: seqs.len().try_into().unwrap_or(u64::MAX), ..Exported::default() };
        output.write("heads.cborseq", &head_cose(&proof)?).await?;
        for track in &tracks {
            output.directory(&format!("objects/{}", track.id)).await?;
        }
        self.write_objects(&output, key, chosen, &mut exported).await?;
        self.write_documents(&output, proof, "clip", &disclosures).await?;
        output.finish().await?;
        Ok(exported)
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

    async fn write_documents(
        &self,
        output: &Output,
        mut proof: Value,
        kind: &str,
        disclosures: &Disclosures,
    ) -> Result<(), CustodyError> {
        let document = proof.as_object_mut().ok_or_else(|| malformed("it is not an object"))?;
        document.insert("kind".to_owned(), kind.into());
        let keys = self.parts.log.published_keys().await?;
        output.write("keys.json", format!("{keys:#}\n").as_bytes()).await?;
        output.write("disclosures.json", &disclosures.to_json()?).await?;
        output.write("bundle.json", format!("{proof:#}\n").as_bytes()).await
    }

    async fn write_entries(
        &self,
        output: &Output,
        key: SessionKey,
        size: u64,
        exported: &mut Exported,
    ) -> Result<(), CustodyError> {
        const NAME: &str = "entries.cborseq";
        let mut file = output.file(NAME).await?;
        let mut next = 0;
        while next < size {
            let evidence = &self.parts.evidence;
            let mut entries = evidence.entries(key, next, ROWS_PER_READ).await?;
            entries.retain(|entry| entry.seq < size);
            if entries.is_empty() {
                return Err(CustodyError::Disagrees(format!("entry {next} is missing")));
            }
            for entry in entries {
                if entry.seq != next {
                    return Err(CustodyError::Disagrees(format!("entry {next} is missing")));
                }
                next += 1;
                file.write_all(&entry.bytes).await.map_err(output.failed(NAME))?;
            }
        }
        exported.entries = size;
        file.flush().await.map_err(output.failed(NAME))
    }

    async fn write_heads(
        &self,
        output: &Output,
        key: SessionKey,
        size: u64,
    ) -> Result<(), CustodyError> {
        const NAME: &str = "heads.cborseq";
        let mut file = output.file(NAME).await?;
        let mut next = 0;
        loop {
            let evidence = &self.parts.evidence;
            let mut heads = evidence.heads(key, next, ROWS_PER_READ).await?;
            heads.retain(|head| head.tree_size <= size);
            let Some(last) = heads.last() else { break };
            next = last.tree_size + 1;
            for head in heads {
                file.write_all(&head.cose).await.map_err(output.failed(NAME))?;
            }
        }
        file.flush().await.map_err(output.failed(NAME))
    }

    /// Writes the objects of one track whose entries are covered by the head.
    async fn write_track(
        &self,
        output: &Output,
        key: SessionKey,
        track: &RecordedTrack,
        size: u64,
        exported: &mut Exported,
    ) -> Result<(), CustodyError> {
        if track.wrapped_key.is_none() {
            exported.erased_tracks += 1;
            return Ok(());
        }
        output.directory(&format!("objects/{}", track.id)).await?;
        let mut next = 0;
        loop {
            let recordings = &self.parts.recordings;
            let segments = recordings.segments(key, track.id, next, ROWS_PER_READ).await?;
            let Some(last) = segments.last() else { return Ok(()) };
            next = last.index + 1;
            let covered = segments.into_iter().filter(|segment| segment.seq < size).collect();
            self.write_objects(output, key, covered, exported).await?;
        }
    }

    async fn write_objects(
        &self,
        output: &Output,
        key: SessionKey,
        segments: Vec<RecordedSegment>,
        exported: &mut Exported,
    ) -> Result<(), CustodyError> {
        let copies = segments.into_iter().map(|segment| async move {
            let name = ObjectName::segment(key, segment.track, segment.index);
            self.copy(output, name, &segment).await
        });
        let mut copies = stream::iter(copies).buffer_unordered(COPIES_AT_ONCE);
        while let Some(copied) = copies.next().await {
            let (bytes, damaged) = match copied? {
                Copied::Whole(bytes) => (Some(bytes), None),
                Copied::Changed(name, bytes) => (Some(bytes), Some(name)),
                Copied::Missing(name) => (None, Some(name)),
            };
            exported.objects += u64::from(bytes.is_some());
            exported.bytes += bytes.unwrap_or_default();
            if let Some(name) = damaged {
                exported.damaged += 1;
                if exported.damaged_names.len() < NAMED_MAX {
                    exported.damaged_names.push(name.as_str().to_owned());
                }
            }
        }
        Ok(())
    }

    async fn copy(
        &self,
        output: &Output,
        name: ObjectName,
        segment: &RecordedSegment,
    ) -> Result<Copied, CustodyError> {
        let path = format!("objects/{}/{}", segment.track, segment.index);
        let mut file = output.file(&path).await?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        loop {
            let range = bytes..bytes + PIECE_BYTES;
            let piece = match self.parts.vault.read(&name, Some(range)).await {
                Ok(piece) => piece,
                Err(VaultError::NotFound) => {
                    drop(file);
                    output.remove(&path).await?;
                    return Ok(Copied::Missing(name));
                }
                Err(error) => return Err(error.into()),
            };
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            bytes += length;
            hash.update(&piece);
            file.write_all(&piece).await.map_err(output.failed(&path))?;
            // An object that is longer than the log says is wrong, so the rest of it is not needed.
            if length < PIECE_BYTES || bytes >= segment.size {
                break;
            }
        }
        file.flush().await.map_err(output.failed(&path))?;
        let hash: [u8; 32] = hash.finalize().into();
        let is_whole = bytes == segment.size && hash == segment.sha256;
        Ok(if is_whole { Copied::Whole(bytes) } else { Copied::Changed(name, bytes) })
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

fn head_cose(proof: &Value) -> Result<Vec<u8>, CustodyError> {
    let cose = proof["head"]["cose"].as_str().and_then(|cose| URL_SAFE_NO_PAD.decode(cose).ok());
    cose.ok_or_else(|| malformed("it has no head"))
}

fn malformed(problem: &str) -> CustodyError {
    CustodyError::Disagrees(format!("the proof: {problem}"))
}
