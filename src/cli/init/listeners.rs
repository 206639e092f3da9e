//! Where the server will listen.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use super::answers::Answers;
use super::args::InitArgs;

/// Addresses for both protocols.
pub(super) struct Listeners {
    pub(super) http: Vec<SocketAddr>,
    pub(super) https: Vec<SocketAddr>,
}

impl Listeners {
    pub(super) fn of(args: &InitArgs, answers: &Answers) -> Self {
        let or_all = |given: &[SocketAddr], port| match given {
            [] => all_addresses(port),
            given => given.to_vec(),
        };
        let is_plain = answers.email.is_none() && !answers.is_private() && args.https.is_empty();
        let https = if is_plain { Vec::new() } else { or_all(&args.https, 443) };
        Self { http: or_all(&args.http, 80), https }
    }
}

/// All addresses of the machine, IPv6 where it has that.
fn all_addresses(port: u16) -> Vec<SocketAddr> {
    let mut all = vec![SocketAddr::from(([0, 0, 0, 0], port))];
    if TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
        all.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    all
}
