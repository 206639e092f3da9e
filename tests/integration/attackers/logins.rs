//! Passwords that are wrong, while others have the right ones.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Attack;
use super::crowd::Crowd;
use super::honest::{Exchange, asks, served, text};
use super::stage::Stage;
use crate::harness::*;

/// Users that log in while passwords are guessed. One after the other, so that each has to be checked.
const USERS: usize = 40;

fn authorization(user: &str, password: &str) -> String {
    let basic = STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {basic}\r\n")
}

/// A domain with users, each with a password of its own.
fn with_users(setup: Setup) -> Setup {
    let users: Vec<_> = (0..USERS)
        .map(|number| {
            // The cheapest: what is tried is who gets a turn, not what one costs.
            let hash = bcrypt::hash(format!("password {number}"), 4).expect("a hash");
            format!("user{number} = '{hash}'")
        })
        .collect();
    let auth = format!("basic_auth = {{ realm = \"staff\", users = {{ {} }} }}", users.join(", "));
    setup.domain_with("staff.test", "a", &auth).domain_with("other.test", "a", &auth)
}

/// Somebody who logged in before the attack.
fn who_is_in(_: &Stage, vhost: &Vhost) -> Exchange {
    asks("staff.test", &authorization("user0", "password 0"), vhost)
}

/// Users who log in one after the other, for the first time; then they all are in.
fn who_comes(_: &Stage, vhost: &Vhost) -> Exchange {
    comes_to("staff.test", vhost)
}

fn who_comes_to_another_domain(_: &Stage, vhost: &Vhost) -> Exchange {
    comes_to("other.test", vhost)
}

fn comes_to(host: &'static str, vhost: &Vhost) -> Exchange {
    let (address, mut number) = (vhost.http(), 0);
    Box::new(move || {
        number = (number + 1) % USERS;
        let login = authorization(&format!("user{number}"), &format!("password {number}"));
        let mut client = Client::try_connect(address).map_err(text)?;
        client.try_send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{login}\r\n")).map_err(text)?;
        served(&client.try_read_response().map_err(text)?)
    })
}

/// Guesses all the time, on so many connections.
fn guess(attack: Attack, user: &'static str) {
    const COUNT: usize = 400;
    attack
        .on(|setup, _| with_users(setup))
        .beside("who is in", who_is_in)
        .beside("who comes", who_comes)
        .beside("who comes to another domain", who_comes_to_another_domain)
        .with_connections(COUNT, 50)
        .run(|attacker| {
            let mut number = 0;
            let mut next = || {
                number += 1;
                let login = authorization(user, &format!("guess {number}"));
                format!("GET / HTTP/1.1\r\nHost: staff.test\r\n{login}\r\n")
            };
            let first = next();
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, first.as_bytes());
            while attacker.goes_on() {
                crowd.answer_with(next().as_bytes());
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
}

#[test]
fn wrong_passwords_of_one_address() {
    guess(Attack::new("wrong passwords, one address").of_one_address(), "user0");
}

#[test]
fn wrong_passwords_of_several_addresses() {
    guess(Attack::new("wrong passwords, 4 addresses"), "user0");
}

#[test]
fn passwords_of_users_that_do_not_exist() {
    guess(Attack::new("passwords of nobody, one address").of_one_address(), "nobody");
}
