//! A configuration without a file: from the arguments of `vhost serve`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::effective::Origin;
use super::entries::list_tags;
use super::load::read_text;
use super::paths::Environment;
use super::settings::{Config, ListenAddr, ListenAddrs, collide};
use super::{ConfigError, value};
use crate::model::absolute;
use crate::model::{
    BackendAddr, BackendId, DomainName, LogFormat, ParseError, PoolName, Tag, escape_references,
};

/// What the arguments of `vhost serve` say without a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Where plain HTTP is served.
    pub http: Vec<SocketAddr>,
    /// Where HTTPS is served.
    pub https: Vec<SocketAddr>,
    /// The domains.
    pub routes: Vec<Route>,
    /// The backends.
    pub backends: Vec<BackendArgument>,
    /// Where the state is kept, instead of the default place.
    pub state_dir: Option<PathBuf>,
    /// Where the admin socket is, instead of the default place.
    pub admin_socket: Option<PathBuf>,
    /// What log lines look like.
    pub log_format: LogFormat,
}

/// A domain and the tag that serves it: `example.com=a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The domain.
    pub domain: DomainName,
    /// Its tag.
    pub tag: Tag,
}

/// A backend with its tags: `web1=localhost:3001,a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendArgument {
    /// Its name.
    pub id: BackendId,
    /// Where it listens.
    pub address: BackendAddr,
    /// Its tags: the pools that it belongs to.
    pub tags: BTreeSet<Tag>,
}

impl FromStr for Route {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (domain, tag) = text.rsplit_once('=').ok_or_else(|| {
            ParseError::new("route", text, "write domain and tag: `example.com=a`")
        })?;
        Ok(Self { domain: domain.parse()?, tag: tag.parse()? })
    }
}

impl FromStr for BackendArgument {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (id, rest) = text.split_once('=').ok_or_else(|| {
            let example = "write id, address and tags: `web1=localhost:3001,a`";
            ParseError::new("backend", text, example)
        })?;
        let (address, tags) = match rest.split_once(',') {
            Some((address, tags)) => (address, tags.split(',').map(str::parse).collect()),
            None => (rest, Ok(BTreeSet::new())),
        };
        Ok(Self { id: id.parse()?, address: address.parse()?, tags: tags? })
    }
}

/// Reads an address to listen on, as the file's keys do.
///
/// # Errors
/// When it is none; with what would be right.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    value::listen_address(&DeValue::String(text.into()))
}

impl Arguments {
    /// The configuration that these arguments stand for.
    ///
    /// # Errors
    /// With everything that doesn't fit together.
    pub(crate) fn to_config(&self) -> Result<Config, ConfigError> {
        self.within(&Environment::of_process())
    }

