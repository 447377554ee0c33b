//! The only module that writes to the terminal.

use std::io::Write as _;

/// Prints a line on stdout. A closed stdout is no error, as with `| head`.
pub(super) fn print(line: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Prints a line on stderr.
pub(super) fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
