//! What runs in processes that were replaced follows the state, and is waited for.

use super::*;

/// A request that the backend holds until it is released.
fn held(vhost: &Vhost, backend: &Backend) -> Client {
    let before = backend.held();
    let mut client = vhost.connect();
    client.send(format!("GET /hold HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    eventually("it is held", SOON, || backend.held() == before + 1);
    client
}

#[test]
fn a_request_on_a_connection_of_the_old_process_goes_to_the_tag_that_is_live() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut socket = WebSocket::open(vhost.http(), HOST);
    let mut kept: Vec<_> = (0..3).map(|_| vhost.connect()).collect();
    for client in &mut kept {
        assert_eq!(client.get(HOST, "/").backend(), Some("a1"));
    }
    vhost.upgrade();
    for (client, tag) in kept.iter_mut().zip(["b", "a", "b"]) {
        vhost.ctl_ok(&["switch", HOST, tag, "--no-drain"]);
        assert_eq!(client.get(HOST, "/").backend(), Some(&*format!("{tag}1")));
    }
    assert_eq!(socket.backend, "a1");
    socket.echo("it lives on").expect("the WebSocket lives on");
}

#[test]
fn a_switch_waits_for_what_runs_in_the_old_process() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut client = held(&vhost, &backends[0]);
    vhost.upgrade();
    let late = vhost.ctl(&["switch", HOST, "b", "--drain-timeout", "300ms"]);
    assert_eq!(late.code, 7, "{late:?}");
    assert!(late.stderr.contains("1 request"), "{late:?}");
    vhost.ctl_ok(&["undo", HOST, "--no-drain"]);
    let switch = vhost.ctl_in_background(&["switch", HOST, "b"]);
    eventually("it is switched", SOON, || vhost.live(HOST) == "b");
    backends[0].release();
    assert_eq!(client.read_response().backend(), Some("a1"));
    assert_eq!(switch.wait().code, 0);
}

#[test]
fn a_backend_that_is_removed_waits_for_what_runs_in_the_old_process() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut client = held(&vhost, &backends[0]);
    vhost.upgrade();
    vhost.ctl_ok(&["switch", HOST, "b", "--no-drain"]);
    let late = vhost.ctl(&["backend", "remove", "a1", "--timeout", "300ms"]);
    assert_eq!(late.code, 7, "{late:?}");
    let remove = vhost.ctl_in_background(&["backend", "remove", "a1"]);
    backends[0].release();
    assert_eq!(client.read_response().backend(), Some("a1"));
    assert_eq!(remove.wait().code, 0);
}

#[test]
fn a_drain_that_is_under_way_goes_on_and_its_end_is_in_the_history() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut client = held(&vhost, &backends[0]);
    let switch = vhost.ctl_in_background(&["switch", HOST, "b"]);
    eventually("it is switched", SOON, || vhost.live(HOST) == "b");
    vhost.upgrade();
    let event = vhost.newest_event();
    assert_eq!(event["outcome"]["state"], "draining", "{event}");
    backends[0].release();
    assert_eq!(client.read_response().backend(), Some("a1"));
    let switch = switch.wait();
    assert_eq!(switch.code, 0, "{switch:?}");
    eventually("its end is in the history", SOON, || {
        vhost.newest_event()["outcome"]["state"] == "done"
    });
}

#[test]
fn a_drain_whose_process_is_killed_is_interrupted() {
    let backends = backends();
    let mut vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let _client = held(&vhost, &backends[0]);
    let switch = vhost.ctl_in_background(&["switch", HOST, "b"]);
    eventually("it is switched", SOON, || vhost.live(HOST) == "b");
    vhost.upgrade();
    vhost.signal(nix::sys::signal::Signal::SIGKILL);
    vhost.wait_for_exit(SOON);
    assert_ne!(switch.wait().code, 0);
    eventually("its end is in the history", SOON, || {
        vhost.newest_event()["outcome"]["state"] == "interrupted"
    });
    vhost.ctl_ok(&["switch", HOST, "a"]);
}

