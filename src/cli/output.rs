//! The only module that writes to the terminal.

use std::io::{self, Write as _};
use std::sync::OnceLock;

/// Why something could not be printed, once that has happened.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a line on stdout. What a command does goes on when that fails, and [`lost`] tells of it.
pub(super) fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    note(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Notes whether something was printed. A closed stdout is no error, as with `| head`.
pub(super) fn note(printed: io::Result<()>) {
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error);
    }
}

/// Why not everything was printed, as on a full disk.
pub(super) fn lost() -> Option<&'static io::Error> {
    LOST.get()
}

/// Prints a line on stderr.
pub(super) fn complain(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
