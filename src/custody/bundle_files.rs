//! The files of a bundle, one after the other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::custody::bundle::{Contents, ROWS_PER_READ, malformed};
use crate::custody::output::Output;
use crate::custody::{Bundle, CustodyError, Exported};
use crate::domain::id::RecordedTrackId;
use crate::evidence::repository::{StoredEntry, StoredHead};
use crate::recorder::repository::RecordedSegment;
use crate::vault::{ObjectName, VaultError};

/// Bytes of an object read at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Objects read at the same time, and so kept in memory: each is what one track sends in four
/// seconds. Raising it hides more of the time that a distant vault takes.
const OBJECTS_AT_ONCE: usize = 4;
/// Most missing or changed objects that are listed by name.
const NAMED_MAX: usize = 100;

/// An object as the vault has it.
struct Object {
    segment: RecordedSegment,
    pieces: Vec<Bytes>,
    state: ObjectState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ObjectState {
    Whole,
    Missing,
    /// Not as the log says.
    Changed,
}

impl Bundle {
    /// About how many bytes all files have together: those of the objects, as the log says, and of
    /// the receipts. So people see how far a download is.
    pub async fn expected_bytes(&self) -> Result<u64, CustodyError> {
        let proof = self.proof.to_string().len();
        let mut bytes = u64::try_from(proof).unwrap_or(u64::MAX);
        match &self.contents {
            Contents::Part(segments) => {
                bytes += segments.iter().map(|segment| segment.size).sum::<u64>();
            }
            Contents::Full(size) => {
                bytes += self.custody.parts.recordings.sealed_bytes(self.key).await?;
                bytes += self.entries_bytes(*size).await? + self.heads_bytes(*size).await?;
            }
        }
        Ok(bytes)
    }

    /// Writes every file. Damaged objects are listed in the result; the bundle contains what is
    /// left of them.
    pub(super) async fn write(&self, out: &mut dyn Output) -> Result<Exported, CustodyError> {
        let mut exported = Exported::default();
        let kind = match &self.contents {
            Contents::Full(size) => {
                exported.entries = *size;
                self.write_documents(out, "full").await?;
                self.write_log(out, *size).await?;
                let all = self.custody.parts.recordings.tracks(self.key).await?.len();
                let tracks = self.tracks().await?;
                exported.erased_tracks = all.saturating_sub(tracks.len()) as u64;
                for track in tracks {
                    let mut next = 0;
                    while let Some(segments) = self.segments(track, &mut next, *size).await? {
                        self.write_objects(out, segments, &mut exported).await?;
                    }
                }
                return Ok(exported);
            }
            Contents::Part(_) => "clip",
        };
        self.write_documents(out, kind).await?;
        write_whole(out, "heads.cborseq", head_cose(&self.proof)?).await?;
        let receipts = self.proof["receipts"].as_array().map_or(0, Vec::len);
        exported.entries = u64::try_from(receipts).unwrap_or(u64::MAX);
        if let Contents::Part(segments) = &self.contents {
            self.write_objects(out, segments.clone(), &mut exported).await?;
        }
        Ok(exported)
    }

    async fn write_documents(&self, out: &mut dyn Output, kind: &str) -> Result<(), CustodyError> {
        let mut proof = self.proof.clone();
        let document = proof.as_object_mut().ok_or_else(|| malformed("it is not an object"))?;
        document.insert("kind".to_owned(), kind.into());
        let keys = self.custody.parts.log.published_keys().await?;
        write_whole(out, "bundle.json", format!("{proof:#}\n").into_bytes()).await?;
        write_whole(out, "keys.json", format!("{keys:#}\n").into_bytes()).await?;
        write_whole(out, "disclosures.json", self.disclosures.to_json()?).await
    }

    async fn write_log(&self, out: &mut dyn Output, size: u64) -> Result<(), CustodyError> {
        out.begin("entries.cborseq", self.entries_bytes(size).await?).await?;
        let mut next = 0;
        while let Some(entries) = self.entries(&mut next, size).await? {
            for entry in entries {
                out.append(entry.bytes.into()).await?;
            }
        }
        out.begin("heads.cborseq", self.heads_bytes(size).await?).await?;
        let mut next = 0;
        while let Some(heads) = self.heads(&mut next, size).await? {
            for head in heads {
                out.append(head.cose.into()).await?;
            }
        }
        Ok(())
    }

    async fn write_objects(
        &self,
        out: &mut dyn Output,
        segments: Vec<RecordedSegment>,
        exported: &mut Exported,
    ) -> Result<(), CustodyError> {
        let reads = segments.into_iter().map(|segment| self.read(segment));
        let mut reads = stream::iter(reads).buffered(OBJECTS_AT_ONCE);
        while let Some(object) = reads.next().await {
            let Object { segment, pieces, state } = object?;
            if state != ObjectState::Whole {
                exported.damaged += 1;
                if exported.damaged_names.len() < NAMED_MAX {
                    let name = ObjectName::segment(self.key, segment.track, segment.index);
                    exported.damaged_names.push(name.as_str().to_owned());
                }
            }
            if state == ObjectState::Missing {
                continue;
            }
            let bytes = pieces.iter().map(Bytes::len).sum::<usize>();
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            exported.objects += 1;
            exported.bytes += bytes;
            out.begin(&format!("objects/{}/{}", segment.track, segment.index), bytes).await?;
            for piece in pieces {
                out.append(piece).await?;
            }
        }
        Ok(())
    }

