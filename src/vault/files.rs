//! Writes files so that they appear complete or not at all, and are on stable storage.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use uuid::Uuid;

/// Directory under the root in which files are written before they get their name.
pub(super) const DRAFTS: &str = ".drafts";

/// A file that does not have its name yet. Removed when dropped.
pub(super) struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// Makes a new file in `drafts`, accessible only to its owner. It is locked, so that another
    /// process that starts does not regard it as abandoned.
    pub(super) fn create(drafts: &Path) -> io::Result<Self> {
        let path = drafts.join(Uuid::new_v4().simple().to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let draft = Self { path, file };
        match draft.file.try_lock() {
            // A process that starts has locked the file and is about to remove it.
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            // On a file system without locks no process regards it as abandoned.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(draft),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Reads what was written back from the file system.
    pub(super) fn read_back(&self) -> io::Result<Vec<u8>> {
        self.file.sync_all()?;
        std::fs::read(&self.path)
    }

    /// Brings the contents to stable storage and gives the file its name; returns `false` when that
    /// name exists. The directory is not synced.
    pub(super) fn publish(self, name: &Path) -> io::Result<bool> {
        self.file.sync_all()?;
        match rustix::fs::renameat_with(CWD, &self.path, CWD, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Some file systems can't rename without overwriting. A hard link has the same effect:
            // it fails when the name exists.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::link(&self.path, name) {
                    Ok(()) => Ok(true),
                    Err(Errno::EXIST) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; a file that stays is removed at the next
        // start.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Creates the directory of drafts if necessary, and removes what processes that died have left in
/// it.
pub(super) fn prepare_drafts(root: &Path) -> io::Result<PathBuf> {
    let drafts = root.join(DRAFTS);
    create_directory(&drafts)?;
    for entry in std::fs::read_dir(&drafts)? {
        let path = entry?.path();
        let abandoned = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if abandoned {
            remove(&path)?;
        }
    }
    Ok(drafts)
}

/// Creates a directory and those above it, accessible only to the owner, unless they exist.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Brings the names in `directory` to stable storage.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Brings the names of `directory`, and of each directory from there up to `root`, to stable
/// storage.
pub(super) fn sync_up_to(root: &Path, directory: &Path) -> io::Result<()> {
    for directory in directory.ancestors() {
        sync_directory(directory)?;
        if directory == root {
            break;
        }
    }
    Ok(())
}

/// Opens a file for reading, unless it is a symbolic link, since the vault makes none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Removes a file; succeeds when it does not exist.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        result => result,
    }
}

/// Whether the error means that the name does not exist.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