#[test]
fn several_processes_may_be_left_at_once_and_all_follow() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut sockets = Vec::new();
    let mut kept = Vec::new();
    for generation in 0..3 {
        sockets.push(WebSocket::open(vhost.http(), HOST));
        let mut client = vhost.connect();
        assert_eq!(client.get(HOST, "/").backend(), Some("a1"));
        kept.push(client);
        vhost.upgrade();
        eventually("all are shown", SOON, || {
            replaced(&vhost).iter().filter(|of| of["in_flight"] == 1).count() == generation + 1
        });
    }
    let held = held(&vhost, &backends[0]);
    let switch = vhost.ctl(&["switch", HOST, "b", "--drain-timeout", "300ms"]);
    assert_eq!(switch.code, 7, "{switch:?}");
    assert!(switch.stderr.contains("4 requests"), "{switch:?}");
    for client in &mut kept {
        assert_eq!(client.get(HOST, "/").backend(), Some("b1"));
    }
    for socket in &mut sockets {
        socket.echo("still there").expect("the WebSocket lives on");
    }
    drop(held);
    for socket in sockets {
        socket.close().expect("it closes");
    }
    eventually("all have ended", SOON, || replaced(&vhost).is_empty());
}

/// An app that has its WebSockets closed when they are left: also those of a process that was replaced.
#[test]
fn web_sockets_of_the_old_process_end_with_their_tag() {
    let backends = backends();
    let options = "drain = { websockets = { close_after_secs = 0, spread_secs = 0 } }";
    let options = format!("http_to_https = false\n{options}");
    let vhost = Setup::new()
        .domain_with(HOST, "a", &options)
        .backend("a1", backends[0].address(), &["a"])
        .backend("b1", backends[1].address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut socket = WebSocket::open(vhost.http(), HOST);
    vhost.upgrade();
    socket.echo("still there").expect("the WebSocket lives on");
    let switch = vhost.ctl_ok(&["switch", HOST, "b"]);
    assert_eq!(switch.code, 0, "{switch:?}");
    assert!(socket.echo("gone").is_err());
}

#[test]
fn a_process_that_was_stopped_for_a_while_follows_again() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut socket = WebSocket::open(vhost.http(), HOST);
    let mut kept = vhost.connect();
    assert_eq!(kept.get(HOST, "/").backend(), Some("a1"));
    vhost.upgrade();
    vhost.signal(nix::sys::signal::Signal::SIGSTOP);
    vhost.ctl_ok(&["switch", HOST, "b", "--no-drain"]);
    vhost.wait_for_log("has not followed a change");
    vhost.signal(nix::sys::signal::Signal::SIGCONT);
    // What it has missed comes with the next change, whatever that is.
    vhost.ctl_ok(&["backend", "set", "a1", "--weight", "2"]);
    assert_eq!(kept.get(HOST, "/").backend(), Some("b1"));
    assert_eq!(replaced(&vhost).len(), 1, "it is still heard of");
    socket.echo("still there").expect("the WebSocket lives on");
}

#[test]
fn a_stop_of_the_old_process_gives_its_requests_their_time() {
    let backends = backends();
    let mut vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let mut client = held(&vhost, &backends[0]);
    vhost.upgrade();
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_log("stopping");
    backends[0].release();
    assert_eq!(client.read_response().backend(), Some("a1"));
    assert!(vhost.wait_for_exit(SOON).success());
}

/// A process whose successor is gone ends with a failure, so that whoever watches over it starts another.
#[test]
fn a_process_whose_successor_was_killed_ends() {
    let backends = backends();
    let mut vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let _socket = WebSocket::open(vhost.http(), HOST);
    let new = vhost.upgrade();
    nix::sys::signal::kill(new, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    let ended = vhost.wait_for_exit(SOON);
    assert_eq!(ended.code(), Some(1));
    vhost.restart();
    assert_eq!(vhost.get(HOST, "/").status, 200);
}
