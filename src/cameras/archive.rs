//! What edge devices publish into captures and what cameras are recorded, kept: segments become
//! sealed objects of the vault, with a key of their own for each publication, and play from there
//! at once and afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cameras::error::CameraError;
use crate::cameras::repository::{
    CaptureFile, CaptureSegment, Filed, FilmsOf, OldFiles, Publication, PublicationRepository,
};
use crate::clock::Clock;
use crate::domain::id::{CaptureId, PublicationId, TenantId};
use crate::domain::time::Timestamp;
use crate::sealing::{ContentKey, Context, Opener, Sealer, random_key, random_salt};
use crate::vault::{Contents, KeyPurpose, KeyVault, ObjectName, Vault, VaultError};

/// How much a publication gets before it is looked again whether the tenant has room, in bytes.
/// Raising it asks the database less, and lets tenants have so much more for each device.
const ROOM_LOOKED_EVERY: u64 = 64 << 20;
/// How long after a capture was closed what its device sent before may still come. Raising it lets
/// a device that goes on fill a closed capture for longer.
pub(super) const CLOSING: Duration = Duration::from_secs(30);
/// Files that are deleted at once when their time is over.
const FORGOTTEN_AT_ONCE: u32 = 200;
/// Publications that are looked through at once; it goes on until none is left.
const PUBLICATIONS_AT_ONCE: u32 = 200;

/// What the archive is told about its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveOptions {
    /// How long what was published is kept.
    pub kept_for: Duration,
    /// Bytes of a tenant's captures that are kept; then nothing more is taken.
    pub bytes_max: u64,
}

/// What the archive is made of.
pub struct ArchiveParts {
    /// Where it is kept which files there are.
    pub publications: Arc<dyn PublicationRepository>,
    /// Where the files are.
    pub vault: Arc<dyn Vault>,
    /// Where tenants' keys are.
    pub keys: Arc<dyn KeyVault>,
    /// The time.
    pub clock: Clock,
    /// The time by which it is judged what was kept for long enough.
    pub ages: Clock,
}

struct Inner {
    options: ArchiveOptions,
    parts: ArchiveParts,
}

/// What edge devices published and cameras sent. Cheap to clone.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

/// Why something that is published is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// The capture is closed, or there is none.
    #[error("the capture is closed")]
    Closed,
    /// There is a newer publication.
    #[error("the device publishes on another connection")]
    Replaced,
    /// The tenant has as many bytes as it may.
    #[error("the tenant has as many bytes as it may")]
    Full,
    /// It may be, if it is tried again.
    #[error(transparent)]
    Failed(#[from] CameraError),
}

impl Archive {
    /// The archive over its parts.
    #[must_use]
    pub fn new(options: ArchiveOptions, parts: ArchiveParts) -> Self {
        Self(Arc::new(Inner { options, parts }))
    }

    /// Begins a publication, which is from now on the only one that its capture is made of. Of a
    /// camera there may be several.
    pub(super) async fn begin(&self, tenant: TenantId, of: FilmsOf) -> Result<Filing, NotKept> {
        let (id, key) = (PublicationId::generate(), random_key());
        let parts = &self.0.parts;
        let wrapped = parts.keys.wrap(tenant, KeyPurpose::Capture(id), &key).await;
        let publication = Publication {
            tenant,
            id,
            of,
            wrapped_key: wrapped.map_err(CameraError::from)?,
            began_at: parts.clock.now(),
        };
        let added = parts.publications.add_publication(&publication, self.0.options.bytes_max);
        kept(added.await.map_err(CameraError::from)?)?;
        let key = Arc::new(ContentKey::new(key));
        Ok(Filing { archive: self.clone(), publication, key, next: 0, unlooked: 0 })
    }

    /// Goes on with a publication that another process began; nothing when it is not kept any more.
    pub(super) async fn resume(
        &self,
        tenant: TenantId,
        id: PublicationId,
    ) -> Result<Option<Filing>, CameraError> {
        let known = self.0.parts.publications.publication(tenant, id).await?;
        let Some(publication) = known else { return Ok(None) };
        let key = Arc::new(self.key(&publication).await?);
        Ok(Some(Filing { archive: self.clone(), publication, key, next: 0, unlooked: 0 }))
    }

