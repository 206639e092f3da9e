use super::forget::hide_in;
use super::schema::SCHEMA;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::model::{Event, SwitchStep};
use crate::store::ReadLimit;
use crate::store::history::{AFTER_OF_DOMAIN, COLUMNS};

const TEN: ReadLimit = ReadLimit { events: 10, bytes: usize::MAX };

fn virtual_host(live: &str) -> VirtualHost {
    VirtualHost {
        domain: "example.com".parse().unwrap(),
        live: live.parse().unwrap(),
        previous: None,
        beside: crate::model::Beside::default(),
        top: crate::model::TopOptions {
            aliases: vec!["www.example.com".parse().unwrap()],
            ..Default::default()
        },
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
        before: Vec::new(),
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
            ends_operation: None,
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
    assert_eq!(store.mark_interrupted(u64::MAX).unwrap(), 1);
    let events = store.history().events(Some(&"example.com".parse().unwrap()), TEN).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].id, &events[0].kind), (number, &switch(Outcome::Interrupted)));
    assert!(store.history().events(Some(&"other.org".parse().unwrap()), TEN).unwrap().is_empty());
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
            "DROP TABLE applied_file; DROP TABLE apps; DROP TABLE operations;
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

/// An event of about so many bytes.
fn set(bytes: usize) -> EventKind {
    let changed = vec!["x".repeat(bytes)];
    EventKind::DomainSet { domain: "example.com".parse().unwrap(), changed }
}

fn ids(store: &Store) -> Vec<u64> {
    let all = ReadLimit { events: usize::MAX, bytes: usize::MAX };
    store.history().events_after(0, None, all).unwrap().into_iter().map(|event| event.id).collect()
}

/// What the store believes of its history is what there is, also of domains.
#[track_caller]
fn assert_counted(store: &Store) {
    assert_eq!(store.history, HistorySize::count(&store.connection).unwrap());
    let query = "SELECT count(*) FROM event_domains WHERE event NOT IN (SELECT id FROM events)";
    let orphans: i64 = store.connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(orphans, 0);
}

#[test]
fn the_history_keeps_the_newest_events_by_number_and_by_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    store.retention = Retention { events: 5, bytes: u64::MAX };
    for revision in 1..=8 {
        commit(&mut store, &[], revision, &set(10));
        assert_counted(&store);
    }
    assert_eq!(ids(&store), [4, 5, 6, 7, 8]);

    store.retention = Retention { events: 100, bytes: 10_000 };
    let draining = commit(&mut store, &[], 9, &switch(Outcome::Draining));
    for revision in 10..=14 {
        commit(&mut store, &[], revision, &set(3000));
        assert_counted(&store);
    }
    assert_eq!(ids(&store), [12, 13, 14]);
    // Its event is gone, and the switch ends nevertheless.
    store.set_outcome(draining, &Outcome::Done).unwrap();
    commit(&mut store, &[], 15, &switch(Outcome::Draining));
    assert_eq!(store.mark_interrupted(u64::MAX).unwrap(), 1);
    store.forget(&["xx".to_owned()]).unwrap();
    assert_counted(&store);

    // One that is larger than all that is kept is kept, alone.
    let large = commit(&mut store, &[], 16, &set(50_000));
    assert_eq!(ids(&store), [large]);
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_counted(&store);
    assert_eq!(ids(&store), [large], "numbers go on where they were");
}

