//! Every operation by which the directory vault and the key vault change their files
//! fails in turn: an object is whole or not there, a key that was handed out opens what
//! it wrapped, and both go on by themselves.

use cabildo::domain::id::{PlayableId, RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::sealing::random_key;
use cabildo::vault::{
    Contents, Directory, KeyPurpose, KeyVault, LocalKeyVault, ObjectName, Put, Vault, VaultError,
};
use sha2::{Digest as _, Sha256};

use crate::faulty_disk::{ERRORS, FOR_EVER, FaultyDisk};

/// More operations than one step can take.
const OPERATIONS_MAX: u64 = 100;
const OBJECT: &[u8] = &[7; 100_000];

async fn put(vault: &Directory, name: &ObjectName) -> Result<Put, VaultError> {
    vault.put(name, Contents::Bytes(OBJECT), Sha256::digest(OBJECT).into()).await
}

/// A new object, and one more in its directory.
async fn objects(
    disk: &FaultyDisk,
    vault: &Directory,
    (error, first, times): (u64, u64, u64),
) -> bool {
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    let names = [0, 1].map(|index| {
        ObjectName::segment(SessionKey::new(tenant, session), RecordedTrackId::random(), index)
    });
    disk.fail(error, first, times);
    let mut done = Vec::new();
    for name in &names {
        done.push(put(vault, name).await);
    }
    if times == FOR_EVER && done.contains(&Err(VaultError::Full)) {
        assert_eq!(vault.check().await, Err(VaultError::Full));
    }
    let reached = disk.mend() > 0;
    // As another process sees it.
    let other = Directory::open(disk.path().join("vault")).expect("opened");
    for (name, done) in names.iter().zip(&done) {
        match (other.read(name, None).await, done) {
            (Ok(bytes), _) => assert_eq!(bytes, OBJECT, "it is whole"),
            (Err(VaultError::NotFound), Err(_)) => {}
            (found, done) => panic!("{done:?}, and then {found:?}"),
        }
        assert!(reached || done.is_ok(), "{done:?} without a fault");
        assert_eq!(vault.check().await, Ok(()));
        put(vault, name).await.expect("it works again");
        assert_eq!(vault.read(name, None).await.expect("there"), OBJECT);
        vault.delete(name).await.expect("deleted");
    }
    reached
}

/// The first key of a tenant, and one more.
async fn keys(
    disk: &FaultyDisk,
    vault: &LocalKeyVault,
    (error, first, times): (u64, u64, u64),
) -> bool {
    let (tenant, key) = (TenantId::generate(), random_key());
    let purpose = KeyPurpose::File(PlayableId::generate());
    disk.fail(error, first, times);
    let wrapped = vault.wrap(tenant, purpose, &key).await;
    let rotated = vault.rotate(tenant).await;
    let again = vault.wrap(tenant, purpose, &key).await;
    let reached = disk.mend() > 0;
    let faultless = wrapped.is_ok() && rotated.is_ok() && again.is_ok();
    assert!(reached || faultless, "{wrapped:?}, {rotated:?}, {again:?} without a fault");
    let last = vault.wrap(tenant, purpose, &key).await.expect("it works again");
    // What was wrapped opens for another process too.
    let other = LocalKeyVault::open(disk.path().join("keys")).expect("opened");
    for wrapped in [wrapped, again].into_iter().flatten().chain([last]) {
        for vault in [vault, &other] {
            let opened = vault.unwrap(tenant, purpose, &wrapped).await.expect("it opens");
            assert_eq!(opened.expose(), key.expose());
        }
    }
    reached
}

#[tokio::test]
async fn an_object_is_whole_or_not_there_whichever_operation_of_the_disk_fails() {
    let name = "vault::faulty_disk::\
                an_object_is_whole_or_not_there_whichever_operation_of_the_disk_fails";
    let Some(disk) = FaultyDisk::of_test(name) else { return };
    let vault = Directory::open(disk.path().join("vault")).expect("opened");
    let key_vault = LocalKeyVault::open(disk.path().join("keys")).expect("opened");
    let mut failed = 0;
    for (_, error) in ERRORS {
        for times in [1, 3, FOR_EVER] {
            let mut first = 1;
            while objects(&disk, &vault, (error, first, times)).await {
                first += 1;
                assert!(first < OPERATIONS_MAX, "two objects never end");
            }
            failed += first - 1;
            first = 1;
            while keys(&disk, &key_vault, (error, first, times)).await {
                first += 1;
                assert!(first < OPERATIONS_MAX, "two keys never end");
            }
            failed += first - 1;
        }
    }
    assert!(failed > 9 * 10, "{failed} operations were made to fail");
}
