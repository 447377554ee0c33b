//! The built-in vault: objects are files in a directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::vault::files::{self, Draft};
use crate::vault::outcome::{Operation, counted};
use crate::vault::{Contents, ObjectName, Put, READ_BYTES_MAX, Vault, VaultError};

/// Bytes copied at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Directories whose own names are known to be on stable storage. At the limit the set is cleared,
/// which costs a few syncs more for each.
const SYNCED_MAX: usize = 10_000;
/// How often storing an object is tried when another process removes its directory at the same
/// time.
const ATTEMPTS: usize = 4;
/// Bytes that are written and read back to check whether the disk works.
const CHECK_BYTES: [u8; 4096] = [0x5A; 4096];

/// A vault in a directory of this machine. Its files are accessible only to their owner; several
/// processes may share it.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    drafts: PathBuf,
    synced: Mutex<BTreeSet<PathBuf>>,
}

/// The contents to store, owned by the thread that stores them.
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Directory {
    /// Opens a vault in `root`, which is created if it does not exist, and removes the unfinished
    /// files of processes that have died.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, VaultError> {
        let root = root.into();
        let drafts = files::create_directory(&root)
            .and_then(|()| files::prepare_drafts(&root))
            .and_then(|drafts| files::sync_directory(&root).map(|()| drafts))
            .map_err(|error| vault_error(&error))?;
        Ok(Self(Arc::new(Shared { root, drafts, synced: Mutex::default() })))
    }

    /// Runs blocking work on a thread where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|_| Err(VaultError::Unavailable("the work was interrupted".to_owned())))
    }
}

#[async_trait]
impl Vault for Directory {
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        let source = match contents {
            Contents::Bytes(bytes) => Source::Bytes(bytes.to_vec()),
            Contents::File(path) => Source::File(path.to_owned()),
        };
        let name = name.clone();
        let put = self.blocking(move |shared| shared.put(&name, &source, sha256)).await;
        counted(Operation::Put, put)
    }

    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, VaultError> {
        let name = name.clone();
        let read = self.blocking(move |shared| shared.read(&name, range)).await;
        counted(
            Operation::Read,
            read.map(|bytes| {
                let count = length_of(&bytes);
                (bytes, count)
            }),
        )
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        let name = name.clone();
        let deleted = self.blocking(move |shared| shared.delete(&name)).await;
        counted(Operation::Delete, deleted.map(|()| ((), 0)))
    }

    async fn check(&self) -> Result<(), VaultError> {
        self.blocking(Shared::check).await
    }
}

impl Shared {
    fn put(
        &self,
        name: &ObjectName,
        source: &Source,
        sha256: [u8; 32],
    ) -> Result<(Put, u64), VaultError> {
        let path = self.path_of(name);
        let parent = path.parent().unwrap_or(&self.root);
        for _ in 0..ATTEMPTS {
            if let Some(put) = self.compare(&path, sha256)? {
                return Ok((put, 0));
            }
            let (draft, bytes) = self.draft(source, sha256)?;
            if !parent.is_dir() {
                self.forget_synced();
                files::create_directory(parent).map_err(|error| vault_error(&error))?;
            }
            match draft.publish(&path) {
                Ok(true) => {
                    self.sync(parent)?;
                    return Ok((Put::Stored, bytes));
                }
                // Another process stored it first; the next round compares it.
                Ok(false) => {}
                // Another process removed the directory, which was empty until now.
                Err(error) if files::is_absent(&error) => self.forget_synced(),
                Err(error) => return Err(vault_error(&error)),
            }
        }
        Err(VaultError::Unavailable("other processes keep changing the same object".to_owned()))
    }

    /// Compares the contents with the object of that name, if there is one.
    fn compare(&self, path: &Path, sha256: [u8; 32]) -> Result<Option<Put>, VaultError> {
        let mut hash = Sha256::new();
        let read = files::open(path).and_then(|mut file| {
            copy(&mut file, |piece| {
                hash.update(piece);
                Ok(())
            })
        });
        match read {
            Ok(_) if <[u8; 32]>::from(hash.finalize()) == sha256 => {
                // The process that stored it may not have synced the directory yet.
                self.sync(path.parent().unwrap_or(&self.root))?;
                Ok(Some(Put::AlreadyThere))
            }
            Ok(_) => Err(VaultError::Conflict),
            Err(error) if files::is_absent(&error) => Ok(None),
            Err(error) => Err(vault_error(&error)),
        }
    }

