//! Handshakes that don't end, and those that do.

use std::io::{Read, Write};
use std::time::Duration;

use super::Attack;
use super::crowd::Crowd;
use crate::harness::*;

/// Half of a whole hello, again and again from whoever was closed.
fn half_hellos(attack: Attack, count: usize) {
    attack.with_connections(count, 0).run(|attacker| {
        let hello = TlsClient::accepts_any().hello("example.com");
        let (half, _) = hello.split_at(hello.len() / 2);
        let mut crowd = Crowd::open(attacker, attacker.vhost.https(), count, half);
        while attacker.goes_on() {
            crowd.read_and_replace();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn half_hellos_of_one_address() {
    half_hellos(Attack::new("half hellos, one address").of_one_address(), 4096);
}

#[test]
fn half_hellos_of_many_addresses() {
    half_hellos(Attack::new("half hellos, 16 addresses").of_addresses(16), 4096);
}

#[test]
fn hellos_that_are_answered_and_go_no_further() {
    const COUNT: usize = 200;
    Attack::new("handshakes left after the server's part, one address")
        .of_one_address()
        .with_connections(COUNT * 4, 0)
        .run(|attacker| {
            let hello = TlsClient::accepts_any().hello("example.com");
            let mut crowd = Crowd::open(attacker, attacker.vhost.https(), COUNT, &hello);
            while attacker.goes_on() {
                crowd.read_and_replace();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
}

#[test]
fn whole_handshakes_one_after_the_other() {
    Attack::new("whole handshakes").with_connections(8, 8).run(|attacker| {
        let client = TlsClient::accepts_any();
        attacker.side_by_side(3, |_| {
            while attacker.goes_on() {
                let Ok(stream) = attacker.connect(attacker.vhost.https()) else { continue };
                let _ = client.over(stream, Some("example.com"));
            }
        });
    });
}

#[test]
fn hellos_that_are_none() {
    Attack::new("hellos that are none").with_connections(8, 0).run(|attacker| {
        attacker.side_by_side(3, |number| {
            while attacker.goes_on() {
                let Ok(mut stream) = attacker.connect(attacker.vhost.https()) else { continue };
                // A record of a handshake, and then anything; or no record at all.
                let mut bytes = vec![b'!'; 4000];
                if number > 0 {
                    bytes[..5].copy_from_slice(&[22, 3, 1, 0x0f, 0x9b]);
                }
                let _ = stream.write_all(&bytes);
                let _ = stream.read(&mut bytes);
            }
        });
    });
}
