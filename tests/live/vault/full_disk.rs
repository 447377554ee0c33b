//! A vault and a key vault on a disk that is full for a while.

use cabildo::domain::id::{PlayableId, RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::sealing::random_key;
use cabildo::vault::{
    Contents, Directory, KeyPurpose, KeyVault, LocalKeyVault, ObjectName, Put, Vault, VaultError,
};
use sha2::{Digest as _, Sha256};

use crate::small_disk::SmallDisk;

const DISK_BYTES: u64 = 4 << 20;
/// Of an object. Four fit on the disk, five do not.
const OBJECT_BYTES: usize = 900 << 10;

async fn put(vault: &Directory, name: &ObjectName, bytes: &[u8]) -> Result<Put, VaultError> {
    vault.put(name, Contents::Bytes(bytes), Sha256::digest(bytes).into()).await
}

#[tokio::test]
async fn an_object_is_whole_or_not_there_while_the_disk_fills_up() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let vault = Directory::open(disk.path().join("vault")).expect("opened");
    let (tenant, session, track) =
        (TenantId::generate(), SessionId::generate(), RecordedTrackId::random());
    let name = |index| ObjectName::segment(SessionKey::new(tenant, session), track, index);
    let bytes = |index: u64| vec![u8::try_from(index).expect("small"); OBJECT_BYTES];
    for round in 0..20_u64 {
        let (kept, refused, later) = (round * 10, round * 10 + 1, round * 10 + 2);
        assert_eq!(put(&vault, &name(kept), &bytes(round)).await, Ok(Put::Stored));
        disk.fill();
        assert_eq!(put(&vault, &name(refused), &bytes(round)).await, Err(VaultError::Full));
        assert_eq!(vault.read(&name(refused), None).await, Err(VaultError::NotFound));
        assert_eq!(vault.check().await, Err(VaultError::Full));
        let there = vault.read(&name(kept), None).await.expect("what was stored is there");
        assert_eq!(there, bytes(round), "round {round}");
        // Deleting needs no room.
        assert_eq!(vault.delete(&name(kept)).await, Ok(()));
        disk.free();
        assert_eq!(put(&vault, &name(refused), &bytes(round)).await, Ok(Put::Stored));
        assert_eq!(put(&vault, &name(later), &bytes(round)).await, Ok(Put::Stored));
        assert_eq!(vault.check().await, Ok(()));
        assert_eq!(vault.delete(&name(refused)).await, Ok(()));
        assert_eq!(vault.delete(&name(later)).await, Ok(()));
    }
}

#[tokio::test]
async fn a_key_that_could_not_be_kept_wraps_nothing() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let directory = disk.path().join("keys");
    let keys = LocalKeyVault::open(&directory).expect("opened");
    let (early, late) = (TenantId::generate(), TenantId::generate());
    let purpose = KeyPurpose::File(PlayableId::generate());
    let key = random_key();
    let wrapped = keys.wrap(early, purpose, &key).await.expect("there is room");
    disk.fill();
    keys.wrap(late, purpose, &key).await.expect_err("its tenant key can't be kept");
    keys.rotate(early).await.expect_err("the new tenant key can't be kept");
    let opened = keys.unwrap(early, purpose, &wrapped).await.expect("what is there opens");
    assert_eq!(opened.expose(), key.expose());
    disk.free();
    let wrapped = keys.wrap(late, purpose, &key).await.expect("there is room again");
    // Another process finds the same keys.
    let keys = LocalKeyVault::open(&directory).expect("opened");
    let opened = keys.unwrap(late, purpose, &wrapped).await.expect("it opens");
    assert_eq!(opened.expose(), key.expose());
}
