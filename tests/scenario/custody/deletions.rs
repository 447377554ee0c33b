//! A vault that a test lets fail when something is deleted.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cabildo::vault::{Contents, ObjectName, Put, Vault, VaultError};

/// When the test is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// Nothing was deleted yet.
    Begins,
    /// The object is deleted.
    Is,
}

/// A vault of which each deletion fails, before or after it was done, when `judge` says so.
pub(crate) struct Deletions<F> {
    pub(crate) inner: Arc<dyn Vault>,
    pub(crate) judge: F,
}

#[async_trait]
impl<F> Vault for Deletions<F>
where
    F: Fn(&ObjectName, Deletion) -> Result<(), VaultError> + Send + Sync,
{
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        self.inner.put(name, contents, sha256).await
    }

    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, VaultError> {
        self.inner.read(name, range).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        (self.judge)(name, Deletion::Begins)?;
        let outcome = self.inner.delete(name).await;
        (self.judge)(name, Deletion::Is)?;
        outcome
    }

    async fn check(&self) -> Result<(), VaultError> {
        self.inner.check().await
    }
}
