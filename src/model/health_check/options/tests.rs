use serde_json::{Map, json};

use super::*;

fn options(value: Value) -> HealthCheckOptions {
    let Value::Object(values) = value else { panic!("{value}") };
    record::read(values).unwrap_or_else(|error| panic!("{error}"))
}

fn merged(layers: &[Value]) -> Value {
    let layers: Vec<_> = layers.iter().cloned().map(options).collect();
    Value::Object(record::values(&HealthCheckOptions::layered(&layers)))
}

#[test]
fn a_layer_takes_the_place_of_what_is_below_key_by_key() {
    for (layers, expected) in [
        (vec![], json!({})),
        (vec![json!({}), json!({"path": "/a"})], json!({"path": "/a"})),
        (
            vec![json!({"path": "/up", "port": 9}), json!({"path": "/a", "host": "x"})],
            json!({"path": "/up", "port": 9, "host": "x"}),
        ),
        (
            vec![
                json!({"timeout_secs": 1}),
                json!({"kind": "tcp"}),
                json!({"path": "/", "port": 1}),
            ],
            json!({"kind": "tcp", "timeout_secs": 1, "port": 1}),
        ),
        // What a layer asks for decides on the kind, where it names none.
        (
            vec![json!({"path": "/up"}), json!({"kind": "tcp"})],
            json!({"kind": "http", "path": "/up"}),
        ),
        (
            vec![json!({"grpc_service": "a.B"}), json!({"path": "/up", "host": "x"})],
            json!({"grpc_service": "a.B", "host": "x"}),
        ),
        (
            vec![json!({"host": "x"}), json!({"kind": "grpc", "grpc_service": "a.B"})],
            json!({"kind": "grpc", "grpc_service": "a.B", "host": "x"}),
        ),
        (vec![json!({"host": "x"}), json!({"kind": "tcp"})], json!({"kind": "http", "host": "x"})),
        // What can't be had together is the upper layer's.
        (
            vec![json!({"expect_body": "ok"}), json!({"method": "HEAD", "path": "/up"})],
            json!({"expect_body": "ok", "path": "/up"}),
        ),
        (vec![json!({"method": "HEAD"}), json!({"expect_body": "ok"})], json!({"method": "HEAD"})),
        (
            vec![json!({"expected_status": "204"}), json!({"expect_body": "ok"})],
            json!({"expected_status": "204"}),
        ),
    ] {
        assert_eq!(merged(&layers), expected, "{layers:?}");
    }
}

#[test]
fn without_layers_it_is_the_check_that_there_always_was() {
    assert_eq!(options(json!({})).check(), HealthCheck::default());
    let over = options(json!({"path": "/up"})).check_over(&options(json!({"interval_secs": 3})));
    assert_eq!(over.interval, Duration::from_secs(3));
    let HealthCheckKind::Http(http) = over.kind else { panic!("{over:?}") };
    assert_eq!(http.path.as_str(), "/up");
    assert_eq!(options(json!({"kind": "grpc"})).check().kind, {
        HealthCheckKind::Grpc(GrpcCheck::default())
    });
}