#[test]
fn a_history_that_has_grown_without_bounds_is_trimmed_piece_by_piece() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    for revision in 1..=30 {
        commit(&mut store, &[], revision, &set(10));
    }
    // As a server that knew no index has left it, far beyond.
    store
        .connection
        .execute_batch(
            "DROP INDEX event_domains_of_event;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
             INSERT INTO events (revision, at_ms, actor, value)
             SELECT 31, 0, events.actor, events.value FROM n, events WHERE events.id = 1;",
        )
        .unwrap();
    drop(store);
    let mut store = Store::open(directory.path()).unwrap();
    store.retention = Retention { events: 10, bytes: u64::MAX };
    let left: Vec<_> = (0..4)
        .map(|_| {
            commit(&mut store, &[], 32, &set(10));
            assert_counted(&store);
            ids(&store).len()
        })
        .collect();
    assert_eq!(left, [1531, 532, 10, 10]);
    let plan = "EXPLAIN QUERY PLAN DELETE FROM event_domains WHERE event <= 1";
    let plan: String = store.connection.query_row(plan, [], |row| row.get(3)).unwrap();
    assert!(plan.contains("event_domains_of_event"), "{plan}");
}

#[test]
fn what_is_read_at_once_has_a_bound_in_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    for revision in 1..=9 {
        commit(&mut store, &[], revision, &set(1000));
    }
    let some = ReadLimit { events: 100, bytes: 2500 };
    let domain = "example.com".parse().unwrap();
    let numbers = |events: Vec<Event>| events.iter().map(|event| event.id).collect::<Vec<_>>();
    for domain in [None, Some(&domain)] {
        assert_eq!(numbers(store.history().events(domain, some).unwrap()), [9, 8, 7]);
        assert_eq!(numbers(store.history().events_after(2, domain, some).unwrap()), [3, 4, 5]);
        assert_eq!(store.history().before_newest(domain, 4).unwrap(), 5);
        assert_eq!(store.history().before_newest(domain, 100).unwrap(), 0);
        assert_eq!(store.history().before_newest(domain, 0).unwrap(), 9);
    }
    assert_eq!(store.history().before_newest(Some(&"other.test".parse().unwrap()), 4).unwrap(), 9);
    assert_eq!(numbers(store.history().events_before(Some(5), some).unwrap()), [4, 3, 2]);
    let one = ReadLimit { events: 100, bytes: 1 };
    assert_eq!(numbers(store.history().events_after(0, None, one).unwrap()), [1], "one at least");
}

#[test]
fn what_is_forgotten_is_hidden_in_words_too() {
    let secret = ["s3cret value".to_owned()];
    for (phrase, hidden) in [
        ("set (x-key s3cret value, x-b 1) → none", "set (x-key (hidden), x-b 1) → none"),
        ("none → s3cret value", "none → (hidden)"),
        ("none → set (x-key s3cret v…", "none → set (x-key (hidden)…"),
        ("none → s3cret values", "none → s3cret values"),
    ] {
        let domain = "example.com".parse().unwrap();
        let mut kind = EventKind::DomainSet { domain, changed: vec![phrase.to_owned()] };
        assert_eq!(hide_in(&mut kind, &secret), phrase != hidden, "{phrase}");
        let EventKind::DomainSet { changed, .. } = kind else { panic!() };
        assert_eq!(changed, [hidden]);
    }
}

#[test]
fn what_is_forgotten_is_not_left_in_a_phrase_that_was_cut_within_it() {
    let secret = "s3cr3t-\"f0r\"-the-backend".to_owned();
    let json = serde_json::to_string(&secret).unwrap();
    for shown in 2..json.len() {
        if !json.is_char_boundary(shown) {
            continue;
        }
        let phrase = format!("request_headers: {{\"set\":{{\"x-key\":{}…", &json[..shown]);
        let mut kind =
            EventKind::DomainSet { domain: "example.com".parse().unwrap(), changed: vec![phrase] };
        assert!(hide_in(&mut kind, std::slice::from_ref(&json)), "{kind:?}");
        let EventKind::DomainSet { changed, .. } = kind else { panic!() };
        assert_eq!(changed, ["request_headers: {\"set\":{\"x-key\":\"(hidden)\"…"]);
    }
}