    /// Copies the contents to a file without a name, checks their hash, and returns the file and
    /// its size.
    fn draft(&self, source: &Source, sha256: [u8; 32]) -> Result<(Draft, u64), VaultError> {
        let mut draft = Draft::create(&self.drafts).map_err(|error| vault_error(&error))?;
        let mut hash = Sha256::new();
        let mut take = |piece: &[u8]| {
            hash.update(piece);
            draft.write(piece)
        };
        let bytes = match source {
            Source::Bytes(bytes) => take(bytes).map(|()| length_of(bytes)),
            Source::File(path) => {
                let mut file = File::open(path).map_err(|error| unreadable(&error))?;
                copy(&mut file, take)
            }
        };
        let bytes = bytes.map_err(|error| vault_error(&error))?;
        if <[u8; 32]>::from(hash.finalize()) != sha256 {
            return Err(VaultError::Refused("the contents have another hash".to_owned()));
        }
        Ok((draft, bytes))
    }

    fn read(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes, VaultError> {
        let read = || -> io::Result<Result<Bytes, VaultError>> {
            let mut file = files::open(&self.path_of(name))?;
            let size = file.metadata()?.len();
            let range = range.unwrap_or(0..size);
            let count = range.end.min(size).saturating_sub(range.start);
            if count > READ_BYTES_MAX {
                return Ok(Err(VaultError::Refused(
                    "the range is longer than may be read at once".to_owned(),
                )));
            }
            file.seek(SeekFrom::Start(range.start.min(size)))?;
            let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
            file.take(count).read_to_end(&mut bytes)?;
            Ok(Ok(bytes.into()))
        };
        match read() {
            Ok(read) => read,
            Err(error) if files::is_absent(&error) => Err(VaultError::NotFound),
            Err(error) => Err(vault_error(&error)),
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        let path = self.path_of(name);
        files::remove(&path).map_err(|error| vault_error(&error))?;
        // Directories that have become empty are removed too. The first one that is not empty, or
        // the root, has changed and is synced.
        let above = path.ancestors().skip(1).take_while(|above| *above != self.root);
        let mut changed = self.root.as_path();
        for directory in above {
            match std::fs::remove_dir(directory) {
                Ok(()) => self.forget_synced(),
                Err(error) if files::is_absent(&error) => {}
                Err(_) => {
                    changed = directory;
                    break;
                }
            }
        }
        match files::sync_directory(changed) {
            // Another process deleted it first, with the same result.
            Err(error) if files::is_absent(&error) => Ok(()),
            result => result.map_err(|error| vault_error(&error)),
        }
    }

    fn check(&self) -> Result<(), VaultError> {
        let written = Draft::create(&self.drafts).and_then(|mut draft| {
            draft.write(&CHECK_BYTES)?;
            draft.read_back()
        });
        match written {
            Ok(read) if read == CHECK_BYTES => Ok(()),
            Ok(_) => Err(VaultError::Unavailable(
                "the disk does not return what was written to it".to_owned(),
            )),
            Err(error) => Err(vault_error(&error)),
        }
    }

    /// Brings a name in `directory`, and the names of the directories above it, to stable storage.
    fn sync(&self, directory: &Path) -> Result<(), VaultError> {
        let is_known = self.synced().contains(directory);
        let synced = if is_known {
            files::sync_directory(directory)
        } else {
            files::sync_up_to(&self.root, directory)
        };
        synced.map_err(|error| vault_error(&error))?;
        let mut synced = self.synced();
        if synced.len() >= SYNCED_MAX {
            synced.clear();
        }
        synced.insert(directory.to_owned());
        Ok(())
    }

    fn forget_synced(&self) {
        self.synced().clear();
    }

    fn synced(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of an object. Names consist only of identifiers and numbers, so none leads outside
    /// the root or into the drafts.
    fn path_of(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.as_str())
    }
}

/// Passes the rest of `file` to `take`, piece by piece; returns the number of bytes.
fn copy(file: &mut File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                take(&piece[..count])?;
                bytes += length_of(&piece[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The error for contents that can't be read, which is not a fault of the vault.
fn unreadable(error: &io::Error) -> VaultError {
    VaultError::Refused(format!("the contents can't be read: {}", error.kind()))
}

/// The error without paths, since it is logged.
fn vault_error(error: &io::Error) -> VaultError {
    use io::ErrorKind as Kind;
    if Errno::from_io_error(error) == Some(Errno::LOOP) {
        return VaultError::Refused("the object is a symbolic link".to_owned());
    }
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => VaultError::Full,
        Kind::PermissionDenied
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::InvalidFilename
        | Kind::FileTooLarge => VaultError::Refused(error.kind().to_string()),
        kind => VaultError::Unavailable(kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_disk_are_told_apart() {
        let error = |errno: Errno| vault_error(&errno.into());
        assert_eq!(error(Errno::NOSPC), VaultError::Full);
        assert_eq!(error(Errno::DQUOT), VaultError::Full);
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ISDIR, Errno::LOOP] {
            assert!(matches!(error(errno), VaultError::Refused(_)), "{errno:?}");
        }
        // A disk that the kernel made read-only after a fault may work again later.
        for errno in [Errno::IO, Errno::ROFS] {
            assert!(matches!(error(errno), VaultError::Unavailable(_)), "{errno:?}");
        }
    }
}