    fn within(&self, environment: &Environment<'_>) -> Result<Config, ConfigError> {
        let mut problems = self.problems();
        if self.state_dir.is_none() && environment.state_dir().is_none() {
            let reason =
                "this user has no home directory to keep the state in; add `--state-dir DIR`";
            problems.push(reason.to_owned());
        }
        for (flag, path) in
            [("--state-dir", &self.state_dir), ("--admin-socket", &self.admin_socket)]
        {
            // As a file would write it, and a file is UTF-8.
            if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
                let path = path.display();
                problems.push(format!("`{flag}`: `{path}` is not UTF-8; name a path that is"));
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Arguments { problems });
        }
        let read = read_text(Path::new(""), &self.file(), environment).into_result(Path::new(""));
        let mut config = read.map_err(|error| match error {
            ConfigError::Invalid { problems, .. } => {
                let problems = problems.iter().map(ToString::to_string).collect();
                ConfigError::Arguments { problems }
            }
            other => other,
        })?;
        config.files.clear();
        for setting in &mut config.effective {
            if matches!(setting.from, Origin::File { .. }) {
                // Nobody has asked for the format of the log.
                let is_asked = setting.key != "logging.format";
                setting.from = if is_asked { Origin::CommandLine } else { Origin::Default };
            }
        }
        Ok(config)
    }

    /// The config file that says the same.
    fn file(&self) -> String {
        let text = |value: &dyn ToString| Value::from(escape_references(&value.to_string()));
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| text(&path.display()));
        let addresses = |addresses: &[SocketAddr]| match addresses {
            [] => None,
            [one] => Some(text(one)),
            all => Some(all.iter().map(|one| text(one)).collect()),
        };
        let proxy = [
            ("listen_addr", addresses(&self.https)),
            ("listen_addr_http", addresses(&self.http)),
            ("state_dir", path(&self.state_dir)),
            ("admin_socket", path(&self.admin_socket)),
        ];
        let proxy = proxy.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let domains = self.routes.iter().map(|Route { domain, tag }| {
            json!({ "domain": text(domain), "enabled_backends_tag": text(tag) })
        });
        let backends = self.backends.iter().map(|BackendArgument { id, address, tags }| {
            let tags: Vec<_> = tags.iter().map(|tag| text(tag)).collect();
            json!({ "id": text(id), "address": text(address), "tags": tags })
        });
        let file = json!({
            "proxy": proxy.collect::<Map<_, _>>(),
            "logging": { "format": self.log_format.as_str() },
            "virtual_hosts": domains.collect::<Vec<_>>(),
            "backends": backends.collect::<Vec<_>>(),
        });
        toml::to_string(&file).expect("it has tables with texts and lists of them")
    }

    /// What the file's reader finds when it compares entries.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut listeners: Vec<(&str, ListenAddr)> = Vec::new();
        for (flag, addresses) in [("--http", &self.http), ("--https", &self.https)] {
            for one in ListenAddrs::from(addresses.clone()).each() {
                if let Some((of, other)) = listeners.iter().find(|(_, other)| collide(one, *other))
                {
                    problems.push(format!(
                        "`{of} {}` and `{flag} {}` listen on the same port; choose another for one \
                         of them",
                        other.address, one.address
                    ));
                }
                listeners.push((flag, one));
            }
        }
        let mut ids = BTreeSet::new();
        let mut tags = BTreeMap::new();
        for BackendArgument { id, tags: own, .. } in &self.backends {
            if !ids.insert(id) {
                problems.push(format!("two backends have the id `{id}`"));
            }
            tags.extend(own.iter().map(|tag| (PoolName::new(None, tag), tag.to_string())));
        }
        let mut names = BTreeSet::new();
        for Route { domain, tag } in &self.routes {
            if !names.insert(domain) {
                problems.push(format!("two routes have the domain `{domain}`"));
            }
            if !tags.contains_key(&PoolName::new(None, tag)) {
                let others = list_tags(&tags, None);
                problems.push(format!(
                    "`--route {domain}={tag}`: no backend carries this tag; {others}"
                ));
            }
        }
        problems
    }
}

