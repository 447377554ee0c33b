//! Files of a directory, written so that a crash leaves each whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What files are written to first, before they have their name.
pub(crate) const DRAFT: &str = ".draft";

/// Files of one directory, by name.
pub(crate) trait Files {
    /// The files and their sizes.
    fn list(&mut self) -> io::Result<Vec<(String, u64)>>;

    /// Writes a file, which is on stable storage when this returns, and replaces one of this name.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Reads a file.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Deletes a file; does nothing when there is none.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A directory that no other process uses.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    handle: File,
}

impl Directory {
    /// Opens a directory, which is made if it is not there, for its owner only.
    ///
    /// # Errors
    /// When it can't be used, or another process uses it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let handle = File::open(path)?;
        handle.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process uses it")
            }
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { path: path.to_owned(), handle })
    }
}

impl Files for Directory {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let (Ok(name), true) =
                (entry.file_name().into_string(), entry.file_type()?.is_file())
            {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path.join(format!("{name}{DRAFT}"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, self.path.join(name)));
        if let Err(error) = written {
            // One that stays is deleted at the next start.
            drop(fs::remove_file(&draft));
            return Err(error);
        }
        self.handle.sync_all()
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_files_for_one_process() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("edge");
        let mut files = Directory::open(&path).expect("made");
        let busy = Directory::open(&path).expect_err("it is in use");
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        files.write("one", b"first").expect("written");
        files.write("one", b"second").expect("replaced");
        assert_eq!(files.read("one").expect("read"), b"second");
        assert_eq!(files.list().expect("listed"), [("one".to_owned(), 6)]);
        files.remove("one").expect("deleted");
        files.remove("one").expect("nothing to do");
        assert_eq!(files.list().expect("listed"), []);
        drop(files);
        Directory::open(&path).expect("it is free again");
    }
}
