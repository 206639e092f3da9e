//! Lists that are longer than one answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::*;

/// More than one page of domains and of backends.
fn crowded() -> Vhost {
    let address = refusing_address();
    let mut setup = Setup::new().set("health_check.interval_secs", 600);
    for index in 0..2_500 {
        setup = setup.domain(&format!("shop-{index:04}.test"), "a");
    }
    for index in 0..1_200 {
        setup = setup.backend(&format!("web-{index:04}"), address, &["a"]);
    }
    setup.start()
}

fn names(list: &Value, key: &str, name: &str) -> Vec<String> {
    let entries = list[key].as_array().expect("a list");
    entries.iter().map(|entry| entry[name].as_str().expect("text").to_owned()).collect()
}

#[test]
fn an_answer_holds_a_page_and_says_where_the_next_one_begins() {
    let server = crowded();
    let first = server.rpc("domain.list", json!({})).unwrap();
    assert_eq!(names(&first, "domains", "domain").len(), 1000);
    assert_eq!(first["next"], "shop-0999.test");
    let second = server.rpc("domain.list", json!({"after": first["next"], "limit": 2})).unwrap();
    assert_eq!(names(&second, "domains", "domain"), ["shop-1000.test", "shop-1001.test"]);
    let much = server.rpc("domain.list", json!({"limit": 1_000_000})).unwrap();
    assert_eq!(names(&much, "domains", "domain").len(), 1000, "an answer stays small");

    // A name that is gone by now is a place all the same.
    server.rpc("domain.remove", json!({"domain": "shop-2498.test"})).unwrap();
    let last = server.rpc("domain.list", json!({"after": "shop-2498.test"})).unwrap();
    assert_eq!(names(&last, "domains", "domain"), ["shop-2499.test"]);
    assert!(last.get("next").is_none(), "{last}");
    assert_eq!(last["domains"][0]["backends"]["total"], 1200);

    let backends = server.rpc("backend.list", json!({"after": "web-0999"})).unwrap();
    assert_eq!(names(&backends, "backends", "id").len(), 200);
    assert!(backends.get("next").is_none(), "{}", backends["next"]);
}

#[test]
fn the_command_shows_all_pages_as_one_list() {
    let server = crowded();
    for (noun, key, name, count) in
        [("domain", "domains", "domain", 2_500), ("backend", "backends", "id", 1_200)]
    {
        let list = server.ctl_json(&[noun, "list"]);
        let all = names(&list, key, name);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count, "each of them once");
        assert!(all.is_sorted(), "{noun}");
        assert!(list.get("next").is_none(), "{noun}: it is one list");

        let wide = server.ctl_ok(&[noun, "list", "--output", "wide"]).stdout;
        assert_eq!(wide.lines().count(), count + 1, "{noun}");
        let table = server.ctl_ok(&[noun, "list"]).stdout;
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), count + 1, "{noun}: one header");
        assert!(rows[1..].iter().zip(&all).all(|(row, name)| row.starts_with(name.as_str())));
        let second = |row: &str| {
            row.find("  ").map(|gap| row[gap..].len() - row[gap..].trim_start().len() + gap)
        };
        let columns: BTreeSet<_> = rows[1..].iter().map(|row| second(row)).collect();
        assert_eq!(columns.len(), 1, "{noun}: the second column is where it was");
    }
}
