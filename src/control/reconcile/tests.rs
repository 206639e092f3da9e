use std::path::Path;

use super::*;
use crate::model::BackendState;

fn file(text: &str) -> Declared {
    let text = format!("[proxy]\nlisten_addr_http = \"127.0.0.1:8080\"\n{text}");
    crate::config::parse(Path::new("test.toml"), &text).unwrap_or_else(|e| panic!("{e}")).declared
}

fn backend(id: &str, tag: &str, weight: u16) -> String {
    format!(
        "[[backends]]\nid = \"{id}\"\naddress = \"127.0.0.1:3000\"\ntags = [\"{tag}\"]\nweight = {weight}\n"
    )
}

fn domain(name: &str, tag: &str, more: &str) -> String {
    format!("[[virtual_hosts]]\ndomain = \"{name}\"\nenabled_backends_tag = \"{tag}\"\n{more}\n")
}

fn base() -> String {
    domain("example.com", "a", "") + &backend("w1", "a", 1) + &backend("w2", "b", 1)
}

/// The state after `declared` is applied where `applied` was before.
fn apply(live: &Snapshot, applied: &Declared, declared: &Declared) -> (Snapshot, Vec<String>) {
    let merged = merge(live, applied, declared).unwrap();
    (live.after(merged.changes, live.revision() + 1), merged.told)
}

fn live_tag(snapshot: &Snapshot, name: &str) -> Option<String> {
    snapshot.domain(&name.parse().unwrap()).map(|node| node.virtual_host.live.to_string())
}

fn switched(live: &Snapshot, to: &str) -> Snapshot {
    let mut virtual_host =
        live.domain(&"example.com".parse().unwrap()).unwrap().virtual_host.clone();
    virtual_host.previous = Some(virtual_host.live);
    virtual_host.live = to.parse().unwrap();
    live.after(vec![Change::PutDomain(virtual_host)], live.revision() + 1)
}

#[test]
fn applying_the_same_file_twice_changes_nothing() {
    let declared = file(&base());
    let (live, told) = apply(&Snapshot::default(), &Declared::default(), &declared);
    assert_eq!(told.len(), 3, "{told:?}");
    let (_, told) = apply(&live, &declared, &declared);
    assert!(told.is_empty(), "{told:?}");
    // Also where the file was never noted as applied: the same declarations are no conflict.
    let (_, told) = apply(&live, &Declared::default(), &declared);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_switch_survives_a_file_that_does_not_touch_the_tag() {
    let before = file(&base());
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &before);
    let live = switched(&live, "b");
    let after = file(
        &(domain("example.com", "a", "aliases = [\"www.example.com\"]")
            + &backend("w1", "a", 5)
            + &backend("w2", "b", 1)),
    );
    let (live, told) = apply(&live, &before, &after);
    assert_eq!(live_tag(&live, "example.com").as_deref(), Some("b"));
    assert_eq!(live_tag(&live, "www.example.com").as_deref(), Some("b"));
    assert_eq!(
        told,
        ["backend `w1`: weight: 1 → 5", "domain `example.com`: aliases: none → www.example.com"]
    );
}

#[test]
fn a_tag_that_the_file_changes_is_live_and_can_be_undone() {
    let before = file(&base());
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &before);
    let after =
        file(&(domain("example.com", "b", "") + &backend("w1", "a", 1) + &backend("w2", "b", 1)));
    let (live, _) = apply(&live, &before, &after);
    let node = live.domain(&"example.com".parse().unwrap()).unwrap();
    assert_eq!(node.virtual_host.live.as_str(), "b");
    assert_eq!(node.virtual_host.previous.as_ref().map(crate::model::Tag::as_str), Some("a"));
}

#[test]
fn what_the_file_drops_goes_and_what_a_command_made_stays() {
    let before = file(&base());
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &before);
    let made = file(&(domain("made.example", "c", "") + &backend("w3", "c", 1)));
    let (live, _) = apply(&live, &Declared::default(), &made);
    let after = file(&(domain("example.com", "a", "") + &backend("w1", "a", 1)));
    let (live, told) = apply(&live, &before, &after);
    assert_eq!(told, ["backend `w2` removed"]);
    assert_eq!(live_tag(&live, "made.example").as_deref(), Some("c"));
    assert!(live.backend(&"w3".parse().unwrap()).is_some());
}