    async fn key(&self, publication: &Publication) -> Result<ContentKey, CameraError> {
        let purpose = KeyPurpose::Capture(publication.id);
        let keys = &self.0.parts.keys;
        Ok(ContentKey::new(
            keys.unwrap(publication.tenant, purpose, &publication.wrapped_key).await?,
        ))
    }

    /// The segments of a capture, the oldest first: at most so many of the newest.
    pub(super) async fn segments(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
        limit: u32,
    ) -> Result<Vec<CaptureSegment>, CameraError> {
        Ok(self.0.parts.publications.capture_segments(tenant, capture, limit).await?)
    }

    /// A file of a capture or camera; nothing when there is none, or not any more.
    pub(super) async fn file(
        &self,
        tenant: TenantId,
        of: &FilmsOf,
        (publication, number): (PublicationId, u64),
    ) -> Result<Option<Bytes>, CameraError> {
        let parts = &self.0.parts;
        let known = parts.publications.publication(tenant, publication).await?;
        let Some(known) = known.filter(|it| it.of == *of) else { return Ok(None) };
        let key = self.key(&known).await?;
        let name = ObjectName::capture(tenant, publication, number);
        let sealed = match parts.vault.read(&name, None).await {
            Ok(sealed) => sealed,
            Err(VaultError::NotFound) => return Ok(None),
            Err(error) => return Err(CameraError::Vault(error.to_string())),
        };
        let context = Context::Capture { tenant, publication, number };
        let opened = Opener::open(&key, &context, &sealed);
        opened.map(|bytes| Some(bytes.into())).map_err(|_| CameraError::SecretLost)
    }

