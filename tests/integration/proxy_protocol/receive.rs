//! Headers as they come, and as they should not.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[test]
fn every_version_and_family_names_the_client() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let vhost = behind(proxy, &backend).start();
    vhost.wait_until_healthy(1);
    let own = proxy.to_string();
    let (inet, ends) = v2_ends("192.0.2.7:4711", "198.51.100.1:80");
    let crc = {
        let mut bytes =
            v2(0x21, inet, &[&ends[..], &[3, 0, 4, 0, 0, 0, 0, 4, 0, 2, 0, 0]].concat());
        let sum = crc32c::crc32c(&bytes).to_be_bytes();
        bytes[31..35].copy_from_slice(&sum);
        bytes
    };
    let ssl = [0x20, 0, 15, 1, 0, 0, 0, 0, 0x21, 0, 7, b'T', b'L', b'S', b'v', b'1', b'.', b'3'];
    for (header, client) in [
        (v1("192.0.2.7:4711", "198.51.100.1:80"), "192.0.2.7"),
        (v1("[2001:db8::7]:4711", "[2001:db8::1]:80"), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "unknown"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), "unknown"),
        (v2_proxied("192.0.2.7:4711", "198.51.100.1:80"), "192.0.2.7"),
        (v2_proxied("[2001:db8::7]:4711", "[2001:db8::1]:80"), "2001:db8::7"),
        (v2_proxied("[::ffff:192.0.2.8]:1", "[::ffff:192.0.2.9]:80"), "192.0.2.8"),
        (v2(0x21, inet, &[&ends[..], &ssl].concat()), "192.0.2.7"),
        (v2(0x21, inet, &[&ends[..], &[0xe0, 0x0f, 0], &[9; 0xf00]].concat()), "192.0.2.7"),
        (crc, "192.0.2.7"),
        (v2(0x20, 0, &[]), own.as_str()),
        (v2(0x20, inet, &ends), &own),
        (v2(0x21, 0, &[]), "unknown"),
        (v2(0x21, 0x31, &[b'/'; 216]), "unknown"),
    ] {
        let told = String::from_utf8_lossy(&header).into_owned();
        // In one packet with two requests behind it.
        let mut whole = Client::connect_from(proxy, vhost.http());
        whole.send([&header[..], REQUEST, REQUEST].concat());
        for _ in 0..2 {
            let response = whole.read_response();
            assert_eq!(response.status, 200, "{told}: {}", response.text());
            assert_eq!(response.sent("x-forwarded-for"), [client], "{told}");
        }
        // Byte by byte, as far as that is not slow.
        let mut pieces = Client::connect_from(proxy, vhost.http());
        for byte in header.chunks(header.len().div_ceil(64)) {
            pieces.send(byte);
        }
        let response = pieces.get("example.com", "/");
        assert_eq!(response.sent("x-forwarded-for"), [client], "{told}");
    }
}

#[test]
fn whatever_is_no_header_closes_the_connection_and_reaches_no_backend() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let vhost = behind(proxy, &backend).start();
    vhost.wait_until_healthy(1);
    let inet = v2_ends("192.0.2.7:4711", "198.51.100.1:80").1;
    let long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(100));
    let table: &[(&[u8], &str)] = &[
        (b"", "it does not begin with a PROXY header"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "does not begin with"),
        (b"PROXY\r\n", "does not begin with"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\n", "does not end in CR LF"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", "four fields"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 1\r\n", "four fields"),
        (b"PROXY TCP4 2001:db8::7 198.51.100.1 4711 80\r\n", "not of the family"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n", "a port"),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 80\r\n", "TCP4, TCP6 and UNKNOWN"),
        (long.as_bytes(), "too long"),
        (&v2(0x31, 0x11, &inet), "of version 2"),
        (&v2(0x22, 0x11, &inet), "of version 2"),
        (&v2(0x21, 0x51, &inet), "family or transport"),
        (&v2(0x21, 0x21, &inet), "too short"),
        (&v2(0x21, 0x11, &[&inet[..], &[1, 0, 9, 0]].concat()), "longer than the header"),
        (&v2(0x21, 0x11, &[&inet[..], &[3, 0, 4, 0, 0, 0, 0]].concat()), "checksum"),
        (&v2(0x20, 0x00, &[0; 5000]), "too long"),
    ];
    for (count, (bytes, why)) in (1..).zip(table) {
        let mut client = Client::connect_from(proxy, vhost.http());
        // It may be closed before all of it was read.
        let _ = client.try_send([bytes, REQUEST].concat());
        assert!(client.closed_within(SOON).is_some(), "{why}");
        wait_for_refused(&vhost, "bad_proxy_header", count);
        let told = eventually_some("it is told", SOON, || {
            let lines = vhost.log_lines("reason=bad_proxy_header");
            lines.into_iter().nth(usize::try_from(count - 1).unwrap())
        });
        assert!(told.contains(why) && told.contains(&format!("peer_ip={proxy}")), "{told}");
    }
    // What ends too early is told, too; what ends before it begins is a look whether we are there.
    let mut cut = Client::connect_from(proxy, vhost.http());
    cut.send(&v2(0x21, 0x11, &inet)[..20]);
    cut.stream().shutdown(Shutdown::Write).unwrap();
    assert!(cut.closed_within(SOON).is_some());
    let count = table.len() as u64 + 1;
    wait_for_refused(&vhost, "bad_proxy_header", count);
    let looks = Client::connect_from(proxy, vhost.http());
    drop(looks);
    let mut good = Client::connect_from(proxy, vhost.http());
    good.send(v2_proxied("192.0.2.7:1", "192.0.2.8:2"));
    assert_eq!(good.get("example.com", "/").status, 200);
    assert_eq!(refused(&vhost, "bad_proxy_header"), count);
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_header_that_takes_its_time_is_cut_off_and_counts_against_all_connections_meanwhile() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let vhost = behind(proxy, &backend)
        .set("proxy.header_timeout_secs", 4)
        .set("proxy.max_connections", 6)
        .start();
    vhost.wait_until_healthy(1);
    let mut regular = Client::connect_from(proxy, vhost.http());
    regular.send(v1("192.0.2.7:1", "192.0.2.8:2"));
    assert_eq!(regular.get("example.com", "/").status, 200);
    let mut slow: Vec<_> = (0..5).map(|_| Client::connect_from(proxy, vhost.http())).collect();
    for client in &mut slow[..4] {
        client.send(b"PROXY TCP4 ");
    }
    eventually("all are counted", SOON, || {
        vhost.rpc("state.get", json!({})).unwrap()["connections"] == 6
    });
    // One too many: of those that have not said whose they are the oldest makes room.
    let mut more = Client::connect_from(proxy, vhost.http());
    wait_for_refused(&vhost, "too_many_silent_connections", 1);
    assert_eq!(refused(&vhost, "too_many_connections"), 0);
    // Dripping gains nothing: the time is for the whole of it.
    let mut drips = slow[3].stream().try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        while drips.write_all(b"1").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(regular.get("example.com", "/").status, 200, "others lose nothing");
    assert!(more.closed_within(SOON).is_some());
    for mut client in slow {
        assert!(client.closed_within(SOON).is_some());
    }
    dripping.join().unwrap();
    wait_for_refused(&vhost, "proxy_header_timeout", 4 + 1);
    assert_eq!(regular.get("example.com", "/").status, 200);
    vhost.wait_for_log("reason=proxy_header_timeout");
}

