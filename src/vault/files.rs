//! Files that appear whole or not at all, and stay.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use uuid::Uuid;

/// Where files are written before they get their name, under the root.
pub(super) const DRAFTS: &str = ".drafts";

/// A file that has no name yet. Removed when dropped.
pub(super) struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// A new file in `drafts`, for the owner alone. Locked, so that another
    /// process that starts does not take it for abandoned.
    pub(super) fn create(drafts: &Path) -> io::Result<Self> {
        let path = drafts.join(Uuid::new_v4().simple().to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let draft = Self { path, file };
        match draft.file.try_lock() {
            // A process that starts is about to remove it.
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            // On a file system without locks no process takes it for abandoned.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(draft),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// What has been written, as the file system has it.
    pub(super) fn read_back(&self) -> io::Result<Vec<u8>> {
        self.file.sync_all()?;
        std::fs::read(&self.path)
    }

    /// Brings the contents to stable storage and gives the file its name, unless
    /// something has that name: then `false`. The directory is not synced.
    pub(super) fn publish(self, name: &Path) -> io::Result<bool> {
        self.file.sync_all()?;
        match rustix::fs::renameat_with(CWD, &self.path, CWD, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Some file systems can't rename without overwriting. A second name
            // does the same: it can't be given to two.
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
        // After a rename there is nothing to remove; what stays is removed at
        // the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Makes the directory of drafts if need be, and removes what a process that
/// died has left there.
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

/// Makes a directory for the owner alone, with those above it, unless it is
/// there.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Brings the names in `directory` to stable storage.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Brings the names of `directory`, and of each directory from there up to
/// `root`, to stable storage.
pub(super) fn sync_up_to(root: &Path, directory: &Path) -> io::Result<()> {
    for directory in directory.ancestors() {
        sync_directory(directory)?;
        if directory == root {
            break;
        }
    }
    Ok(())
}

/// Opens a file to read it, unless it is a link: we make none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Removes a file; one that is not there is removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        result => result,
    }
}

/// Whether the error says that there is nothing under that name.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