    /// Reads an object in pieces, so that no read is larger than a vault may answer at once.
    async fn read(&self, segment: RecordedSegment) -> Result<Object, CustodyError> {
        let name = ObjectName::segment(self.key, segment.track, segment.index);
        let mut pieces = Vec::new();
        let mut hash = Sha256::new();
        let mut bytes = 0;
        loop {
            let range = bytes..bytes + PIECE_BYTES;
            let piece = match self.custody.parts.vault.read(&name, Some(range)).await {
                Ok(piece) => piece,
                Err(VaultError::NotFound) => {
                    return Ok(Object { segment, pieces: Vec::new(), state: ObjectState::Missing });
                }
                Err(error) => return Err(error.into()),
            };
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            bytes += length;
            hash.update(&piece);
            pieces.push(piece);
            // An object that is longer than the log says is wrong, so the rest of it is not needed.
            if length < PIECE_BYTES || bytes >= segment.size {
                break;
            }
        }
        let hash: [u8; 32] = hash.finalize().into();
        let is_whole = bytes == segment.size && hash == segment.sha256;
        let state = if is_whole { ObjectState::Whole } else { ObjectState::Changed };
        Ok(Object { segment, pieces, state })
    }

    /// The tracks that were not erased.
    async fn tracks(&self) -> Result<Vec<RecordedTrackId>, CustodyError> {
        let tracks = self.custody.parts.recordings.tracks(self.key).await?;
        Ok(tracks.iter().filter(|it| it.wrapped_key.is_some()).map(|it| it.id).collect())
    }

    /// The next segments of a track whose entries are among the first `size`.
    async fn segments(
        &self,
        track: RecordedTrackId,
        next: &mut u64,
        size: u64,
    ) -> Result<Option<Vec<RecordedSegment>>, CustodyError> {
        let recordings = &self.custody.parts.recordings;
        let segments = recordings.segments(self.key, track, *next, ROWS_PER_READ).await?;
        let Some(last) = segments.last() else { return Ok(None) };
        *next = last.index + 1;
        Ok(Some(segments.into_iter().filter(|segment| segment.seq < size).collect()))
    }

    /// The next of the first `size` entries.
    async fn entries(
        &self,
        next: &mut u64,
        size: u64,
    ) -> Result<Option<Vec<StoredEntry>>, CustodyError> {
        if *next >= size {
            return Ok(None);
        }
        let mut entries =
            self.custody.parts.evidence.entries(self.key, *next, ROWS_PER_READ).await?;
        entries.retain(|entry| entry.seq < size);
        let in_order = entries.iter().zip(*next..).all(|(entry, seq)| entry.seq == seq);
        if entries.is_empty() || !in_order {
            return Err(CustodyError::Disagrees(format!("an entry after {next} is missing")));
        }
        *next += u64::try_from(entries.len()).unwrap_or(u64::MAX);
        Ok(Some(entries))
    }

    /// The next heads that cover at most `size` entries.
    async fn heads(
        &self,
        next: &mut u64,
        size: u64,
    ) -> Result<Option<Vec<StoredHead>>, CustodyError> {
        let mut heads = self.custody.parts.evidence.heads(self.key, *next, ROWS_PER_READ).await?;
        heads.retain(|head| head.tree_size <= size);
        let Some(last) = heads.last() else { return Ok(None) };
        *next = last.tree_size + 1;
        Ok(Some(heads))
    }

    async fn entries_bytes(&self, size: u64) -> Result<u64, CustodyError> {
        let (mut bytes, mut next) = (0, 0);
        while let Some(entries) = self.entries(&mut next, size).await? {
            bytes += entries.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        }
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    async fn heads_bytes(&self, size: u64) -> Result<u64, CustodyError> {
        let (mut bytes, mut next) = (0, 0);
        while let Some(heads) = self.heads(&mut next, size).await? {
            bytes += heads.iter().map(|head| head.cose.len()).sum::<usize>();
        }
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

async fn write_whole(out: &mut dyn Output, name: &str, bytes: Vec<u8>) -> Result<(), CustodyError> {
    out.begin(name, u64::try_from(bytes.len()).unwrap_or(u64::MAX)).await?;
    out.append(bytes.into()).await
}

fn head_cose(proof: &Value) -> Result<Vec<u8>, CustodyError> {
    let cose = proof["head"]["cose"].as_str().and_then(|cose| URL_SAFE_NO_PAD.decode(cose).ok());
    cose.ok_or_else(|| malformed("it has no head"))
}
