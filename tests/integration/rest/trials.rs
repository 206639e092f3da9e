//! Splits, rollouts, previews and comparisons over HTTP.

use super::*;

const DOMAIN: &str = "/api/v1/domains/example.com";

fn at(path: &str) -> String {
    format!("{DOMAIN}{path}")
}

#[test]
fn a_share_is_given_compared_and_promoted() {
    let api = Api::start();
    let shares = json!({ "shares": [{ "tag": "b", "share": 12.5 }], "reason": "a first look" });
    let split = api.ask("PUT", &at("/split"), Some(&shares));
    assert_eq!(split.status, 200, "{}", split.text());
    let moves = &json_of(&split)["moves"];
    assert_eq!(
        *moves,
        json!([{ "domain": "example.com", "tag": "b", "before": 0, "after": 12.5 }])
    );
    let shown = json_of(&api.ask("GET", DOMAIN, None));
    assert_eq!(shown["shares"][1], json!({ "tag": "b", "share": 12.5 }));
    let compared = api.ask("GET", &at("/compare?old=a&new=b&last_secs=30"), None);
    assert_eq!(compared.status, 200, "{}", compared.text());
    assert_eq!(json_of(&compared)["last_ms"], 30_000);
    for (path, status) in [("?old=a&new=c", 404), ("?last_secs=0", 422), ("?tag=a", 422)] {
        assert_eq!(api.ask("GET", &at(&format!("/compare{path}")), None).status, status, "{path}");
    }
    let too_much = json!({ "shares": [{ "tag": "b", "share": 101 }] });
    assert_eq!(api.ask("PUT", &at("/split"), Some(&too_much)).status, 422);
    let guarded = json!({ "guard": {} });
    assert_eq!(api.ask("POST", &at("/promote"), Some(&guarded)).status, 422, "it takes no guard");
    let promoted = api.ask("POST", &at("/promote"), None);
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    assert_eq!(api.vhost.live("example.com"), "b");
    assert_eq!(api.ask("POST", &at("/promote"), None).status, 404, "nothing is left to promote");
}

#[test]
fn a_rollout_is_started_paused_resumed_and_aborted() {
    let api = Api::start();
    let steps = json!({ "tag": "b", "steps": "10%:1h,50%:1h", "guard": { "min_requests": 5 } });
    let started = api.ask("POST", &at("/rollout"), Some(&steps));
    assert_eq!(started.status, 200, "{}", started.text());
    assert_eq!(api.ask("POST", &at("/rollout"), Some(&steps)).status, 409);
    let list = json_of(&api.ask("GET", &at("/rollout"), None));
    assert_eq!(list["trials"][0]["rules"]["min_requests"], 5, "{list:#}");
    let paused = api.ask("POST", &at("/rollout/pause"), None);
    assert_eq!(json_of(&paused)["rollout"]["is_paused"], true);
    assert_eq!(api.ask("POST", &at("/rollout/pause"), None).status, 409);
    assert_eq!(api.ask("POST", &at("/rollout/resume"), None).status, 200);
    let aborted = api.ask("POST", &at("/rollout/abort"), Some(&json!({ "drain": false })));
    assert_eq!(aborted.status, 200, "{}", aborted.text());
    let all = json_of(&api.ask("GET", "/api/v1/rollouts", None));
    assert_eq!(all["trials"][0]["end"], "aborted");
    for path in ["/rollout/pause", "/rollout/resume", "/rollout/abort"] {
        assert_eq!(api.ask("POST", &at(path), None).status, 404, "{path}");
    }
    assert_eq!(api.ask("GET", "/api/v1/domains/nobody.test/rollout", None).status, 404);
    let wrong = json!({ "steps": "10%" });
    assert_eq!(api.ask("POST", &at("/rollout"), Some(&wrong)).status, 422);
}

#[test]
fn a_switch_over_http_is_guarded() {
    let api = Api::start();
    let guard = json!({ "tag": "b", "guard": { "time_secs": 600, "min_requests": 7 } });
    let switched = api.ask("POST", &at("/switch"), Some(&guard));
    assert_eq!(switched.status, 200, "{}", switched.text());
    let trial = &json_of(&api.ask("GET", &at("/rollout"), None))["trials"][0];
    assert_eq!((&trial["kind"], &trial["rules"]["min_requests"]), (&json!("guard"), &json!(7)));
    let undo = json!({ "guard": { "time_secs": 600 } });
    assert_eq!(api.ask("POST", &at("/undo"), Some(&undo)).status, 422);
}

#[test]
fn previews_are_made_listed_and_revoked() {
    let api = Api::start();
    let made = api.ask("POST", &at("/previews"), Some(&json!({ "tag": "b", "time_secs": 60 })));
    assert_eq!(made.status, 201, "{}", made.text());
    let location = made.header("location").expect("where it is").to_owned();
    let id = json_of(&made)["id"].clone();
    assert_eq!(location, at(&format!("/previews/{id}")));
    assert_eq!(json_of(&api.ask("GET", &at("/previews"), None))["previews"][0]["id"], id);
    assert_eq!(api.ask("DELETE", &location, None).status, 204);
    assert_eq!(api.ask("DELETE", &location, None).status, 404);
    assert_eq!(api.ask("DELETE", &at("/previews/x"), None).status, 422);
    assert_eq!(api.ask("DELETE", &at("/previews"), None).status, 204);
}
