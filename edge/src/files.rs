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

/// The directory of the box, which has one for each capture. One process captures into it.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    /// Nothing while the disk does not even let it be made.
    directory: Option<Directory>,
}

impl Root {
    /// Opens it. A disk that is full or read-only is no reason not to capture.
    ///
    /// # Errors
    /// When another process captures into it, or it can be no directory of the box.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ResourceBusy};
        let directory = match Directory::open(path) {
            Ok(directory) => Some(directory),
            Err(error)
                if [NotADirectory, NotFound, PermissionDenied, ResourceBusy]
                    .contains(&error.kind()) =>
            {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, "the directory of the box can't be used for now");
                None
            }
        };
        Ok(Self { path: path.to_owned(), directory })
    }

    /// The files that are in none of its directories.
    pub(crate) const fn files(&mut self) -> Option<&mut Directory> {
        self.directory.as_mut()
    }

    /// The directories in it, by name.
    ///
    /// # Errors
    /// When they can't be listed.
    pub(crate) fn places(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let (Ok(name), true) = (entry.file_name().into_string(), entry.file_type()?.is_dir())
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// One of them, which needs not be there.
    #[must_use]
    pub(crate) fn place(&self, name: &str) -> Place {
        Place { path: self.path.join(name), directory: None }
    }

    /// Moves files into one of them, in this order.
    ///
    /// # Errors
    /// When one can't be moved; those before it are.
    pub(crate) fn take_in(&self, names: &[String], place: &str) -> io::Result<()> {
        let into = Directory::open(&self.path.join(place))?;
        for name in names {
            fs::rename(self.path.join(name), into.path.join(name))?;
        }
        into.handle.sync_all()
    }
}

/// A directory of the box, which is made when something is written into it.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    directory: Option<Directory>,
}

impl Place {
    /// The directory, when it is there.
    fn existing(&mut self) -> io::Result<Option<&mut Directory>> {
        if self.directory.is_none() && self.path.try_exists()? {
            self.directory = Some(Directory::open(&self.path)?);
        }
        Ok(self.directory.as_mut())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another name beside the one it has.
    ///
    /// # Errors
    /// When it can't be renamed now.
    pub(crate) fn rename(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.with_file_name(name);
        fs::rename(&self.path, &path)?;
        self.path = path;
        Ok(())
    }

    /// Deletes it, when nothing is in it.
    ///
    /// # Errors
    /// When it can't be deleted now.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.directory = None;
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Files for Place {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.existing()?.map_or_else(|| Ok(Vec::new()), Files::list)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => Directory::open(&self.path)?,
        };
        self.directory.insert(directory).write(name, bytes)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.existing()?.ok_or(io::ErrorKind::NotFound)?.read(name)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.existing()?.map_or(Ok(()), |directory| directory.remove(name))
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
