//! What could not be sent yet: groups of pictures in files, up to a limit. At the limit the oldest
//! are given up, and are missing in the capture then. What a disk does not take is in memory, up to
//! another limit.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::files::{DRAFT, Files};
use crate::media::{Group, Kept, container};

/// How the names of files with groups end.
const GROUP: &str = ".group";
/// Bytes and microseconds that are sent at once. A server takes a little more.
const PART_BYTES_MAX: u64 = 3 << 20;
const PART_US_MAX: i64 = 60_000_000;
const PART_GROUPS_MAX: usize = 64;
/// A part that took longer is not followed by a larger one. Raising it beyond half of what a part may
/// take lets every second one fail on a slow line.
const QUICK: Duration = Duration::from_secs(30);
/// Bytes of groups that the disk did not take. Raising it uses more memory.
const MEMORY_BYTES_MAX: u64 = 16 << 20;
/// A file that can't be read so often, one time after the other, is given up.
const READS_MAX: usize = 3;
/// Groups that are further apart do not follow each other.
const APART_US_MAX: i64 = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    begins_us: i64,
    ends_us: i64,
    bytes: u64,
    /// What it is made of, when the disk did not take it.
    memory: Option<Vec<u8>>,
}

impl Entry {
    fn name(&self) -> String {
        // Names have the order of times.
        format!("{:020}-{:020}{GROUP}", self.begins_us, self.ends_us)
    }

    const fn lasts_us(&self) -> i64 {
        self.ends_us - self.begins_us
    }

    fn of(name: &str, bytes: u64) -> Option<Self> {
        let (begins, ends) = name.strip_suffix(GROUP)?.split_once('-')?;
        let (begins_us, ends_us) = (begins.parse().ok()?, ends.parse().ok()?);
        let entry = Self { begins_us, ends_us, bytes, memory: None };
        (begins_us <= ends_us && entry.name() == name).then_some(entry)
    }
}

/// When the group in a file of this name begins and ends.
pub(crate) fn times_of(name: &str) -> Option<(i64, i64)> {
    Entry::of(name, 0).map(|it| (it.begins_us, it.ends_us))
}

/// How many groups are sent at once: half as many when they were too much at once, for whatever is
/// between the box and the server, and more again when that went well.
#[derive(Debug)]
pub(crate) struct Portion {
    groups: usize,
    most: usize,
}

impl Default for Portion {
    fn default() -> Self {
        Self { groups: PART_GROUPS_MAX, most: PART_GROUPS_MAX }
    }
}

impl Portion {
    /// Something on the way takes no such part, now or later.
    pub(crate) fn is_too_large(&mut self, part: &Part) {
        self.most = (part.entries / 2).max(1);
        self.failed(part);
    }

    /// The part did not come, or one of its groups is refused.
    pub(crate) fn failed(&mut self, part: &Part) {
        self.groups = (part.entries / 2).max(1);
    }

    /// The part is at the server, or given up. Twice as many would take twice as long: that is tried
    /// while it is far from the time that a part may take.
    pub(crate) fn went(&mut self, took: Duration) {
        if took <= QUICK {
            self.groups = (self.groups * 2).min(self.most);
        }
    }
}

/// What is sent next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The container.
    pub(crate) bytes: Vec<u8>,
    /// When it ends, by the box's clock.
    pub(crate) ends_us: i64,
    entries: usize,
}

impl Part {
    /// Whether it can't be made smaller.
    #[must_use]
    pub(crate) const fn is_one_group(&self) -> bool {
        self.entries == 1
    }
}

/// Groups that wait to be sent, the oldest first.
#[derive(Debug)]
pub(crate) struct Buffer<F> {
    files: F,
    limit: u64,
    entries: VecDeque<Entry>,
    given_up: u64,
    given_up_us: i64,
    /// Files of what was sent or given up that could not be deleted.
    undeleted: Vec<String>,
    /// How often the first group could not be read.
    failed_reads: usize,
    /// What waits of captures before this one, the oldest first: it makes room first.
    before: Vec<Arc<Mutex<Self>>>,
    /// Bytes on the disk that are never sent nor given up, and use up the limit.
    aside: u64,
}

