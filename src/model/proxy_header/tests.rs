use proptest::prelude::*;

use super::*;
use BadProxyHeader::*;

fn proxied(client: &str, server: &str) -> ProxyHeader {
    ProxyHeader::Proxied { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

/// Version 2 with this after its signature.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[command, family][..], &length, rest].concat()
}

const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0x92, 0x01, 0xbb];

#[test]
fn lines_of_version_1_name_both_ends() {
    for (line, header) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.2 4242 443\r\n",
            proxied("192.0.2.1:4242", "198.51.100.2:443"),
        ),
        ("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", proxied("[2001:db8::1]:65535", "[::1]:0")),
        ("PROXY UNKNOWN\r\n", ProxyHeader::Unnamed),
        ("PROXY UNKNOWN 192.0.2.1 and more\r\n", ProxyHeader::Unnamed),
        (&format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 16)), ProxyHeader::Unnamed),
    ] {
        assert_eq!(ProxyHeader::read(line.as_bytes()), Ok(Some((header, line.len()))), "{line}");
        let more = [line.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(ProxyHeader::read(&more), Ok(Some((header, line.len()))), "{line}");
    }
}

#[test]
fn a_line_that_is_not_quite_right_is_refused() {
    for (line, bad) in [
        ("GET / HTTP/1.1\r\n", Unmarked),
        ("proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n", Unmarked),
        ("\x16\x03\x01", Unmarked),
        ("PROXY\r\n", Unmarked),
        ("PROXY \r\n", UnknownProtocol),
        ("PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n", UnknownProtocol),
        ("PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", UnknownProtocol),
        ("PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", UnknownProtocol),
        ("PROXY UNKNOWNS\r\n", UnknownProtocol),
        ("PROXY TCP4\r\n", BadFields),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", BadFields),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", BadFields),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", BadFields),
        ("PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n", BadFields),
        ("PROXY TCP4 192.0.2.1\t198.51.100.2 1 2\r\n", BadFields),
        ("PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", BadAddress),
        ("PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n", BadAddress),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", BadAddress),
        ("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", BadAddress),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", BadAddress),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", BadPort),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n", BadPort),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", BadPort),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1 -2\r\n", BadPort),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", BadLineEnd),
        ("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rG", BadLineEnd),
        ("PROXY UNKNOWN \n\r\n", BadLineEnd),
        (&format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 15)), TooLong),
        (&format!("PROXY UNKNOWN {}", "f".repeat(107)), TooLong),
    ] {
        assert_eq!(ProxyHeader::read(line.as_bytes()), Err(bad), "{line:?}");
    }
    let not_text = b"PROXY TCP4 192.0.2.\xff 198.51.100.2 1 2\r\n";
    assert_eq!(ProxyHeader::read(not_text), Err(BadFields));
}

#[test]
fn version_2_names_both_ends_or_none() {
    let inet6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[0, 1, 0, 2]].concat();
    let unknown = [0xee, 0, 2, 7, 7];
    for (bytes, header) in [
        (v2(0x21, 0x11, &INET), proxied("192.0.2.1:4242", "198.51.100.2:443")),
        (v2(0x21, 0x21, &inet6), proxied("[2001:db8::1]:1", "[::1]:2")),
        (
            v2(0x21, 0x11, &[&INET[..], &unknown, &[4, 0, 0]].concat()),
            proxied("192.0.2.1:4242", "198.51.100.2:443"),
        ),
        (v2(0x20, 0x00, &[]), ProxyHeader::Local),
        // What LOCAL brings is skipped, whatever it is.
        (v2(0x20, 0x11, &INET), ProxyHeader::Local),
        (v2(0x20, 0xff, &[1, 2, 3]), ProxyHeader::Local),
        (v2(0x21, 0x00, &[]), ProxyHeader::Unnamed),
        (v2(0x21, 0x00, &[9; 5]), ProxyHeader::Unnamed),
        (v2(0x21, 0x31, &[0; 216]), ProxyHeader::Unnamed),
        (v2(0x21, 0x12, &INET), ProxyHeader::Unnamed),
        (v2(0x20, 0x00, &[0; LONGEST_V2_REST]), ProxyHeader::Local),
    ] {
        assert_eq!(ProxyHeader::read(&bytes), Ok(Some((header, bytes.len()))), "{bytes:?}");
    }
}