#[test]
fn a_long_read_holds_up_no_change_and_sees_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    commit(&mut store, &[], 1, &set(10));
    let history = store.history();
    let reading = history.lock();
    let mut statement = reading.prepare("SELECT id FROM events").unwrap();
    let mut rows = statement.query([]).unwrap();
    assert!(rows.next().unwrap().is_some());
    for revision in 2..=50 {
        commit(&mut store, &[], revision, &set(10));
    }
    store.forget(&["x".repeat(10)]).unwrap();
    assert!(rows.next().unwrap().is_none(), "it sees what was");
    drop(rows);
    drop(statement);
    assert!(reading.execute("DELETE FROM events", []).is_err(), "it only reads");
    drop(reading);
    assert_eq!(ids(&store).len(), 50);
}

#[test]
fn the_events_of_a_domain_are_read_from_a_place_on_and_no_further() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO events (revision, at_ms, actor, value)
                SELECT 1, 1, '{\"via\":\"file\"}',
                '{\"kind\":\"domain_removed\",\"domain\":\"example.com\"}' FROM n";
    store.connection.execute(fill, []).unwrap();
    let fill = "INSERT INTO event_domains SELECT 'example.com', id FROM events";
    store.connection.execute(fill, []).unwrap();
    let history = store.history();
    let domain = "example.com".parse().unwrap();
    let after = |event| history.events_after(event, Some(&domain), TEN).unwrap();
    assert_eq!(after(20_000), []);
    assert_eq!(
        after(5).iter().map(|event| event.id).collect::<Vec<_>>(),
        (6..=15).collect::<Vec<_>>()
    );
    assert_eq!(history.events(Some(&domain), TEN).unwrap()[9].id, 19_991);
    let connection = history.lock();
    let statement = connection.prepare_cached(&format!("{COLUMNS} {AFTER_OF_DOMAIN}")).unwrap();
    let steps = statement.get_status(rusqlite::StatementStatus::VmStep);
    assert!((1..3_000).contains(&steps), "{steps} steps");
}

#[test]
fn an_event_that_cannot_be_read_keeps_no_server_from_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    commit(&mut store, &[], 1, &switch(Outcome::Draining));
    commit(&mut store, &[], 2, &set(10));
    store.connection.execute("UPDATE events SET value = '{\"kind' WHERE id = 2", []).unwrap();
    drop(store);
    Store::check(directory.path()).unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    assert_eq!(store.mark_interrupted(u64::MAX).unwrap(), 1);
    store.forget(&["xx".to_owned()]).unwrap();
    let newest = |kind, name| store.history().newest_of(kind, name).unwrap();
    assert!(newest(crate::model::EntryKind::Backend, "b1").is_none());
    assert_eq!(newest(crate::model::EntryKind::Domain, "example.com").unwrap().id, 1);
}

#[test]
fn a_check_reads_the_state_as_a_start_does_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files = || {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            // The locks of whoever has the database open are in it.
            if !path.to_string_lossy().ends_with("-shm") {
                files.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
        files.sort();
        files
    };
    let check = || {
        let before = files();
        let checked = Store::check(directory.path());
        assert!(before == files(), "it has changed something");
        checked
    };
    let mut store = Store::open(directory.path()).unwrap();
    commit(&mut store, &[Change::PutDomain(virtual_host("b"))], 7, &switch(Outcome::Done));
    check().unwrap();
    // Only the log of writes has these.
    for (damage, what) in [
        ("UPDATE domains SET value = '{'", "a domain"),
        ("UPDATE meta SET value = 'x' WHERE key = 'revision'", "its revision"),
    ] {
        store.connection.execute("BEGIN", []).unwrap();
        store.connection.execute(damage, []).unwrap();
        check().unwrap();
        store.connection.execute("COMMIT", []).unwrap();
        let error = check().unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        store.connection.execute("DELETE FROM domains", []).unwrap();
    }
    drop(store);
    let error = check().unwrap_err();
    assert!(matches!(error, StoreError::Revision { .. }), "{error}");
}
