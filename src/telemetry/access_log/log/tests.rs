use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::super::field::AccessField;
use super::super::headers::Headers;
use super::*;
use crate::heads::Fields;
use crate::model::{AccessFormat, DomainName};

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
        tls_sni: Some("example.com"),
        ..AccessLine::default()
    }
}

fn written(format: AccessFormat, line: &AccessLine<'_>) -> String {
    written_with(format, None, line)
}

/// A line with these fields.
fn written_with(format: AccessFormat, fields: Option<&[&str]>, line: &AccessLine<'_>) -> String {
    let field = |name: &&str| name.parse::<AccessField>().expect("a field");
    let fields = fields.map(|fields| fields.iter().map(field).collect());
    let settings = AccessLogSettings { format, fields, ..AccessLogSettings::default() };
    String::from_utf8(LineLayout::of(&settings).written(line)).expect("UTF-8")
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
        written(AccessFormat::Json, &line()),
        concat!(
            r#"{"time":"2026-11-26T11:50:31.007Z","client_ip":"192.0.2.1","peer_ip":"10.0.0.1","#,
            r#""method":"POST","host":"Example.com:8080","path":"/a/b","query":"c=d","#,
            r#""protocol":"HTTP/1.1","tls":"TLSv1.3","status":200,"bytes_in":12,"#,
            r#""bytes_out":3456,"duration_ms":12.045,"upstream_ms":11.999,"#,
            r#""domain":"*.example.com","tag":"a","backend_id":"web-v1","tries":1,"#,
            r#""request_id":"6f1c","trace_id":"0af7651916cd43dd8448eb211c80319c","#,
            r#""referer":"https://example.org/","user_agent":"curl/8.5.0"}"#,
            "\n"
        )
    );
    let none = AccessLine { method: "GET", path: "/", protocol: "HTTP/2", ..AccessLine::default() };
    let none = AccessLine { reason: Some("client_gone"), ..none };
    assert_eq!(
        written(AccessFormat::Json, &none),
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
    assert_eq!(written(AccessFormat::Common, &line()), format!("{common}\n"));
    assert_eq!(
        written(AccessFormat::Combined, &line()),
        format!("{common} \"https://example.org/\" \"curl/8.5.0\"\n")
    );
    let none = AccessLine { method: "GET", path: "/", protocol: "HTTP/2", ..AccessLine::default() };
    assert_eq!(
        written(AccessFormat::Combined, &none),
        "- - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/2\" 000 0 \"-\" \"-\"\n"
    );
}

#[test]
fn text_is_for_people() {
    let line = AccessLine { reason: Some("client_gone"), ..line() };
    assert_eq!(
        written(AccessFormat::Text, &line),
        "2026-11-26T11:50:31.007Z 192.0.2.1 \"POST Example.com:8080 /a/b?c=d HTTP/1.1\" 200 12.045ms \
         upstream=11.999ms in=12 out=3456 peer_ip=10.0.0.1 tls=TLSv1.3 domain=*.example.com tag=a backend_id=web-v1 \
         tries=1 request_id=6f1c trace_id=0af7651916cd43dd8448eb211c80319c reason=client_gone \
         referer=\"https://example.org/\" user_agent=\"curl/8.5.0\"\n"
    );
}

#[test]
fn fields_that_were_chosen_stand_in_their_order_without_those_that_have_no_value() {
    let mut head = Fields::default();
    head.append("accept-language", b"de\"\xff");
    let line = AccessLine {
        request_headers: Headers::in_head(&head),
        upstream: None,
        user_agent: Some(b"a b"),
        ..line()
    };
    let fields = [
        "upstream_ms",
        "user_agent",
        "request.header.Accept-Language",
        "response.header.x-none",
        "status",
        "duration_ms",
        "tls_sni",
        "domain",
    ];
    assert_eq!(
        written_with(AccessFormat::Json, Some(&fields), &line),
        concat!(
            r#"{"user_agent":"a b","request.header.accept-language":"de\"�","status":200,"#,
            r#""duration_ms":12.045,"tls_sni":"example.com","domain":"*.example.com"}"#,
            "\n"
        )
    );
    assert_eq!(
        written_with(AccessFormat::Text, Some(&fields), &line),
        concat!(
            r#"user_agent="a b" request.header.accept-language="de\x22\xff" status=200 "#,
            "duration_ms=12.045 tls_sni=example.com domain=*.example.com\n"
        )
    );
    assert_eq!(written_with(AccessFormat::Json, Some(&fields[3..4]), &line), "{}\n");
}

