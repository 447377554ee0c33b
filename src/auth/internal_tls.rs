//! The certificates of the internal listener, which are read again when their files change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

use crate::auth::client_cert::{TlsFiles, TlsFilesInvalid, internal_server_config};

/// The TLS configuration of the internal listener: its certificate and key, and the authorities of
/// client certificates.
#[derive(Debug)]
pub struct InternalTls {
    files: TlsFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// The versions of the files from which `config` was made.
    used: Versions,
    /// Versions that could not be used, so that each is reported once.
    rejected: Option<Versions>,
}

/// The result of [`InternalTls::refresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The files have not changed.
    Unchanged,
    /// The files have changed; new connections use them.
    Renewed,
    /// The files have changed and can't be used; new connections use the earlier ones.
    Rejected,
}

/// Device, inode, length and change time of each file. A file that is replaced by a rename, or a
/// symbolic link with a new target, changes the inode.
type Versions = [Option<(u64, u64, u64, i64, i64)>; 3];

impl InternalTls {
    /// Reads the files, which must be usable. Blocks.
    pub fn read(files: TlsFiles) -> Result<Self, TlsFilesInvalid> {
        // Taken before the files are read, so that a change in between is noticed.
        let used = versions(&files);
        let config = Arc::new(internal_server_config(&files)?);
        Ok(Self { files, state: Mutex::new(State { config, used, rejected: None }) })
    }

    /// The TLS configuration for a new connection.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.config)
    }

    /// Reads the files again if they have changed. A certificate whose key is not written yet is
    /// rejected, and used by a later call. Blocks.
    pub fn refresh(&self) -> Refreshed {
        let found = versions(&self.files);
        {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if found == state.used || Some(found) == state.rejected {
                return Refreshed::Unchanged;
            }
        }
        let read = internal_server_config(&self.files);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                *state = State { config: Arc::new(config), used: found, rejected: None };
                tracing::info!("the internal listener uses new certificates");
                Refreshed::Renewed
            }
            Err(error) => {
                state.rejected = Some(found);
                tracing::error!(%error, "new certificates can't be used; the old ones stay in use");
                Refreshed::Rejected
            }
        }
    }
}

fn versions(files: &TlsFiles) -> Versions {
    let version = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    [version(&files.client_authorities), version(&files.certificate), version(&files.key)]
}
