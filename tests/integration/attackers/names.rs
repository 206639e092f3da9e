//! Names that clients make up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::attacker::Attacker;
use super::{Attack, SOON};
use crate::harness::*;

/// A name as long as those that are made up.
const PATTERN: &str = "pppppppppppp.evil.test";

/// Hellos with names that nobody has heard of, all the time.
fn make_up(attacker: &Attacker<'_>, made: &AtomicUsize, suffix: &str) {
    let pattern = PATTERN.replace(".evil.test", suffix);
    let hello = TlsClient::accepts_any().hello(&pattern);
    let at = hello.windows(pattern.len()).position(|window| window == pattern.as_bytes());
    let at = at.expect("the name is in the hello");
    attacker.side_by_side(3, |_| {
        while attacker.goes_on() {
            let number = made.fetch_add(1, Ordering::SeqCst);
            let mut hello = hello.clone();
            hello[at..at + 12].copy_from_slice(format!("x{number:011}").as_bytes());
            let Ok(mut stream) = attacker.connect(attacker.vhost.https()) else { continue };
            let _ = stream.write_all(&hello);
            let _ = stream.read(&mut [0; 512]);
        }
    });
}

#[test]
fn names_for_certificates_on_demand() {
    let shops: Vec<_> = (0..4).map(|number| format!("shop{number}.customer.test")).collect();
    let allowed: Vec<_> = shops.iter().map(String::as_str).collect();
    let ask = AskServer::start(&allowed);
    let (url, nobody) = (format!("{:?}", ask.url()), refusing_address());
    Attack::new("made-up names on demand, one address")
        .of_one_address()
        .on(|setup, _| {
            // A CA that can't be reached: who is asked about a name is what matters here.
            setup
                .set("lets_encrypt.email", "\"admin@example.com\"")
                .set("lets_encrypt.directory_url", format!("\"https://{nobody}/directory\""))
                .set("lets_encrypt.on_demand_ask", url)
                .domain("*", "a")
        })
        .with_connections(8, 8)
        .run(|attacker| {
            let made = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| make_up(attacker, &made, ".evil.test"));
                eventually("names are made up", SOON, || made.load(Ordering::SeqCst) > 50);
                // Honest visitors, of names that the operator's service knows.
                let visitors: Vec<_> = shops
                    .iter()
                    .map(|shop| {
                        let mut stream =
                            TcpStream::connect(attacker.vhost.https()).expect("the proxy accepts");
                        let hello = TlsClient::accepts_any().hello(shop);
                        stream.write_all(&hello).expect("it reads");
                        stream
                    })
                    .collect();
                for shop in &shops {
                    if !super::sampler::within(std::time::Duration::from_secs(10), || {
                        ask.asked_about(shop) > 0
                    }) {
                        attacker.complain(format!("nobody was asked about `{shop}`"));
                    }
                }
                drop(visitors);
            });
        });
}

#[test]
fn names_below_an_internal_wildcard() {
    Attack::new("made-up names below an internal wildcard, one address")
        .of_one_address()
        .on(|setup, _| setup.domain_with("*.corp.internal", "a", "tls = \"internal\""))
        .with_connections(8, 8)
        .run(|attacker| {
            let made = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| make_up(attacker, &made, ".corp.internal"));
                eventually("names are made up", SOON, || made.load(Ordering::SeqCst) > 50);
                let client = TlsClient::accepts_any();
                for number in 0..4 {
                    let name = format!("app{number}.corp.internal");
                    if let Err(error) = client.connect(attacker.vhost.https(), Some(&name)) {
                        attacker.complain(format!("`{name}` has no certificate: {error}"));
                    }
                }
            });
        });
}

#[test]
fn names_that_nobody_serves() {
    Attack::new("made-up names that nobody serves").with_connections(8, 8).run(|attacker| {
        make_up(attacker, &AtomicUsize::new(0), ".evil.test");
    });
}
