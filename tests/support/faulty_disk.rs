//! A disk of which each operation can fail, by a library that is loaded before the
//! C library of a process (`faulty_disk.c`).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Names of the environment: where operations may fail, and the numbers that say which.
const ROOT: &str = "FAULTY_DISK_ROOT";
const CONTROL: &str = "FAULTY_DISK_CONTROL";
/// The input/output error, the full disk and the read-only disk of Linux.
pub(crate) const ERRORS: [(&str, u64); 3] = [("EIO", 5), ("ENOSPC", 28), ("EROFS", 30)];
/// It fails until it is mended.
pub(crate) const FOR_EVER: u64 = u64::MAX;
/// Of the file with the numbers.
const CONTROL_BYTES: u64 = 4096;

/// The disk, inside the process that uses it.
pub(crate) struct FaultyDisk {
    root: PathBuf,
    control: File,
}

impl FaultyDisk {
    /// Runs the test of this name once more in a process of its own, whose disk can
    /// fail, and expects it to pass. In that process this returns the disk; in the
    /// first one, nothing is left to do.
    pub(crate) fn of_test(name: &str) -> Option<Self> {
        if let (Some(root), Some(control)) = (std::env::var_os(ROOT), std::env::var_os(CONTROL)) {
            let control = OpenOptions::new().write(true).read(true).open(control);
            return Some(Self { root: root.into(), control: control.expect("the numbers") });
        }
        let directory = TempDir::new().expect("a directory");
        let library = build(directory.path())?;
        let (root, control) = (directory.path().join("disk"), directory.path().join("control"));
        std::fs::create_dir(&root).expect("created");
        File::create(&control).and_then(|file| file.set_len(CONTROL_BYTES)).expect("created");
        let passed = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name, "--nocapture"])
            .env("LD_PRELOAD", library)
            .env(ROOT, &root)
            .env(CONTROL, &control)
            .status();
        assert!(passed.expect("it runs").success(), "{name} failed on a disk that fails");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// From the `first` operation on, counted from 1 from now, so many fail.
    pub(crate) fn fail(&self, error: u64, first: u64, times: u64) {
        for (at, number) in [(1, 0), (3, 0), (4, 0), (0, error), (2, times), (1, first)] {
            self.write(at, number);
        }
    }

    /// Nothing fails from now on; how many operations failed before.
    pub(crate) fn mend(&self) -> u64 {
        self.write(1, 0);
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, 4 * 8).expect("read");
        u64::from_ne_bytes(bytes)
    }

    fn write(&self, at: u64, number: u64) {
        self.control.write_all_at(&number.to_ne_bytes(), at * 8).expect("written");
    }
}

/// Compiles the library; `None`, said on stderr, without a C compiler.
fn build(directory: &Path) -> Option<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let library = directory.join("faulty_disk.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(Path::new(&package).join("tests/support/faulty_disk.c"))
        .arg("-ldl")
        .output();
    match built {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(library)
        }
        Err(error) => {
            tell(&format!("this test needs a C compiler: {error}"));
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests reads why one did nothing")]
fn tell(text: &str) {
    eprintln!("{text}");
}
