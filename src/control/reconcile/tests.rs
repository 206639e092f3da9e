use std::path::Path;

use super::*;
use crate::model::{BackendOptions, BackendState, Tag};

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
    let merged = merge(live, applied, declared, Clash::Refused).unwrap();
    let told = merged.entries.iter().map(ToString::to_string).collect();
    (live.after(merged.changes, live.revision() + 1), told)
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
        let error = merge(&live, &file(&base()), &file(&text), Clash::Refused).unwrap_err();
        assert!(matches!(error, ControlError::FileConflict { .. }), "{error}");
    }
    // An alias in the file that a command gave away is one too.
    let text = domain("example.com", "a", "aliases = [\"made.example\"]") + &backend("w1", "a", 1);
    let error = merge(&live, &Declared::default(), &file(&text), Clash::Refused).unwrap_err();
    assert!(matches!(error, ControlError::FileNameTaken { .. }), "{error}");
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
        merge(&live, &file(&base()), &otherwise, Clash::Refused).unwrap_err().to_string(),
        "the config file declares the backend `w3`, which a command made with other values (weight: 1 → 2)"
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
    let error = merge(&live, &Declared::default(), &with("state = \"ready\"\n"), Clash::Refused)
        .unwrap_err();
    assert!(error.to_string().contains("draining"), "{error}");
}

