//! Reads files for players, and has those made anew whose objects the vault has lost or changed: the
//! sealed segments of the recording have everything that is in them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use crate::claims::ClaimError;
use crate::domain::claim::Work;
use crate::domain::id::SessionKey;
use crate::domain::recording::PlayableState;
use crate::playable::PlayableError;
use crate::playable::build::Maker;
use crate::playable::driver::Shared;
use crate::playable::reader::PlayableReader;
use crate::recorder::repository::{Playable, PlayableOf};
use crate::vault::{Damage, ObjectName, VaultError};

impl PlayableError {
    /// What is wrong with the object that was read, if that is why.
    pub(super) const fn damage(&self) -> Option<Damage> {
        match self {
            Self::Vault(VaultError::NotFound) => Some(Damage::Missing),
            Self::Open(_) => Some(Damage::Changed),
            _ => None,
        }
    }
}

/// Reads files, and has damaged ones made anew. Clones share the same state.
#[derive(Clone)]
pub struct Reading(Arc<Shared>);

impl Reading {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The bytes of a file in `range`, decrypted as they are read, using a constant amount of memory.
    /// [`PlayableError::NotReady`] where the vault has lost or changed something of the file, which
    /// is then made anew. What is missing of the first parts is noticed before the stream begins.
    pub async fn read(
        &self,
        key: SessionKey,
        file: &Playable,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, PlayableError>> + Send + use<>, PlayableError>
    {
        let vault = Arc::clone(&self.0.parts.vault);
        let reader = PlayableReader::open(vault, &*self.0.parts.keys, key, file).await?;
        let file = Arc::new(file.clone());
        if let Err((part, error)) = reader.look_for(&range).await {
            return Err(self.failed(key, &file, part, error).await);
        }
        let mut pieces = Box::pin(reader.read_parts(range));
        let first = match pieces.next().await {
            Some(Err((part, error))) => return Err(self.failed(key, &file, part, error).await),
            Some(Ok(piece)) => Some(Ok(piece)),
            None => None,
        };
        let reading = self.clone();
        let rest = pieces.then(move |piece| {
            let (reading, file) = (reading.clone(), Arc::clone(&file));
            async move {
                match piece {
                    Ok(piece) => Ok(piece),
                    Err((part, error)) => Err(reading.failed(key, &file, part, error).await),
                }
            }
        });
        Ok(stream::iter(first).chain(rest))
    }

    /// A part of a file could not be read. If it is damaged, the file is not ready any more: it is
    /// made anew, unless it was changed or erased after it was found, or files of its session are
    /// being made; then whoever reads it next finds the damage again.
    async fn failed(
        &self,
        key: SessionKey,
        file: &Playable,
        part: u64,
        error: PlayableError,
    ) -> PlayableError {
        let Some(damage) = error.damage() else { return error };
        if let Err(error) = self.renew(key, file, part, damage).await {
            tracing::warn!(%error, session = %key.session, "a damaged playable file is not made anew yet");
        }
        PlayableError::NotReady
    }

    async fn renew(
        &self,
        key: SessionKey,
        file: &Playable,
        part: u64,
        damage: Damage,
    ) -> Result<(), PlayableError> {
        let claim = match self.0.parts.claims.take(key, Work::Playables).await {
            Ok(claim) => claim,
            Err(ClaimError::Taken) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let renewed = self.0.maker(key, claim.fence()).renew(file, part, damage).await;
        claim.release().await;
        if renewed? {
            self.0.enqueue(key);
        }
        Ok(())
    }
}

impl Maker {
    /// Lets a file wait to be made again. `false` when it is not as it was found any more.
    async fn renew(
        &self,
        file: &Playable,
        part: u64,
        damage: Damage,
    ) -> Result<bool, PlayableError> {
        let there = self.repository.playables(self.key).await?;
        let Some(mut there) = there.into_iter().find(|there| there == file) else {
            return Ok(false);
        };
        there.state = PlayableState::Waiting;
        there.progress_permille = 0;
        there.parts.clear();
        there.failure = None;
        there.lacks.clear();
        there.resume_at = None;
        // What was erased meanwhile is not damaged, and can't be kept.
        self.keep(&mut there).await?;
        self.damaged.note(&ObjectName::part(self.key, file.id, part), damage);
        Ok(true)
    }

    /// When the combined file is to be made anew, the files of tracks from which it is made may have
    /// been damaged with it: lets those wait too.
    pub(super) async fn renew_tracks(&self) -> Result<(), PlayableError> {
        let files = self.repository.playables(self.key).await?;
        // Only a file that was ready once has a key while it waits.
        let is_renewed = |file: &Playable| {
            file.of == PlayableOf::Combined
                && file.state == PlayableState::Waiting
                && file.wrapped_key.is_some()
        };
        if !files.iter().any(is_renewed) {
            return Ok(());
        }
        for file in files.iter().filter(|file| file.state == PlayableState::Ready) {
            let vault = Arc::clone(&self.vault);
            let reader = PlayableReader::open(vault, &*self.keys, self.key, file).await?;
            if let Some((part, damage)) = reader.damage().await? {
                self.renew(file, part, damage).await?;
            }
        }
        Ok(())
    }
}