#[test]
fn what_makes_no_sense_is_named_by_its_key_with_a_remedy() {
    for (value, key, said) in [
        (
            json!({"kind": "tcp", "path": "/"}),
            "path",
            "only for `kind = \"http\"`; a TCP check just connects",
        ),
        (json!({"kind": "tcp", "host": "a"}), "host", "`kind = \"http\"` or `kind = \"grpc\"`"),
        (
            json!({"kind": "grpc", "expect_body": "a"}),
            "expect_body",
            "here it is `kind = \"grpc\"`",
        ),
        (
            json!({"kind": "http", "grpc_service": "a.B"}),
            "grpc_service",
            "only for `kind = \"grpc\"`",
        ),
        (json!({"path": "/", "grpc_service": "a.B"}), "grpc_service", "take one or the other out"),
        (json!({"method": "HEAD", "expect_body": "a"}), "expect_body", "use `method = \"GET\"`"),
        (
            json!({"expected_status": "204,304", "expect_body": "a"}),
            "expect_body",
            "`expected_status = \"204,304\"`",
        ),
        (json!({"headers": {"Host": "a"}}), "headers", "set `host` of the health check"),
        (
            json!({"headers": {"Content-Length": "1"}}),
            "headers",
            "`content-length` is the proxy's own",
        ),
        (
            json!({"headers": {"X-A": "x".repeat(5000)}}),
            "headers",
            "at most 32 headers of 4096 bytes",
        ),
    ] {
        let Value::Object(values) = value.clone() else { panic!() };
        let error = record::read::<HealthCheckOptions>(values).expect_err(&value.to_string());
        assert_eq!(error.path, key, "{value}");
        assert!(error.reason.contains(said), "{value}: {error}");
    }
}

#[test]
fn a_value_that_does_not_fit_says_what_would() {
    for (key, value, remedy) in [
        ("kind", json!("ws"), "choose `http`, `tcp` or `grpc`"),
        ("method", json!("PUT"), "choose `GET`, `HEAD`, `POST` or `OPTIONS`"),
        ("port", json!(0), "write a whole number from 1 to 65535, without quotes"),
        ("port", json!(70_000), "write a whole number from 1 to 65535, without quotes"),
        ("healthy_threshold", json!(0), "use 1 to 1000"),
        ("path", json!("up"), "it starts with `/`"),
        ("expect_body", json!(1), "write a text in quotes, or `{ regex = \"…\" }`"),
        (
            "grpc_service",
            json!("a b"),
            "write the full name of a service, such as `shop.v1.Cart`, or nothing for the server as a whole",
        ),
    ] {
        let values = Map::from_iter([(key.to_owned(), value.clone())]);
        let error = record::read::<HealthCheckOptions>(values).expect_err(key);
        assert_eq!(error.remedy.as_deref(), Some(remedy), "{key} = {value}: {error}");
    }
    let twice = json!({"headers": {"X-A": "1", "x-a": "2"}});
    let Value::Object(twice) = twice else { panic!() };
    let error = record::read::<HealthCheckOptions>(twice).expect_err("one header, twice");
    assert!(error.reason.contains("the same name"), "{error}");
}

#[test]
fn a_check_in_full_has_every_key_that_counts() {
    let at = |address: &str, value: Value| {
        let address: BackendAddr = address.parse().unwrap();
        Value::Object(record::values(&options(value).check().at(&address).in_full(&address)))
    };
    let times = json!({
        "interval_secs": 10, "timeout_secs": 5, "unhealthy_threshold": 3, "healthy_threshold": 2,
    });
    let with = |mut value: Value| {
        value.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        value
    };
    assert_eq!(
        at("127.0.0.1:80", json!({"port": 9000})),
        with(
            json!({"kind": "http", "path": "/", "host": "127.0.0.1:9000", "port": 9000, "method": "GET",
            "expected_status": "200-399"})
        )
    );
    assert_eq!(at("web:80", json!({"kind": "tcp"})), with(json!({"kind": "tcp"})));
    assert_eq!(
        at("unix:/a.sock", json!({"grpc_service": "a.B", "port": 9000})),
        with(json!({"kind": "grpc", "host": "localhost", "grpc_service": "a.B"}))
    );
    assert_eq!(at("[fe80::1%eth0]:80", json!({"port": 81}))["host"], json!("[fe80::1]:81"));
}

#[test]
fn keys_of_kinds_are_keys() {
    use crate::model::record::Keys as _;
    for (key, _) in KEYS_OF_KINDS {
        assert!(HealthCheckOptions::KEYS.contains(&key), "{key}");
    }
    assert!(defaults().keys().all(|key| HealthCheckOptions::KEYS.contains(&key.as_str())));
}
