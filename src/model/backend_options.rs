//! The options of a backend: its protocol, and its share of traffic.

use std::hash::Hash;
use std::path::{Path, PathBuf};

use serde::Deserializer;
use serde_json::{Map, Value};

use super::record::{self, Canonical, Keys, OptionError, Record, as_written, record};
use super::{
    AppName, BackendAddr, HeaderField, HealthCheckOptions, RequestLimit, Scheme, Seconds,
    SendProxyProtocol, TlsName, Weight,
};

record! {
    /// The options of a backend.
    pub struct BackendOptions {
        /// The app that it belongs to: its tags are for the app's domains alone.
        pub app: Option<AppName>,
        /// Its share of a pool's traffic, relative to the others', 1 to 1000.
        pub weight: Weight,
        /// The protocol that it speaks: `http`; `https` (HTTP/2 if the backend offers it, else HTTP/1.1);
        /// `h2` (HTTP/2 over TLS, as for gRPC); or `h2c` (HTTP/2 without TLS). Over TLS the backend's
        /// certificate is verified.
        pub scheme: Scheme,
        /// The name (or IP) sent as SNI, for which the certificate must be valid. The default is the host of
        /// `address`, or `localhost` for a Unix socket. The client's Host is never used.
        pub tls_server_name: Option<TlsName>,
        /// A PEM file of CAs to trust instead of the system's. The server reads such a file when it is set,
        /// at a start and at a reload.
        pub tls_ca_file: Option<PathBuf>,
        /// A PEM file of the client certificate, with its chain. It needs `tls_client_key_file`.
        pub tls_client_cert_file: Option<PathBuf>,
        /// A PEM file of the client certificate's private key.
        pub tls_client_key_file: Option<PathBuf>,
        /// Turns off verification of the backend's certificate (name, CA and dates). Anyone on the network
        /// path can then read and change the traffic.
        pub tls_insecure_skip_verify: bool,
        /// Whether it serves only while no other backend of a tag can.
        pub backup: bool,
        /// `v1` or `v2`: each connection to it begins with a header of the PROXY protocol, which
        /// names the client. Such a connection is only used for this client, over HTTP/1.1. Not
        /// with the scheme `h2` or `h2c`.
        pub send_proxy_protocol: SendProxyProtocol,
        /// How long connecting to it may take, in seconds, TLS handshake included. The default is
        /// `timeouts.connect_secs` of the domain, else of its app, else `connect_timeout_secs` of `[upstream]`.
        pub connect_timeout_secs: Option<Seconds>,
        /// The maximum number of concurrent requests on it; others wait in order. 0 means no limit. The
        /// default is `max_requests` of its app, else `max_requests_per_backend` of `[upstream]`.
        pub max_requests: Option<RequestLimit>,
        /// Its own health check. What is not given here is as in its app's health check, else as in
        /// `[health_check]`.
        #[serde(deserialize_with = "health_check")]
        pub health_check: Option<Box<HealthCheckOptions>>,
    }
}

/// A table without keys is none.
pub(super) fn health_check<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<HealthCheckOptions>>, D::Error> {
    let given: Option<Box<HealthCheckOptions>> = serde::Deserialize::deserialize(deserializer)?;
    Ok(given.filter(|given| !given.is_empty()))
}

/// What is wrong with a health check that is an option.
pub(super) fn health_check_problems(
    check: Option<&HealthCheckOptions>,
) -> impl Iterator<Item = OptionError> {
    check.into_iter().flat_map(Record::problems).map(|problem| OptionError {
        path: format!("{}.{}", BackendOptions::HEALTH_CHECK, problem.path),
        ..problem
    })
}

impl Record for BackendOptions {
    const FILES: &'static [&'static str] =
        &[Self::CA_FILE, Self::CLIENT_CERT_FILE, Self::CLIENT_KEY_FILE];
    const MAPS: &'static [(&'static str, Canonical)] =
        &[("health_check.headers", as_written::<HeaderField>)];
    const TABLES: &'static [(&'static str, &'static [&'static str])] =
        &[(Self::HEALTH_CHECK, HealthCheckOptions::KEYS)];

    fn problems(&self) -> Vec<OptionError> {
        let mut problems =
            if self.scheme.is_tls() { self.tls_problems() } else { self.clear_problems() };
        if let Some(problem) = self.send_proxy_protocol.problem_with(self.scheme) {
            problems.push(OptionError::new("send_proxy_protocol", problem));
        }
        problems.extend(health_check_problems(self.health_check.as_deref()));
        problems
    }
}

