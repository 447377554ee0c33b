//! Segments on their way to the vault. A directory a recorded track; each file
//! in it is one item to log, and its name says all that is to be logged, so
//! that it is complete the moment it has it.

use std::collections::BinaryHeap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::domain::id::{RecordedTrackId, SessionId, TenantId};
use crate::recorder::engine::SegmentMeta;
use crate::recorder::ports::{RecorderError, SpoolDisk};

/// The end of the name of a segment that is being written.
const PART: &str = "part";
/// The file that keeps other processes out.
const LOCK: &str = "lock";

/// Whose items a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
    pub(super) recorded: RecordedTrackId,
}

/// One thing to log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// Its place among the items of its track.
    pub(super) number: u64,
    pub(super) kind: ItemKind,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ItemKind {
    /// The file is a sealed segment.
    Segment {
        index: u64,
        epoch: u32,
        sha256: [u8; 32],
        rtp: (u64, u64),
        ms: (u64, u64),
        flags: u32,
    },
    /// The file is empty.
    Gap { ms: (u64, u64), reason: u32 },
    /// The file is empty.
    End { at_ms: u64, segments: u64 },
}

impl Item {
    pub(super) fn segment(number: u64, epoch: u32, it: &SegmentMeta) -> Self {
        let SegmentMeta { index, sha256, rtp, ms, flags, .. } = *it;
        Self { number, kind: ItemKind::Segment { index, epoch, sha256, rtp, ms, flags } }
    }

    pub(super) fn name(&self) -> String {
        let number = self.number;
        match &self.kind {
            ItemKind::Segment { index, epoch, sha256, rtp, ms, flags } => {
                let hash = Hex(sha256);
                let ((first, last), (from, to)) = (rtp, ms);
                format!("{number:010}.s.{index}.{epoch}.{hash}.{first}.{last}.{from}.{to}.{flags}")
            }
            ItemKind::Gap { ms: (from, to), reason } => {
                format!("{number:010}.g.{from}.{to}.{reason}")
            }
            ItemKind::End { at_ms, segments } => format!("{number:010}.e.{at_ms}.{segments}"),
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut words = name.split('.');
        let number = number(words.next())?;
        let kind = match words.next()? {
            "s" => ItemKind::Segment {
                index: number_of(&mut words)?,
                epoch: number_of(&mut words)?,
                sha256: hash(words.next()?)?,
                rtp: (number_of(&mut words)?, number_of(&mut words)?),
                ms: (number_of(&mut words)?, number_of(&mut words)?),
                flags: number_of(&mut words)?,
            },
            "g" => ItemKind::Gap {
                ms: (number_of(&mut words)?, number_of(&mut words)?),
                reason: number_of(&mut words)?,
            },
            "e" => {
                ItemKind::End { at_ms: number_of(&mut words)?, segments: number_of(&mut words)? }
            }
            _ => return None,
        };
        words.next().is_none().then_some(Self { number, kind })
    }
}

fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn number_of<'name, T: FromStr>(words: &mut impl Iterator<Item = &'name str>) -> Option<T> {
    number(words.next())
}