/// Random files, random commands in between, and what must hold whatever they are.
mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::model::Weight;

    const NAMES: [&str; 5] = ["one.test", "two.test", "*.test", "three.test", "*"];
    const IDS: [&str; 4] = ["w1", "w2", "w3", "w4"];
    const TAGS: [&str; 3] = ["a", "b", "c"];

    fn tag() -> impl Strategy<Value = Tag> {
        select(TAGS.as_slice()).prop_map(|tag| tag.parse().unwrap())
    }

    fn backend_entry() -> impl Strategy<Value = DeclaredBackend> {
        let state = proptest::option::of(select(vec![BackendState::Ready, BackendState::Draining]));
        (select(IDS.as_slice()), proptest::collection::btree_set(tag(), 0..3), 1..4_u64, state)
            .prop_map(|(id, tags, weight, state)| DeclaredBackend {
                id: id.parse().unwrap(),
                address: "127.0.0.1:3000".parse().unwrap(),
                tags,
                options: crate::model::BackendOptions {
                    weight: Weight::try_from(weight).unwrap(),
                    ..Default::default()
                },
                state,
            })
    }

    fn domain_entry() -> impl Strategy<Value = VirtualHost> {
        let names = vec(select(NAMES.as_slice()), 1..3);
        (names, tag(), any::<bool>()).prop_map(|(names, live, http_to_https)| {
            let mut names = names.into_iter().map(|name| name.parse().unwrap());
            VirtualHost {
                domain: names.next().unwrap(),
                previous: None,
                beside: crate::model::Beside::default(),
                live,
                top: crate::model::TopOptions {
                    aliases: names.collect(),
                    http_to_https,
                    ..Default::default()
                },
                options: crate::model::HostOptions::default(),
            }
        })
    }

    /// A file as the config room lets it through: no id and no name occurs twice.
    fn any_file() -> impl Strategy<Value = Declared> {
        (vec(domain_entry(), 0..4), vec(backend_entry(), 0..5)).prop_map(|(domains, backends)| {
            let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
            let mut file = Declared::default();
            for domain in domains {
                let own: BTreeSet<_> =
                    [&domain.domain].into_iter().chain(&domain.top.aliases).cloned().collect();
                if own.len() == 1 + domain.top.aliases.len() && own.is_disjoint(&names) {
                    names.extend(own);
                    file.domains.push(domain);
                }
            }
            file.backends.extend(backends.into_iter().filter(|b| ids.insert(b.id.clone())));
            file
        })
    }

    /// What a command may do: to put an entry as it likes, to drop one, to switch.
    #[derive(Debug, Clone)]
    #[expect(clippy::large_enum_variant, reason = "a test makes few of them")]
    enum Command {
        Domain(VirtualHost),
        Backend(DeclaredBackend),
        Remove(usize),
        Switch(usize, Tag),
    }

    fn command() -> impl Strategy<Value = Command> {
        prop_oneof![
            domain_entry().prop_map(Command::Domain),
            backend_entry().prop_map(Command::Backend),
            (0..9_usize).prop_map(Command::Remove),
            ((0..5_usize), tag()).prop_map(|(index, tag)| Command::Switch(index, tag)),
        ]
    }

    /// Carries out a command as far as control would allow it.
    fn carry_out(live: &Snapshot, command: Command) -> Snapshot {
        let change = match command {
            Command::Domain(declared) => {
                let virtual_host = declared;
                let taken = live
                    .domain(&virtual_host.domain)
                    .is_some_and(|node| node.virtual_host.domain != virtual_host.domain);
                if taken || crate::control::domains::check_names(live, &virtual_host).is_err() {
                    return live.clone();
                }
                Change::PutDomain(virtual_host)
            }
            Command::Backend(declared) => Change::PutBackend(declared.into()),
            Command::Remove(index) => match NAMES.get(index) {
                Some(name) => Change::DropDomain(name.parse().unwrap()),
                None => Change::DropBackend(IDS[index - NAMES.len()].parse().unwrap()),
            },
            Command::Switch(index, tag) => {
                let name = NAMES[index].parse().unwrap();
                let Some(node) = live.domain(&name) else { return live.clone() };
                let before = node.virtual_host.clone();
                let previous = Some(before.live.clone());
                Change::PutDomain(VirtualHost { live: tag, previous, ..before })
            }
        };
        live.after(vec![change], live.revision() + 1)
    }

    fn hosts(live: &Snapshot) -> BTreeMap<DomainName, VirtualHost> {
        live.domains().map(|n| (n.virtual_host.domain.clone(), n.virtual_host.clone())).collect()
    }

    fn all_backends(live: &Snapshot) -> BTreeMap<BackendId, Backend> {
        live.backends().map(|n| (n.backend.id.clone(), n.backend.clone())).collect()
    }

    fn started(file: &Declared, commands: Vec<Command>) -> Snapshot {
        let (live, _) = apply(&Snapshot::default(), &Declared::default(), file);
        commands.into_iter().fold(live, |live, command| carry_out(&live, command))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn the_same_file_changes_nothing(
            file in any_file(),
            commands in vec(command(), 0..6),
            shuffled in any::<u64>(),
        ) {
            let live = started(&file, commands);
            let mut other = file.clone();
            if shuffled % 2 == 0 {
                other.domains.reverse();
                other.backends.reverse();
            }
            prop_assert!(same(&file, &other));
            let merged = merge(&live, &file, &other, Clash::Refused).expect("nothing to contradict");
            prop_assert!(merged.changes.is_empty() && merged.entries.is_empty(), "{merged:?}");
        }

        #[test]
        fn a_fresh_state_becomes_what_the_file_says(file in any_file()) {
            let live = started(&file, Vec::new());
            prop_assert_eq!(hosts(&live).len(), file.domains.len());
            for domain in file.domains {
                let name = domain.domain.clone();
                prop_assert_eq!(&hosts(&live)[&name], &domain);
            }
            for backend in &file.backends {
                prop_assert_eq!(&all_backends(&live)[&backend.id], &Backend::from(backend.clone()));
            }
        }

        #[test]
        fn each_field_is_the_files_where_the_file_changed_it_and_stays_where_it_did_not(
            before in any_file(),
            commands in vec(command(), 0..6),
            after in any_file(),
        ) {
            let live = started(&before, commands);
            let Ok(merged) = merge(&live, &before, &after, Clash::Refused) else { return Ok(()) };
            let next = live.after(merged.changes.clone(), live.revision() + 1);
            let (olds, news) = (domains_of(&before), domains_of(&after));
            let (was, is) = (hosts(&live), hosts(&next));
            for name in NAMES.map(|name| name.parse::<DomainName>().unwrap()) {
                let (old, new) = (olds.get(&name).copied(), news.get(&name).copied());
                match (old, new, was.get(&name), is.get(&name)) {
                    // What the file says nothing of is as it was.
                    (None, None, was, is) => prop_assert_eq!(was, is),
                    // What it drops is gone.
                    (Some(_), None, _, is) => prop_assert_eq!(is, None),
                    (old, Some(new), None, is) => {
                        let stays = old == Some(new);
                        prop_assert_eq!(is.is_none(), stays, "what a command removed stays so");
                    }
                    (None, Some(new), Some(was), Some(is)) => {
                        prop_assert_eq!(was, is);
                        prop_assert_eq!(&is.live, &new.live);
                    }
                    (Some(old), Some(new), Some(was), Some(is)) => {
                        prop_assert_eq!(&is.live, &pick(&old.live, &new.live, &was.live));
                        prop_assert_eq!(&is.top.aliases, &pick(&old.top.aliases, &new.top.aliases, &was.top.aliases));
                        let moved = merged.steps.iter().any(|step| step.domain == name);
                        prop_assert_eq!(moved, is.live != was.live);
                    }
                    (_, Some(_), Some(_), None) => prop_assert!(false, "`{name}` is lost"),
                }
            }
            // Every name routes to its domain, and to one only.
            for host in is.values() {
                for name in host.names() {
                    let owner = next.domain(name).expect("it routes");
                    prop_assert_eq!(&owner.virtual_host.domain, &host.domain);
                }
            }
            let (olds, news) = (backends_of(&before), backends_of(&after));
            let (was, is) = (all_backends(&live), all_backends(&next));
            for id in IDS.map(|id| id.parse::<BackendId>().unwrap()) {
                match (olds.get(&id), news.get(&id), was.get(&id), is.get(&id)) {
                    (None, None, was, is) => prop_assert_eq!(was, is),
                    (Some(_), None, _, is) => prop_assert_eq!(is, None),
                    (Some(old), Some(new), Some(was), Some(is)) => {
                        prop_assert_eq!(&is.tags, &pick(&old.tags, &new.tags, &was.tags));
                        prop_assert_eq!(is.options.weight, pick(&old.options.weight, &new.options.weight, &was.options.weight));
                        if old.state == new.state || new.state.is_none() {
                            prop_assert_eq!(is.state, was.state);
                        }
                    }
                    (_, Some(_), _, _) => {}
                }
            }
            // And then the file is applied.
            let again = merge(&next, &after, &after, Clash::Refused).expect("nothing to contradict");
            prop_assert!(again.changes.is_empty());
        }

        #[test]
        fn the_order_of_a_file_does_not_matter(
            before in any_file(),
            commands in vec(command(), 0..6),
            after in any_file(),
        ) {
            let live = started(&before, commands);
            let mut turned = after.clone();
            turned.domains.reverse();
            turned.backends.reverse();
            let outcome = |file: &Declared| {
                let merged = merge(&live, &before, file, Clash::Refused).ok()?;
                let next = live.after(merged.changes, live.revision() + 1);
                Some((hosts(&next), all_backends(&next)))
            };
            prop_assert_eq!(outcome(&after), outcome(&turned));
        }

        #[test]
        fn without_force_a_live_tag_never_loses_its_last_backend(
            before in any_file(),
            commands in vec(command(), 0..6),
            after in any_file(),
        ) {
            let live = started(&before, commands);
            let Ok(merged) = merge(&live, &before, &after, Clash::Refused) else { return Ok(()) };
            let next = live.after(merged.changes.clone(), live.revision() + 1);
            if check_served(&live, &next, &merged).is_err() { return Ok(()) }
            for (name, was) in hosts(&live) {
                let Some(is) = hosts(&next).remove(&name) else { continue };
                let served = |snapshot: &Snapshot, tag: &Tag| {
                    snapshot.pool(&PoolName::new(None, tag)).is_some()
                };
                if served(&live, &was.live) {
                    prop_assert!(served(&next, &is.live), "`{name}` on `{}`", is.live);
                }
            }
        }
    }
}

#[test]
fn where_a_change_of_the_file_and_one_of_a_command_do_not_go_together_a_start_takes_the_files() {
    let text = |name: &str| {
        let tls = format!("scheme = \"https\"\ntls_server_name = \"{name}\"\n");
        file(&(domain("example.com", "a", "") + &backend("w1", "a", 1) + &tls))
    };
    let (before, after) = (text("x.test"), text("z.test"));
    let (live, _) = apply(&Snapshot::default(), &Declared::default(), &before);
    let mut plain = live.backend(&"w1".parse().unwrap()).unwrap().backend.clone();
    plain.options = BackendOptions::default();
    let live = live.after(vec![Change::PutBackend(plain)], 9);
    let error = merge(&live, &before, &after, Clash::Refused).unwrap_err();
    assert!(matches!(error, ControlError::FileConflict { .. }), "{error}");
    let merged = merge(&live, &before, &after, Clash::FileHolds).unwrap();
    assert_eq!(merged.entries.len(), 1);
    let next = live.after(merged.changes, 10);
    let options = &next.backend(&"w1".parse().unwrap()).unwrap().backend.options;
    assert_eq!(*options, after.backends[0].options);
}
