//! The errors of the database.

use std::path::PathBuf;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr};

use crate::domain::store_error::StoreError;

/// Why the database can not be used by this server.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL is not supported.
    #[error("the database URL must begin with sqlite: or postgres: and be well formed")]
    InvalidUrl,
    /// SQLite can only read its files.
    #[error(
        "{} can't be written to: SQLite has opened it, or its log beside it, for reading only",
        .file.display()
    )]
    ReadOnly {
        /// The file of the database.
        file: PathBuf,
    },
    /// It failed at what it was asked for.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer binary removed something from the database that this binary may need.
    #[error("the database is too new for this binary: {} removed tables or columns of older versions; run the newer binary or restore a backup", .unknown.join(", "))]
    NewerDatabase {
        /// Removing migrations that this binary does not know.
        unknown: Vec<String>,
    },
    /// The database has not been migrated as far as this binary needs.
    #[error("the database lacks {}; run `cabildo migrate up` or configure the migration role", .pending.join(", "))]
    PendingMigrations {
        /// Migrations that are still to be applied.
        pending: Vec<String>,
    },
    /// The role with which the server connects could read every tenant's data.
    #[error(
        "the database role {role} {reason}, so row-level security would not hold; let the server connect as a role of its own"
    )]
    RoleTooPowerful {
        /// The role.
        role: String,
        /// Its attribute, as a verb phrase.
        reason: String,
    },
    /// The role with which the server connects does not exist and can't be created.
    #[error(
        "the database role {role} does not exist and the migrating role may not create it; create it without SUPERUSER and BYPASSRLS"
    )]
    RoleMissing {
        /// The role.
        role: String,
    },
    /// The name is not allowed for the server's role.
    #[error(
        "{role:?} cannot be the server's database role: 1 to 63 letters, digits and underscores, not beginning with a digit"
    )]
    RoleNameInvalid {
        /// The name.
        role: String,
    },
    /// A table lacks the protection that the migrations set up.
    #[error("row-level security is not forced on {}; run `cabildo migrate up`", .tables.join(", "))]
    Unprotected {
        /// The tables.
        tables: Vec<String>,
    },
}

impl From<DbErr> for SetupError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::TryIntoErr { .. } | DbErr::Type(_) | DbErr::Json(_) => {
                Self::Corrupt(error.to_string())
            }
            other if is_refusal(&other) => Self::Refused(other.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Whether the same statement would fail again: a constraint, or a value that does not fit. Anything
/// else, such as a full disk, a lost connection or a lock, may be over the next time.
fn is_refusal(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| is_refusal_code(&code))
}

fn is_refusal_code(code: &str) -> bool {
    // Codes of PostgreSQL have five characters, of which the first two are the class: data, a
    // constraint, what is allowed, and limits of the program.
    if code.len() == 5 {
        return ["22", "23", "42", "54"].iter().any(|class| code.starts_with(class));
    }
    // Those of SQLite are numbers with the primary code in the low byte: TOOBIG, CONSTRAINT,
    // MISMATCH.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20))
}

/// Converts a stored number to its type in the domain.
pub(super) fn number<T: TryFrom<i64>>(value: i64, column: &str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is out of range")))
}

/// Converts a counter to its stored type.
pub(super) fn stored(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Corrupt("a counter is out of range".to_owned()))
}

/// Converts a stored text to the value of an enumeration.
pub(super) fn word<T>(value: Option<T>, column: &str) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Corrupt(format!("{column} contains an unknown value")))
}

/// Converts stored bytes to a fixed length: a hash or an identifier.
pub(super) fn fixed<const N: usize>(bytes: &[u8], column: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt(format!("{column} has a wrong length")))
}

/// Converts the position from which to read; positions beyond the largest stored number find
/// nothing.
pub(super) fn from_position(from: u64) -> i64 {
    i64::try_from(from).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::is_refusal_code;

    #[test]
    fn what_may_be_over_the_next_time_is_told_from_what_will_not() {
        // A value too long, a unique constraint, no privilege, too many columns; TOOBIG, a primary
        // key, a unique index, MISMATCH.
        for code in ["22001", "23505", "42501", "54011", "18", "1555", "2067", "20"] {
            assert!(is_refusal_code(code), "{code}");
        }
        // A full disk, a deadlock, a server that ends, a cut connection, a read-only one; BUSY,
        // IOERR at a sync, FULL, READONLY.
        for code in ["53100", "40P01", "57P01", "08006", "25006", "5", "1034", "13", "8", ""] {
            assert!(!is_refusal_code(code), "{code}");
        }
    }
}