impl BackendOptions {
    pub const CA_FILE: &'static str = "tls_ca_file";
    pub const CLIENT_CERT_FILE: &'static str = "tls_client_cert_file";
    pub const CLIENT_KEY_FILE: &'static str = "tls_client_key_file";
    pub const INSECURE_SKIP_VERIFY: &'static str = "tls_insecure_skip_verify";
    pub const HEALTH_CHECK: &'static str = "health_check";

    /// The files that are named, by their keys.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            (Self::CA_FILE, &self.tls_ca_file),
            (Self::CLIENT_CERT_FILE, &self.tls_client_cert_file),
            (Self::CLIENT_KEY_FILE, &self.tls_client_key_file),
        ];
        files.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?)))
    }

    pub fn has_files(&self) -> bool {
        self.files().next().is_some()
    }

    /// What connections to it are made by: two backends at one address for which this differs share none.
    pub fn connection(&self) -> impl PartialEq + Hash + '_ {
        let files = (&self.tls_ca_file, &self.tls_client_cert_file, &self.tls_client_key_file);
        let tls = (&self.tls_server_name, files, self.tls_insecure_skip_verify);
        (self.scheme, tls, self.send_proxy_protocol)
    }

    /// What doesn't go together with an address.
    pub fn problem_at(&self, address: &BackendAddr) -> Option<OptionError> {
        let has_port = self.health_check.as_ref().is_some_and(|check| check.port.is_some());
        (has_port && matches!(address, BackendAddr::Unix(_))).then(|| {
            let reason = "a backend at a Unix socket has no other port; take the key out";
            OptionError::new(format!("{}.port", Self::HEALTH_CHECK), reason)
        })
    }

    /// What has no place in the clear.
    fn clear_problems(&self) -> Vec<OptionError> {
        let reason = format!(
            "it needs TLS, and the backend has `scheme = \"{}\"`; set the scheme to `https` or `h2`, or \
             take the key away",
            self.scheme
        );
        let given = record::differing(self);
        let of_tls = Self::KEYS.iter().filter(|key| key.starts_with("tls_"));
        let misplaced = of_tls.filter(|key| given.contains_key(**key));
        misplaced.map(|key| OptionError::new(*key, &reason)).collect()
    }

    fn tls_problems(&self) -> Vec<OptionError> {
        let mut problems = Vec::new();
        for (key, _) in self.files().filter(|(_, path)| !path.is_absolute()) {
            problems.push(OptionError::new(key, "write the whole path, from `/` on"));
        }
        let missing = match (&self.tls_client_cert_file, &self.tls_client_key_file) {
            (Some(_), None) => Some((Self::CLIENT_KEY_FILE, Self::CLIENT_CERT_FILE)),
            (None, Some(_)) => Some((Self::CLIENT_CERT_FILE, Self::CLIENT_KEY_FILE)),
            (Some(_), Some(_)) | (None, None) => None,
        };
        if let Some((key, given)) = missing {
            let reason = format!("missing, and `{given}` needs it; give both or neither");
            problems.push(OptionError::new(key, reason));
        }
        if self.tls_insecure_skip_verify && self.tls_ca_file.is_some() {
            let reason = "`tls_insecure_skip_verify` verifies nothing, so it would not be used; take one \
                          of them out";
            problems.push(OptionError::new(Self::CA_FILE, reason));
        }
        problems
    }
}

