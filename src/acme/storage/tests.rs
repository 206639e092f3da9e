use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::clock::now_ms;

const CA: &str = "https://ca.test/directory";

fn storage() -> (tempfile::TempDir, Storage) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::new(directory.path().join("certs"));
    storage.prepare().unwrap();
    (directory, storage)
}

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn order(of: &str, key: &str) -> OrderFile {
    OrderFile {
        name: name(of),
        account: "a".into(),
        url: "u".into(),
        key: key.into(),
        created_ms: now_ms(),
        answers: Vec::new(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_saved_is_found_again() {
    let (_directory, storage) = storage();
    let meta = Meta { attempts: 2, window_ms: Some((1, 2)), ..Meta::default() };
    for (of, bundle) in [("a.test", "one"), ("*.a.test", "two"), ("[::1]", "three")] {
        storage.save(CA, &name(of), bundle, &meta).unwrap();
    }
    storage.of_ca(CA).save_meta(&name("tried.test"), &meta).unwrap();
    storage.imported().save(&name("b.test"), "four", &Meta::default()).unwrap();
    let loaded = storage.of_ca(CA).load();
    let found = |of: &str| loaded.stored.iter().find(|stored| stored.name == name(of)).unwrap();
    assert_eq!(loaded.stored.len(), 3);
    assert_eq!(found("*.a.test").bundle, "two");
    assert_eq!(found("[::1]").meta, meta);
    assert_eq!(loaded.tried, [(name("tried.test"), meta)]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert_eq!(storage.imported().load().stored[0].bundle, "four");
    assert!(storage.of_ca("https://other.test/directory").load().stored.is_empty());
    storage.of_ca(CA).remove(&name("a.test")).unwrap();
    storage.of_ca(CA).remove(&name("a.test")).unwrap();
    storage.imported().remove(&name("b.test")).unwrap();
    assert_eq!(storage.of_ca(CA).load().stored.len(), 2);
    assert!(storage.imported().load().stored.is_empty());
}

#[test]
fn files_are_private_whatever_they_were() {
    let (_directory, storage) = storage();
    storage.save(CA, &name("a.test"), "key", &Meta::default()).unwrap();
    storage.save_order(CA, &order("b.test", "key")).unwrap();
    let certs = storage.certs(CA);
    let file = certs.join("a.test.pem");
    assert_eq!((mode(&storage.root), mode(&certs), mode(&file)), (0o700, 0o700, 0o600));
    // Others' files below the same directory are left as they are.
    let foreign = storage.root.join("foreign");
    fs::create_dir(&foreign).unwrap();
    for path in [&*storage.root, &certs, &foreign] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
    storage.prepare().unwrap();
    assert_eq!((mode(&storage.root), mode(&certs), mode(&file)), (0o700, 0o700, 0o600));
    assert_eq!(mode(&foreign), 0o755);
}

#[test]
fn what_a_crash_leaves_does_no_harm() {
    let (_directory, storage) = storage();
    storage.save(CA, &name("a.test"), "whole", &Meta::default()).unwrap();
    let half = storage.certs(CA).join(".unfinished-x");
    fs::write(&half, "ha").unwrap();
    assert_eq!(storage.of_ca(CA).load().stored.len(), 1);
    assert!(storage.of_ca(CA).load().problems.is_empty());
    storage.prepare().unwrap();
    assert!(!half.exists());
    // Between the bundle and its metadata.
    fs::remove_file(storage.certs(CA).join("a.test.json")).unwrap();
    assert_eq!(storage.of_ca(CA).load().stored[0].meta, Meta::default());
}

#[test]
fn a_file_that_makes_no_sense_is_told_and_left_alone() {
    let (_directory, storage) = storage();
    storage.save(CA, &name("a.test"), "bundle", &Meta::default()).unwrap();
    let certs = storage.certs(CA);
    fs::write(certs.join("a.test.json"), "{").unwrap();
    fs::write(certs.join("README"), "hello").unwrap();
    fs::write(certs.join("A.test.pem"), "x").unwrap();
    fs::write(certs.join("b.test.pem"), [0xff, 0xfe]).unwrap();
    fs::create_dir(certs.join("c.test.pem")).unwrap();
    let loaded = storage.of_ca(CA).load();
    assert_eq!(loaded.stored.len(), 1, "metadata is not needed to serve");
    assert_eq!(loaded.problems.len(), 5, "{:?}", loaded.problems);
    assert!(loaded.problems.iter().all(|(path, why)| path.exists() && !why.is_empty()));
}

#[test]
fn a_bad_bundle_is_set_aside() {
    let (_directory, storage) = storage();
    storage.save(CA, &name("a.test"), "bad", &Meta::default()).unwrap();
    storage.of_ca(CA).set_aside(&name("a.test")).unwrap();
    let loaded = storage.of_ca(CA).load();
    assert!(loaded.stored.is_empty() && loaded.problems.is_empty());
    assert_eq!(loaded.tried.len(), 1);
    assert!(storage.certs(CA).join("a.test.pem.bad").exists());
    assert!(storage.of_ca(CA).set_aside(&name("a.test")).is_err());
}

#[test]
fn an_order_is_remembered_until_its_bundle_is_kept() {
    let (_directory, storage) = storage();
    storage.save_order(CA, &order("a.test", "key\n")).unwrap();
    storage.save(CA, &name("a.test"), "other\ncertificate\n", &Meta::default()).unwrap();
    assert_eq!(storage.orders(CA).len(), 1, "not what came of it");
    storage.save(CA, &name("a.test"), "key\ncertificate\n", &Meta::default()).unwrap();
    assert!(storage.orders(CA).is_empty());
    assert!(storage.load_order(CA, &name("a.test")).unwrap().is_none());
}

#[test]
fn a_directory_that_cannot_be_written_to_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let taken = directory.path().join("taken");
    fs::write(&taken, "a file").unwrap();
    assert!(Storage::new(taken).prepare().is_err());
}

#[test]
fn secrets_are_not_in_debug() {
    let stored = Stored { name: name("a.test"), bundle: "SECRET".into(), meta: Meta::default() };
    let text = format!("{stored:?} {:?}", order("a.test", "SECRET"));
    assert!(!text.contains("SECRET"), "{text}");
}

#[test]
fn thousands_load_in_no_time() {
    let (_directory, storage) = storage();
    let certs = storage.certs(CA);
    atomic_file::private_directory(&certs).unwrap();
    for n in 0..10_000 {
        // Not synced, which is all that the writing of a test would take its time for.
        fs::write(certs.join(format!("{n}.test.pem")), "x".repeat(4000)).unwrap();
        fs::write(certs.join(format!("{n}.test.json")), "{}").unwrap();
    }
    let started = std::time::Instant::now();
    assert_eq!(storage.of_ca(CA).load().stored.len(), 10_000);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
