//! Reads a playable file by ranges of bytes: only the chunks that are needed are fetched and
//! decrypted.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{StreamExt as _, iter, try_unfold};
use futures_util::{Stream, TryStreamExt as _};

use crate::domain::id::SessionKey;
use crate::domain::recording::PlayableState;
use crate::playable::PlayableError;
use crate::playable::part::Parts;
use crate::recorder::repository::Playable;
use crate::sealing::{
    CHUNK_BYTES, CHUNK_PLAINTEXT_BYTES, ContentKey, HEADER_BYTES, OpenError, Opener, chunk_of,
    chunks_of,
};
use crate::vault::{Damage, KeyPurpose, KeyVault, Vault};

/// Most plaintext that is fetched at once and returned as one piece. A reader holds this much in
/// memory twice: sealed and decrypted.
pub const READ_BYTES_MAX: u64 = 16 * CHUNK_PLAINTEXT_BYTES as u64;

/// Parts that are looked for before a range is read: a quarter of a gibibyte. Raising it lets players
/// wait longer for the first byte.
const LOOKED_FOR_MAX: usize = 64;
/// Parts looked for at the same time.
const LOOKED_FOR_AT_ONCE: usize = 16;

/// An open playable file.
#[derive(Clone)]
pub struct PlayableReader {
    parts: Parts,
    /// Offset at which each part begins, followed by the size of the file.
    starts: Arc<[u64]>,
}

/// The position of a stream of pieces.
struct Position {
    reader: PlayableReader,
    at: u64,
    end: u64,
    open: Option<(u64, Opener)>,
}

impl PlayableReader {
    /// Opens a file. [`PlayableError::NotReady`] when it is not made yet, or its key was destroyed.
    pub async fn open(
        vault: Arc<dyn Vault>,
        keys: &dyn KeyVault,
        SessionKey { tenant, session }: SessionKey,
        playable: &Playable,
    ) -> Result<Self, PlayableError> {
        let wrapped = match &playable.wrapped_key {
            Some(wrapped) if playable.state == PlayableState::Ready => wrapped,
            _ => return Err(PlayableError::NotReady),
        };
        let key = keys.unwrap(tenant, KeyPurpose::File(playable.id), wrapped).await?;
        let key = ContentKey::new(key);
        let parts = Parts { vault, tenant, session, file: playable.id, key };
        Ok(Self::of_parts(parts, &playable.parts))
    }