impl<F: Files> Buffer<F> {
    /// Over files of which none is there yet.
    pub(crate) fn new(files: F, limit: u64) -> Self {
        Self {
            files,
            limit,
            entries: VecDeque::new(),
            given_up: 0,
            given_up_us: 0,
            undeleted: Vec::new(),
            failed_reads: 0,
            before: Vec::new(),
            aside: 0,
        }
    }

    /// The groups that are in these files.
    ///
    /// # Errors
    /// When they can't be listed.
    pub(crate) fn open(mut files: F, limit: u64) -> io::Result<Self> {
        let mut entries = Vec::new();
        for (name, bytes) in files.list()? {
            if name.ends_with(DRAFT) {
                // The process ended while it was written. It is in nobody's way if it stays.
                drop(files.remove(&name));
            } else {
                entries.extend(Entry::of(&name, bytes));
            }
        }
        entries.sort_by_key(|it| it.begins_us);
        let mut buffer = Self { entries: entries.into(), ..Self::new(files, limit) };
        // A disk that is read-only can be read.
        drop(buffer.make_room(0));
        Ok(buffer)
    }

    /// The limit is for what waits of these captures as well, and for what was set aside.
    pub(crate) fn come_after(&mut self, before: Vec<Arc<Mutex<Self>>>, aside: u64) {
        self.before = before;
        self.aside = aside;
    }

    /// Writes what is in memory to the disk, as far as that takes it.
    ///
    /// # Errors
    /// When something stays in memory.
    pub(crate) fn write_memory(&mut self) -> io::Result<()> {
        for entry in &mut self.entries {
            if let Some(bytes) = &entry.memory {
                self.files.write(&entry.name(), bytes)?;
                entry.memory = None;
            }
        }
        // What was sent is not among what stays.
        self.delete()
    }

    /// Nothing waits any more, and what is on the disk stays there; how many bytes.
    pub(crate) fn set_aside(&mut self) -> u64 {
        let bytes = self.disk_bytes();
        self.entries.clear();
        self.aside += bytes;
        bytes
    }

    /// The files, in which others may be kept beside the groups.
    pub(crate) const fn files(&mut self) -> &mut F {
        &mut self.files
    }

