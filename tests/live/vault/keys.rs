//! The embedded key vault.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use cabildo::domain::id::{PlayableId, RecordedTrackId, SessionId, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::sealing::random_key;
use cabildo::vault::{KeyPurpose, KeyVault as _, KeyVaultError, LocalKeyVault, wrapped_version};
use tempfile::TempDir;

struct Kit {
    root: TempDir,
    vault: LocalKeyVault,
    tenant: TenantId,
}

impl Kit {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let vault = LocalKeyVault::open(root.path().join("keys")).expect("opened");
        Self { root, vault, tenant: TenantId::generate() }
    }

    fn again(&self) -> LocalKeyVault {
        LocalKeyVault::open(self.root.path().join("keys")).expect("opened")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("keys").join(self.tenant.to_string()).join(name)
    }

    async fn wrap(&self, purpose: KeyPurpose, key: &Secret<[u8; 32]>) -> Vec<u8> {
        self.vault.wrap(self.tenant, purpose, key).await.expect("wrapped")
    }
}

fn purpose() -> KeyPurpose {
    KeyPurpose::Track(RecordedTrackId::random(), 1)
}

#[tokio::test]
async fn a_key_comes_back_for_its_tenant_and_purpose_alone() {
    let kit = Kit::new();
    let (track, session) = (RecordedTrackId::random(), SessionId::generate());
    let file = PlayableId::from_uuid(session.as_uuid());
    let purposes = [
        KeyPurpose::Track(track, 1),
        KeyPurpose::Track(track, 11),
        KeyPurpose::Track(RecordedTrackId::from_uuid(session.as_uuid()), 1),
        KeyPurpose::Events(session),
        KeyPurpose::File(file),
    ];
    let key = random_key();
    for purpose in purposes {
        let wrapped = kit.wrap(purpose, &key).await;
        assert_eq!(wrapped.len(), 65);
        assert_ne!(wrapped, kit.wrap(purpose, &key).await, "each has its nonce");
        for other in purposes {
            let unwrapped = kit.vault.unwrap(kit.tenant, other, &wrapped).await;
            let expected =
                if other == purpose { Ok(key.clone()) } else { Err(KeyVaultError::NotAuthentic) };
            assert_eq!(unwrapped, expected, "{purpose:?} as {other:?}");
        }
        assert_eq!(kit.again().unwrap(kit.tenant, purpose, &wrapped).await, Ok(key.clone()));
    }
    let wrapped = kit.wrap(purposes[0], &key).await;
    let stranger = TenantId::generate();
    let unwrapped = kit.vault.unwrap(stranger, purposes[0], &wrapped).await;
    assert_eq!(unwrapped, Err(KeyVaultError::NoSuchKey));
    kit.vault.rotate(stranger).await.expect("has a key now");
    let unwrapped = kit.vault.unwrap(stranger, purposes[0], &wrapped).await;
    assert_eq!(unwrapped, Err(KeyVaultError::NotAuthentic));
}

#[tokio::test]
async fn a_wrapped_key_is_what_the_format_says() {
    let kit = Kit::new();
    let session = SessionId::generate();
    let key = random_key();
    let wrapped = kit.wrap(KeyPurpose::Events(session), &key).await;
    assert_eq!(wrapped[..5], [1, 0, 0, 0, 1]);
    let tenant_key = std::fs::read(kit.file("0000000001.key")).expect("a key");
    let cipher = Aes256Gcm::new_from_slice(&tenant_key[..32]).expect("32 bytes");
    let aad = format!("cabildo/wrap/v1/{}/events/{session}", kit.tenant);
    let nonce = wrapped[5..17].try_into().expect("12 bytes");
    let sealed = Payload { msg: &wrapped[17..], aad: aad.as_bytes() };
    assert_eq!(cipher.decrypt(nonce, sealed).expect("authentic"), key.expose());
}

#[tokio::test]
async fn a_changed_wrapped_key_is_refused() {
    let kit = Kit::new();
    let purpose = purpose();
    let wrapped = kit.wrap(purpose, &random_key()).await;
    for position in 0..wrapped.len() {
        for bit in [0, 7] {
            let mut changed = wrapped.clone();
            changed[position] ^= 1 << bit;
            let expected = if (1..5).contains(&position) {
                KeyVaultError::NoSuchKey
            } else {
                KeyVaultError::NotAuthentic
            };
            let unwrapped = kit.vault.unwrap(kit.tenant, purpose, &changed).await;
            assert_eq!(unwrapped, Err(expected), "byte {position}");
        }
    }
    for length in 0..wrapped.len() {
        let unwrapped = kit.vault.unwrap(kit.tenant, purpose, &wrapped[..length]).await;
        assert_eq!(unwrapped, Err(KeyVaultError::NotAuthentic), "{length} bytes");
    }
    let longer = [&wrapped[..], &[0]].concat();
    let unwrapped = kit.vault.unwrap(kit.tenant, purpose, &longer).await;
    assert_eq!(unwrapped, Err(KeyVaultError::NotAuthentic));
}

