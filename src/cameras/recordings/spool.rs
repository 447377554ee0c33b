//! Segments of cameras that grow, or wait for the vault: a file for each, of sealed pieces that are
//! appended and synced one after the other. Whatever ends the process, all whole pieces are read
//! again; a piece that was cut is left out.
//!
//! A piece is its length in four bytes and a sealed object. The first piece of a file says when the
//! segment began (microseconds since 1970), whether it does not go on where the one before ended,
//! and holds its header; each other one says how many ticks it plays, and holds a part.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::id::{PublicationId, TenantId};
use crate::domain::time::Timestamp;
use crate::recorder::SpoolDisk;
use crate::sealing::{ContentKey, Context, Opener, Sealer, random_salt};

/// The segments in the spool.
pub(super) struct Spool {
    disk: Arc<dyn SpoolDisk>,
    directory: PathBuf,
    free_bytes_min: u64,
}

/// The name of a file: which segment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Whose camera.
    pub(super) tenant: TenantId,
    /// Of which publication.
    pub(super) publication: PublicationId,
    /// The number of the segment within it.
    pub(super) segment: u64,
}

/// How a segment begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beginning {
    /// When its first picture came.
    pub(super) at: Timestamp,
    /// Whether it does not go on where the one before ended.
    pub(super) is_break: bool,
    /// The header that it needs.
    pub(super) header: Vec<u8>,
}

/// A segment as it is in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spooled {
    /// How it begins.
    pub(super) beginning: Beginning,
    /// How long it plays, in ticks.
    pub(super) ticks: u64,
    /// Its bytes.
    pub(super) data: Vec<u8>,
}

/// A segment that grows.
pub(super) struct GrowingFile {
    spool: Arc<Spool>,
    file: File,
    key: Arc<ContentKey>,
    pub(super) name: Name,
    pieces: u64,
}

impl Spool {
    /// The spool in a directory, which is made if it is not there.
    pub(super) fn open(
        disk: Arc<dyn SpoolDisk>,
        directory: &Path,
        free_bytes_min: u64,
    ) -> io::Result<Self> {
        disk.create_directory(directory)?;
        Ok(Self { disk, directory: directory.to_owned(), free_bytes_min })
    }

