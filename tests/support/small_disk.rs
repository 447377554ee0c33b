//! A small file system that can be filled to the last byte.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory; unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, said on stderr, without the rights of root to mount one.
    pub(crate) fn mount(bytes: u64) -> Option<Self> {
        let directory = TempDir::new().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            tell("no file system can be mounted here: this test needs the rights of root");
        }
        mounted.then_some(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Lets nobody write any more, whatever their rights.
    pub(crate) fn make_read_only(&self) {
        let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(remounted.expect("mount runs").success(), "it stays writable");
    }

    /// Writes a file that uses all free bytes.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).expect("created");
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0; size];
            while filler.write_all(&piece).is_ok() {}
        }
    }

    /// Removes that file.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join("filler")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a file may still be open; what stays ends with this process.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            tell(&format!("{} stays mounted", self.path().display()));
        }
    }
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests reads why one did nothing")]
fn tell(text: &str) {
    eprintln!("{text}");
}