#[test]
fn what_a_command_removed_stays_removed_until_the_file_changes_it() {
    let before = file(&base());
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &before);
    let live = live.after(vec![Change::DropBackend("w2".parse().unwrap())], 9);
    let (same, told) = apply(&live, &before, &before);
    assert!(told.is_empty() && same.backend(&"w2".parse().unwrap()).is_none());
    let after =
        file(&(domain("example.com", "a", "") + &backend("w1", "a", 1) + &backend("w2", "b", 7)));
    let (again, told) = apply(&live, &before, &after);
    assert_eq!(told, ["backend `w2` added"]);
    assert!(again.backend(&"w2".parse().unwrap()).is_some());
}

#[test]
fn a_name_that_a_command_made_otherwise_is_a_conflict() {
    let made = file(&(domain("made.example", "c", "") + &backend("w3", "c", 1)));
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &made);
    for text in [base() + &backend("w3", "c", 2), base() + &domain("made.example", "a", "")] {
        let error = merge(&live, &file(&base()), &file(&text)).unwrap_err();
        assert!(matches!(error, ControlError::FileConflict { .. }), "{error}");
    }
    // An alias in the file that a command gave away is one too.
    let text = domain("example.com", "a", "aliases = [\"made.example\"]") + &backend("w1", "a", 1);
    let error = merge(&live, &Declared::default(), &file(&text)).unwrap_err();
    assert!(matches!(error, ControlError::DomainExists { .. }), "{error}");
}

#[test]
fn a_name_may_move_from_one_domain_of_the_file_to_another() {
    let before = file(
        &(domain("one.example", "a", "aliases = [\"www.example\"]")
            + &domain("two.example", "a", "")
            + &backend("w1", "a", 1)),
    );
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &before);
    let after = file(
        &(domain("two.example", "a", "aliases = [\"www.example\"]")
            + &domain("one.example", "a", "")
            + &backend("w1", "a", 1)),
    );
    let (live, _) = apply(&live, &before, &after);
    let owner = live.domain(&"www.example".parse().unwrap()).unwrap();
    assert_eq!(owner.virtual_host.domain.to_string(), "two.example");
}

#[test]
fn a_conflict_says_what_differs_and_a_drained_backend_is_none() {
    let made = file(&(base() + &backend("w3", "c", 1)));
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &made);
    let mut drained = live.backend(&"w3".parse().unwrap()).unwrap().backend.clone();
    drained.state = BackendState::Draining;
    let live = live.after(vec![Change::PutBackend(drained)], 2);
    let (after, told) = apply(&live, &file(&base()), &made);
    assert!(told.is_empty(), "{told:?}");
    let state = after.backend(&"w3".parse().unwrap()).unwrap().backend.state;
    assert_eq!(state, BackendState::Draining);
    let otherwise = file(&(base() + &backend("w3", "c", 2)));
    assert_eq!(
        merge(&live, &file(&base()), &otherwise).unwrap_err().to_string(),
        "the config file declares the backend `w3`, which a command made otherwise (weight: 1 → 2)"
    );
}

#[test]
fn a_state_that_the_file_says_is_applied_when_the_file_changes_it() {
    let with = |state: &str| file(&(base() + &backend("w3", "c", 1) + state));
    let state_of = |live: &Snapshot| live.backend(&"w3".parse().unwrap()).unwrap().backend.state;
    let silent = with("");
    let draining = with("state = \"draining\"\n");
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &silent);
    assert_eq!(state_of(&live), BackendState::Ready);
    let (live, told) = apply(&live, &silent, &draining);
    assert_eq!(state_of(&live), BackendState::Draining, "{told:?}");
    let (live, _) = apply(&live, &draining, &silent);
    assert_eq!(state_of(&live), BackendState::Draining, "a file that is silent decides nothing");
    let error = merge(&live, &Declared::default(), &with("state = \"ready\"\n")).unwrap_err();
    assert!(error.to_string().contains("draining"), "{error}");
}