    /// Deletes what was published too long ago; how many files.
    ///
    /// # Errors
    /// When store or vault do not answer for one of them, after the others of the same page were
    /// deleted; what was deleted stays so.
    pub async fn forget_old(&self) -> Result<u64, CameraError> {
        let before = self.0.parts.ages.now().before(self.0.options.kept_for);
        let publications = &self.0.parts.publications;
        let mut forgotten = 0;
        loop {
            let old = publications.old_publications(before, PUBLICATIONS_AT_ONCE).await?;
            if old.is_empty() {
                return Ok(forgotten);
            }
            let mut failure = None;
            for (tenant, publication) in old {
                match self.forget(tenant, publication, before).await {
                    Ok(files) => forgotten += files,
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
    }

    async fn forget(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        before: Timestamp,
    ) -> Result<u64, CameraError> {
        let Inner { parts, .. } = &*self.0;
        let mut forgotten = 0;
        loop {
            let limit = FORGOTTEN_AT_ONCE;
            let old = parts.publications.old_files(tenant, publication, before, limit).await?;
            let OldFiles { numbers, is_all } = &old;
            // A crash may have left one behind the last that is known.
            let behind = numbers.iter().max().map(|last| last + 1).filter(|_| *is_all);
            for number in numbers.iter().copied().chain(behind) {
                self.delete(tenant, publication, number).await?;
            }
            parts.publications.forget_files(tenant, publication, numbers).await?;
            forgotten += numbers.len() as u64;
            if u32::try_from(numbers.len()).is_ok_and(|length| length < limit) {
                return Ok(forgotten);
            }
        }
    }

    /// Deletes the object of a file.
    pub(super) async fn delete(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        number: u64,
    ) -> Result<(), CameraError> {
        let name = ObjectName::capture(tenant, publication, number);
        match self.0.parts.vault.delete(&name).await {
            // The bucket keeps it longer. Its only key is deleted with the publication, so nobody can
            // open what stays, and others are deleted in their time.
            Ok(()) | Err(VaultError::Locked) => Ok(()),
            Err(error) => Err(CameraError::Vault(error.to_string())),
        }
    }
}

/// Keeps what one connection publishes, or one run of a camera's recording.
pub(super) struct Filing {
    archive: Archive,
    publication: Publication,
    key: Arc<ContentKey>,
    /// The number of the next file.
    next: u64,
    /// Bytes since it was looked whether the tenant has room.
    unlooked: u64,
}

/// A file that is to be kept.
pub(super) struct Sealed {
    file: CaptureFile,
    object: Vec<u8>,
    sha256: [u8; 32],
}

/// What is known of a segment.
pub(super) struct OfSegment {
    /// The number of the file with its header.
    pub(super) header: u64,
    /// Whether it does not go on where the one before ended.
    pub(super) is_break: bool,
    /// How long it plays, in ticks.
    pub(super) ticks: u64,
    /// When it began.
    pub(super) at: Timestamp,
}

impl Filing {
    /// The key of its files.
    pub(super) fn key(&self) -> Arc<ContentKey> {
        self.key.clone()
    }

    /// Which publication it files.
    pub(super) const fn id(&self) -> PublicationId {
        self.publication.id
    }

    /// The next file gets this number.
    pub(super) const fn skip_to(&mut self, number: u64) {
        self.next = number;
    }

    /// Seals the next file: a header when it is not `of` a segment.
    pub(super) fn seal(&self, data: &[u8], of: Option<OfSegment>) -> Sealed {
        let (Publication { tenant, id, .. }, number) = (&self.publication, self.next);
        let context = Context::Capture { tenant: *tenant, publication: *id, number };
        let mut object = Vec::new();
        let mut sealer = Sealer::new(&self.key, &context, random_salt(), &mut object);
        sealer.write(data, &mut object);
        let sha256 = sealer.finish(&mut object).sha256;
        let now = self.archive.0.parts.clock.now();
        let file = CaptureFile {
            number,
            header: of.as_ref().map(|it| it.header),
            is_break: of.as_ref().is_some_and(|it| it.is_break),
            ticks: of.as_ref().map_or(0, |it| it.ticks),
            at: of.map_or(now, |it| it.at),
            bytes: object.len() as u64,
        };
        Sealed { file, object, sha256 }
    }

    /// Keeps a file that was sealed as the next one; its number. The same again may be tried when
    /// it failed.
    pub(super) async fn keep(&mut self, sealed: &Sealed) -> Result<u64, NotKept> {
        let Inner { options, parts } = &*self.archive.0;
        let (file, publication) = (&sealed.file, &self.publication);
        let name = ObjectName::capture(publication.tenant, publication.id, file.number);
        let put = parts.vault.put(&name, Contents::Bytes(&sealed.object), sealed.sha256).await;
        match put {
            Ok(_) => {}
            Err(VaultError::Conflict) if self.is_own(&name, file.number).await? => {}
            Err(error) => return Err(CameraError::Vault(error.to_string()).into()),
        }
        let bytes_max = (self.unlooked >= ROOM_LOOKED_EVERY).then_some(options.bytes_max);
        let closed_after = parts.clock.now().before(CLOSING);
        let filed = parts.publications.add_file(publication, file, closed_after, bytes_max).await;
        if let Err(refused) = kept(filed.map_err(CameraError::from)?) {
            // Nothing leads to it; one that stays is deleted with the others.
            drop(parts.vault.delete(&name).await);
            return Err(refused);
        }
        self.unlooked = if bytes_max.is_some() { 0 } else { self.unlooked + file.bytes };
        self.next = file.number + 1;
        Ok(file.number)
    }

    /// Whether the object of this name is this file: a process that was killed sealed it with
    /// another salt, and could not note it any more.
    async fn is_own(&self, name: &ObjectName, number: u64) -> Result<bool, CameraError> {
        let read = self.archive.0.parts.vault.read(name, None).await;
        let object = read.map_err(|error| CameraError::Vault(error.to_string()))?;
        let (tenant, publication) = (self.publication.tenant, self.publication.id);
        let context = Context::Capture { tenant, publication, number };
        Ok(Opener::open(&self.key, &context, &object).is_ok())
    }
}

fn kept(filed: Filed) -> Result<(), NotKept> {
    match filed {
        Filed::Done => Ok(()),
        Filed::Closed => Err(NotKept::Closed),
        Filed::Replaced => Err(NotKept::Replaced),
        Filed::Full => Err(NotKept::Full),
    }
}
