//! The certificates that listeners serve with, which are read again when their files change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

use crate::auth::client_cert::{
    TlsFiles, TlsFilesInvalid, internal_server_config, public_server_config,
};

/// From which files a listener is configured.
#[derive(Debug)]
enum Files {
    /// Its certificate and key, and the authorities of client certificates.
    Internal(TlsFiles),
    /// Its certificate and key; clients have no certificates.
    Public { certificate: PathBuf, key: PathBuf },
}

impl Files {
    fn read(&self) -> Result<ServerConfig, TlsFilesInvalid> {
        match self {
            Self::Internal(files) => internal_server_config(files),
            Self::Public { certificate, key } => public_server_config(certificate, key),
        }
    }

    fn versions(&self) -> Versions {
        match self {
            Self::Internal(TlsFiles { client_authorities, certificate, key }) => {
                [version(client_authorities), version(certificate), version(key)]
            }
            Self::Public { certificate, key } => [None, version(certificate), version(key)],
        }
    }
}

/// The TLS configuration of a listener.
#[derive(Debug)]
pub struct ServedTls {
    /// Which listener it is, for the log.
    name: &'static str,
    files: Files,
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

/// The result of [`ServedTls::refresh`].
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

impl ServedTls {
    /// Reads the files of the internal listener, which must be usable. Blocks.
    pub fn read(files: TlsFiles) -> Result<Self, TlsFilesInvalid> {
        Self::of("internal", Files::Internal(files))
    }

    /// Reads the certificate and key of a listener whose clients have no certificates. Blocks.
    pub fn read_public(
        name: &'static str,
        certificate: PathBuf,
        key: PathBuf,
    ) -> Result<Self, TlsFilesInvalid> {
        Self::of(name, Files::Public { certificate, key })
    }

    fn of(name: &'static str, files: Files) -> Result<Self, TlsFilesInvalid> {
        // Taken before the files are read, so that a change in between is noticed.
        let used = files.versions();
        let config = Arc::new(files.read()?);
        Ok(Self { name, files, state: Mutex::new(State { config, used, rejected: None }) })
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
        let found = self.files.versions();
        {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if found == state.used || Some(found) == state.rejected {
                return Refreshed::Unchanged;
            }
        }
        let read = self.files.read();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                *state = State { config: Arc::new(config), used: found, rejected: None };
                tracing::info!(listener = self.name, "a listener uses new certificates");
                Refreshed::Renewed
            }
            Err(error) => {
                state.rejected = Some(found);
                tracing::error!(
                    %error,
                    listener = self.name,
                    "new certificates can't be used; the old ones stay in use"
                );
                Refreshed::Rejected
            }
        }
    }
}

fn version(path: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}
