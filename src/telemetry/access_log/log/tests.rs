use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::DomainName;

static DOMAIN: LazyLock<DomainName> = LazyLock::new(|| "*.example.com".parse().expect("a domain"));

/// 26 November 2026, 11:50:31.007 UTC.
const TIME: u64 = 1_795_693_831_007;

fn line() -> AccessLine<'static> {
    AccessLine {
        time_ms: TIME,
        request_id: Some("6f1c"),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        client_ip: Some("192.0.2.1".parse().expect("an address")),
        peer_ip: Some("10.0.0.1".parse().expect("an address")),
        method: "POST",
        host: Some("Example.com:8080"),
        path: "/a/b",
        query: Some("c=d"),
        protocol: "HTTP/1.1",
        tls: Some("TLSv1.3"),
        status: Some(200),
        bytes_in: 12,
        bytes_out: 3456,
        duration: Duration::from_micros(12_045),
        upstream: Some(Duration::from_micros(11_999)),
        domain: Some(&DOMAIN),
        tag: Some("a"),
        backend_id: Some("web-v1"),
        tries: 1,
        reason: None,
        referer: Some(b"https://example.org/"),
        user_agent: Some(b"curl/8.5.0"),
    }
}

fn written(write: fn(&mut Vec<u8>, &AccessLine<'_>), line: &AccessLine<'_>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes, line);
    String::from_utf8(bytes).expect("UTF-8")
}

/// The line's words, those in quotes or brackets as one; nothing when it isn't of that form.
fn words(line: &str) -> Option<Vec<&str>> {
    let mut rest = line.strip_suffix('\n')?;
    let mut words = Vec::new();
    loop {
        let close = match rest.chars().next()? {
            '"' => '"',
            '[' => ']',
            _ => ' ',
        };
        let from = usize::from(close != ' ');
        let end = rest[from..].find(close).map(|end| end + from);
        let end = if close == ' ' { end.unwrap_or(rest.len()) } else { end? };
        words.push(&rest[from..end]);
        rest = &rest[end + from..];
        if rest.is_empty() {
            return Some(words);
        }
        rest = rest.strip_prefix(' ')?;
    }
}

#[test]
fn json_has_a_field_for_each_fact() {
    assert_eq!(
        written(json::write, &line()),
        concat!(
            r#"{"time":"2026-11-26T11:50:31.007Z","request_id":"6f1c","#,
            r#""trace_id":"0af7651916cd43dd8448eb211c80319c","client_ip":"192.0.2.1","#,
            r#""peer_ip":"10.0.0.1","#,
            r#""method":"POST","host":"Example.com:8080","path":"/a/b","query":"c=d","#,
            r#""protocol":"HTTP/1.1","tls":"TLSv1.3","status":200,"bytes_in":12,"#,
            r#""bytes_out":3456,"duration_ms":12.045,"upstream_ms":11.999,"#,
            r#""domain":"*.example.com","tag":"a","backend_id":"web-v1","tries":1}"#,
            "\n"
        )
    );
    let none = AccessLine { method: "GET", path: "/", protocol: "HTTP/2", ..AccessLine::default() };
    let none = AccessLine { reason: Some("client_gone"), ..none };
    assert_eq!(
        written(json::write, &none),
        concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","method":"GET","path":"/","protocol":"HTTP/2","#,
            r#""bytes_in":0,"bytes_out":0,"duration_ms":0.000,"tries":0,"reason":"client_gone"}"#,
            "\n"
        )
    );
}

#[test]
fn the_formats_of_other_servers_are_theirs() {
    let common = "192.0.2.1 - - [26/Nov/2026:11:50:31 +0000] \"POST /a/b?c=d HTTP/1.1\" 200 3456";
    assert_eq!(written(plain::write_common, &line()), format!("{common}\n"));
    assert_eq!(
        written(plain::write_combined, &line()),
        format!("{common} \"https://example.org/\" \"curl/8.5.0\"\n")
    );
    let none = AccessLine { method: "GET", path: "/", protocol: "HTTP/2", ..AccessLine::default() };
    assert_eq!(
        written(plain::write_combined, &none),
        "- - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/2\" 000 0 \"-\" \"-\"\n"
    );
}

#[test]
fn text_is_for_people() {
    let line = AccessLine { reason: Some("client_gone"), ..line() };
    assert_eq!(
        written(plain::write_text, &line),
        "2026-11-26T11:50:31.007Z 192.0.2.1 \"POST Example.com:8080 /a/b?c=d HTTP/1.1\" 200 12.045ms \
         upstream=11.999ms in=12 out=3456 peer_ip=10.0.0.1 tls=TLSv1.3 domain=*.example.com tag=a backend_id=web-v1 \
         tries=1 request_id=6f1c trace_id=0af7651916cd43dd8448eb211c80319c reason=client_gone\n"
    );
}

#[test]
fn the_share_is_of_what_went_well() {
    let log = |sample| {
        let sink = Sink::start("t", Output::Stderr, BATCH_DELAY, Arc::default()).expect("a thread");
        let settings = AccessLogSettings { sample, ..AccessLogSettings::default() };
        Active { settings, sink: Arc::new(sink) }
    };
    let count =
        |log: &Active, status, failed| (0..1000).filter(|_| log.takes(status, failed)).count();
    assert_eq!(count(&log(1.0), Some(200), false), 1000);
    assert_eq!(count(&log(0.0), Some(200), false), 0);
    assert!((150..350).contains(&count(&log(0.25), Some(404), false)));
    for (status, failed) in
        [(Some(200), true), (Some(404), true), (Some(500), false), (None, false)]
    {
        assert_eq!(count(&log(0.0), status, failed), 1000, "{status:?} {failed}");
    }
}

proptest! {
    #[test]
    fn what_a_client_sends_stays_in_its_place(
        method in any::<String>(), host in any::<String>(), path in any::<String>(),
        query in any::<String>(), referer in any::<Vec<u8>>(), agent in any::<Vec<u8>>(),
        times in any::<(u64, u32, u64)>(), status in proptest::option::of(100..999_u16),
    ) {
        let sent = AccessLine {
            method: &method,
            host: Some(&host),
            path: &path,
            query: Some(&query),
            referer: Some(&referer),
            user_agent: Some(&agent),
            time_ms: times.0,
            duration: Duration::from_micros(times.1.into()),
            bytes_out: times.2,
            status,
            ..line()
        };
        let json = written(json::write, &sent);
        prop_assert!(json.ends_with('\n') && !json[..json.len() - 1].contains(crate::model::is_obeyed));
        let value: Value = serde_json::from_str(&json).map_err(|e| TestCaseError::fail(e.to_string()))?;
        for (field, text) in [("method", &method), ("host", &host), ("path", &path), ("query", &query)] {
            prop_assert_eq!(value[field].as_str(), Some(text.as_str()));
        }
        prop_assert_eq!(value["bytes_out"].as_u64(), Some(times.2));
        let ms = value["duration_ms"].as_f64().expect("a number");
        prop_assert!((ms * 1000.0 - f64::from(times.1)).abs() < 0.5);

        for (write, count) in
            [(plain::write_common as fn(&mut Vec<u8>, &AccessLine<'_>), 7), (plain::write_combined, 9)]
        {
            let plain = written(write, &sent);
            prop_assert!(plain.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
            let words = words(&plain).ok_or_else(|| TestCaseError::fail(plain.clone()))?;
            prop_assert_eq!(words.len(), count, "{}", plain);
            prop_assert_eq!(words[6], times.2.to_string());
        }
        let text = written(plain::write_text, &sent);
        prop_assert_eq!(text.matches('"').count(), 2);
        prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
    }
}
