//! Files of private keys. They appear complete or not at all, are readable only by their owner, and
//! are never replaced, even when another process makes one at the same time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A key could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file or its directory can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file does not contain a key of the kind that its name says, in PKCS #8 PEM.
    #[error("{} does not hold the key that its name says", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
    },
    /// The file does not contain the name of an operator log: one line without spaces and `+`.
    #[error("{} does not hold the name of an operator log", path.display())]
    NotAName {
        /// The file.
        path: PathBuf,
    },
}

/// Makes the error for an I/O error at a path.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError + use<> {
    let path = path.to_owned();
    move |source| KeyFileError::File { path, source }
}

/// Whether a new file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// The file was made with these contents.
    New,
    /// The file existed and was not changed.
    WasThere,
}

/// Creates `directory/name`, which is on stable storage when this returns.
pub(super) fn make(directory: &Path, name: &str, pem: &str) -> Result<Made, KeyFileError> {
    fs::create_dir_all(directory).map_err(at(directory))?;
    let path = directory.join(name);
    // Written under a temporary name and then linked: creating a link never replaces a file, and
    // the file is complete when its name appears.
    let draft = directory.join(format!(".draft-{:032x}", rand::random::<u128>()));
    let made = write_draft(&draft, pem).and_then(|()| match fs::hard_link(&draft, &path) {
        Ok(()) => Ok(Made::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::WasThere),
        Err(error) => Err(error),
    });
    let removed = fs::remove_file(&draft);
    let made = made.map_err(at(&path))?;
    removed.map_err(at(&draft))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(at(directory))?;
    Ok(made)
}

fn write_draft(draft: &Path, pem: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

/// Reads the text of a key file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    fs::read_to_string(path).map(Zeroizing::new).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("deep/er");
        assert_eq!(make(&place, "a.pem", "one").expect("made"), Made::New);
        assert_eq!(make(&place, "a.pem", "two").expect("left"), Made::WasThere);
        assert_eq!(read(&place.join("a.pem")).expect("readable").as_str(), "one");
        let mode = fs::metadata(place.join("a.pem")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&place).expect("there").count(), 1, "a draft was left");
    }
}