    /// Whether nothing waits.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of what waits.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|it| it.bytes).sum()
    }

    /// When the last group that waits ends.
    #[must_use]
    pub(crate) fn last_us(&self) -> Option<i64> {
        self.entries.back().map(|it| it.ends_us)
    }

    /// How many groups were given up since it was opened.
    #[must_use]
    pub(crate) const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// How long the groups were that were given up since it was opened, in microseconds.
    #[must_use]
    pub(crate) const fn given_up_us(&self) -> i64 {
        self.given_up_us
    }

    /// The server never keeps what is in this part, which is deleted as if it had been sent.
    ///
    /// # Errors
    /// As of [`Self::sent`].
    pub(crate) fn refused(&mut self, part: &Part) -> io::Result<()> {
        let groups = self.entries.iter().take(part.entries);
        self.given_up_us += groups.map(Entry::lasts_us).sum::<i64>();
        self.sent(part)
    }

    /// Keeps a group. When the disk is full, the oldest ones make room.
    ///
    /// # Errors
    /// When it could not be written: it is kept in memory then, and those before are as they were.
    pub(crate) fn push(&mut self, group: &Group) -> io::Result<()> {
        let bytes = container(group);
        let (begins_us, length) = (group.begins_us(), bytes.len() as u64);
        let mut entry = Entry { begins_us, ends_us: group.ends_us, bytes: length, memory: None };
        let written = self.make_room(length).and_then(|()| self.write(&entry.name(), &bytes));
        self.entries.retain(|it| it.begins_us != begins_us);
        if written.is_err() {
            entry.memory = Some(bytes);
        }
        let place = self.entries.partition_point(|it| it.begins_us < begins_us);
        self.entries.insert(place, entry);
        self.fit_memory();
        written
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.files.write(name, bytes) {
                Err(error) if is_full(&error) && self.disk_bytes_of_all() > 0 => {
                    self.give_up_oldest()?;
                }
                written => return written,
            }
        }
    }

    fn fit_memory(&mut self) {
        loop {
            let in_memory = self.entries.iter().filter(|it| it.memory.is_some());
            if in_memory.map(|it| it.bytes).sum::<u64>() <= MEMORY_BYTES_MAX {
                return;
            }
            if let Some(oldest) = self.entries.iter().position(|it| it.memory.is_some()) {
                let oldest = self.entries.remove(oldest);
                self.given_up_us += oldest.as_ref().map_or(0, Entry::lasts_us);
            }
            self.given_up += 1;
        }
    }

    /// The oldest groups that follow each other, as one container.
    ///
    /// # Errors
    /// When they can't be read now. A file that is damaged is given up.
    pub(crate) fn next(&mut self, portion: &Portion) -> io::Result<Option<Part>> {
        let mut kept: Vec<Kept> = Vec::new();
        let (mut bytes, mut ends_us) = (0, 0);
        while kept.len() < portion.groups
            && let Some(entry) = self.entries.get(kept.len())
        {
            let begins_us = kept.first().map_or(entry.begins_us, |it| it.base_us);
            let follows = (entry.begins_us - ends_us).abs() <= APART_US_MAX
                && bytes + entry.bytes <= PART_BYTES_MAX
                && entry.ends_us - begins_us <= PART_US_MAX;
            if !kept.is_empty() && !follows {
                break;
            }
            let (entry_bytes, entry_ends_us) = (entry.bytes, entry.ends_us);
            match read(&mut self.files, entry) {
                Ok(Some(group)) => {
                    bytes += entry_bytes;
                    ends_us = entry_ends_us;
                    kept.push(group);
                }
                // What can't be read is told apart from what follows.
                Ok(None) | Err(_) if !kept.is_empty() => break,
                Ok(None) => self.give_up_first(),
                Err(error) => {
                    self.failed_reads += 1;
                    if self.failed_reads < READS_MAX {
                        return Err(error);
                    }
                    self.give_up_first();
                }
            }
        }
        if !kept.is_empty() {
            self.failed_reads = 0;
        }
        let part = || Part { bytes: Kept::joined(&kept), ends_us, entries: kept.len() };
        Ok((!kept.is_empty()).then(part))
    }

    /// Deletes what was sent.
    ///
    /// # Errors
    /// When it can't be deleted now: that it was sent is known until the process ends.
    pub(crate) fn sent(&mut self, part: &Part) -> io::Result<()> {
        for _ in 0..part.entries {
            let Some(entry) = self.entries.pop_front_if(|it| it.ends_us <= part.ends_us) else {
                break;
            };
            self.discard(&entry);
        }
        self.delete()
    }

    /// Deletes what ends before, as it is at the server already.
    ///
    /// # Errors
    /// When it can't be deleted now; it is not sent, either.
    pub(crate) fn forget_until(&mut self, us: i64) -> io::Result<()> {
        while let Some(entry) = self.entries.pop_front_if(|it| it.ends_us <= us) {
            self.discard(&entry);
        }
        self.delete()
    }

    fn discard(&mut self, entry: &Entry) {
        if entry.memory.is_none() {
            self.undeleted.push(entry.name());
        }
    }

    fn delete(&mut self) -> io::Result<()> {
        let Self { files, undeleted, .. } = self;
        let mut deleted = Ok(());
        undeleted.retain(|name| match files.remove(name) {
            Ok(()) => false,
            Err(error) => {
                deleted = Err(error);
                true
            }
        });
        deleted
    }

    /// The first group is of no use.
    fn give_up_first(&mut self) {
        self.failed_reads = 0;
        if let Some(entry) = self.entries.pop_front() {
            self.given_up += 1;
            self.given_up_us += entry.lasts_us();
            self.discard(&entry);
            // It is tried again with what is deleted next.
            drop(self.delete());
        }
    }

    fn disk_bytes(&self) -> u64 {
        self.entries.iter().filter(|it| it.memory.is_none()).map(|it| it.bytes).sum()
    }

    fn disk_bytes_of_all(&self) -> u64 {
        self.before.iter().map(|it| lock(it).disk_bytes()).sum::<u64>() + self.disk_bytes()
    }

    fn aside_of_all(&self) -> u64 {
        self.before.iter().map(|it| lock(it).aside).sum::<u64>() + self.aside
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        loop {
            let used = self.disk_bytes_of_all();
            if used == 0 || used + self.aside_of_all() + bytes <= self.limit {
                return Ok(());
            }
            self.give_up_oldest()?;
        }
    }

    fn give_up_oldest(&mut self) -> io::Result<()> {
        let oldest = self.before.iter().find(|it| lock(it).disk_bytes() > 0);
        if let Some(oldest) = oldest {
            lock(oldest).give_up()?;
            self.given_up += 1;
            return Ok(());
        }
        self.give_up()
    }

    /// The oldest one on the disk makes room.
    fn give_up(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.entries.iter().position(|it| it.memory.is_none())
            && let Some(entry) = self.entries.get(oldest)
        {
            self.files.remove(&entry.name())?;
            self.given_up_us += entry.lasts_us();
            self.entries.remove(oldest);
            self.given_up += 1;
        }
        Ok(())
    }
}

