//! The files of a bundle, one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use crate::custody::bundle::{Contents, ROWS_PER_READ};
use crate::custody::output::Output;
use crate::custody::{Bundle, CustodyError, Exported};
use crate::domain::id::RecordedTrackId;
use crate::evidence::repository::{StoredEntry, StoredHead};
use crate::recorder::repository::RecordedSegment;
use crate::vault::{Damage, ObjectName, VaultError};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObjectState {
    Whole,
    Missing,
    /// Not as the log says: so many bytes are handed out, with this hash.
    Changed {
        bytes: u64,
        sha256: [u8; 32],
    },
}

/// What the objects of a bundle were found to be when they were first read, in the order in which
/// they are written. So a bundle that is sent again is the same, or ends with an error.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many were read.
    objects: u64,
    /// Those that are not whole, by their place in the order.
    odd: BTreeMap<u64, ObjectState>,
}

impl Seen {
    /// The state of an object that was read.
    fn state(&self, place: u64) -> Option<ObjectState> {
        let odd = self.odd.get(&place).copied();
        (place < self.objects).then(|| odd.unwrap_or(ObjectState::Whole))
    }

    /// Notes what an object is; `false` when it was something else before.
    fn note(&mut self, place: u64, state: ObjectState) -> bool {
        if let Some(before) = self.state(place) {
            return before == state;
        }
        if state != ObjectState::Whole {
            self.odd.insert(place, state);
        }
        self.objects = place + 1;
        true
    }

    /// How many of those that were read are missing or changed.
    pub(super) fn damaged(&self) -> u64 {
        u64::try_from(self.odd.len()).unwrap_or(u64::MAX)
    }
}

impl Bundle {
    /// The length of every file if every object is as the log says. In an archive a file takes
    /// the place that it would have then.
    pub(super) async fn lengths(&self, mut add: impl FnMut(u64)) -> Result<(), CustodyError> {
        for (_, document) in &self.documents {
            add(u64::try_from(document.len()).unwrap_or(u64::MAX));
        }
        match &self.contents {
            Contents::Full(size) => {
                add(self.entries_bytes(*size).await?);
                add(self.heads_bytes(*size).await?);
                for track in &self.tracks {
                    let mut next = 0;
                    while let Some(segments) = self.segments(*track, &mut next, *size).await? {
                        for segment in segments {
                            add(segment.size);
                        }
                    }
                }
            }
            Contents::Part { segments, .. } => {
                add(u64::try_from(self.head.len()).unwrap_or(u64::MAX));
                for segment in segments {
                    add(segment.size);
                }
            }
        }
        Ok(())
    }

    /// Whether nothing of it was erased since it was prepared.
    pub async fn is_current(&self) -> Result<bool, CustodyError> {
        let parts = &self.custody.parts;
        let log = parts.evidence.log(self.key).await?.ok_or(CustodyError::NoLog)?;
        let tracks = parts.recordings.tracks(self.key).await?;
        let kept: BTreeSet<_> =
            tracks.iter().filter(|it| it.wrapped_key.is_some()).map(|it| it.id).collect();
        let has_texts = log.events_key.is_some();
        Ok(has_texts == self.has_texts && self.tracks.iter().all(|track| kept.contains(track)))
    }

