//! The sides of the operator: the REST API and metrics.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::crowd::Crowd;
use super::honest::{Exchange, served, text};
use super::stage::Stage;
use super::{Attack, Attacker};
use crate::harness::*;

/// Asks on a connection of its own.
fn asks(address: SocketAddr, path: &'static str) -> Exchange {
    Box::new(move || {
        let mut client = Client::try_connect(address).map_err(text)?;
        served(&client.try_get(&address.to_string(), path).map_err(text)?)
    })
}

fn scrapes(stage: &Stage, _: &Vhost) -> Exchange {
    asks(stage.metrics, "/metrics")
}

fn asks_for_health(stage: &Stage, _: &Vhost) -> Exchange {
    asks(stage.api, "/api/v1/health")
}

/// Calls by the admin socket, on a connection of its own.
fn calls(_: &Stage, vhost: &Vhost) -> Exchange {
    let socket = vhost.socket();
    Box::new(move || {
        let mut connection = RpcConnection::try_connect(&socket).map_err(text)?;
        connection
            .try_call("state.get", &json!({}), |_| {})
            .map_err(text)?
            .map(drop)
            .map_err(|fault| fault.message)
    })
}

/// With both, and with those who use them.
fn managed(attack: Attack) -> Attack {
    attack
        .on(|setup, stage| setup.set("proxy.management_api_addr", format!("\"{}\"", stage.api)))
        .beside("scrape", scrapes)
        .beside("REST", asks_for_health)
        .beside("admin socket", calls)
        .with_connections(1500, 8)
}

/// Keeps connections to both open that say no more than this.
fn stand(attacker: &Attacker<'_>, greeting: &[u8]) {
    let [mut metrics, mut api] = [attacker.stage.metrics, attacker.stage.api]
        .map(|address| Crowd::open(attacker, address, 700, greeting));
    while attacker.goes_on() {
        metrics.read_and_replace();
        api.read_and_replace();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn silent_connections_to_the_api_and_metrics() {
    managed(Attack::new("silent connections to REST and metrics, one address"))
        .of_one_address()
        .run(|attacker| stand(attacker, b""));
}

#[test]
fn half_requests_to_the_api_and_metrics() {
    managed(Attack::new("half requests to REST and metrics, one address"))
        .of_one_address()
        .run(|attacker| stand(attacker, b"GET /metrics HTTP/1.1\r\nHost: "));
}

#[test]
fn requests_without_a_token_to_the_api() {
    managed(Attack::new("REST without a token")).run(|attacker| {
        let api = attacker.stage.api;
        attacker.side_by_side(2, |_| {
            while attacker.goes_on() {
                let Ok(stream) = attacker.connect(api) else { continue };
                let mut client = Client::over(stream);
                let _ = client.try_get(&api.to_string(), "/api/v1/domains");
            }
        });
    });
}

/// Only the server's own user gets there, but a script of theirs may go wild.
#[test]
fn silent_connections_to_the_admin_socket() {
    Attack::new("silent connections to the admin socket").beside("admin socket", calls).run(
        |attacker| {
            let connect = |_| UnixStream::connect(attacker.vhost.socket()).ok();
            let silent: Vec<_> = (0..20).filter_map(connect).collect();
            attacker.hold();
            drop(silent);
        },
    );
}
