//! Where the files of this clone are.

use std::path::PathBuf;

/// The directory of this package. Read when a test runs: clones of the project
/// share compiled tests, and none may read the files of another one.
pub(crate) fn package_root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it").into()
}
