//! The directory of segments on their way to the vault. Each recorded track has
//! a directory in it, and each file in that is one item to log. The name of a
//! file says all that is to be logged of its item. A file is written and synced
//! under a temporary name and gets its own name by a rename, so a file with the
//! name of an item is complete.

use std::collections::BinaryHeap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::{InstanceId, RecordedTrackId, SessionKey};
use crate::evidence::media::Rest;
use crate::recorder::disk::SpoolDisk;
use crate::recorder::engine::SegmentMeta;
use crate::recorder::ports::RecorderError;

/// The end of the name of a file that is not complete yet.
const PART: &str = "part";
/// How names of files write down why nothing came.
const GATED: u32 = 1;
const SILENT: u32 = 2;
/// The file that keeps other processes out.
const LOCK: &str = "lock";
/// The file that names the process whose spool it is.
const INSTANCE: &str = "instance";
/// The file with which a disk that failed is tried.
const PROBE: &str = "probe.part";
/// Bytes written to it: a block of most file systems.
const PROBE_BYTES: usize = 4_096;

/// Whose items a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) key: SessionKey,
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
    Rest { ms: (u64, u64), rest: Rest },
    /// The file is empty.
    End { at_ms: u64, segments: u64 },
}

impl Item {
    pub(super) fn segment(number: u64, epoch: u32, it: &SegmentMeta) -> Self {
        let SegmentMeta { index, sha256, rtp, ms, flags, .. } = *it;
        Self { number, kind: ItemKind::Segment { index, epoch, sha256, rtp, ms, flags } }
    }

