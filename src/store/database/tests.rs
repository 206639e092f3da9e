use super::*;
use crate::model::{Balance, SwitchStep};

fn virtual_host(live: &str) -> VirtualHost {
    VirtualHost {
        domain: "example.com".parse().unwrap(),
        aliases: vec!["www.example.com".parse().unwrap()],
        live: live.parse().unwrap(),
        previous: None,
        http_to_https: true,
        balance: Balance::LeastConnections,
        tls: crate::model::TlsMode::Auto,
        hsts_max_age_secs: 0,
        options: crate::model::HostOptions::default(),
    }
}

fn switch(outcome: Outcome) -> EventKind {
    EventKind::Switch {
        steps: vec![SwitchStep {
            domain: "example.com".parse().unwrap(),
            from: "a".parse().unwrap(),
            to: "b".parse().unwrap(),
        }],
        outcome,
        undo: false,
        forced: false,
        reason: Some("release 7".into()),
    }
}

fn commit(store: &mut Store, changes: &[Change], revision: u64, event: &EventKind) -> u64 {
    store
        .commit(&Commit {
            changes,
            revision,
            at_ms: 1_700_000_000_000,
            actor: &Actor::Socket { uid: 1000, pid: Some(42) },
            event,
            applied_file: None,
        })
        .unwrap()
}

#[test]
fn what_was_committed_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().revision, 0);
    let event = switch(Outcome::Draining);
    let number = commit(&mut store, &[Change::PutDomain(virtual_host("b"))], 1, &event);
    drop(store);

    let mut store = Store::open(directory.path()).unwrap();
    let saved = store.load().unwrap();
    assert_eq!((saved.revision, saved.domains), (1, vec![virtual_host("b")]));
    assert_eq!(store.mark_interrupted().unwrap(), 1);
    let events = store.events(Some(&"example.com".parse().unwrap()), 10).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].id, &events[0].kind), (number, &switch(Outcome::Interrupted)));
    assert!(store.events(Some(&"other.org".parse().unwrap()), 10).unwrap().is_empty());
}

#[test]
fn every_commit_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let pragma = |name| store.connection.pragma_query_value(None, name, |row| row.get(0));
    // FULL: of less, the last commits are lost with the power in this mode.
    assert_eq!(pragma("synchronous"), Ok(rusqlite::types::Value::Integer(2)));
    assert_eq!(pragma("journal_mode"), Ok(rusqlite::types::Value::Text("wal".into())));
}

#[test]
fn the_directory_and_the_database_are_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    let store = Store::open(&directory).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    drop(store);
}

#[test]
fn two_servers_cannot_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let held = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(held);
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_newer_database_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let path = directory.path().join("state.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 99, known: SCHEMA, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_the_first_schema_keeps_its_applied_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    commit(&mut store, &[Change::PutDomain(virtual_host("b"))], 7, &switch(Outcome::Done));
    store
        .connection
        .execute_batch(
            "DROP TABLE applied_file;
             INSERT INTO meta VALUES ('applied_file', 'a file');
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(store);
    for _ in 0..2 {
        let saved = Store::open(directory.path()).unwrap().load().unwrap();
        assert_eq!((saved.revision, saved.applied_file.as_deref()), (7, Some("a file")));
    }
}

#[test]
fn a_foreign_file_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    std::fs::write(&path, "this is a shopping list, and long enough to be looked at as a header")
        .unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");

    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[test]
fn a_directory_that_others_use_is_not_closed_to_them() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("shared");
    std::fs::create_dir(&directory).unwrap();
    let set_mode = |mode| {
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = || std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
    set_mode(0o755);
    std::fs::write(directory.join("somebody's"), "").unwrap();
    let error = Store::open(&directory).unwrap_err();
    assert!(matches!(error, StoreError::Shared { .. }), "{error}");
    assert_eq!(mode(), 0o755);
    std::fs::remove_file(directory.join("somebody's")).unwrap();
    drop(Store::open(&directory).unwrap());
    assert_eq!(mode(), 0o700);
    // Its own, which somebody opened.
    set_mode(0o755);
    drop(Store::open(&directory).unwrap());
    assert_eq!(mode(), 0o700);
}

#[test]
fn a_database_that_is_damaged_is_not_taken_for_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    commit(&mut store, &[Change::PutDomain(virtual_host("b"))], 7, &switch(Outcome::Done));
    store.connection.execute("UPDATE meta SET value = 'x' WHERE key = 'revision'", []).unwrap();
    let error = store.load().unwrap_err();
    assert!(matches!(error, StoreError::Revision { .. }), "{error}");
    drop(store);
    // The pages behind the first, which the header is in.
    let path = directory.path().join("state.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = Store::open(directory.path()).and_then(|store| store.load()).unwrap_err();
    assert!(error.hint().contains("backup"), "{error}: {}", error.hint());
    assert_eq!(error.to_string().matches("malformed").count(), 1, "{error}");
}
