//! Metrics of the operations of vaults.

use crate::vault::VaultError;

const OPERATIONS: &str = "cabildo_vault_operations_total";
const BYTES: &str = "cabildo_vault_bytes_total";

/// Describes the metrics of operations.
pub(super) fn describe_metrics() {
    metrics::describe_counter!(OPERATIONS, "Operations of the vault, by result.");
    metrics::describe_counter!(BYTES, "Bytes put into the vault and read from it.");
}

/// An operation of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    Read,
    Delete,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Read => "read",
            Self::Delete => "delete",
        }
    }
}

/// Counts an operation and the bytes that it transferred.
pub(super) fn counted<T>(
    operation: Operation,
    result: Result<(T, u64), VaultError>,
) -> Result<T, VaultError> {
    let (outcome, bytes) = match &result {
        Ok((_, bytes)) => ("done", *bytes),
        Err(error) => (word(error), 0),
    };
    let operation = operation.as_str();
    metrics::counter!(OPERATIONS, "operation" => operation, "result" => outcome).increment(1);
    if bytes > 0 {
        metrics::counter!(BYTES, "operation" => operation).increment(bytes);
    }
    result.map(|(done, _)| done)
}

const fn word(error: &VaultError) -> &'static str {
    match error {
        VaultError::NotFound => "not_found",
        VaultError::Conflict => "conflict",
        VaultError::Locked => "locked",
        VaultError::Full => "full",
        VaultError::Unavailable(_) => "unavailable",
        VaultError::Refused(_) => "refused",
    }
}
