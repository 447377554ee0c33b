//! What every vault does.

use std::io::Write as _;

use cabildo::domain::id::{PlayableId, RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::vault::{Contents, ObjectName, Put, Vault, VaultError};
use sha2::{Digest as _, Sha256};

pub(crate) fn name() -> ObjectName {
    let track = RecordedTrackId::random();
    ObjectName::segment(SessionKey::new(TenantId::generate(), SessionId::generate()), track, 7)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) async fn put(
    vault: &dyn Vault,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<Put, VaultError> {
    vault.put(name, Contents::Bytes(bytes), sha256(bytes)).await
}

pub(crate) fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

/// Everything that callers rely on whichever vault they have.
pub(crate) async fn run(vault: &dyn Vault) {
    vault.check().await.expect("it can be used");
    vault.check().await.expect("twice too");
    reads(vault).await;
    never_overwrites(vault).await;
    takes_files(vault).await;
    refuses_another_hash(vault).await;
    deletes(vault).await;
}

async fn reads(vault: &dyn Vault) {
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let name = name();
    assert_eq!(vault.read(&name, None).await, Err(VaultError::NotFound));
    assert_eq!(vault.read(&name, Some(0..10)).await, Err(VaultError::NotFound));
    assert_eq!(vault.read(&name, Some(0..0)).await, Err(VaultError::NotFound));
    assert_eq!(put(vault, &name, &bytes).await, Ok(Put::Stored));
    assert_eq!(vault.read(&name, None).await.expect("all"), bytes);
    for (range, expected) in [
        (0..1, &bytes[..1]),
        (10..500, &bytes[10..500]),
        (999..1000, &bytes[999..]),
        (990..5000, &bytes[990..]),
        (0..u64::MAX >> 36, &bytes[..]),
        (1000..1001, &[]),
        (5000..6000, &[]),
        (5..5, &[]),
    ] {
        let read = vault.read(&name, Some(range.clone())).await;
        assert_eq!(read.expect("a range"), expected, "{range:?}");
    }
    let too_much = vault.read(&name, Some(0..u64::MAX)).await;
    match too_much {
        Ok(read) => assert_eq!(read, bytes),
        Err(error) => assert!(matches!(error, VaultError::Refused(_)), "{error}"),
    }
    // A part of a playable file lies beside the tracks; an object may be empty.
    let part = ObjectName::part(
        SessionKey::new(TenantId::generate(), SessionId::generate()),
        PlayableId::generate(),
        0,
    );
    assert_eq!(put(vault, &part, b"").await, Ok(Put::Stored));
    assert_eq!(vault.read(&part, None).await.expect("empty"), "");
    assert_eq!(put(vault, &part, b"").await, Ok(Put::AlreadyThere));
}

async fn never_overwrites(vault: &dyn Vault) {
    let name = name();
    assert_eq!(put(vault, &name, b"first").await, Ok(Put::Stored));
    assert_eq!(put(vault, &name, b"first").await, Ok(Put::AlreadyThere));
    // Of the same length and of another.
    for other in [&b"other"[..], b"longer than the first"] {
        assert_eq!(put(vault, &name, other).await, Err(VaultError::Conflict));
    }
    assert_eq!(vault.read(&name, None).await.expect("kept"), "first");
}

async fn takes_files(vault: &dyn Vault) {
    let bytes: Vec<u8> = (0..=250).cycle().take(700_001).collect();
    let file = file_of(&bytes);
    let name = name();
    for expected in [Put::Stored, Put::AlreadyThere] {
        let put = vault.put(&name, Contents::File(file.path()), sha256(&bytes)).await;
        assert_eq!(put, Ok(expected));
    }
    assert_eq!(vault.read(&name, None).await.expect("all"), bytes);
    assert_eq!(std::fs::read(file.path()).expect("left where it was"), bytes);
}

async fn refuses_another_hash(vault: &dyn Vault) {
    let name = name();
    let file = file_of(b"changed since it was hashed");
    let gone = file_of(b"").path().to_owned();
    for contents in [
        Contents::Bytes(b"changed since it was hashed"),
        Contents::File(file.path()),
        Contents::File(&gone),
    ] {
        let put = vault.put(&name, contents, sha256(b"as it was hashed")).await;
        assert!(matches!(put, Err(VaultError::Refused(_))), "{contents:?}: {put:?}");
        assert_eq!(vault.read(&name, None).await, Err(VaultError::NotFound));
    }
}

async fn deletes(vault: &dyn Vault) {
    let name = name();
    assert_eq!(vault.delete(&name).await, Ok(()));
    assert_eq!(put(vault, &name, b"one").await, Ok(Put::Stored));
    assert_eq!(vault.delete(&name).await, Ok(()));
    assert_eq!(vault.delete(&name).await, Ok(()));
    assert_eq!(vault.read(&name, None).await, Err(VaultError::NotFound));
    assert_eq!(put(vault, &name, b"two").await, Ok(Put::Stored));
}
