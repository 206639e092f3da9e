use super::*;

#[test]
fn clients_are_told_of_maintenance_and_when_to_come_again() {
    let (backend, vhost) =
        with_options("maintenance = { message = \"back soon\", retry_after_secs = 120 }");
    let mut client = vhost.connect();
    for _ in 0..2 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.text().as_str()), (503, "back soon\n"));
        assert_eq!(response.header("retry-after"), Some("120"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    assert_eq!(backend.requests(), 0);
    let state = vhost.rpc("state.get", serde_json::json!({})).unwrap();
    assert_eq!(state["refused"]["maintenance"], 2);
    let explained = vhost.ctl(&["explain", "example.com/"]);
    assert!(explained.stdout.contains("503 maintenance"), "{explained:?}");
}
