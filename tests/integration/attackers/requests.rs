//! Requests that are whole and of no use, as many as can be.

use super::Attack;
use crate::harness::*;

/// Asks all the time on one connection after the other; `request` makes what is asked, by its number.
fn ask_all_the_time(attack: Attack, status: u16, request: fn(usize, usize) -> String) {
    attack.with_connections(8, 8).run(|attacker| {
        attacker.side_by_side(3, |thread| {
            let mut kept: Option<Client> = None;
            for number in 0.. {
                if !attacker.goes_on() {
                    break;
                }
                let Some(mut client) = kept
                    .take()
                    .or_else(|| attacker.connect(attacker.vhost.http()).ok().map(Client::over))
                else {
                    continue;
                };
                if client.try_send(request(thread, number)).is_err() {
                    continue;
                }
                match client.try_read_response() {
                    Ok(response) if response.status == status => {
                        kept = (!response.closes()).then_some(client);
                    }
                    Ok(response) => attacker.complain(format!("status {}", response.status)),
                    Err(_) => {}
                }
            }
        });
    });
}

#[test]
fn hosts_that_nobody_serves() {
    ask_all_the_time(Attack::new("hosts that nobody serves"), 404, |thread, number| {
        format!("GET / HTTP/1.1\r\nHost: h{thread}-{number}.evil.test\r\n\r\n")
    });
}

#[test]
fn requests_that_are_malformed() {
    ask_all_the_time(Attack::new("requests that are malformed"), 400, |_, number| {
        format!("GET /{number} HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n")
    });
}

#[test]
fn clients_that_are_made_up() {
    // Behind a trusted proxy each request is somebody else's, with a bucket of its own.
    let attack = Attack::new("clients that are made up").on(|setup, _| {
        setup.set("proxy.trusted_proxies", "[\"127.0.0.0/8\"]").domain_with(
            "limited.test",
            "a",
            "client_rate_limit = { requests = 1, per_secs = 60 }",
        )
    });
    ask_all_the_time(attack, 200, |thread, number| {
        let [_, a, b, c] = u32::try_from(number).expect("small").to_be_bytes();
        format!(
            "GET / HTTP/1.1\r\nHost: limited.test\r\nX-Forwarded-For: {}.{a}.{b}.{c}\r\n\r\n",
            10 + thread
        )
    });
}