struct Hex<'hash>(&'hash [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The directory of a recorder. It is this process's own while this lives.
#[derive(Debug)]
pub(super) struct Spool {
    root: PathBuf,
    lock: File,
}

impl Spool {
    pub(super) fn open(root: &Path) -> Result<Self, RecorderError> {
        fs::create_dir_all(root).map_err(RecorderError::Spool)?;
        let lock = File::create(root.join(LOCK)).map_err(RecorderError::Spool)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| RecorderError::SpoolInUse)?;
        Ok(Self { root: root.to_owned(), lock })
    }

    /// Gives the directory to whoever comes next, though handles may live on.
    pub(super) fn release(&self) {
        // It can only fail for a file that is not open.
        rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock).ok();
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn directory(&self, place: &Place) -> PathBuf {
        self.root
            .join(place.tenant.to_string())
            .join(place.session.to_string())
            .join(place.recorded.to_string())
    }

    /// The directory of a track, made if it is not there.
    pub(super) fn make(&self, place: &Place) -> io::Result<PathBuf> {
        let directory = self.directory(place);
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// Makes sure that a track's directory is found after a crash.
    pub(super) fn sync_ancestors(&self, directory: &Path, disk: &dyn SpoolDisk) -> io::Result<()> {
        let inside = directory.ancestors().take_while(|it| it.starts_with(&self.root));
        inside.skip(1).try_for_each(|it| disk.sync(&File::open(it)?))
    }

    /// The tracks that have a directory, after a start. What was being written
    /// is removed: it is not whole and never will be.
    pub(super) fn recover(&self) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for (tenant, path) in directories(&self.root)? {
            for (session, path) in directories(&path)? {
                for (recorded, path) in directories(&path)? {
                    for entry in fs::read_dir(&path)? {
                        let path = entry?.path();
                        if path.extension().is_some_and(|it| it == PART) {
                            fs::remove_file(path)?;
                        }
                    }
                    places.push(Place { tenant, session, recorded });
                }
            }
        }
        Ok(places)
    }

    /// The first items of a track, in order.
    pub(super) fn items(&self, place: &Place, limit: usize) -> io::Result<Vec<Item>> {
        let entries = match fs::read_dir(self.directory(place)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut first = BinaryHeap::new();
        for entry in entries {
            let name = entry?.file_name();
            if let Some(item) = name.to_str().and_then(Item::parse) {
                first.push(item);
                if first.len() > limit {
                    first.pop();
                }
            }
        }
        Ok(first.into_sorted_vec())
    }

    pub(super) fn path(&self, place: &Place, item: &Item) -> PathBuf {
        self.directory(place).join(item.name())
    }

    /// Puts an item without contents in its place, durably.
    pub(super) fn note(&self, place: &Place, item: &Item, disk: &dyn SpoolDisk) -> io::Result<()> {
        let directory = self.make(place)?;
        disk.sync(&File::create(directory.join(item.name()))?)?;
        disk.sync(&File::open(&directory)?)?;
        self.sync_ancestors(&directory, disk)
    }

    /// Removes an item that is done with.
    pub(super) fn remove(&self, place: &Place, item: &Item) -> io::Result<()> {
        match fs::remove_file(self.path(place, item)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the directory of a track that is done with, and those above it
    /// that are empty then.
    pub(super) fn remove_track(&self, place: &Place) {
        let directory = self.directory(place);
        for directory in directory.ancestors().take(3) {
            if fs::remove_dir(directory).is_err() {
                return;
            }
        }
    }
}

pub(super) fn part_name(item: u64) -> String {
    format!("{item:010}.{PART}")
}

/// Size and key commitment of the object in a file.
pub(super) fn object(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(path)?;
    let mut header = [0; crate::sealing::HEADER_BYTES];
    file.read_exact(&mut header)?;
    let mut commitment = [0; 32];
    commitment.copy_from_slice(&header[crate::sealing::SALT_BYTES..]);
    Ok((file.metadata()?.len(), commitment))
}

/// Directories that are named by an identifier.
fn directories<T: FromStr>(path: &Path) -> io::Result<Vec<(T, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id
            && entry.file_type()?.is_dir()
        {
            found.push((id, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_item_says_everything() {
        let segment = ItemKind::Segment {
            index: 7,
            epoch: 1,
            sha256: [0xAB; 32],
            rtp: (u64::MAX, 1 << 40),
            ms: (1_700_000_000_000, 1_700_000_004_000),
            flags: 9,
        };
        let gap = ItemKind::Gap { ms: (1, 2), reason: 3 };
        for (number, kind) in
            [(0, segment), (12, gap), (13, ItemKind::End { at_ms: 5, segments: 8 })]
        {
            let item = Item { number, kind };
            assert!(item.name().len() < 200);
            assert_eq!(Item::parse(&item.name()), Some(item));
        }
        for bad in ["", "0000000001.part", "1.g.1.2", "1.g.1.2.3.4", "1.g.+1.2.3", "x.e.1.2"] {
            assert_eq!(Item::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_spool_is_of_one_process_and_forgets_what_was_not_whole() {
        let home = tempfile::tempdir().expect("a directory");
        let spool = Spool::open(home.path()).expect("its own");
        assert!(matches!(Spool::open(home.path()), Err(RecorderError::SpoolInUse)));
        let place = Place {
            tenant: TenantId::generate(),
            session: SessionId::generate(),
            recorded: RecordedTrackId::random(),
        };
        let disk = crate::recorder::ports::SystemDisk;
        let items: Vec<Item> = [9, 10, 11, 100]
            .map(|number| Item { number, kind: ItemKind::Gap { ms: (1, 2), reason: 1 } })
            .into();
        for item in items.iter().rev() {
            spool.note(&place, item, &disk).expect("noted");
        }
        let part = spool.directory(&place).join(part_name(3));
        fs::write(&part, b"half").expect("written");
        assert_eq!(spool.recover().expect("read"), [place]);
        assert!(!part.exists());
        assert_eq!(spool.items(&place, 3).expect("listed"), items[..3]);
        for item in &items {
            spool.remove(&place, item).expect("removed");
            spool.remove(&place, item).expect("removed again");
        }
        spool.remove_track(&place);
        assert_eq!(spool.recover().expect("read"), []);
        drop(spool);
        Spool::open(home.path()).expect("free again");
    }
}
