//! What connections may be.

use std::time::Duration;

use super::{refused, site, wait_for_refused};
use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn each_client_may_have_so_many_connections() {
    let backend = Backend::start("web");
    let (client, other, proxy) = (free_ip(), free_ip(), free_ip());
    let vhost = site(&backend)
        .set("proxy.max_connections_per_client", 3)
        .set("proxy.trusted_proxies", format!("[\"{proxy}\"]"))
        .start();
    vhost.wait_until_healthy(1);
    let connect = |from| Client::connect_from(from, vhost.http());
    let mut open: Vec<_> = (0..3).map(|_| connect(client)).collect();
    for one in &mut open {
        assert_eq!(one.get("example.com", "/").status, 200);
    }
    assert!(connect(client).closed_within(SOON).is_some(), "one too many is closed at once");
    wait_for_refused(&vhost, "too_many_client_connections", 1);
    assert_eq!(connect(other).get("example.com", "/").status, 200);
    let _many: Vec<_> = (0..5)
        .map(|_| {
            let mut client = connect(proxy);
            assert_eq!(client.get("example.com", "/").status, 200, "it stands for many");
            client
        })
        .collect();
    assert_eq!(open[0].get("example.com", "/").status, 200, "those that are open stay");
    open.clear();
    eventually("its place is free again", SOON, || {
        connect(client).try_get("example.com", "/").is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn there_may_be_so_many_connections_in_all() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_connections", 4).start();
    vhost.wait_until_healthy(1);
    let mut open = Vec::new();
    eventually("the connections of the start have ended", SOON, || {
        // Of one client there may be half of them.
        let mut client = Client::connect_from(free_ip(), vhost.http());
        let is_served = client.try_get("example.com", "/").is_ok();
        open.extend(is_served.then_some(client));
        open.len() == 4
    });
    let before = refused(&vhost, "too_many_connections");
    assert!(vhost.connect().closed_within(SOON).is_some());
    wait_for_refused(&vhost, "too_many_connections", before + 1);
    assert_eq!(open[3].get("example.com", "/").status, 200);
    vhost.write_config(&site(&backend).at(vhost.http()));
    vhost.ctl_ok(&["reload"]);
    assert_eq!(vhost.get("example.com", "/").status, 200, "a reload is enough");
}

#[test]
fn a_connection_carries_so_many_requests_and_says_when_it_ends() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_requests_per_connection", 3).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for closes in [false, false, true] {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.closes()), (200, closes));
    }
    assert!(client.closed_within(SOON).is_some());
    // The answers of the proxy's own, and requests that come one behind the other.
    let mut client = vhost.connect();
    let request = "GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n";
    client.send(request.repeat(3));
    for closes in [false, false, true] {
        let response = client.read_response();
        assert_eq!((response.status, response.closes()), (404, closes));
    }
    assert!(client.closed_within(SOON).is_some());
}

#[test]
fn a_connection_of_http2_carries_so_many_requests() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_requests_per_connection", 3).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        for _ in 0..3 {
            assert_eq!(client.get("example.com", "/").await.unwrap().status, 200);
        }
        let ended = client.closed_within(SOON).await.expect("it ends");
        assert!(ended.is_ok(), "in good order: {ended:?}");
    });
}

#[test]
fn a_connection_of_http2_has_so_many_requests_at_once() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_h2_streams", 2).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        // The first answer comes behind the server's settings.
        assert_eq!(client.get("example.com", "/").await.unwrap().status, 200);
        let hold = || http::Request::get("http://example.com/hold").body(()).unwrap();
        let (one, _) = client.start(hold(), true).await.unwrap();
        let (two, _) = client.start(hold(), true).await.unwrap();
        eventually_async("both run", || backend.held() == 2).await;
        // The client knows the limit, and waits.
        let third =
            tokio::time::timeout(Duration::from_millis(200), client.get("example.com", "/"));
        assert!(third.await.is_err(), "a third waits");
        backend.release();
        assert_eq!(read(one).await.unwrap().status, 200);
        assert_eq!(read(two).await.unwrap().status, 200);
    });
}
