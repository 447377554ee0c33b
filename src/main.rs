//! The only binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Installed before anything makes a TLS connection; no other code installs one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::from(3);
    }
    cabildo::cli::run(std::env::args_os())
}