/// Reads what was stored. The first version had what begins with `tls_` in a table `tls`.
///
/// # Errors
/// When a value is of another kind.
pub fn from_stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BackendOptions, D::Error> {
    let mut stored: Map<String, Value> = serde::Deserialize::deserialize(deserializer)?;
    if let Some(Value::Object(tls)) = stored.remove("tls") {
        stored.extend(tls.into_iter().map(|(key, value)| (format!("tls_{key}"), value)));
    }
    record::from_stored(stored).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_makes_no_sense_is_named_by_its_key() {
        let cert = BackendOptions {
            tls_client_cert_file: Some("/c.pem".into()),
            tls_server_name: Some("a.test".parse().unwrap()),
            ..BackendOptions::default()
        };
        let keys = |options: &BackendOptions, scheme| {
            let problems = BackendOptions { scheme, ..options.clone() }.problems();
            problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
        };
        assert_eq!(keys(&cert, Scheme::Http), ["tls_server_name", "tls_client_cert_file"]);
        assert_eq!(keys(&cert, Scheme::H2), ["tls_client_key_file"]);
        let relative =
            BackendOptions { tls_ca_file: Some("ca.pem".into()), ..BackendOptions::default() };
        assert_eq!(keys(&relative, Scheme::Https), ["tls_ca_file"]);
        let skip = BackendOptions {
            tls_ca_file: Some("/ca.pem".into()),
            tls_insecure_skip_verify: true,
            ..BackendOptions::default()
        };
        assert_eq!(keys(&skip, Scheme::Https), ["tls_ca_file"]);
        let send = BackendOptions {
            send_proxy_protocol: SendProxyProtocol::V1,
            ..BackendOptions::default()
        };
        assert_eq!(keys(&send, Scheme::H2c), ["send_proxy_protocol"]);
        assert_eq!(keys(&BackendOptions::default(), Scheme::H2c), [""; 0]);
    }

    #[test]
    fn differences_are_told_by_key() {
        let options = BackendOptions { tls_ca_file: Some("/ca.pem".into()), ..Default::default() };
        let after = BackendOptions { tls_insecure_skip_verify: true, ..Default::default() };
        assert_eq!(
            record::differences(&options, &after),
            [
                ("tls_ca_file", "/ca.pem".to_owned(), "none".to_owned()),
                ("tls_insecure_skip_verify", "false".to_owned(), "true".to_owned()),
            ]
        );
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_would_be_right() {
        for (key, value, remedy) in [
            ("weight", json!(0), "use 1 to 1000; to send no traffic, disable the backend"),
            ("weight", json!("x"), "write a whole number from 1 to 1000, without quotes"),
            ("scheme", json!("ws"), "choose `http`, `https`, `h2` or `h2c`"),
            ("send_proxy_protocol", json!(true), "choose `off`, `v1` or `v2`"),
            ("backup", json!("yes"), "write `true` or `false`, without quotes"),
            ("tls_ca_file", json!(1), "write a text in quotes"),
            ("health_check", json!(1), "write a table, such as `{ key = value }`"),
        ] {
            let read = record::typed::<BackendOptions>(Map::from_iter([(key.to_owned(), value)]));
            let error = read.expect_err(key);
            assert_eq!((error.path.as_str(), error.remedy.as_deref()), (key, Some(remedy)));
        }
    }

    #[test]
    fn null_takes_away_what_may_be_absent_and_nothing_else() {
        let before = BackendOptions {
            weight: 3.try_into().unwrap(),
            tls_ca_file: Some("/ca.pem".into()),
            ..BackendOptions::default()
        };
        let Value::Object(patch) = json!({"weight": null, "tls_ca_file": null}) else { panic!() };
        let after = record::patched(&before, patch).unwrap();
        assert_eq!(after, BackendOptions { tls_ca_file: None, ..before });
    }

    #[test]
    fn a_health_check_changes_key_by_key() {
        let patched = |before: &BackendOptions, patch: Value| {
            let Value::Object(patch) = patch else { panic!("{patch}") };
            record::patched(before, patch).unwrap_or_else(|error| panic!("{error}"))
        };
        let check = |options: &BackendOptions| record::values(options).remove("health_check");
        let mut options = BackendOptions::default();
        for (patch, expected) in [
            (
                json!({"path": "/up", "headers": {"X-A": "1"}}),
                json!({"path": "/up", "headers": {"x-a": "1"}}),
            ),
            (json!({"port": 9, "path": null}), json!({"port": 9, "headers": {"x-a": "1"}})),
            (
                json!({"headers": {"x-b": "2", "x-a": null}}),
                json!({"port": 9, "headers": {"x-b": "2"}}),
            ),
            (json!({"headers": null}), json!({"port": 9})),
        ] {
            options = patched(&options, json!({ "health_check": patch }));
            assert_eq!(check(&options), Some(expected));
        }
        assert_eq!(check(&patched(&options, json!({"health_check": {"port": null}}))), None);
        assert_eq!(check(&patched(&options, json!({"health_check": null}))), None);
        let twice = json!({"health_check": {"headers": {"X-A": "1", "x-a": "2"}}});
        let Value::Object(twice) = twice else { panic!() };
        assert!(record::patched(&options, twice).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_health_check_is_said_with_its_path() {
        for (check, path) in [
            (json!({"kind": "tcp", "path": "/"}), "health_check.path"),
            (json!({"path": "up"}), "health_check.path"),
            (json!({"pth": "/up"}), "health_check.pth"),
            (json!({"headers": {"host": "a"}}), "health_check.headers"),
        ] {
            let given = Map::from_iter([("health_check".to_owned(), check)]);
            let error = record::read::<BackendOptions>(given).unwrap_err();
            assert_eq!(error.path, path, "{error}");
        }
    }
}
