//! How a backend behind TLS is spoken to: its name, whom to trust, and who we are to it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DomainName, ParseError, Patch, Pattern, Scheme, serde_as_text};

/// The name that a backend's certificate must be for: a host name, or an IP.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TlsName(Arc<str>);

impl TlsName {
    /// The name as text; an IPv6 address without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TlsName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("TLS server name", text, reason);
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        let name: DomainName = text.parse().map_err(|error: ParseError| fail(&error.reason))?;
        match name.pattern() {
            Pattern::Exact(name) if name.starts_with('[') => {
                Err(fail("write an IPv6 address without brackets: `fd00::1`"))
            }
            Pattern::Exact(name) => Ok(Self(Arc::clone(name))),
            _ => Err(fail("write one name; a wildcard is no name of a server")),
        }
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

serde_as_text!(TlsName, "A host name or an IP address.");

/// How TLS to a backend differs from what is usual.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct BackendTls {
    /// The name that is asked for (SNI) and verified; the host of the address when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<TlsName>,
    /// The file of the CAs to trust instead of the system's, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The file of the certificate that the backend is shown, with its chain, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<PathBuf>,
    /// The file of that certificate's private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// Whether the backend's certificate is not verified at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

/// A key of a backend's TLS that doesn't fit the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// The key, as the file names it.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub remedy: String,
}

impl BackendTls {
    /// The key of [`Self::server_name`], wherever a person meets it.
    pub const SERVER_NAME: &'static str = "tls_server_name";
    /// The key of [`Self::ca_file`].
    pub const CA_FILE: &'static str = "tls_ca_file";
    /// The key of [`Self::client_cert_file`].
    pub const CLIENT_CERT_FILE: &'static str = "tls_client_cert_file";
    /// The key of [`Self::client_key_file`].
    pub const CLIENT_KEY_FILE: &'static str = "tls_client_key_file";
    /// The key of [`Self::insecure_skip_verify`].
    pub const INSECURE_SKIP_VERIFY: &'static str = "tls_insecure_skip_verify";
    /// The keys that may be taken away.
    pub const OPTIONAL: [&'static str; 4] =
        [Self::SERVER_NAME, Self::CA_FILE, Self::CLIENT_CERT_FILE, Self::CLIENT_KEY_FILE];

    /// Whether all is as usual.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something of it stands in files.
    pub fn has_files(&self) -> bool {
        self.files().next().is_some()
    }

    /// The files that are named, by their keys.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            (Self::CA_FILE, &self.ca_file),
            (Self::CLIENT_CERT_FILE, &self.client_cert_file),
            (Self::CLIENT_KEY_FILE, &self.client_key_file),
        ];
        files.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?)))
    }

    /// What is said, by the keys, as people write it.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, String)> {
        let name = self.server_name.as_ref().map(|name| (Self::SERVER_NAME, name.to_string()));
        let files = self.files().map(|(key, path)| (key, path.display().to_string()));
        let skip =
            self.insecure_skip_verify.then(|| (Self::INSECURE_SKIP_VERIFY, "true".to_owned()));
        name.into_iter().chain(files).chain(skip)
    }

    /// Each key whose value differs in `after`, as people write both; nothing where it isn't given.
    pub fn differences(&self, after: &Self) -> Vec<(&'static str, Option<String>, Option<String>)> {
        let all = Self::OPTIONAL.into_iter().chain([Self::INSECURE_SKIP_VERIFY]);
        let value = |of: &Self, key| of.values().find(|(k, _)| *k == key).map(|(_, value)| value);
        all.map(|key| (key, value(self, key), value(after, key)))
            .filter(|(_, before, after)| before != after)
            .collect()
    }

    /// What of it doesn't fit the rest, or a backend with this scheme.
    pub fn problems(&self, scheme: Scheme) -> Vec<TlsProblem> {
        let problem = |key, remedy| TlsProblem { key, remedy };
        if !scheme.is_tls() {
            let remedy = format!(
                "it needs TLS, and the backend has `scheme = \"{scheme}\"`; set the scheme to `https` or \
                 `h2`, or take the key away"
            );
            return self.values().map(|(key, _)| problem(key, remedy.clone())).collect();
        }
        let mut problems = Vec::new();
        for (key, path) in self.files() {
            if !path.is_absolute() {
                problems.push(problem(key, "write the whole path, from `/` on".to_owned()));
            }
        }
        match (&self.client_cert_file, &self.client_key_file) {
            (Some(_), None) => {
                problems.push(missing(Self::CLIENT_KEY_FILE, Self::CLIENT_CERT_FILE));
            }
            (None, Some(_)) => {
                problems.push(missing(Self::CLIENT_CERT_FILE, Self::CLIENT_KEY_FILE));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if self.insecure_skip_verify && self.ca_file.is_some() {
            let remedy = "`tls_insecure_skip_verify` verifies nothing, so it would not be used; take one \
                          of them out";
            problems.push(problem(Self::CA_FILE, remedy.to_owned()));
        }
        problems
    }

    /// What the file says where it has changed it, else what is so now.
    #[must_use]
    pub fn merged(&self, old: &Self, new: &Self) -> Self {
        fn pick<T: PartialEq + Clone>(old: &T, new: &T, now: &T) -> T {
            if old == new { now.clone() } else { new.clone() }
        }
        Self {
            server_name: pick(&old.server_name, &new.server_name, &self.server_name),
            ca_file: pick(&old.ca_file, &new.ca_file, &self.ca_file),
            client_cert_file: pick(
                &old.client_cert_file,
                &new.client_cert_file,
                &self.client_cert_file,
            ),
            client_key_file: pick(
                &old.client_key_file,
                &new.client_key_file,
                &self.client_key_file,
            ),
            insecure_skip_verify: pick(
                &old.insecure_skip_verify,
                &new.insecure_skip_verify,
                &self.insecure_skip_verify,
            ),
        }
    }
}

fn missing(key: &'static str, given: &'static str) -> TlsProblem {
    let remedy = format!("missing, and `{given}` needs it; give both or neither");
    TlsProblem { key, remedy }
}

/// What is to change about a backend's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackendTlsEdit {
    /// The name that is asked for and verified.
    pub server_name: Patch<TlsName>,
    /// The CAs to trust.
    pub ca_file: Patch<PathBuf>,
    /// The certificate that the backend is shown.
    pub client_cert_file: Patch<PathBuf>,
    /// Its key.
    pub client_key_file: Patch<PathBuf>,
    /// Whether nothing is verified.
    pub insecure_skip_verify: Option<bool>,
}