impl Arguments {
    /// The paths made absolute, so that they mean the same when they are read again.
    #[must_use]
    pub(crate) fn with_absolute_paths(mut self) -> Self {
        for path in [&mut self.state_dir, &mut self.admin_socket].into_iter().flatten() {
            *path = absolute(&*path);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(routes: &[&str], backends: &[&str]) -> Arguments {
        Arguments {
            http: vec!["127.0.0.1:8080".parse().unwrap()],
            https: vec!["[::1]:8443".parse().unwrap()],
            routes: routes.iter().map(|text| text.parse().expect(text)).collect(),
            backends: backends.iter().map(|text| text.parse().expect(text)).collect(),
            state_dir: None,
            admin_socket: None,
            log_format: LogFormat::Text,
        }
    }

    fn arguments_at_state(routes: &[&str]) -> Arguments {
        let state_dir = Some("/state".into());
        Arguments { state_dir, ..arguments(routes, &["w1=localhost:3001,a"]) }
    }

    #[test]
    fn a_path_that_is_not_utf_8_is_refused_and_not_altered() {
        use std::os::unix::ffi::OsStringExt as _;
        let path = PathBuf::from(std::ffi::OsString::from_vec(b"/state-\xff".to_vec()));
        let arguments =
            Arguments { state_dir: Some(path), ..arguments(&["*=a"], &["w1=[::1]:1,a"]) };
        let refused = arguments.within(&Environment::new(&|_| None, 0));
        let error = refused.expect_err("no file can name it").to_string();
        assert!(error.contains("`--state-dir`") && error.contains("not UTF-8"), "{error}");
    }

    #[test]
    fn arguments_mean_what_a_file_would() {
        let arguments = Arguments {
            state_dir: Some("/state".into()),
            ..arguments(
                &["Example.com=a", "*=b"],
                &["w1=localhost:3001,a,b", "w2=[::1]:1", "w3=unix:/a,b"],
            )
        };
        let environment = Environment::new(&|_| None, 0);
        let config = arguments.within(&environment).unwrap();
        let text = "[proxy]\nlisten_addr = \"[::1]:8443\"\nlisten_addr_http = \"127.0.0.1:8080\"\nstate_dir = \"/state\"\n\
                    [logging]\nformat = \"text\"\n\
                    [[virtual_hosts]]\ndomain = \"example.com\"\nenabled_backends_tag = \"a\"\n\
                    [[virtual_hosts]]\ndomain = \"*\"\nenabled_backends_tag = \"b\"\n\
                    [[backends]]\nid = \"w1\"\naddress = \"localhost:3001\"\ntags = [\"a\", \"b\"]\n\
                    [[backends]]\nid = \"w2\"\naddress = \"[::1]:1\"\ntags = []\n\
                    [[backends]]\nid = \"w3\"\naddress = \"unix:/a\"\ntags = [\"b\"]\n";
        let path = Path::new("vhost.toml");
        let loaded = crate::config::load::read_text(path, text, &environment);
        let file = loaded.into_result(path).unwrap_or_else(|error| panic!("{error}"));
        let plain =
            |config: &Config| Config { effective: Vec::new(), files: Vec::new(), ..config.clone() };
        assert_eq!(plain(&config), plain(&file));
        let values = |config: &Config| {
            config.effective.iter().map(|s| (s.key.clone(), s.value.clone())).collect::<Vec<_>>()
        };
        assert_eq!(values(&config), values(&file));
        let said: Vec<_> = config
            .effective
            .iter()
            .filter(|setting| setting.from == Origin::CommandLine)
            .map(|setting| setting.key.as_str())
            .collect();
        assert_eq!(said, ["proxy.listen_addr", "proxy.listen_addr_http", "proxy.state_dir"]);
        let only_https = Arguments { http: Vec::new(), ..arguments };
        let proxy = only_https.within(&environment).unwrap().proxy;
        let https = ListenAddrs::from(only_https.https);
        assert_eq!((proxy.listen_addr_http, proxy.listen_addr), (None, Some(https)));
        let both = ["0.0.0.0:8080", "[::]:8080"].map(|text| text.parse::<SocketAddr>().unwrap());
        let both = Arguments { http: both.to_vec(), ..arguments_at_state(&["*=a"]) };
        let proxy = both.within(&environment).unwrap().proxy;
        assert_eq!(proxy.listen_addr_http, Some(ListenAddrs::from(both.http)));
    }

    #[test]
    fn what_does_not_fit_together_is_told_all_at_once() {
        let arguments = Arguments {
            https: vec!["0.0.0.0:8080".parse().unwrap()],
            ..arguments(&["x.test=a", "X.test=c"], &["w1=localhost:3001,a", "w1=localhost:3002,b"])
        };
        let error = arguments.within(&Environment::new(&|_| None, 7)).unwrap_err().to_string();
        for part in [
            "`--http 127.0.0.1:8080` and `--https 0.0.0.0:8080` listen on the same port; choose",
            "two backends have the id `w1`",
            "two routes have the domain `x.test`",
            "`--route x.test=c`: no backend carries this tag; there are `a` and `b`",
            "no home directory to keep the state in; add `--state-dir DIR`",
        ] {
            assert!(error.contains(part), "no `{part}` in {error}");
        }
    }
}