#[test]
fn version_2_that_is_not_quite_right_is_refused() {
    for (bytes, bad) in [
        (v2(0x11, 0x11, &INET), UnknownCommand),
        (v2(0x22, 0x11, &INET), UnknownCommand),
        (v2(0x21, 0x01, &INET), UnknownFamily),
        (v2(0x21, 0x10, &INET), UnknownFamily),
        (v2(0x21, 0x13, &INET), UnknownFamily),
        (v2(0x21, 0x41, &INET), UnknownFamily),
        (v2(0x21, 0x11, &INET[..11]), NoAddresses),
        (v2(0x21, 0x21, &INET), NoAddresses),
        (v2(0x21, 0x31, &[0; 215]), NoAddresses),
        (v2(0x21, 0x11, &[&INET[..], &[4]].concat()), BadField),
        (v2(0x21, 0x11, &[&INET[..], &[4, 0, 1]].concat()), BadField),
        (v2(0x21, 0x11, &[&INET[..], &[3, 0, 3, 0, 0, 0]].concat()), BadField),
        (v2(0x21, 0x11, &[&INET[..], &[3, 0, 4, 0, 0, 0, 0]].concat()), BadChecksum),
        (v2(0x20, 0x00, &[0; LONGEST_V2_REST + 1]), TooLong),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Unmarked),
        (b"\r\nGET".to_vec(), Unmarked),
    ] {
        assert_eq!(ProxyHeader::read(&bytes), Err(bad), "{bytes:?}");
    }
}

#[test]
fn a_checksum_is_held_to() {
    let sum = |bytes: &[u8]| crc32c::crc32c(bytes).to_be_bytes();
    let mut bytes = v2(0x21, 0x11, &[&INET[..], &[3, 0, 4, 0, 0, 0, 0], &[4, 0, 1, 0]].concat());
    let told = sum(&bytes);
    bytes[31..35].copy_from_slice(&told);
    let header = proxied("192.0.2.1:4242", "198.51.100.2:443");
    assert_eq!(ProxyHeader::read(&bytes), Ok(Some((header, bytes.len()))));
    for at in [16, 31, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(ProxyHeader::read(&bytes), Err(BadChecksum), "{at}");
    }
}

#[test]
fn addresses_of_two_families_are_told_in_the_larger() {
    let mixed = proxied("192.0.2.1:1", "[2001:db8::1]:2");
    let line = b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n";
    assert_eq!(mixed.write(SendProxyProtocol::V1).as_deref(), Some(&line[..]));
    let mapped = proxied("[::ffff:192.0.2.1]:1", "[::ffff:198.51.100.2]:2");
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n";
    assert_eq!(mapped.write(SendProxyProtocol::V1).as_deref(), Some(&line[..]));
}

fn headers() -> impl Strategy<Value = ProxyHeader> {
    let v4 = || (any::<Ipv4Addr>(), any::<u16>()).prop_map(SocketAddr::from);
    let v6 = || (any::<[u16; 8]>(), any::<u16>()).prop_map(SocketAddr::from);
    let v6 = move || v6().prop_filter("not of the other", |a| a.ip() == a.ip().to_canonical());
    prop_oneof![
        Just(ProxyHeader::Local),
        (v4(), v4()).prop_map(|(client, server)| ProxyHeader::Proxied { client, server }),
        (v6(), v6()).prop_map(|(client, server)| ProxyHeader::Proxied { client, server }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in headers(), v1: bool, rest: Vec<u8>) {
        let version = if v1 { SendProxyProtocol::V1 } else { SendProxyProtocol::V2 };
        let written = header.write(version).unwrap();
        let bytes = [&written[..], &rest].concat();
        // Version 1 has one word for both.
        let is_unnamed = v1 && header == ProxyHeader::Local;
        let header = if is_unnamed { ProxyHeader::Unnamed } else { header };
        prop_assert_eq!(ProxyHeader::read(&bytes), Ok(Some((header, written.len()))));
        for cut in 0..written.len() {
            prop_assert_eq!(ProxyHeader::read(&written[..cut]), Ok(None), "{}", cut);
        }
    }

    #[test]
    fn more_bytes_change_no_verdict(
        start in prop_oneof![
            Just(V1_PREFIX.to_vec()), Just(b"PROXY TCP4 1.2.3.4 ".to_vec()),
            Just(V2_SIGNATURE.to_vec()), Just(v2(0x21, 0x11, &INET)[..14].to_vec()), Just(vec![]),
        ],
        rest: Vec<u8>,
        cut: prop::sample::Index,
    ) {
        let bytes = [start, rest].concat();
        let cut = cut.index(bytes.len() + 1);
        match ProxyHeader::read(&bytes[..cut]) {
            Ok(None) => prop_assert!(cut < LONGEST_V2_REST + V2_FIXED),
            Ok(Some((header, length))) => {
                prop_assert!(length <= cut);
                prop_assert_eq!(ProxyHeader::read(&bytes), Ok(Some((header, length))));
            }
            Err(bad) => prop_assert_eq!(ProxyHeader::read(&bytes), Err(bad)),
        }
    }
}