#[test]
fn what_others_send_is_cut_where_it_is_too_long() {
    let long = "x".repeat(100_000);
    let mut head = Fields::default();
    head.append("x-long", &long);
    let line = AccessLine {
        method: &long,
        host: Some(&long),
        referer: Some(long.as_bytes()),
        user_agent: Some(long.as_bytes()),
        request_headers: Headers::in_head(&head),
        ..line()
    };
    for format in
        [AccessFormat::Json, AccessFormat::Text, AccessFormat::Common, AccessFormat::Combined]
    {
        let written = written(format, &line);
        assert!((1024..6000).contains(&written.len()), "{format}: {}", written.len());
    }
    let header = written_with(AccessFormat::Json, Some(&["request.header.x-long"]), &line);
    assert!(header.ends_with("x…\"}\n") && header.len() < 1100, "{header}");
}

#[test]
fn the_share_is_of_what_went_well() {
    let log = |sample| {
        let sink = Sink::start("t", Output::Stderr, BATCH_DELAY, Arc::default()).expect("a thread");
        let settings = AccessLogSettings { sample, ..AccessLogSettings::default() };
        Active { layout: LineLayout::of(&settings), settings, sink: Arc::new(sink) }
    };
    let count_with = |log: &Active, rule, status, failed| {
        (0..1000).filter(|_| log.takes(rule, status, failed)).count()
    };
    let count =
        |log: &Active, status, failed| count_with(log, AccessLogRule::default(), status, failed);
    let of = |sample| AccessLogRule { enabled: None, sample: SampleRate::try_from(sample).ok() };
    assert_eq!(count_with(&log(0.0), of(1.0), Some(200), false), 1000);
    assert_eq!(count_with(&log(1.0), of(0.0), Some(200), false), 0);
    assert_eq!(count_with(&log(1.0), of(0.0), Some(500), false), 1000);
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
        let json = written(AccessFormat::Json, &sent);
        prop_assert!(json.ends_with('\n') && !json[..json.len() - 1].contains(crate::model::is_obeyed));
        let value: Value = serde_json::from_str(&json).map_err(|e| TestCaseError::fail(e.to_string()))?;
        for (field, text) in [("method", &method), ("host", &host), ("path", &path), ("query", &query)] {
            prop_assert_eq!(value[field].as_str(), Some(text.as_str()));
        }
        prop_assert_eq!(value["bytes_out"].as_u64(), Some(times.2));
        let ms = value["duration_ms"].as_f64().expect("a number");
        prop_assert!((ms * 1000.0 - f64::from(times.1)).abs() < 0.5);

        prop_assert_eq!(value["user_agent"].as_str(), Some(&*String::from_utf8_lossy(&agent)));

        for (format, count) in [(AccessFormat::Common, 7), (AccessFormat::Combined, 9)] {
            let plain = written(format, &sent);
            prop_assert!(plain.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
            let words = words(&plain).ok_or_else(|| TestCaseError::fail(plain.clone()))?;
            prop_assert_eq!(words.len(), count, "{}", plain);
            prop_assert_eq!(words[6], times.2.to_string());
        }
        let text = written(AccessFormat::Text, &sent);
        prop_assert_eq!(text.matches('"').count(), 6);
        prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
    }
}