/// The group, unless it is damaged.
fn read<F: Files>(files: &mut F, entry: &Entry) -> io::Result<Option<Kept>> {
    if let Some(bytes) = &entry.memory {
        return Ok(Kept::read(bytes));
    }
    match files.read(&entry.name()) {
        Ok(bytes) => Ok(Kept::read(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lock<F>(buffer: &Mutex<Buffer<F>>) -> MutexGuard<'_, Buffer<F>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::*;
    use crate::media::tests::group;

    const S: i64 = 1_000_000;
    const LARGE: u64 = 1 << 30;

    /// What a disk holds, and what goes wrong with it.
    #[derive(Default)]
    struct Disk {
        files: BTreeMap<String, Vec<u8>>,
        operations: usize,
        /// The operation that fails, and how.
        fault: Option<(usize, io::ErrorKind)>,
        /// Bytes that fit.
        room: Option<usize>,
        /// It can be read only.
        is_read_only: bool,
        /// Nothing can be read.
        is_unreadable: bool,
    }

    #[derive(Clone, Default)]
    struct Fake(Rc<RefCell<Disk>>);

    impl Fake {
        fn step(&self) -> io::Result<std::cell::RefMut<'_, Disk>> {
            let mut disk = self.0.borrow_mut();
            disk.operations += 1;
            match disk.fault {
                Some((number, kind)) if number == disk.operations => Err(kind.into()),
                _ => Ok(disk),
            }
        }
    }

    impl Files for Fake {
        fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
            let disk = self.step()?;
            Ok(disk.files.iter().map(|(name, it)| (name.clone(), it.len() as u64)).collect())
        }

        fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
            let draft = format!("{name}{DRAFT}");
            // A fault leaves half of the draft behind, as a crash does.
            self.0.borrow_mut().files.insert(draft.clone(), bytes[..bytes.len() / 2].to_vec());
            let mut disk = self.step()?;
            disk.files.remove(&draft);
            if disk.is_read_only {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            let used: usize = disk.files.values().map(Vec::len).sum();
            if disk.room.is_some_and(|room| used + bytes.len() > room) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.files.insert(name.to_owned(), bytes.to_vec());
            Ok(())
        }

        fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
            let disk = self.step()?;
            if disk.is_unreadable {
                return Err(io::ErrorKind::Other.into());
            }
            disk.files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn remove(&mut self, name: &str) -> io::Result<()> {
            let mut disk = self.step()?;
            if disk.is_read_only {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            disk.files.remove(name);
            Ok(())
        }
    }

    /// Sends all that waits; the seconds at which the groups of each part end.
    fn drained(buffer: &mut Buffer<Fake>) -> Vec<i64> {
        let mut ends = Vec::new();
        while let Some(part) = buffer.next(&Portion::default()).expect("read") {
            assert!(Kept::read(&part.bytes).is_some(), "a part is no container");
            ends.push(part.ends_us / S);
            buffer.sent(&part).expect("deleted");
        }
        ends
    }

    #[test]
    fn groups_that_follow_each_other_are_sent_together_and_others_are_not() {
        let mut buffer = Buffer::open(Fake::default(), LARGE).expect("opened");
        for begins in (0..100).step_by(2).chain([110, 112]) {
            buffer.push(&group(begins * S)).expect("written");
        }
        assert_eq!(buffer.last_us(), Some(114 * S));
        // A minute at most, and not over the hole.
        assert_eq!(drained(&mut buffer), [60, 100, 114]);
        assert!(buffer.is_empty() && buffer.bytes() == 0);
    }

    #[test]
    fn at_the_limit_the_oldest_are_given_up() {
        let bytes = container(&group(0)).len() as u64;
        let mut buffer = Buffer::open(Fake::default(), 3 * bytes).expect("opened");
        for begins in 0..10 {
            buffer.push(&group(begins * 2 * S)).expect("written");
            assert!(buffer.bytes() <= 3 * bytes);
        }
        assert_eq!(buffer.given_up(), 7);
        let part = buffer.next(&Portion::default()).expect("read").expect("groups wait");
        assert_eq!(Kept::read(&part.bytes).expect("a container").base_us, 14 * S);
        // A full disk is a limit as well.
        let disk = Fake::default();
        disk.0.borrow_mut().room = Some(usize::try_from(2 * bytes).expect("small"));
        let mut buffer = Buffer::open(disk, LARGE).expect("opened");
        for begins in 0..5 {
            buffer.push(&group(begins * 2 * S)).expect("written");
        }
        assert_eq!((buffer.given_up(), drained(&mut buffer)), (3, vec![10]));
        // A limit below one group keeps the newest one.
        let mut buffer = Buffer::open(Fake::default(), 1).expect("opened");
        buffer.push(&group(0)).expect("written");
        buffer.push(&group(2 * S)).expect("written");
        assert_eq!(drained(&mut buffer), [4]);
    }

    #[test]
    fn whatever_operation_fails_the_others_are_kept_and_a_start_finds_them() {
        let story = |disk: &Fake| {
            let mut lost = Vec::new();
            let Ok(mut buffer) = Buffer::open(disk.clone(), LARGE) else { return vec![-1] };
            for begins in [0, 2, 4, 6] {
                if buffer.push(&group(begins * S)).is_err() {
                    lost.push(begins);
                }
            }
            // What fails is tried again, as it is by the one that sends.
            for _ in 0..2 {
                if let Ok(Some(part)) = buffer.next(&Portion::default())
                    && buffer.sent(&part).is_ok()
                {
                    break;
                }
            }
            buffer.push(&group(8 * S)).is_err().then(|| lost.push(8));
            lost
        };
        let whole = Fake::default();
        assert_eq!(story(&whole), [] as [i64; 0]);
        let operations = whole.0.borrow().operations;
        for number in 1..=operations {
            let disk = Fake::default();
            disk.0.borrow_mut().fault = Some((number, io::ErrorKind::Other));
            let lost = story(&disk);
            assert!(
                lost.len() <= 1,
                "operation {number} loses more than what it was for: {lost:?}"
            );
            let mut buffer = Buffer::open(disk.clone(), LARGE).expect("opened again");
            let drafts = |name: &&String| name.ends_with(DRAFT);
            assert_eq!(disk.0.borrow().files.keys().filter(drafts).count(), 0, "{number}");
            if lost == [-1] {
                continue;
            }
            let ends = drained(&mut buffer);
            assert_eq!(
                ends.last(),
                if lost == [8] { None } else { Some(&10) },
                "{number}: {lost:?}"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_given_up_and_those_around_it_are_sent() {
        let disk = Fake::default();
        let mut buffer = Buffer::open(disk.clone(), LARGE).expect("opened");
        for begins in [0, 2, 4, 6] {
            buffer.push(&group(begins * S)).expect("written");
        }
        let names: Vec<String> = disk.0.borrow().files.keys().cloned().collect();
        disk.0.borrow_mut().files.insert(names[1].clone(), b"CBLM\x01 cut".to_vec());
        disk.0.borrow_mut().files.remove(&names[2]);
        disk.0.borrow_mut().files.insert("notes.txt".to_owned(), b"of somebody else".to_vec());
        let mut buffer = Buffer::open(disk.clone(), LARGE).expect("opened");
        assert_eq!(drained(&mut buffer), [2, 8]);
        assert_eq!(disk.0.borrow().files.keys().collect::<Vec<_>>(), ["notes.txt"]);
    }

    #[test]
    fn what_the_server_has_is_not_sent() {
        let mut buffer = Buffer::open(Fake::default(), LARGE).expect("opened");
        for begins in [0, 2, 4] {
            buffer.push(&group(begins * S)).expect("written");
        }
        buffer.forget_until(5 * S).expect("deleted");
        let part = buffer.next(&Portion::default()).expect("read").expect("one waits");
        assert_eq!(Kept::read(&part.bytes).expect("a container").base_us, 4 * S);
    }

    #[test]
    fn a_part_that_is_too_large_is_halved_down_to_one_group_and_others_become_large_again() {
        let mut buffer = Buffer::open(Fake::default(), LARGE).expect("opened");
        for begins in (0..80).step_by(2) {
            buffer.push(&group(begins * S)).expect("written");
        }
        let mut portion = Portion::default();
        let mut tried = Vec::new();
        loop {
            let part = buffer.next(&portion).expect("read").expect("groups wait");
            tried.push(part.ends_us / (2 * S));
            if part.is_one_group() {
                break;
            }
            portion.failed(&part);
        }
        assert_eq!(tried, [30, 15, 7, 3, 1]);
        for groups in [2, 4, 8] {
            portion.went(QUICK);
            assert_eq!(buffer.next(&portion).expect("read").expect("one").entries, groups);
        }
        portion.went(QUICK + Duration::from_secs(1));
        assert_eq!(buffer.next(&portion).expect("read").expect("one").entries, 8, "a slow line");
        let part = buffer.next(&portion).expect("read").expect("one");
        portion.is_too_large(&part);
        portion.went(Duration::ZERO);
        assert_eq!(buffer.next(&portion).expect("read").expect("one").entries, 4);
    }

    #[test]
    #[expect(clippy::arc_with_non_send_sync, reason = "one thread uses the disk of a test")]
    fn captures_before_make_room_first_and_share_the_limit() {
        let bytes = container(&group(0)).len() as u64;
        let [mut first, mut second] =
            [(); 2].map(|()| Buffer::open(Fake::default(), 4 * bytes).expect("opened"));
        for begins in [0, 2] {
            first.push(&group(begins * S)).expect("written");
        }
        second.push(&group(50 * S)).expect("written");
        let (first, second) = (Arc::new(Mutex::new(first)), Arc::new(Mutex::new(second)));
        let mut buffer = Buffer::open(Fake::default(), 4 * bytes).expect("opened");
        buffer.come_after(vec![Arc::clone(&first), Arc::clone(&second)], 0);
        let mut left = Vec::new();
        for begins in [100, 102, 104, 106] {
            buffer.push(&group(begins * S)).expect("written");
            left.push((lock(&first).bytes() / bytes, lock(&second).bytes() / bytes));
        }
        assert_eq!(left, [(2, 1), (1, 1), (0, 1), (0, 0)]);
        assert_eq!((buffer.bytes() / bytes, buffer.given_up()), (4, 3));
        buffer.push(&group(108 * S)).expect("written");
        assert_eq!(drained(&mut buffer), [110], "its own oldest makes room then");
    }

    #[test]
    fn what_is_set_aside_uses_up_the_limit_and_makes_no_room() {
        let bytes = container(&group(0)).len() as u64;
        let disk = Fake::default();
        let mut buffer = Buffer::open(disk.clone(), 3 * bytes).expect("opened");
        disk.0.borrow_mut().is_read_only = true;
        buffer.push(&group(0)).expect_err("it is read-only");
        disk.0.borrow_mut().is_read_only = false;
        buffer.push(&group(2 * S)).expect("written");
        buffer.write_memory().expect("written");
        assert_eq!(buffer.set_aside(), 2 * bytes);
        assert!(buffer.is_empty());
        for begins in [4, 6] {
            buffer.push(&group(begins * S)).expect("written");
        }
        assert_eq!((buffer.given_up(), buffer.bytes()), (1, bytes));
        assert_eq!(disk.0.borrow().files.len(), 3);
        assert_eq!(drained(&mut buffer), [8]);
    }

    #[test]
    fn a_disk_that_turns_read_only_is_sent_once_and_what_comes_then_is_kept_in_memory() {
        let disk = Fake::default();
        let mut buffer = Buffer::open(disk.clone(), LARGE).expect("opened");
        for begins in [0, 2, 4] {
            buffer.push(&group(begins * S)).expect("written");
        }
        disk.0.borrow_mut().is_read_only = true;
        buffer.push(&group(6 * S)).expect_err("it is read-only");
        buffer.push(&group(8 * S)).expect_err("it is read-only");
        let part = buffer.next(&Portion::default()).expect("read").expect("all of them");
        assert_eq!((part.ends_us, part.entries), (10 * S, 5));
        buffer.sent(&part).expect_err("nothing can be deleted");
        assert!(buffer.is_empty(), "it would be sent for ever");
        assert_eq!(disk.0.borrow().files.len(), 3);
        disk.0.borrow_mut().is_read_only = false;
        buffer.forget_until(0).expect("deleted");
        assert!(disk.0.borrow().files.is_empty(), "what was sent is deleted once that can be");
        assert_eq!(buffer.given_up(), 0);
    }

    #[test]
    fn what_is_kept_in_memory_has_a_limit() {
        let disk = Fake::default();
        disk.0.borrow_mut().is_read_only = true;
        let mut buffer = Buffer::open(disk, LARGE).expect("opened");
        let large = |begins_us| {
            let units = vec![bytes::Bytes::from(vec![0; 1 << 20])];
            let made = vec![crate::media::Made::Picture { at_us: begins_us, key: true, units }];
            Group { made, ends_us: begins_us + 2 * S }
        };
        for number in 0..20 {
            buffer.push(&large(number * 2 * S)).expect_err("it is read-only");
        }
        let bytes = container(&large(0)).len() as u64;
        assert_eq!((buffer.given_up(), buffer.bytes()), (5, 15 * bytes));
        let part = buffer.next(&Portion::default()).expect("read").expect("groups wait");
        assert_eq!(Kept::read(&part.bytes).expect("a container").base_us, 10 * S);
    }

    #[test]
    fn what_can_not_be_read_again_and_again_holds_up_nothing() {
        let disk = Fake::default();
        let mut buffer = Buffer::open(disk.clone(), LARGE).expect("opened");
        buffer.push(&group(0)).expect("written");
        disk.0.borrow_mut().is_unreadable = true;
        for _ in 1..READS_MAX {
            buffer.next(&Portion::default()).expect_err("it may be read later");
        }
        assert_eq!(buffer.next(&Portion::default()).expect("given up"), None);
        assert_eq!((buffer.given_up(), buffer.is_empty()), (1, true));
    }
}
