//! The embedded vault.

use cabildo::domain::id::SessionKey;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cabildo::vault::{Directory, Put, Vault as _, VaultError};

use crate::vault::suite::{self, name, put};

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_directory_does_what_every_vault_does() {
    let root = tempfile::tempdir().expect("a directory");
    let vault = Directory::open(root.path().join("new").join("vault")).expect("opened");
    suite::run(&vault).await;
}

#[tokio::test]
async fn objects_are_for_the_owner_alone_and_no_draft_is_left() {
    let root = tempfile::tempdir().expect("a directory");
    let root = root.path().join("vault");
    let vault = Directory::open(&root).expect("opened");
    let name = name();
    assert_eq!(put(&vault, &name, b"x").await, Ok(Put::Stored));
    assert_eq!(put(&vault, &name, b"y").await, Err(VaultError::Conflict));
    let object = root.join(name.as_str());
    assert_eq!(files_under(&root), std::slice::from_ref(&object));
    assert_eq!(mode(&object), 0o600);
    for directory in object.ancestors().skip(1).take(4) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    // Identifiers go with the last object that is under them.
    assert_eq!(vault.delete(&name).await, Ok(()));
    let left: Vec<_> = std::fs::read_dir(&root).expect("a directory").collect();
    assert_eq!(left.len(), 1, "the drafts alone: {left:?}");
}

#[tokio::test]
async fn what_was_left_unfinished_is_removed_and_what_is_going_on_is_not() {
    let root = tempfile::tempdir().expect("a directory");
    Directory::open(root.path()).expect("opened");
    let drafts = root.path().join(".drafts");
    std::fs::write(drafts.join("abandoned"), "half an obj").expect("written");
    let going_on = File::create(drafts.join("going-on")).expect("created");
    going_on.try_lock().expect("locked");
    Directory::open(root.path()).expect("opened again");
    assert_eq!(files_under(root.path()), [drafts.join("going-on")]);
}

#[tokio::test]
async fn of_many_that_put_at_once_one_stores() {
    let root = tempfile::tempdir().expect("a directory");
    let vaults = [
        Directory::open(root.path()).expect("opened"),
        Directory::open(root.path()).expect("opened"),
    ];
    for _ in 0..20 {
        let name = name();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8_usize {
            let (vault, name) = (vaults[number % 2].clone(), name.clone());
            let contents = [number.is_multiple_of(4).into(); 1000];
            tasks.spawn(async move { (put(&vault, &name, &contents).await, contents) });
        }
        let results = tasks.join_all().await;
        let stored: Vec<_> = results.iter().filter(|(put, _)| *put == Ok(Put::Stored)).collect();
        assert_eq!(stored.len(), 1, "{results:?}");
        let kept = vaults[0].read(&name, None).await.expect("stored");
        assert_eq!(kept, stored[0].1[..]);
        for (put, contents) in &results {
            let expected = if contents[..] == kept {
                matches!(put, Ok(Put::Stored | Put::AlreadyThere))
            } else {
                *put == Err(VaultError::Conflict)
            };
            assert!(expected, "{put:?}");
        }
    }
}

#[tokio::test]
async fn putting_and_deleting_at_once_loses_nothing_that_was_stored() {
    let root = tempfile::tempdir().expect("a directory");
    let vault = Directory::open(root.path()).expect("opened");
    // Two objects of one directory: removing one removes the directory when the
    // other has not come yet.
    let one = name();
    let other = one.as_str().replace("00000007", "00000008");
    for _ in 0..50 {
        assert_eq!(put(&vault, &one, b"one").await, Ok(Put::Stored));
        let deleting = {
            let (vault, one) = (vault.clone(), one.clone());
            tokio::spawn(async move { vault.delete(&one).await })
        };
        let track = one.as_str().split('/').nth(2).expect("a track").parse().expect("an id");
        let mut ids = one.as_str().split('/');
        let tenant = ids.next().expect("a tenant").parse().expect("an id");
        let session = ids.next().expect("a session").parse().expect("an id");
        let second =
            cabildo::vault::ObjectName::segment(SessionKey::new(tenant, session), track, 8);
        assert_eq!(second.as_str(), other);
        let stored = put(&vault, &second, b"other").await;
        assert_eq!(deleting.await.expect("ran"), Ok(()));
        assert_eq!(stored, Ok(Put::Stored));
        assert_eq!(vault.read(&second, None).await.expect("there"), "other");
        assert_eq!(vault.read(&one, None).await, Err(VaultError::NotFound));
        assert_eq!(vault.delete(&second).await, Ok(()));
    }
}

#[tokio::test]
async fn a_link_is_not_followed() {
    let root = tempfile::tempdir().expect("a directory");
    let vault = Directory::open(root.path().join("vault")).expect("opened");
    let secret = root.path().join("secret");
    std::fs::write(&secret, "not an object").expect("written");
    let name = name();
    let path = root.path().join("vault").join(name.as_str());
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    std::os::unix::fs::symlink(&secret, &path).expect("linked");
    assert!(matches!(vault.read(&name, None).await, Err(VaultError::Refused(_))));
    assert!(matches!(put(&vault, &name, b"x").await, Err(VaultError::Refused(_))));
    assert_eq!(std::fs::read_to_string(&secret).expect("there"), "not an object");
    assert_eq!(vault.delete(&name).await, Ok(()));
    assert!(secret.is_file(), "the link went, not what it names");
}

#[tokio::test]
async fn a_vault_whose_directory_is_gone_says_so() {
    let root = tempfile::tempdir().expect("a directory");
    let vault = Directory::open(root.path().join("vault")).expect("opened");
    std::fs::remove_dir_all(root.path().join("vault")).expect("removed");
    std::fs::write(root.path().join("vault"), "a file now").expect("written");
    assert!(vault.check().await.is_err());
    assert!(put(&vault, &name(), b"x").await.is_err());
    assert!(Directory::open(root.path().join("vault")).is_err());
}
