//! Addresses of cameras at rest: sealed with a key of their own, which the
//! tenant's key wraps.

use std::sync::Arc;

use crate::cameras::engine::source::Source;
use crate::cameras::error::CameraError;
use crate::cameras::repository::SealedSource;
use crate::domain::id::{CameraSecretId, TenantId};
use crate::sealing::{ContentKey, Context, Opener, Sealer, random_key, random_salt};
use crate::vault::{KeyPurpose, KeyVault};

/// Seals and opens addresses.
#[derive(Clone)]
pub(super) struct Secrets {
    keys: Arc<dyn KeyVault>,
}

impl Secrets {
    pub(super) const fn new(keys: Arc<dyn KeyVault>) -> Self {
        Self { keys }
    }

    /// Seals an address, with another key each time.
    pub(super) async fn seal(
        &self,
        tenant: TenantId,
        source: &Source,
    ) -> Result<SealedSource, CameraError> {
        let (id, key) = (CameraSecretId::generate(), random_key());
        let wrapped_key = self.keys.wrap(tenant, KeyPurpose::Camera(id), &key).await?;
        let context = Context::Camera { tenant, secret: id };
        let mut sealed = Vec::new();
        let mut sealer = Sealer::new(&ContentKey::new(key), &context, random_salt(), &mut sealed);
        sealer.write(source.whole().expose().as_bytes(), &mut sealed);
        sealer.finish(&mut sealed);
        Ok(SealedSource { id, wrapped_key, sealed, masked: source.masked() })
    }

    /// Opens a sealed address.
    pub(super) async fn open(
        &self,
        tenant: TenantId,
        sealed: &SealedSource,
    ) -> Result<Source, CameraError> {
        let purpose = KeyPurpose::Camera(sealed.id);
        let key = self.keys.unwrap(tenant, purpose, &sealed.wrapped_key).await?;
        let context = Context::Camera { tenant, secret: sealed.id };
        let opened = Opener::open(&ContentKey::new(key), &context, &sealed.sealed);
        let text = opened.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = zeroize::Zeroizing::new(text.ok_or(CameraError::SecretLost)?);
        Source::parse(&text).map_err(|_| CameraError::SecretLost)
    }
}