    /// The segments that are there.
    pub(super) fn waiting(&self) -> io::Result<Vec<Name>> {
        let entries = self.disk.list(&self.directory)?;
        let mut names: Vec<Name> = entries.iter().filter_map(|it| it.name.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Begins a segment.
    pub(super) fn begin(
        self: &Arc<Self>,
        name: Name,
        key: Arc<ContentKey>,
        beginning: &Beginning,
    ) -> io::Result<GrowingFile> {
        if self.disk.free_bytes(&self.directory)? < self.free_bytes_min {
            return Err(io::Error::other("too little of the spool's disk is free"));
        }
        let file = self.disk.create(&self.path(name))?;
        let mut growing = GrowingFile { spool: self.clone(), file, key, name, pieces: 0 };
        let mut piece = beginning.at.unix_us().to_be_bytes().to_vec();
        piece.push(u8::from(beginning.is_break));
        piece.extend_from_slice(&beginning.header);
        let begun = growing.append_piece(&piece);
        if let Err(error) = begun.and_then(|()| self.disk.sync_directory(&self.directory)) {
            // What is left of it is none, and is removed when it is read.
            self.remove(name).ok();
            return Err(error);
        }
        Ok(growing)
    }

    /// Reads a segment; nothing when no whole part of it is there.
    pub(super) fn read(&self, name: Name, key: &ContentKey) -> io::Result<Option<Spooled>> {
        let bytes = self.disk.read(&self.path(name))?;
        let mut pieces = Pieces { rest: &bytes, key, name, next: 0 };
        let Some(beginning) = pieces.next().as_deref().and_then(read_beginning) else {
            return Ok(None);
        };
        let (mut ticks, mut data) = (0_u64, Vec::new());
        for piece in pieces {
            let Some((length, part)) = piece.split_first_chunk() else { break };
            ticks = ticks.saturating_add(u64::from_be_bytes(*length));
            data.extend_from_slice(part);
        }
        Ok((!data.is_empty()).then_some(Spooled { beginning, ticks, data }))
    }

    /// Removes a segment.
    pub(super) fn remove(&self, name: Name) -> io::Result<()> {
        match self.disk.remove_file(&self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, name: Name) -> PathBuf {
        self.directory.join(name.to_string())
    }
}

impl GrowingFile {
    /// Appends a part, which is on stable storage when this returns.
    pub(super) fn append(&mut self, ticks: u64, data: &[u8]) -> io::Result<()> {
        let mut piece = ticks.to_be_bytes().to_vec();
        piece.extend_from_slice(data);
        self.append_piece(&piece)
    }

    fn append_piece(&mut self, plaintext: &[u8]) -> io::Result<()> {
        let context = context(self.name, self.pieces);
        let mut sealed = vec![0; LENGTH_BYTES];
        let mut sealer = Sealer::new(&self.key, &context, random_salt(), &mut sealed);
        sealer.write(plaintext, &mut sealed);
        sealer.finish(&mut sealed);
        let length = u32::try_from(sealed.len() - LENGTH_BYTES).map_err(io::Error::other)?;
        if let Some(head) = sealed.first_chunk_mut() {
            *head = length.to_be_bytes();
        }
        self.spool.disk.write(&mut self.file, &sealed)?;
        self.spool.disk.sync(&self.file)?;
        self.pieces += 1;
        Ok(())
    }
}

/// Bytes of a piece's length.
const LENGTH_BYTES: usize = 4;

/// The whole pieces of a file, opened.
struct Pieces<'file> {
    rest: &'file [u8],
    key: &'file ContentKey,
    name: Name,
    next: u64,
}

impl Iterator for Pieces<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.rest.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (sealed, rest) = rest.split_at_checked(length)?;
        let opened = Opener::open(self.key, &context(self.name, self.next), sealed).ok()?;
        (self.rest, self.next) = (rest, self.next + 1);
        Some(opened)
    }
}

const fn context(Name { tenant, publication, segment }: Name, piece: u64) -> Context {
    Context::Piece { tenant, publication, number: segment, piece }
}