    pub(super) fn of_parts(parts: Parts, sizes: &[u64]) -> Self {
        let ends = sizes.iter().scan(0_u64, |end, size| {
            *end = end.saturating_add(*size);
            Some(*end)
        });
        Self { parts, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Size of the file in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The bytes in `range`, as far as the file has them, in pieces of at most [`READ_BYTES_MAX`].
    /// The stream ends with an error, before any affected byte is returned, where the stored data
    /// was changed, truncated or lost.
    pub fn read(
        &self,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, PlayableError>> + Send + use<> {
        self.read_parts(range).map_err(|(_, error)| error)
    }

    /// As [`Self::read`]; an error names the part.
    pub(super) fn read_parts(
        &self,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, (u64, PlayableError)>> + Send + use<> {
        let (at, end) = (range.start, range.end.min(self.size()));
        let position = Position { reader: self.clone(), at, end, open: None };
        try_unfold(position, |mut position| async move {
            if position.at >= position.end {
                return Ok(None);
            }
            let piece = position.next_piece().await;
            let piece = piece.map_err(|error| (position.reader.part_at(position.at), error))?;
            Ok(Some((piece, position)))
        })
    }

    /// The part that has this byte.
    fn part_at(&self, at: u64) -> u64 {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1) as u64
    }

    /// Looks for the parts of this range, the first [`LOOKED_FOR_MAX`] of them: whether the vault has
    /// them in their whole length.
    pub(super) async fn look_for(&self, range: &Range<u64>) -> Result<(), (u64, PlayableError)> {
        let end = range.end.min(self.size());
        if range.start >= end {
            return Ok(());
        }
        let parts = self.part_at(range.start)..=self.part_at(end - 1);
        let looks = parts.take(LOOKED_FOR_MAX).map(|part| async move {
            self.look_for_part(part).await.map_err(|error| (part, error))
        });
        iter(looks).buffered(LOOKED_FOR_AT_ONCE).try_collect::<()>().await
    }

    async fn look_for_part(&self, part: u64) -> Result<(), PlayableError> {
        let place = usize::try_from(part).unwrap_or(usize::MAX);
        let Some([start, after]) =
            self.starts.get(place..).and_then(|rest| rest.first_chunk::<2>())
        else {
            return Ok(());
        };
        let sealed = crate::sealing::sealed_bytes(after - start);
        let last = self.parts.vault.read(&self.parts.name(part), Some(sealed - 1..sealed)).await?;
        if last.is_empty() { Err(OpenError::Truncated.into()) } else { Ok(()) }
    }

    /// The first part that is damaged, found by reading all of them.
    pub(super) async fn damage(&self) -> Result<Option<(u64, Damage)>, PlayableError> {
        let mut pieces = std::pin::pin!(self.read_parts(0..self.size()));
        while let Some(piece) = pieces.next().await {
            let Err((part, error)) = piece else { continue };
            let Some(damage) = error.damage() else { return Err(error) };
            return Ok(Some((part, damage)));
        }
        Ok(None)
    }

    /// All bytes in `range` at once, for ranges that are known to be small.
    pub(super) async fn read_all(&self, range: Range<u64>) -> Result<Vec<u8>, PlayableError> {
        let fold = |mut all: Vec<u8>, piece: Bytes| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        };
        self.read(range).try_fold(Vec::new(), fold).await
    }
}

impl Position {
    async fn next_piece(&mut self) -> Result<Bytes, PlayableError> {
        let starts = &self.reader.starts;
        let place = starts.partition_point(|start| *start <= self.at).saturating_sub(1);
        let (Some(&start), Some(&after)) = (starts.get(place), starts.get(place + 1)) else {
            return Err(PlayableError::NotReady);
        };
        let (part, size) = (place as u64, after - start);
        let first = self.at - start;
        let first_chunk = chunk_of(first);
        // Reads to the end of a chunk, so that no chunk is decrypted twice.
        let reach = (first_chunk * CHUNK_PLAINTEXT_BYTES as u64).saturating_add(READ_BYTES_MAX);
        let last = reach.min(size).min(self.end - start);
        let chunks = self.chunks(part, first..last, size).await?;
        let Some((_, opener)) = &self.open else { return Err(OpenError::Truncated.into()) };
        let mut plaintext = Vec::with_capacity(chunks.len());
        for (index, chunk) in (first_chunk..).zip(chunks.chunks(CHUNK_BYTES)) {
            opener.open_chunk(index, chunk, &mut plaintext)?;
        }
        let skipped = usize::try_from(first % CHUNK_PLAINTEXT_BYTES as u64).unwrap_or(0);
        let wanted = skipped + usize::try_from(last - first).unwrap_or(0);
        if plaintext.len() < wanted {
            return Err(OpenError::Truncated.into());
        }
        self.at = start + last;
        Ok(Bytes::from(plaintext).slice(skipped..wanted))
    }

    /// The sealed chunks of a part that hold this plaintext. The header of the part is checked when
    /// the part is opened first.
    async fn chunks(
        &mut self,
        part: u64,
        plaintext: Range<u64>,
        size: u64,
    ) -> Result<Bytes, PlayableError> {
        let Parts { vault, key, .. } = &self.reader.parts;
        let name = self.reader.parts.name(part);
        let mut wanted = chunks_of(plaintext.clone());
        let sealed = crate::sealing::sealed_bytes(size);
        // The last chunk may be empty; if it is missing, the part has been truncated.
        if plaintext.end == size {
            wanted.end = sealed;
        }
        let is_open = self.open.as_ref().is_some_and(|(open, _)| *open == part);
        let from = if wanted.start == HEADER_BYTES as u64 { 0 } else { wanted.start };
        let mut bytes = vault.read(&name, Some(from..wanted.end)).await?;
        if !is_open {
            let header = if from == 0 {
                bytes.clone()
            } else {
                vault.read(&name, Some(0..HEADER_BYTES as u64)).await?
            };
            let header = header.first_chunk().ok_or(OpenError::Truncated)?;
            let opener = Opener::new(key, &self.reader.parts.context(part), header)?;
            self.open = Some((part, opener));
        }
        if from == 0 {
            bytes = bytes.slice(HEADER_BYTES.min(bytes.len())..);
        }
        if bytes.len() as u64 == sealed.min(wanted.end).saturating_sub(wanted.start) {
            Ok(bytes)
        } else {
            Err(OpenError::Truncated.into())
        }
    }
}
