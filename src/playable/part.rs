//! Parts of a file in the vault; each is sealed as one object.

use std::sync::Arc;

use sha2::Digest as _;

use crate::domain::hex::hex;
use crate::domain::id::{PlayableId, SessionId, SessionKey, TenantId};
use crate::playable::PlayableError;
use crate::sealing::{ContentKey, Context, Opener, Sealer, random_salt, sealed_bytes};
use crate::vault::{Contents, ObjectName, Vault, VaultError};

/// Default plaintext size of a part, in bytes; the last part of a file or scene is shorter.
pub const PART_BYTES: usize = 4 << 20;

/// Stores the parts of one file.
#[derive(Clone)]
pub(super) struct Parts {
    pub vault: Arc<dyn Vault>,
    pub tenant: TenantId,
    pub session: SessionId,
    pub file: PlayableId,
    pub key: ContentKey,
}

impl Parts {
    pub(super) fn name(&self, part: u64) -> ObjectName {
        ObjectName::part(SessionKey::new(self.tenant, self.session), self.file, part)
    }

    pub(super) const fn context(&self, part: u64) -> Context {
        Context::Part { session: self.session, file: self.file, part }
    }

    /// Seals a part and stores it. A stored part with the same plaintext is kept; one with another
    /// plaintext was left by interrupted work and is replaced.
    pub(super) async fn put(&self, part: u64, plaintext: &[u8]) -> Result<(), PlayableError> {
        let name = self.name(part);
        let capacity = sealed_bytes(plaintext.len() as u64);
        let mut object = Vec::with_capacity(usize::try_from(capacity).unwrap_or(0));
        let mut sealer = Sealer::new(&self.key, &self.context(part), random_salt(), &mut object);
        sealer.write(plaintext, &mut object);
        let sha256 = sealer.finish(&mut object).sha256;
        match self.vault.put(&name, Contents::Bytes(&object), sha256).await {
            Ok(_) => return Ok(()),
            Err(VaultError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let there = self.vault.read(&name, None).await?;
        if Opener::open(&self.key, &self.context(part), &there).is_ok_and(|old| old == plaintext) {
            return Ok(());
        }
        self.vault.delete(&name).await?;
        self.vault.put(&name, Contents::Bytes(&object), sha256).await?;
        Ok(())
    }
}

/// A keyed hash over the parts, by which the server recognises after a restart that the parts it
/// makes again equal the stored ones.
#[derive(Clone)]
pub(super) struct Proof(hmac::Hmac<sha2::Sha256>);

impl Proof {
    pub(super) fn new(key: &ContentKey) -> Self {
        use hmac::{KeyInit as _, Mac as _};
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key.secret().expose())
            .expect("a key of any length fits");
        mac.update(b"cabildo/parts/v1");
        Self(mac)
    }

    pub(super) fn update(&mut self, plaintext: &[u8]) {
        use hmac::Mac as _;
        self.0.update(&sha2::Sha256::digest(plaintext));
    }

    /// The hash in hexadecimal, as it is stored.
    pub(super) fn text(&self) -> String {
        use hmac::Mac as _;
        hex(&self.0.clone().finalize().into_bytes())
    }
}
