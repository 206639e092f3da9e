//! Sizes and times over REST.

use super::*;

#[test]
fn sizes_and_times_have_units_and_are_answered_as_numbers() {
    let api = Api::start();
    let options = json!({
        "hsts_max_age_secs": "1h",
        "options": { "max_body_bytes": "10MB", "pause": { "max_wait_secs": "5s" } },
    });
    let set = api.ask("PUT", EXAMPLE, Some(&options));
    assert_eq!(set.status, 200, "{}", set.text());
    let domain = json_of(&set);
    assert_eq!(domain["hsts_max_age_secs"], 3600);
    assert_eq!(domain["options"]["max_body_bytes"], 10_485_760);
    assert_eq!(domain["options"]["pause"]["max_wait_secs"], 5);
    for (options, words) in [
        (
            json!({ "options": { "max_body_bytes": "10 pounds" } }),
            "use a size such as 10MB or 10485760",
        ),
        (
            json!({ "options": { "timeouts": { "response_secs": "soon" } } }),
            "use a time such as 90s",
        ),
        (json!({ "hsts_max_age_secs": "5y" }), "use 0 to 126144000 seconds"),
    ] {
        let refused = api.ask("PUT", EXAMPLE, Some(&options));
        let (kind, told) = problem(&refused);
        assert_eq!((refused.status, kind.as_str()), (422, "invalid"), "{told}");
        assert!(told.contains(words), "{told}");
    }
    let backend = json!({ "connect_timeout_secs": "1m30s" });
    let set = api.ask("PUT", "/api/v1/backends/web-a", Some(&backend));
    assert_eq!(json_of(&set)["connect_timeout_secs"], 90);
}
