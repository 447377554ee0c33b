//! Where the files of a bundle are written: a directory. It is created under a temporary name
//! beside the requested one and renamed when it is complete, so that an incomplete bundle never has
//! the requested name. If it is dropped before, it is removed. A single file is written likewise.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::custody::CustodyError;

/// Takes the files of a bundle, one after the other.
#[async_trait]
pub(super) trait Output: Send {
    /// Begins a file of this many bytes; the one before is complete.
    async fn begin(&mut self, name: &str, length: u64) -> Result<(), CustodyError>;

    /// Adds bytes to the file that was begun last.
    async fn append(&mut self, bytes: Bytes) -> Result<(), CustodyError>;

    /// Leaves out a file of this many bytes that whoever takes the bundle has already; `false`
    /// when it has to be written.
    async fn skip(&mut self, length: u64) -> Result<bool, CustodyError>;
}

/// A directory that becomes a bundle.
pub(super) struct Directory {
    wanted: PathBuf,
    partial: PathBuf,
    file: Option<(PathBuf, BufWriter<File>)>,
    is_whole: bool,
}

impl Directory {
    /// Creates the temporary directory. The requested path must not exist or must be an empty
    /// directory.
    pub(super) async fn begin(wanted: &Path) -> Result<Self, CustodyError> {
        if !is_free(wanted).await? {
            return Err(CustodyError::OutputNotEmpty(wanted.to_owned()));
        }
        let partial = partial_of(wanted);
        let objects = partial.join("objects");
        // The name of the temporary directory is of no use to whoever reads the message.
        let beside = wanted.parent().filter(|path| !path.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new("."));
        fs::create_dir(&partial).await.map_err(at(beside))?;
        let directory = Self { wanted: wanted.to_owned(), partial, file: None, is_whole: false };
        fs::create_dir(&objects).await.map_err(at(&objects))?;
        Ok(directory)
    }

    /// Renames it to the requested path.
    pub(super) async fn finish(mut self) -> Result<(), CustodyError> {
        self.end_file().await?;
        fs::rename(&self.partial, &self.wanted).await.map_err(at(&self.wanted))?;
        self.is_whole = true;
        Ok(())
    }

    async fn end_file(&mut self) -> Result<(), CustodyError> {
        let Some((path, mut file)) = self.file.take() else { return Ok(()) };
        file.flush().await.map_err(at(&path))
    }
}

#[async_trait]
impl Output for Directory {
    async fn begin(&mut self, name: &str, _length: u64) -> Result<(), CustodyError> {
        self.end_file().await?;
        let path = self.partial.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).await.map_err(at(parent))?;
        }
        let file = File::create_new(&path).await.map_err(at(&path))?;
        self.file = Some((path, BufWriter::new(file)));
        Ok(())
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), CustodyError> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(&bytes).await.map_err(at(path))
    }

    async fn skip(&mut self, _length: u64) -> Result<bool, CustodyError> {
        Ok(false)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = std::fs::remove_dir_all(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "an incomplete bundle could not be removed");
        }
    }
}

/// A single file. The requested name is taken at once by an empty file; the contents are beside it until
/// [`Document::finish`]. If it is dropped before, both are removed.
pub(super) struct Document {
    wanted: PathBuf,
    partial: PathBuf,
    is_whole: bool,
}

impl Document {
    /// Writes the contents. The requested path must not exist.
    pub(super) async fn write(wanted: &Path, contents: &[u8]) -> Result<Self, CustodyError> {
        match File::create_new(wanted).await {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(CustodyError::OutputExists(wanted.to_owned()));
            }
            taken => drop(taken.map_err(at(wanted))?),
        }
        let partial = partial_of(wanted);
        let document = Self { wanted: wanted.to_owned(), partial, is_whole: false };
        // The name beside it is of no use to whoever reads the message.
        let mut file = File::create_new(&document.partial).await.map_err(at(wanted))?;
        file.write_all(contents).await.map_err(at(wanted))?;
        file.sync_all().await.map_err(at(wanted))?;
        Ok(document)
    }

    /// Gives the contents the requested name.
    pub(super) async fn finish(mut self) -> Result<(), CustodyError> {
        fs::rename(&self.partial, &self.wanted).await.map_err(at(&self.wanted))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        for path in [&self.partial, &self.wanted] {
            if !self.is_whole
                && let Err(error) = std::fs::remove_file(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "an incomplete file could not be removed");
            }
        }
    }
}

/// A name beside `wanted` for what is not complete.
fn partial_of(wanted: &Path) -> PathBuf {
    let mut name = wanted.file_name().unwrap_or_default().to_owned();
    name.push(format!(".partial-{}", uuid::Uuid::new_v4().simple()));
    wanted.with_file_name(name)
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