#[test]
fn a_stranger_is_closed_whatever_it_says() {
    let (backend, proxy, stranger) = (Backend::start("web"), free_ip(), free_ip());
    let vhost = behind(proxy, &backend).start();
    vhost.wait_until_healthy(1);
    let before = refused(&vhost, "untrusted_proxy");
    for (count, bytes) in (1..).zip([v1("192.0.2.7:1", "192.0.2.8:2"), REQUEST.to_vec(), vec![]]) {
        for address in [vhost.http(), vhost.https()] {
            let mut client = Client::connect_from(stranger, address);
            let _ = client.try_send(&bytes);
            assert!(client.closed_within(SOON).is_some());
        }
        wait_for_refused(&vhost, "untrusted_proxy", before + 2 * count);
    }
    vhost.wait_for_log(&format!("reason=untrusted_proxy client_ip={stranger}"));
    assert_eq!(backend.requests(), 0);
}

#[test]
fn a_tls_handshake_follows_the_header() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let vhost = behind_with(proxy, &backend, "tls = \"internal\"").start();
    vhost.wait_until_healthy(1);
    vhost.wait_for_certificate("example.com", "valid");
    let tls = TlsClient::accepts_any();
    for header in
        [v1("192.0.2.7:4711", "198.51.100.1:443"), v2_proxied("192.0.2.7:4711", "198.51.100.1:443")]
    {
        let mut client = Client::connect_from(proxy, vhost.https());
        client.send(&header);
        let mut client = tls.over(client.into_stream(), Some("example.com")).unwrap();
        for _ in 0..2 {
            let response = client.get("example.com", "/");
            assert_eq!(response.sent("x-forwarded-for"), ["192.0.2.7"]);
            assert_eq!(response.sent("x-forwarded-proto"), ["https"]);
        }
        in_runtime(async {
            let mut client = Client::connect_from(proxy, vhost.https());
            client.send(&header);
            let (mut h2, shaken) =
                tls.h2_over(client.into_stream(), Some("example.com")).await.unwrap();
            assert_eq!(shaken.alpn.as_deref(), Some("h2"));
            for _ in 0..2 {
                let response = h2.get("example.com", "/").await.unwrap();
                assert_eq!(forwarded_for(&response), ["192.0.2.7"]);
            }
        });
    }
    // Without one, or with one that is wrong, there is no handshake.
    let bare = Client::connect_from(proxy, vhost.https()).into_stream();
    assert!(tls.over(bare, Some("example.com")).is_err());
    wait_for_refused(&vhost, "bad_proxy_header", 1);
    assert_eq!(refused(&vhost, "handshake_failed"), 0);
}

#[test]
fn http2_with_prior_knowledge_follows_the_header() {
    let (backend, proxy) = (Backend::start("web"), free_ip());
    let vhost = behind(proxy, &backend).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let mut client = Client::connect_from(proxy, vhost.http());
        client.send(v2_proxied("[2001:db8::7]:4711", "[2001:db8::1]:80"));
        let mut h2 = H2::over_socket(client.into_stream()).await;
        for _ in 0..2 {
            let response = h2.get("example.com", "/").await.unwrap();
            assert_eq!(forwarded_for(&response), ["2001:db8::7"]);
        }
    });
}

/// The `X-Forwarded-For` that a backend says it got.
fn forwarded_for(response: &H2Response) -> Vec<String> {
    let echo: serde_json::Value = serde_json::from_slice(&response.body).expect("an echo");
    let headers = echo["headers"].as_array().expect("a list");
    let named = headers.iter().filter(|pair| pair[0] == "x-forwarded-for");
    named.map(|pair| pair[1].as_str().expect("text").to_owned()).collect()
}
