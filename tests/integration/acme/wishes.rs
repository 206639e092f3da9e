//! When the CA wants a certificate to be renewed (RFC 9773).

use std::time::SystemTime;

use super::*;

const DAY: Duration = Duration::from_hours(24);

/// A CA that wants certificates renewed within a day, so long from now.
fn window(from: SystemTime) -> (Value, [u64; 2]) {
    let text = |at| humantime::format_rfc3339_seconds(at).to_string();
    let millis = |at: SystemTime| {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        since.as_secs() * 1000
    };
    let window = json!({ "start": text(from), "end": text(from + DAY) });
    let info = json!({ "suggestedWindow": window, "explanationURL": "https://ca.test/why" });
    (info, [millis(from), millis(from + DAY)])
}

fn site(name: &str, renewal: impl Fn(usize) -> Value + Send + Sync + 'static) -> (Site, CaRelay) {
    let setup = Setup::new().lifetime(Duration::from_mins(4));
    let pebble = Pebble::start(&PebbleOptions::validating(&setup));
    let relay = CaRelay::start(&pebble, renewal);
    let site = Site::with(pebble, setup, &[name], |setup, _| relay.in_setup(setup));
    (site, relay)
}

#[track_caller]
fn assert_follows(shown: &Value, [start, end]: [u64; 2]) {
    assert_eq!(shown["acme"]["window_ms"], json!([start, end]), "{shown}");
    let next = shown["next_ms"].as_u64().expect("a time");
    assert!((start..=end).contains(&next), "{next} is not within {start} and {end}: {shown}");
}

#[test]
fn the_window_of_the_ca_is_followed_and_outlives_a_restart() {
    let name = "shop.example.com";
    // Long before it would be due without.
    let (info, within) = window(SystemTime::now() + 10 * DAY);
    let (mut site, relay) = site(name, move |_| info.clone());
    let shown = site.vhost.wait_for_certificate(name, "valid");
    assert_follows(&shown, within);
    let asked = relay.asked();
    site.vhost.kill();
    site.vhost.restart();
    let again = site.vhost.wait_for_certificate(name, "valid");
    assert_follows(&again, within);
    // Whoever is killed right after it has asked asks once more.
    assert!(relay.asked() <= asked + 1, "{} is more than {asked} and once", relay.asked());
    assert_eq!(site.pebble.orders_made(), 1);
}

#[test]
fn a_certificate_that_is_to_be_revoked_is_renewed_at_once_and_once() {
    let name = "shop.example.com";
    let (past, _) = window(SystemTime::now() - 3 * DAY);
    let (later, within) = window(SystemTime::now() + 20 * DAY);
    let (site, _relay) =
        site(name, move |asked| if asked == 0 { past.clone() } else { later.clone() });
    // A CA that does not know what an order replaces is asked once more, so orders are not counted.
    let news = |vhost: &Vhost| vhost.certificate_news(name).len();
    eventually("it is renewed", ISSUANCE, || news(&site.vhost) >= 2);
    let shown = site.vhost.wait_for_certificate(name, "valid");
    assert_follows(&shown, within);
    assert_eq!(news(&site.vhost), 2, "once");
}
