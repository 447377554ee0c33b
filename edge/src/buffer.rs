//! What could not be sent yet: groups of pictures in files, up to a limit. At the limit the oldest
//! are given up, and are missing in the capture then.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{DRAFT, Files};
use crate::media::{Group, Kept, container};

/// How the names of files with groups end.
const GROUP: &str = ".group";
/// Bytes and microseconds that are sent at once. A server takes a little more.
const PART_BYTES_MAX: u64 = 3 << 20;
const PART_US_MAX: i64 = 60_000_000;
const PART_GROUPS_MAX: usize = 64;
/// Groups that are further apart do not follow each other.
const APART_US_MAX: i64 = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    begins_us: i64,
    ends_us: i64,
    bytes: u64,
}

impl Entry {
    fn name(&self) -> String {
        // Names have the order of times.
        format!("{:020}-{:020}{GROUP}", self.begins_us, self.ends_us)
    }

    fn of(name: &str, bytes: u64) -> Option<Self> {
        let (begins, ends) = name.strip_suffix(GROUP)?.split_once('-')?;
        let (begins_us, ends_us) = (begins.parse().ok()?, ends.parse().ok()?);
        let entry = Self { begins_us, ends_us, bytes };
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

    /// The part is at the server, or given up.
    pub(crate) fn went(&mut self) {
        self.groups = (self.groups * 2).min(self.most);
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
    /// What waits of captures before this one, the oldest first: it makes room first.
    before: Vec<Arc<Mutex<Self>>>,
}

impl<F: Files> Buffer<F> {
    /// Over files of which none is there yet.
    pub(crate) fn new(files: F, limit: u64) -> Self {
        Self { files, limit, entries: VecDeque::new(), given_up: 0, before: Vec::new() }
    }

    /// The groups that are in these files.
    ///
    /// # Errors
    /// When they can't be listed.
    pub(crate) fn open(mut files: F, limit: u64) -> io::Result<Self> {
        let mut entries = Vec::new();
        for (name, bytes) in files.list()? {
            if name.ends_with(DRAFT) {
                // The process ended while it was written.
                files.remove(&name)?;
            } else {
                entries.extend(Entry::of(&name, bytes));
            }
        }
        entries.sort_by_key(|it| it.begins_us);
        let mut buffer = Self { entries: entries.into(), ..Self::new(files, limit) };
        buffer.make_room(0)?;
        Ok(buffer)
    }

    /// The limit is for what waits of these captures as well.
    pub(crate) fn come_after(&mut self, before: Vec<Arc<Mutex<Self>>>) {
        self.before = before;
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

    /// Keeps a group. When the disk is full, the oldest ones make room.
    ///
    /// # Errors
    /// When it could not be written: it is lost then, and those before are not.
    pub(crate) fn push(&mut self, group: &Group) -> io::Result<()> {
        let bytes = container(group);
        let length = bytes.len() as u64;
        let entry = Entry { begins_us: group.begins_us(), ends_us: group.ends_us, bytes: length };
        self.make_room(length)?;
        let written = loop {
            match self.files.write(&entry.name(), &bytes) {
                Err(error) if is_full(&error) && self.all_bytes() > 0 => self.give_up_oldest()?,
                written => break written,
            }
        };
        if let Err(error) = written {
            self.given_up += 1;
            return Err(error);
        }
        self.entries.retain(|it| it.begins_us != entry.begins_us);
        let place = self.entries.partition_point(|it| it.begins_us < entry.begins_us);
        self.entries.insert(place, entry);
        Ok(())
    }

    /// The oldest groups that follow each other, as one container.
    ///
    /// # Errors
    /// When they can't be read now. A file that is damaged is given up.
    pub(crate) fn next(&mut self, portion: &Portion) -> io::Result<Option<Part>> {
        let mut kept: Vec<Kept> = Vec::new();
        let (mut bytes, mut ends_us) = (0, 0);
        while kept.len() < portion.groups
            && let Some(entry) = self.entries.get(kept.len()).cloned()
        {
            let begins_us = kept.first().map_or(entry.begins_us, |it| it.base_us);
            let follows = (entry.begins_us - ends_us).abs() <= APART_US_MAX
                && bytes + entry.bytes <= PART_BYTES_MAX
                && entry.ends_us - begins_us <= PART_US_MAX;
            if !kept.is_empty() && !follows {
                break;
            }
            let read = match self.files.read(&entry.name()) {
                Ok(read) => Kept::read(&read),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            match read {
                Some(group) => {
                    bytes += entry.bytes;
                    ends_us = entry.ends_us;
                    kept.push(group);
                }
                // What is damaged is told apart from what follows.
                None if kept.is_empty() => self.give_up()?,
                None => break,
            }
        }
        let part = || Part { bytes: Kept::joined(&kept), ends_us, entries: kept.len() };
        Ok((!kept.is_empty()).then(part))
    }

    /// Deletes what was sent.
    ///
    /// # Errors
    /// When it can't be deleted now: it is sent again then.
    pub(crate) fn sent(&mut self, part: &Part) -> io::Result<()> {
        for _ in 0..part.entries {
            let Some(entry) = self.entries.front() else { break };
            if entry.ends_us > part.ends_us {
                break;
            }
            self.files.remove(&entry.name())?;
            self.entries.pop_front();
        }
        Ok(())
    }

    /// Deletes what ends before, as it is at the server already.
    ///
    /// # Errors
    /// When it can't be deleted now.
    pub(crate) fn forget_until(&mut self, us: i64) -> io::Result<()> {
        while let Some(entry) = self.entries.front().filter(|it| it.ends_us <= us) {
            self.files.remove(&entry.name())?;
            self.entries.pop_front();
        }
        Ok(())
    }

    /// Bytes of what waits, of captures before as well.
    fn all_bytes(&self) -> u64 {
        self.before.iter().map(|it| lock(it).bytes()).sum::<u64>() + self.bytes()
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.all_bytes() > 0 && self.all_bytes() + bytes > self.limit {
            self.give_up_oldest()?;
        }
        Ok(())
    }

    fn give_up_oldest(&mut self) -> io::Result<()> {
        let oldest = self.before.iter().find(|it| !lock(it).is_empty());
        if let Some(oldest) = oldest {
            lock(oldest).give_up()?;
            self.given_up += 1;
            return Ok(());
        }
        self.give_up()
    }

    fn give_up(&mut self) -> io::Result<()> {
        if let Some(entry) = self.entries.front() {
            self.files.remove(&entry.name())?;
            self.entries.pop_front();
            self.given_up += 1;
        }
        Ok(())
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
            let used: usize = disk.files.values().map(Vec::len).sum();
            if disk.room.is_some_and(|room| used + bytes.len() > room) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.files.insert(name.to_owned(), bytes.to_vec());
            Ok(())
        }

        fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
            let disk = self.step()?;
            disk.files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn remove(&mut self, name: &str) -> io::Result<()> {
            self.step()?.files.remove(name);
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
            portion.went();
            assert_eq!(buffer.next(&portion).expect("read").expect("one").entries, groups);
        }
        let part = buffer.next(&portion).expect("read").expect("one");
        portion.is_too_large(&part);
        portion.went();
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
        buffer.come_after(vec![Arc::clone(&first), Arc::clone(&second)]);
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
}
