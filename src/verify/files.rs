//! Access to the files of a bundle, with limits on what is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::cbor::{self, CborError};
use super::cose::of_cbor;
use super::report::{Code, Finding};

/// An opened file.
pub struct Opened<'a> {
    /// Its length in bytes when it was opened.
    pub length: u64,
    /// Its contents.
    pub reader: Box<dyn Read + 'a>,
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Opened").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The files of a bundle.
pub trait Files {
    /// Opens a file by its name in the bundle, with slashes; `None` when there is no such file.
    fn open(&self, name: &str) -> io::Result<Option<Opened<'_>>>;

    /// Calls `visit` with the name of everything below `objects/`, without that prefix.
    fn visit_objects(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()>;
}

/// A bundle in a directory. Only regular files are read, so that a bundle can't make the verifier
/// wait for a pipe or read a device.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Makes access to the bundle in `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

fn unless_absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Files for Directory {
    fn open(&self, name: &str) -> io::Result<Option<Opened<'_>>> {
        let path = self.root.join(name);
        let Some(metadata) = unless_absent(fs::symlink_metadata(&path))? else { return Ok(None) };
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = File::open(path)?;
        Ok(Some(Opened { length: file.metadata()?.len(), reader: Box::new(file) }))
    }

    fn visit_objects(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        let Some(tracks) = unless_absent(fs::read_dir(self.root.join("objects")))? else {
            return Ok(());
        };
        for track in tracks {
            let track = track?;
            let track_name = track.file_name();
            let track_name = track_name.to_string_lossy();
            if !track.file_type()?.is_dir() {
                visit(&track_name);
                continue;
            }
            for object in fs::read_dir(track.path())? {
                let object = object?.file_name();
                visit(&format!("{track_name}/{}", object.to_string_lossy()));
            }
        }
        Ok(())
    }
}

/// A bundle in memory.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    /// Contents of the files by their names.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Files for InMemory {
    fn open(&self, name: &str) -> io::Result<Option<Opened<'_>>> {
        Ok(self.files.get(name).map(|contents| Opened {
            length: contents.len() as u64,
            reader: Box::new(contents.as_slice()),
        }))
    }

    fn visit_objects(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.files.keys().filter_map(|name| name.strip_prefix("objects/")).for_each(visit);
        Ok(())
    }
}

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It does not exist.
    Absent,
    /// It could not be read.
    Failed(io::Error),
    /// It is larger than a limit.
    Refused(Finding),
}

/// A document without the byte order mark (RFC 3629 §6) that editors put before what they save.
#[must_use]
pub fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document)
}

/// Reads a whole file of at most `limit` bytes.
pub(super) fn read_whole(files: &dyn Files, name: &str, limit: u64) -> Result<Vec<u8>, Unread> {
    let opened = files.open(name).map_err(Unread::Failed)?.ok_or(Unread::Absent)?;
    let mut contents = Vec::new();
    opened.reader.take(limit + 1).read_to_end(&mut contents).map_err(Unread::Failed)?;
    if contents.len() as u64 > limit {
        let text = format!("{name} has more than {limit} bytes");
        return Err(Unread::Refused(Finding::new(Code::TooLarge, text)));
    }
    Ok(contents)
}

/// The items of a CBOR sequence (RFC 8742), one at a time.
pub(super) struct Items<'a> {
    reader: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    /// Where the next item starts in the buffer, and the length of the last one.
    start: usize,
    is_over: bool,
    item_bytes_max: usize,
}

/// Bytes read from a sequence at a time.
const FILL_BYTES: u64 = 256 * 1024;

impl<'a> Items<'a> {
    pub(super) fn new(opened: Opened<'a>, item_bytes_max: usize) -> Self {
        let reader = opened.reader;
        Self { reader, buffer: Vec::new(), start: 0, is_over: false, item_bytes_max }
    }

    /// The bytes of the next item, which are deterministic CBOR; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Unread> {
        loop {
            let rest = &self.buffer[self.start..];
            if rest.is_empty() && self.is_over {
                return Ok(None);
            }
            match cbor::read_first(rest) {
                Ok((_, length)) if length <= self.item_bytes_max => {
                    let item = self.start..self.start + length;
                    self.start = item.end;
                    return Ok(Some(&self.buffer[item]));
                }
                Err(CborError::Ends(_)) if rest.len() <= self.item_bytes_max && !self.is_over => {
                    self.fill().map_err(Unread::Failed)?;
                }
                Ok(_) => return Err(too_large()),
                Err(CborError::Ends(_)) if !self.is_over => return Err(too_large()),
                Err(error) => return Err(Unread::Refused(of_cbor(error))),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let read = (&mut self.reader).take(FILL_BYTES).read_to_end(&mut self.buffer)?;
        self.is_over = read == 0;
        Ok(())
    }
}

fn too_large() -> Unread {
    Unread::Refused(Finding::new(Code::TooLarge, "an item has too many bytes"))
}
