//! The only place that writes to the terminal.

use std::io::Write as _;

/// Prints a line on stdout. Nobody reading it is no failure: `| head` ends so.
pub(super) fn print(line: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Prints a line on stderr.
pub(super) fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
