//! A disk of which each file operation can be delayed or fail.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cabildo::recorder::{DirectoryEntry, SpoolDisk, SystemDisk};

use super::fakes::held;

/// How long an operation is held up: long enough for the other threads to come
/// to rest. What a story expects does not depend on it.
const DELAY: Duration = Duration::from_millis(15);

/// A kind of file operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateDirectory,
    RemoveDirectory,
    List,
    SyncDirectory,
    Create,
    Write,
    Truncate,
    Sync,
    Read,
    ReadStart,
    Rename,
    RemoveFile,
}

impl Operation {
    pub(crate) const ALL: [Self; 12] = [
        Self::CreateDirectory,
        Self::RemoveDirectory,
        Self::List,
        Self::SyncDirectory,
        Self::Create,
        Self::Write,
        Self::Truncate,
        Self::Sync,
        Self::Read,
        Self::ReadStart,
        Self::Rename,
        Self::RemoveFile,
    ];
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is not done, and fails.
    FailsBefore(io::ErrorKind),
    /// It is done, and fails.
    FailsAfter(io::ErrorKind),
    /// It is done late.
    Late,
    /// It is done, and its return is late.
    ReturnsLate,
}

/// Trouble for the operations of one kind from the `nth` on, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) operation: Operation,
    pub(crate) nth: u64,
    pub(crate) times: u64,
    pub(crate) trouble: Trouble,
}

type Hook = Box<dyn Fn(Operation, &Path) -> io::Result<()> + Send + Sync>;

/// The machine's disk, with trouble.
#[derive(Default)]
pub(crate) struct TestDisk {
    pub(crate) free_bytes: AtomicU64,
    pub(crate) writes_fail: AtomicBool,
    /// No sync ends while this is so.
    pub(crate) hangs: AtomicBool,
    plan: Mutex<Option<(Plan, u64)>>,
    /// Called after each operation that has a path.
    hook: Mutex<Option<std::sync::Arc<Hook>>>,
}

impl TestDisk {
    pub(crate) fn expect(&self, plan: Plan) {
        *held(&self.plan) = Some((plan, 0));
    }

    /// Whether an operation was as planned.
    pub(crate) fn had_trouble(&self) -> bool {
        held(&self.plan).is_none_or(|(plan, seen)| seen >= plan.nth)
    }

    pub(crate) fn after_each(
        &self,
        hook: impl Fn(Operation, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) {
        *held(&self.hook) = Some(std::sync::Arc::new(Box::new(hook)));
    }

    fn trouble(&self, operation: Operation) -> Option<Trouble> {
        let mut plan = held(&self.plan);
        let (plan, seen) = plan.as_mut().filter(|(plan, _)| plan.operation == operation)?;
        *seen += 1;
        let now = plan.nth <= *seen && *seen < plan.nth + plan.times;
        now.then_some(plan.trouble)
    }

    fn act<T>(
        &self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let trouble = self.trouble(operation);
        match trouble {
            Some(Trouble::FailsBefore(kind)) => return Err(kind.into()),
            Some(Trouble::Late) => std::thread::sleep(DELAY),
            _ => {}
        }
        let done = act();
        match trouble {
            Some(Trouble::FailsAfter(kind)) => return done.and(Err(kind.into())),
            Some(Trouble::ReturnsLate) => std::thread::sleep(DELAY),
            _ => {}
        }
        let hook = held(&self.hook).clone();
        if let Some(hook) = hook {
            hook(operation, path)?;
        }
        done
    }
}

impl SpoolDisk for TestDisk {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free_bytes.load(Ordering::SeqCst))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::CreateDirectory, path, || SystemDisk.create_directory(path))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::RemoveDirectory, path, || SystemDisk.remove_directory(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.act(Operation::List, path, || SystemDisk.list(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::SyncDirectory, path, || File::open(path).map(|_| ()))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.act(Operation::Create, path, || SystemDisk.create(path))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if self.writes_fail.load(Ordering::SeqCst) {
            // Half of it is written.
            SystemDisk.write(file, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.act(Operation::Write, Path::new(""), || SystemDisk.write(file, bytes))
    }

    fn truncate(&self, file: &mut File, length: u64) -> io::Result<()> {
        self.act(Operation::Truncate, Path::new(""), || SystemDisk.truncate(file, length))
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        while self.hangs.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Nobody pulls the plug: what is written can be read.
        self.act(Operation::Sync, Path::new(""), || Ok(()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.act(Operation::Read, path, || SystemDisk.read(path))
    }

    fn read_start(&self, path: &Path, start: &mut [u8]) -> io::Result<u64> {
        self.act(Operation::ReadStart, path, || SystemDisk.read_start(path, start))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(Operation::Rename, to, || SystemDisk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::RemoveFile, path, || SystemDisk.remove_file(path))
    }
}
