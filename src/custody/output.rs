//! The directory to which a bundle is written. It is created under a temporary name beside the
//! requested one and renamed when it is complete, so that an incomplete bundle never has the
//! requested name. If it is dropped before, it is removed.

use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::BufWriter;

use crate::custody::CustodyError;

pub(super) struct Output {
    wanted: PathBuf,
    partial: PathBuf,
    is_whole: bool,
}

impl Output {
    /// Creates the temporary directory. The requested path must not exist or must be an empty
    /// directory.
    pub(super) async fn begin(wanted: &Path) -> Result<Self, CustodyError> {
        if !is_free(wanted).await? {
            return Err(CustodyError::OutputNotEmpty(wanted.to_owned()));
        }
        let mut name = wanted.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", uuid::Uuid::new_v4().simple()));
        let partial = wanted.with_file_name(name);
        fs::create_dir(&partial).await.map_err(at(&partial))?;
        Ok(Self { wanted: wanted.to_owned(), partial, is_whole: false })
    }

    /// Creates a directory in it.
    pub(super) async fn directory(&self, name: &str) -> Result<(), CustodyError> {
        let path = self.partial.join(name);
        fs::create_dir_all(&path).await.map_err(at(&path))
    }

    /// Creates a file in it.
    pub(super) async fn file(&self, name: &str) -> Result<BufWriter<File>, CustodyError> {
        let path = self.partial.join(name);
        let file = File::create_new(&path).await.map_err(at(&path))?;
        Ok(BufWriter::new(file))
    }

    /// Writes a whole file.
    pub(super) async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CustodyError> {
        let path = self.partial.join(name);
        fs::write(&path, bytes).await.map_err(at(&path))
    }

    /// Removes a file that is not needed.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CustodyError> {
        let path = self.partial.join(name);
        fs::remove_file(&path).await.map_err(at(&path))
    }

    /// Makes the error of a failure to write a file in it.
    pub(super) fn failed(&self, name: &str) -> impl FnOnce(std::io::Error) -> CustodyError + use<> {
        at(&self.partial.join(name))
    }

    /// Renames it to the requested path.
    pub(super) async fn finish(mut self) -> Result<(), CustodyError> {
        fs::rename(&self.partial, &self.wanted).await.map_err(at(&self.wanted))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = std::fs::remove_dir_all(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "an incomplete bundle could not be removed");
        }
    }
}

async fn is_free(path: &Path) -> Result<bool, CustodyError> {
    match fs::read_dir(path).await {
        Ok(mut files) => Ok(files.next_entry().await.map_err(at(path))?.is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CustodyError + use<> {
    let path = path.to_owned();
    move |source| CustodyError::Output { path, source }
}