    /// Writes every file. Damaged objects are listed in the result; the bundle contains what is
    /// left of them, and of an object that is longer than the log says no more than that.
    pub(super) async fn write(&self, out: &mut dyn Output) -> Result<Exported, CustodyError> {
        let mut exported = Exported { erased_tracks: self.erased_tracks, ..Exported::default() };
        for (name, document) in &self.documents {
            write_whole(out, name, document.clone()).await?;
        }
        let mut place = 0;
        match &self.contents {
            Contents::Full(size) => {
                exported.entries = *size;
                self.write_log(out, *size).await?;
                for track in &self.tracks {
                    let mut next = 0;
                    while let Some(segments) = self.segments(*track, &mut next, *size).await? {
                        self.write_objects(out, segments, (&mut place, &mut exported)).await?;
                    }
                }
            }
            Contents::Part { receipts, segments } => {
                exported.entries = *receipts;
                exported.erased_tracks = 0;
                write_whole(out, "heads.cborseq", self.head.clone().into()).await?;
                self.write_objects(out, segments.clone(), (&mut place, &mut exported)).await?;
            }
        }
        Ok(exported)
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
        (place, exported): (&mut u64, &mut Exported),
    ) -> Result<(), CustodyError> {
        let mut segments = VecDeque::from(segments);
        while let Some(segment) = segments.front() {
            let seen = self.seen().state(*place);
            let Some(seen) = seen else { break };
            let is_skipped = match seen {
                ObjectState::Whole => out.skip(segment.size).await?,
                ObjectState::Changed { bytes, .. } => out.skip(bytes).await?,
                ObjectState::Missing => true,
            };
            if !is_skipped {
                break;
            }
            segments.pop_front();
            *place += 1;
        }
        let reads = segments.into_iter().map(|segment| self.read(segment));
        let mut reads = stream::iter(reads).buffered(OBJECTS_AT_ONCE);
        while let Some(object) = reads.next().await {
            let Object { segment, pieces, state } = object?;
            let name = ObjectName::segment(self.key, segment.track, segment.index);
            self.tell(&name, state).await?;
            if !self.seen().note(*place, state) {
                let problem = "an object is not what it was when it was first handed out";
                return Err(CustodyError::Disagrees(problem.to_owned()));
            }
            *place += 1;
            if state != ObjectState::Whole {
                exported.damaged += 1;
                if exported.damaged_names.len() < NAMED_MAX {
                    exported.damaged_names.push(name.as_str().to_owned());
                }
            }
            if state == ObjectState::Missing {
                continue;
            }
            let bytes = length_of(&pieces);
            exported.objects += 1;
            exported.bytes += bytes;
            out.begin(&format!("objects/{}/{}", segment.track, segment.index), bytes).await?;
            for piece in pieces {
                out.append(piece).await?;
            }
        }
        Ok(())
    }

    /// Tells operators what an object was found to be. One that was erased meanwhile is not missing.
    async fn tell(&self, name: &ObjectName, state: ObjectState) -> Result<(), CustodyError> {
        let damaged = &self.custody.parts.damaged;
        let damage = match state {
            ObjectState::Whole => {
                damaged.forget(name);
                return Ok(());
            }
            ObjectState::Missing => Damage::Missing,
            ObjectState::Changed { .. } => Damage::Changed,
        };
        if !damaged.is_noted(name) && self.is_current().await? {
            damaged.note(name, damage);
        }
        Ok(())
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads an object in pieces, so that no read is larger than a vault may answer at once.
    async fn read(&self, segment: RecordedSegment) -> Result<Object, CustodyError> {
        let name = ObjectName::segment(self.key, segment.track, segment.index);
        let mut pieces = Vec::new();
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
            let wanted = segment.size.saturating_sub(bytes).min(length);
            bytes += length;
            pieces.push(piece.slice(..usize::try_from(wanted).unwrap_or(usize::MAX)));
            // An object that is longer than the log says is wrong, so the rest of it is not needed.
            if length < PIECE_BYTES || bytes >= segment.size {
                break;
            }
        }
        let mut hash = Sha256::new();
        for piece in &pieces {
            hash.update(piece);
        }
        let sha256: [u8; 32] = hash.finalize().into();
        let is_whole = bytes == segment.size && sha256 == segment.sha256;
        let changed = ObjectState::Changed { bytes: length_of(&pieces), sha256 };
        let state = if is_whole { ObjectState::Whole } else { changed };
        Ok(Object { segment, pieces, state })
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

async fn write_whole(out: &mut dyn Output, name: &str, bytes: Bytes) -> Result<(), CustodyError> {
    out.begin(name, u64::try_from(bytes.len()).unwrap_or(u64::MAX)).await?;
    out.append(bytes).await
}

fn length_of(pieces: &[Bytes]) -> u64 {
    u64::try_from(pieces.iter().map(Bytes::len).sum::<usize>()).unwrap_or(u64::MAX)
}
