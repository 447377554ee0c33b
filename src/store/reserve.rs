//! Disk space beside an SQLite file that is reserved for work that was begun.

use std::path::PathBuf;

use sea_orm::sqlx::sqlite::SqliteConnectOptions;

use crate::domain::store_error::StoreError;
use crate::store::error::SetupError;
use crate::store::options::{Engine, StoreOptions};

/// The disk of an SQLite file. When less than the reserve is free, new work is refused: sessions,
/// joins, decisions. The reserve is for logs and for claimed background work, so that acknowledged
/// work can be completed.
#[derive(Debug)]
pub(super) struct DiskReserve {
    directory: PathBuf,
    free_bytes_min: u64,
}

impl DiskReserve {
    /// `None` for databases that are not files of this process.
    pub(super) fn of(options: &StoreOptions, engine: Engine) -> Result<Option<Self>, SetupError> {
        if engine != Engine::Sqlite || options.free_bytes_min == 0 {
            return Ok(None);
        }
        let file: SqliteConnectOptions =
            options.url.expose().parse().map_err(|_| SetupError::InvalidUrl)?;
        let directory = file.get_filename().parent().map(ToOwned::to_owned).unwrap_or_default();
        let directory = if directory.as_os_str().is_empty() { ".".into() } else { directory };
        Ok(Some(Self { directory, free_bytes_min: options.free_bytes_min }))
    }

    /// Refuses new work when less than the reserve is free.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let disk = rustix::fs::statvfs(&self.directory)
            .map_err(|error| StoreError::Unavailable(format!("its disk: {error}")))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= self.free_bytes_min {
            return Ok(());
        }
        let (free, least) = (free >> 20, self.free_bytes_min >> 20);
        Err(StoreError::Unavailable(format!("its disk has {free} MiB free, less than {least} MiB")))
    }
}
