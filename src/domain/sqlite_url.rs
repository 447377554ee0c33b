//! The URL of a database that is a file.

use std::path::Path;

/// The URL of an SQLite file, in which characters that would end the path are encoded; the rest
/// stays readable.
#[must_use]
pub fn sqlite_url(file: &Path) -> String {
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3F");
    format!("sqlite://{}", path.replace('#', "%23"))
}