fn read_beginning(piece: &[u8]) -> Option<Beginning> {
    let (at, rest) = piece.split_first_chunk()?;
    let (is_break, header) = rest.split_first()?;
    Some(Beginning {
        at: Timestamp::from_unix_us(i64::from_be_bytes(*at)),
        is_break: *is_break != 0,
        header: header.to_vec(),
    })
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:010}", self.tenant, self.publication, self.segment)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let (tenant, publication, segment) = (parts.next(), parts.next(), parts.next());
        let name = Self {
            tenant: tenant.and_then(|it| it.parse().ok()).ok_or(())?,
            publication: publication.and_then(|it| it.parse().ok()).ok_or(())?,
            segment: segment.and_then(|it| it.parse().ok()).ok_or(())?,
        };
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::recorder::SystemDisk;
    use crate::sealing::random_key;

    fn name(segment: u64) -> Name {
        Name { tenant: TenantId::generate(), publication: PublicationId::generate(), segment }
    }

    fn spool(directory: &Path, free_bytes_min: u64) -> Arc<Spool> {
        let spool = Spool::open(Arc::new(SystemDisk), directory, free_bytes_min);
        Arc::new(spool.expect("opened"))
    }

    fn key() -> Arc<ContentKey> {
        Arc::new(ContentKey::new(random_key()))
    }

    fn beginning() -> Beginning {
        Beginning {
            at: Timestamp::from_unix_us(1_700_000_000_123_456),
            is_break: true,
            header: b"header".to_vec(),
        }
    }

    #[test]
    fn whatever_is_cut_off_all_whole_pieces_are_read_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let (spool, key, name) = (spool(directory.path(), 0), key(), name(7));
        let mut growing = spool.begin(name, key.clone(), &beginning()).expect("begun");
        let path = directory.path().join(name.to_string());
        let mut ends = vec![fs::metadata(&path).expect("there").len()];
        for part in [b"one".as_slice(), b"three", b"five"] {
            growing.append(90_000, part).expect("appended");
            ends.push(fs::metadata(&path).expect("there").len());
        }
        assert_eq!(spool.waiting().expect("listed"), [name]);
        let bytes = fs::read(&path).expect("read");
        for length in 0..=bytes.len() {
            fs::write(&path, &bytes[..length]).expect("written");
            let whole = ends.iter().filter(|end| **end <= length as u64).count();
            let wanted = match whole {
                0 | 1 => None,
                2 => Some(b"one".to_vec()),
                3 => Some(b"onethree".to_vec()),
                _ => Some(b"onethreefive".to_vec()),
            };
            let read = spool.read(name, &key).expect("read");
            assert_eq!(read.as_ref().map(|it| it.data.clone()), wanted, "{length} bytes");
            if let Some(read) = read {
                assert_eq!(read.beginning, beginning());
                assert_eq!(read.ticks, 90_000 * (whole as u64 - 1));
            }
        }
        spool.remove(name).expect("removed");
        spool.remove(name).expect("it is gone already");
        assert!(spool.waiting().expect("listed").is_empty());
    }

    #[test]
    fn pieces_of_another_segment_or_another_place_are_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let (spool, key, one) = (spool(directory.path(), 0), key(), name(1));
        let two = Name { segment: 2, ..one };
        let path = |name: Name| directory.path().join(name.to_string());
        let mut begins = Vec::new();
        let mut growing = spool.begin(one, key.clone(), &beginning()).expect("begun");
        for part in [b"first", b"other"] {
            begins.push(
                usize::try_from(fs::metadata(path(one)).expect("there").len()).expect("fits"),
            );
            growing.append(1, part).expect("appended");
        }
        let bytes = fs::read(path(one)).expect("read");
        fs::write(path(two), &bytes).expect("written");
        assert_eq!(spool.read(two, &key).expect("read"), None, "it is another segment");
        assert_eq!(spool.read(one, &self::key()).expect("read"), None, "it is another key");
        let swapped = [&bytes[..begins[0]], &bytes[begins[1]..], &bytes[begins[0]..begins[1]]];
        fs::write(path(one), swapped.concat()).expect("written");
        assert_eq!(spool.read(one, &key).expect("read"), None, "they are in another order");
        for wrong in ["", "a.b.c", &format!("{one}x"), &one.to_string().to_uppercase()] {
            assert_eq!(wrong.parse::<Name>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_disk_with_too_little_free_or_that_fails_leaves_whole_pieces() {
        let directory = tempfile::tempdir().expect("a directory");
        let (full, key, name) = (spool(directory.path(), u64::MAX), key(), name(0));
        assert!(full.begin(name, key.clone(), &beginning()).is_err());
        assert!(full.waiting().expect("listed").is_empty(), "nothing is left");
        let spool = spool(directory.path(), 0);
        fs::create_dir(directory.path().join(name.to_string())).expect("in the way");
        assert!(spool.begin(name, key.clone(), &beginning()).is_err());
        fs::remove_dir(directory.path().join(name.to_string())).expect("removed");
        let mut growing = spool.begin(name, key.clone(), &beginning()).expect("begun");
        growing.append(1, b"one").expect("appended");
        // A piece that was cut in the middle, as by a disk that is full, ends the segment there.
        growing.file.set_len(growing.file.metadata().expect("there").len() + 9).expect("longer");
        let read = spool.read(name, &key).expect("read").expect("a segment");
        assert_eq!(read.data, b"one");
    }
}
