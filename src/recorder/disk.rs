//! Every file operation of the spool, each as one method, so that a test can
//! delay or fail any of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: String,
    /// Whether it names a directory.
    pub is_directory: bool,
}

/// The file operations of the spool.
pub trait SpoolDisk: Send + Sync {
    /// Free bytes on the disk that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Creates a directory and its missing parents.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory, which has to be empty.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Lists a directory. Names that are not UTF-8 are left out: the recorder
    /// makes none.
    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// Brings the names in a directory to stable storage.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Creates a file, or empties the one that is there, for reading and
    /// writing.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Appends to a file.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;

    /// Shortens a file to `length` bytes; the next write goes behind them.
    fn truncate(&self, file: &mut File, length: u64) -> io::Result<()>;

    /// Brings a file's contents to stable storage.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Fills `start` with the first bytes of a file, and returns its length.
    fn read_start(&self, path: &Path, start: &mut [u8]) -> io::Result<u64>;

    /// Renames a file within its directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's file operations. Files and directories that they
/// create can be read by the server's user only, whatever the umask.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl SpoolDisk for SystemDisk {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                found.push(DirectoryEntry { name, is_directory: entry.file_type()?.is_dir() });
            }
        }
        Ok(found)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn truncate(&self, file: &mut File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length)).map(|_| ())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_start(&self, path: &Path, start: &mut [u8]) -> io::Result<u64> {
        let mut file = File::open(path)?;
        file.read_exact(start)?;
        Ok(file.metadata()?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
