//! The certificates of the internal listener, read again when their files change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

use crate::auth::client_cert::{TlsFiles, TlsFilesInvalid, internal_server_config};

/// TLS of the internal listener: its certificate and key, and the authorities of
/// client certificates.
#[derive(Debug)]
pub struct InternalTls {
    files: TlsFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// The files that `config` was made of.
    used: Versions,
    /// Files that could not be used, so that each is reported once.
    rejected: Option<Versions>,
}

/// What [`InternalTls::refresh`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The files are those in use.
    Unchanged,
    /// New connections use the files as they are now.
    Renewed,
    /// The files changed and cannot be used; the ones before stay in use.
    Rejected,
}

/// Device, inode, length and time of change of each file. A file that is replaced
/// by a rename, or a link that is pointed elsewhere, changes its inode.
type Versions = [Option<(u64, u64, u64, i64, i64)>; 3];

impl InternalTls {
    /// Reads the files; they have to be usable. Blocks.
    pub fn read(files: TlsFiles) -> Result<Self, TlsFilesInvalid> {
        // Looked at before they are read, so that a change in between is seen.
        let used = versions(&files);
        let config = Arc::new(internal_server_config(&files)?);
        Ok(Self { files, state: Mutex::new(State { config, used, rejected: None }) })
    }

    /// What a new connection uses.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.config)
    }

    /// Takes up files that have changed. A certificate whose key is not written
    /// yet is rejected, and taken up by a later call. Blocks.
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