    /// The latest time that it names, milliseconds since 1970.
    pub(super) const fn latest_ms(&self) -> u64 {
        match self.kind {
            ItemKind::Segment { ms: (_, to_ms), .. }
            | ItemKind::Gap { ms: (_, to_ms), .. }
            | ItemKind::Rest { ms: (_, to_ms), .. } => to_ms,
            ItemKind::End { at_ms, .. } => at_ms,
        }
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
            ItemKind::Rest { ms: (from, to), rest } => {
                // 0 stands for no decision: those of a room count from 1.
                let (state, decision) = match rest {
                    Rest::Gated { decision } => (GATED, decision.unwrap_or(0)),
                    Rest::Silent => (SILENT, 0),
                };
                format!("{number:010}.r.{from}.{to}.{state}.{decision}")
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
            "r" => {
                let ms = (number_of(&mut words)?, number_of(&mut words)?);
                let (state, decision) = (number_of(&mut words)?, number_of(&mut words)?);
                ItemKind::Rest { ms, rest: rest(state, decision)? }
            }
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

fn rest(state: u32, decision: u64) -> Option<Rest> {
    match (state, decision) {
        (GATED, 0) => Some(Rest::Gated { decision: None }),
        (GATED, decision) => Some(Rest::Gated { decision: Some(decision) }),
        (SILENT, 0) => Some(Rest::Silent),
        _ => None,
    }
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

/// The directory of a recorder, which no other process uses while this lives.
pub(super) struct Spool {
    root: PathBuf,
    lock: File,
    disk: Arc<dyn SpoolDisk>,
    /// Held while directories are created or removed, so that none is removed
    /// between its creation and that of the one inside it.
    directories: Mutex<()>,
}

impl Spool {
    pub(super) fn open(root: &Path, disk: Arc<dyn SpoolDisk>) -> Result<Self, RecorderError> {
        disk.create_directory(root).map_err(RecorderError::Spool)?;
        let lock = disk.create(&root.join(LOCK)).map_err(RecorderError::Spool)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| RecorderError::SpoolInUse)?;
        Ok(Self { root: root.to_owned(), lock, disk, directories: Mutex::default() })
    }

    /// Lets another process use the directory, though handles may live on.
    pub(super) fn release(&self) {
        // It can only fail for a file that is not open.
        rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock).ok();
    }

    /// The process that had this directory last; `None` for a new one.
    pub(super) fn last_instance(&self) -> io::Result<Option<InstanceId>> {
        match self.disk.read(&self.root.join(INSTANCE)) {
            Ok(text) => Ok(String::from_utf8_lossy(&text).trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes down whose it is now.
    pub(super) fn note_instance(&self, instance: InstanceId) -> io::Result<()> {
        let part = self.root.join(format!("{INSTANCE}.{PART}"));
        let mut file = self.disk.create(&part)?;
        self.disk.write(&mut file, format!("{instance}\n").as_bytes())?;
        self.disk.sync(&file)?;
        self.disk.rename(&part, &self.root.join(INSTANCE))?;
        self.disk.sync_directory(&self.root)
    }

    pub(super) fn disk(&self) -> &dyn SpoolDisk {
        &*self.disk
    }

    /// Free bytes on its disk.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes(&self.root)
    }

    /// Tries whether the disk takes a file.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.root.join(PROBE);
        let mut file = self.disk.create(&path)?;
        self.disk.write(&mut file, &[0; PROBE_BYTES])?;
        self.disk.sync(&file)?;
        self.disk.remove_file(&path)
    }

    pub(super) fn directory(&self, place: &Place) -> PathBuf {
        self.root
            .join(place.key.tenant.to_string())
            .join(place.key.session.to_string())
            .join(place.recorded.to_string())
    }

    /// Where an item is written before it is complete.
    pub(super) fn part_path(&self, place: &Place, item: u64) -> PathBuf {
        self.directory(place).join(format!("{item:010}.{PART}"))
    }

    /// Where an item is once it is complete.
    pub(super) fn path(&self, place: &Place, item: &Item) -> PathBuf {
        self.directory(place).join(item.name())
    }

    /// Creates a file in the directory of a track, and the directory if it is
    /// missing.
    pub(super) fn create(&self, place: &Place, path: &Path) -> io::Result<File> {
        {
            let _directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
            self.disk.create_directory(&self.directory(place))?;
        }
        self.disk.create(path)
    }

    /// Brings the names in a track's directory to stable storage.
    pub(super) fn sync_directory(&self, place: &Place) -> io::Result<()> {
        self.disk.sync_directory(&self.directory(place))
    }

    /// Brings the names of a track's directory and of those above it to stable
    /// storage.
    pub(super) fn sync_ancestors(&self, place: &Place) -> io::Result<()> {
        let directory = self.directory(place);
        let inside = directory.ancestors().take_while(|it| it.starts_with(&self.root));
        inside.skip(1).try_for_each(|it| self.disk.sync_directory(it))
    }

    /// The tracks that have a directory when a recorder starts. Files that were
    /// not complete are removed: their contents can't be completed.
    pub(super) fn recover(&self) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for (tenant, path) in self.directories_in(&self.root)? {
            for (session, path) in self.directories_in(&path)? {
                for (recorded, path) in self.directories_in(&path)? {
                    self.remove_parts(&path)?;
                    places.push(Place { key: SessionKey::new(tenant, session), recorded });
                }
            }
        }
        Ok(places)
    }

    /// The first items of a track, in order.
    pub(super) fn items(&self, place: &Place, limit: usize) -> io::Result<Vec<Item>> {
        let entries = match self.disk.list(&self.directory(place)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut first = BinaryHeap::new();
        for item in entries.iter().filter_map(|entry| Item::parse(&entry.name)) {
            first.push(item);
            if first.len() > limit {
                first.pop();
            }
        }
        Ok(first.into_sorted_vec())
    }

    /// Size and key commitment of a sealed segment.
    pub(super) fn object(&self, place: &Place, item: &Item) -> io::Result<(u64, [u8; 32])> {
        let mut header = [0; crate::sealing::HEADER_BYTES];
        let size = self.disk.read_start(&self.path(place, item), &mut header)?;
        let mut commitment = [0; 32];
        commitment.copy_from_slice(&header[crate::sealing::SALT_BYTES..]);
        Ok((size, commitment))
    }

    /// Removes an item that is logged. One that is gone already is removed too.
    pub(super) fn remove(&self, place: &Place, item: &Item) -> io::Result<()> {
        match self.disk.remove_file(&self.path(place, item)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Removes the directory of a track of which every item is logged, and the
    /// directories above it that are empty then. What can't be removed now is
    /// removed by a later start.
    pub(super) fn remove_track(&self, place: &Place) {
        let directory = self.directory(place);
        let _directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        if self.remove_parts(&directory).is_err() {
            return;
        }
        for directory in directory.ancestors().take(3) {
            if self.disk.remove_directory(directory).is_err() {
                return;
            }
        }
    }

    fn remove_parts(&self, directory: &Path) -> io::Result<()> {
        for entry in self.disk.list(directory)? {
            let path = directory.join(entry.name);
            if path.extension().is_some_and(|it| it == PART) {
                self.disk.remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Directories that are named by an identifier.
    fn directories_in<T: FromStr>(&self, path: &Path) -> io::Result<Vec<(T, PathBuf)>> {
        let entries = self.disk.list(path)?.into_iter().filter(|entry| entry.is_directory);
        let named = entries.filter_map(|it| Some((it.name.parse().ok()?, path.join(&it.name))));
        Ok(named.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{SessionId, TenantId};

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
        let rest = |rest| ItemKind::Rest { ms: (1, 2), rest };
        for (number, kind) in [
            (0, segment),
            (12, gap),
            (13, rest(Rest::Silent)),
            (14, rest(Rest::Gated { decision: None })),
            (15, rest(Rest::Gated { decision: Some(7) })),
            (16, ItemKind::End { at_ms: 5, segments: 8 }),
        ] {
            let item = Item { number, kind };
            assert!(item.name().len() < 200);
            assert_eq!(Item::parse(&item.name()), Some(item));
        }
        for bad in [
            "",
            "0000000001.part",
            "1.g.1.2",
            "1.g.1.2.3.4",
            "1.g.+1.2.3",
            "x.e.1.2",
            "1.r.1.2.2.1",
            "1.r.1.2.3.0",
        ] {
            assert_eq!(Item::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_spool_is_used_by_one_process_and_drops_incomplete_files() {
        let home = tempfile::tempdir().expect("a directory");
        let disk: Arc<dyn SpoolDisk> = Arc::new(crate::recorder::disk::SystemDisk);
        let open = || Spool::open(home.path(), Arc::clone(&disk));
        let spool = open().expect("opened");
        assert!(matches!(open(), Err(RecorderError::SpoolInUse)));
        let place = Place {
            key: SessionKey::new(TenantId::generate(), SessionId::generate()),
            recorded: RecordedTrackId::random(),
        };
        let items: Vec<Item> = [9, 10, 11, 100]
            .map(|number| Item { number, kind: ItemKind::Gap { ms: (1, 2), reason: 1 } })
            .into();
        for item in items.iter().rev() {
            spool.create(&place, &spool.path(&place, item)).expect("created");
        }
        let part = spool.part_path(&place, 3);
        spool.create(&place, &part).expect("created");
        assert_eq!(spool.recover().expect("read"), [place]);
        assert!(!part.exists());
        assert_eq!(spool.items(&place, 3).expect("listed"), items[..3]);
        for item in &items {
            spool.remove(&place, item).expect("removed");
            spool.remove(&place, item).expect("removed again");
        }
        spool.create(&place, &part).expect("created");
        spool.probe().expect("the disk takes it");
        spool.remove_track(&place);
        assert_eq!(spool.recover().expect("read"), []);
        let left = disk.list(home.path()).expect("listed");
        assert_eq!(left.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["lock"]);
        drop(spool);
        open().expect("free again");
    }
}