#[tokio::test]
async fn older_versions_unwrap_until_they_are_destroyed() {
    let kit = Kit::new();
    let other_process = kit.again();
    let (purpose, key) = (purpose(), random_key());
    let first = kit.wrap(purpose, &key).await;
    assert_eq!(other_process.rotate(kit.tenant).await, Ok(2));
    let second = kit.wrap(purpose, &key).await;
    assert_eq!([&first, &second].map(|wrapped| wrapped_version(wrapped)), [Some(1), Some(2)]);
    for wrapped in [&first, &second] {
        assert_eq!(kit.vault.unwrap(kit.tenant, purpose, wrapped).await, Ok(key.clone()));
        assert_eq!(other_process.unwrap(kit.tenant, purpose, wrapped).await, Ok(key.clone()));
    }

    assert_eq!(kit.vault.destroy(kit.tenant, 1).await, Ok(()));
    assert!(!kit.file("0000000001.key").exists());
    for vault in [&kit.vault, &other_process, &kit.again()] {
        let unwrapped = vault.unwrap(kit.tenant, purpose, &first).await;
        assert_eq!(unwrapped, Err(KeyVaultError::NoSuchKey));
        assert_eq!(vault.unwrap(kit.tenant, purpose, &second).await, Ok(key.clone()));
    }
    assert_eq!(kit.vault.destroy(kit.tenant, 1).await, Ok(()), "it is destroyed");
    for version in [0, 3, u32::MAX] {
        let destroyed = kit.vault.destroy(kit.tenant, version).await;
        assert_eq!(destroyed, Err(KeyVaultError::NoSuchKey), "{version}");
    }
    let destroyed = kit.vault.destroy(TenantId::generate(), 1).await;
    assert_eq!(destroyed, Err(KeyVaultError::NoSuchKey));
}

#[tokio::test]
async fn a_destroyed_version_is_never_made_again() {
    let kit = Kit::new();
    let (purpose, key) = (purpose(), random_key());
    let first = kit.wrap(purpose, &key).await;
    assert_eq!(kit.vault.destroy(kit.tenant, 1).await, Ok(()));
    let second = kit.again().wrap(kit.tenant, purpose, &key).await.expect("wrapped");
    assert_eq!(wrapped_version(&second), Some(2));
    let unwrapped = kit.vault.unwrap(kit.tenant, purpose, &first).await;
    assert_eq!(unwrapped, Err(KeyVaultError::NoSuchKey));
    // The newest destroyed: older ones are not gone back to.
    assert_eq!(kit.vault.rotate(kit.tenant).await, Ok(3));
    assert_eq!(kit.vault.destroy(kit.tenant, 3).await, Ok(()));
    assert_eq!(wrapped_version(&kit.wrap(purpose, &key).await), Some(4));
    assert_eq!(kit.vault.rotate(kit.tenant).await, Ok(5));
}

#[tokio::test]
async fn a_destruction_that_was_interrupted_is_ended() {
    let kit = Kit::new();
    let purpose = purpose();
    let wrapped = kit.wrap(purpose, &random_key()).await;
    std::fs::write(kit.file("0000000001.destroyed"), "").expect("written");
    let unwrapped = kit.vault.unwrap(kit.tenant, purpose, &wrapped).await;
    assert_eq!(unwrapped, Err(KeyVaultError::NoSuchKey), "from the tombstone on");
    assert!(kit.file("0000000001.key").exists());
    kit.again();
    assert!(!kit.file("0000000001.key").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_that_wrap_first_at_once_agree_on_one_key() {
    for _ in 0..10 {
        let kit = Kit::new();
        let vaults = [kit.vault.clone(), kit.again()];
        let (purpose, key) = (purpose(), random_key());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let (vault, tenant, key) = (vaults[number % 2].clone(), kit.tenant, key.clone());
            tasks.spawn(async move { vault.wrap(tenant, purpose, &key).await });
        }
        for wrapped in tasks.join_all().await {
            let wrapped = wrapped.expect("wrapped");
            assert_eq!(wrapped_version(&wrapped), Some(1));
            for vault in &vaults {
                assert_eq!(vault.unwrap(kit.tenant, purpose, &wrapped).await, Ok(key.clone()));
            }
        }
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (vault, tenant) = (vaults[number % 2].clone(), kit.tenant);
            tasks.spawn(async move { vault.rotate(tenant).await });
        }
        let versions: BTreeSet<_> =
            tasks.join_all().await.into_iter().map(|version| version.expect("rotated")).collect();
        assert_eq!(versions, (2..8).collect(), "each rotation made its own");
    }
}

#[tokio::test]
async fn a_damaged_or_misplaced_key_file_is_told_from_a_wrong_wrapping() {
    let kit = Kit::new();
    let purpose = purpose();
    let wrapped = kit.wrap(purpose, &random_key()).await;
    let file = kit.file("0000000001.key");
    let right = std::fs::read(&file).expect("a key");
    let mut flipped = right.clone();
    flipped[0] ^= 1;
    kit.vault.rotate(kit.tenant).await.expect("rotated");
    let of_another_version = std::fs::read(kit.file("0000000002.key")).expect("a key");
    for bytes in [&flipped[..], &right[..63], &[], &of_another_version] {
        std::fs::write(&file, bytes).expect("written");
        let unwrapped = kit.vault.unwrap(kit.tenant, purpose, &wrapped).await;
        assert!(matches!(unwrapped, Err(KeyVaultError::Unavailable(_))), "{unwrapped:?}");
    }
    std::fs::write(&file, &right).expect("written");
    assert!(kit.vault.unwrap(kit.tenant, purpose, &wrapped).await.is_ok());
}

#[tokio::test]
async fn keys_are_for_the_owner_alone() {
    let kit = Kit::new();
    kit.wrap(purpose(), &random_key()).await;
    let file = kit.file("0000000001.key");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&file), 0o600);
    for directory in file.ancestors().skip(1).take(2) {
        assert_eq!(mode(directory), 0o700);
    }
}