impl BackendTlsEdit {
    /// Whether a file is named.
    pub fn names_files(&self) -> bool {
        let files = [&self.ca_file, &self.client_cert_file, &self.client_key_file];
        files.into_iter().any(|file| matches!(file, Patch::Set(_)))
    }

    /// Carries it out.
    pub fn apply(self, tls: &mut BackendTls) {
        self.server_name.apply(&mut tls.server_name);
        self.ca_file.apply(&mut tls.ca_file);
        self.client_cert_file.apply(&mut tls.client_cert_file);
        self.client_key_file.apply(&mut tls.client_key_file);
        if let Some(skip) = self.insecure_skip_verify {
            tls.insecure_skip_verify = skip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_one_host() {
        for (text, name) in [
            ("Web.Internal", "web.internal"),
            ("127.0.0.1", "127.0.0.1"),
            ("FD00::1", "fd00::1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<TlsName>().expect(text).as_str(), name);
        }
        for (text, part) in [
            ("*.example.com", "a wildcard"),
            ("*", "a wildcard"),
            ("[::1]", "without brackets"),
            ("", "TLS server name"),
            ("a b", "TLS server name"),
        ] {
            let error = text.parse::<TlsName>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_key() {
        let cert = BackendTls {
            client_cert_file: Some("/c.pem".into()),
            server_name: Some("a.test".parse().unwrap()),
            ..BackendTls::default()
        };
        let keys = |tls: &BackendTls, scheme| {
            tls.problems(scheme).into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(&cert, Scheme::Http), ["tls_server_name", "tls_client_cert_file"]);
        assert_eq!(keys(&cert, Scheme::H2), ["tls_client_key_file"]);
        let relative = BackendTls { ca_file: Some("ca.pem".into()), ..BackendTls::default() };
        assert_eq!(keys(&relative, Scheme::Https), ["tls_ca_file"]);
        let skip = BackendTls {
            ca_file: Some("/ca.pem".into()),
            insecure_skip_verify: true,
            ..BackendTls::default()
        };
        assert_eq!(keys(&skip, Scheme::Https), ["tls_ca_file"]);
        assert_eq!(keys(&BackendTls::default(), Scheme::H2c), [""; 0]);
    }

    #[test]
    fn what_was_stored_comes_back() {
        let tls = BackendTls {
            ca_file: Some("/ca.pem".into()),
            insecure_skip_verify: false,
            ..BackendTls::default()
        };
        let json = serde_json::to_string(&tls).unwrap();
        assert_eq!(json, r#"{"ca_file":"/ca.pem"}"#);
        assert_eq!(serde_json::from_str::<BackendTls>(&json).unwrap(), tls);
        let after = BackendTls { insecure_skip_verify: true, ..BackendTls::default() };
        assert_eq!(
            tls.differences(&after),
            [
                ("tls_ca_file", Some("/ca.pem".to_owned()), None),
                ("tls_insecure_skip_verify", None, Some("true".to_owned())),
            ]
        );
    }
}
