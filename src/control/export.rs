//! The settings and the live state as the text of a config file.

use std::fmt::Write as _;

use serde_json::Value;

use super::plane::off_the_runtime;
use super::{Configuration, ControlError};
use crate::config::{Origin, Setting};
use crate::model::record::{self, Record};
use crate::model::{App, Backend, BackendState, VirtualHost, escape_references};
use crate::state::Snapshot;

/// A config file that reproduces the live state.
#[derive(Debug)]
pub(crate) struct Exported {
    /// The revision of the state.
    pub revision: u64,
    /// The file.
    pub text: String,
    /// Why the file can't be used as it is.
    pub warnings: Vec<String>,
}

/// Whether hashes of passwords are written. What references stand for never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// They are, so that the file can be used.
    Written,
    /// They are not: somebody looks.
    Hidden,
}

impl Configuration {
    /// The settings that somebody set, and every domain and backend as it is live.
    ///
    /// # Errors
    /// When the server is stopping.
    pub(crate) async fn export(&self, secrets: Secrets) -> Result<Exported, ControlError> {
        let settings = self.settings();
        let live = self.control.snapshot();
        off_the_runtime(move || Ok(export(&settings, &live, secrets))).await
    }
}

fn export(settings: &[Setting], live: &Snapshot, secrets: Secrets) -> Exported {
    let mut text = String::new();
    write_settings(&mut text, settings);
    let mut warnings = Vec::new();
    for node in live.apps() {
        write_app(&mut text, &node.app);
    }
    for node in live.domains() {
        let virtual_host = &node.virtual_host;
        let hidden = write_domain(&mut text, virtual_host, secrets);
        if hidden {
            warnings.push(format!(
                "the hashes of passwords of `{}` are not shown: write to a file, or add `--secrets`",
                virtual_host.domain
            ));
        }
        if live.pool(&node.live().pool).is_none() {
            warnings.push(format!(
                "no backend carries `{}`, the live tag of `{}`: a config file wants one",
                virtual_host.live, virtual_host.domain
            ));
        }
    }
    for node in live.backends() {
        write_backend(&mut text, &node.backend);
    }
    Exported { revision: live.revision(), text, warnings }
}

/// Each section with the keys that were set, in the order in which the file has them.
fn write_settings(text: &mut String, settings: &[Setting]) {
    let mut open = "";
    for setting in settings.iter().filter(|setting| was_set(setting)) {
        let value = setting.value.as_ref().and_then(|value| toml::Value::try_from(value).ok());
        let Some(value) = value else { continue };
        let Some((section, key)) = setting.key.split_once('.') else {
            write_entries(text, &setting.key, &value);
            continue;
        };
        if section != open {
            begin(text, &format!("[{section}]"));
            open = section;
        }
        write_key(text, key, value);
    }
}

/// The tables of a list such as `[[notify]]`. What the file includes is no table, and stands in the text itself.
fn write_entries(text: &mut String, name: &str, list: &toml::Value) {
    for entry in list.as_array().into_iter().flatten().filter_map(toml::Value::as_table) {
        begin(text, &format!("[[{name}]]"));
        for (key, value) in entry {
            write_key(text, key, value.clone());
        }
    }
}

/// Whether a file or an argument said so. What a variable decides is said by the file where it
/// refers to it, and is then written as the reference: it may be a secret.
fn was_set(setting: &Setting) -> bool {
    match setting.from {
        Origin::File { .. } | Origin::CommandLine => true,
        Origin::Environment => {
            setting.value.as_ref().is_some_and(|value| value.to_string().contains("${"))
        }
        Origin::Default => false,
    }
}

fn write_app(text: &mut String, app: &App) {
    begin(text, "[[apps]]");
    write_key(text, "name", escaped(&app.name));
    write_options(text, &app.options);
}

/// Writes a domain, and says whether anything of it is hidden.
fn write_domain(text: &mut String, virtual_host: &VirtualHost, secrets: Secrets) -> bool {
    let VirtualHost { domain, live, previous: _, beside: _, top, options } = virtual_host;
    begin(text, "[[virtual_hosts]]");
    write_key(text, "domain", escaped(domain));
    write_key(text, "enabled_backends_tag", escaped(live));
    write_options(text, top);
    let (values, hidden) = match secrets {
        Secrets::Hidden => options.written_without_secrets(),
        Secrets::Written => (options.written(), false),
    };
    for (key, value) in values {
        if let Some(value) = toml_of(&value) {
            write_key(text, &key, value);
        }
    }
    hidden
}

/// A value as a file writes it.
fn toml_of(value: &Value) -> Option<toml::Value> {
    match value {
        Value::String(text) => Some(text.clone().into()),
        Value::Array(elements) => {
            elements.iter().map(toml_of).collect::<Option<Vec<_>>>().map(Into::into)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| Some((key.clone(), toml_of(value)?)));
            fields.collect::<Option<toml::Table>>().map(Into::into)
        }
        other => toml::Value::try_from(other).ok(),
    }
}

fn write_options<R: Record>(text: &mut String, record: &R) {
    for (key, value) in record::written(record) {
        // Files are members of a table of their own only where they are stored and shown.
        if let Some(value) = toml_of(value.get("files").unwrap_or(&value)) {
            write_key(text, key, value);
        }
    }
}

fn write_backend(text: &mut String, backend: &Backend) {
    let Backend { id, address, tags, options, state } = backend;
    begin(text, "[[backends]]");
    write_key(text, "id", escaped(id));
    write_key(text, "address", escaped(address));
    write_key(text, "tags", tags.iter().map(escaped).collect::<Vec<_>>());
    write_options(text, options);
    if *state != BackendState::default() {
        write_key(text, "state", state.as_str());
    }
}

fn begin(text: &mut String, header: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(header);
    text.push('\n');
}

fn write_key(text: &mut String, key: &str, value: impl Into<toml::Value>) {
    // Writing to a text never fails.
    let _ = writeln!(text, "{key} = {}", value.into());
}

/// A value of the state, which is no reference to the environment whatever it looks like.
fn escaped(value: &impl ToString) -> toml::Value {
    toml::Value::String(escape_references(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;
    use crate::model::Change;
    use crate::tls::testing::self_signed_pem;

    #[test]
    fn an_exported_file_means_the_same() {
        let text = "[proxy]\nlisten_addr = \"127.0.0.1:1\"\nmax_tls_handshakes = 7\n\
             default_cert = \"d.pem\"\ndefault_key = \"d.key\"\n\
             [lets_encrypt]\nemail = \"a@b.example\"\nchallenges = [\"http-01\"]\n\
             on_demand_ask = \"http://localhost/a\"\n\
             [[lets_encrypt.fallback]]\ndirectory_url = \"https://c.example/d\"\nca_root = \"c.pem\"\n\
             [[notify]]\nname = \"chat\"\nurl = \"http://a/$${x}\"\nevents = [\"health\"]\n\
             [[notify]]\nname = \"log\"\nexec = [\"/bin/log\"]\n\
             [[hooks]]\nname = \"ask\"\nexec = [\"/bin/ask\"]\n\
             [[virtual_hosts]]\ndomain = \"a.example\"\nenabled_backends_tag = \"a\"\n\
             tls = { cert = \"a$${x}.pem\", key = 'k\"ey' }\nhsts_max_age_secs = 5\n\
             [[virtual_hosts]]\ndomain = \"b.example\"\nenabled_backends_tag = \"a\"\ntls = \"internal\"\n\
             [[virtual_hosts]]\ndomain = \"c.example\"\nenabled_backends_tag = \"a\"\ntls = \"off\"\n\
             [[virtual_hosts]]\ndomain = \"d.example\"\nenabled_backends_tag = \"a\"\n\
             [[backends]]\nid = \"b\"\naddress = \"127.0.0.1:1\"\ntags = [\"a\"]\n\
             [[backends]]\nid = \"c\"\naddress = \"127.0.0.1:1\"\ntags = [\"a\"]\nscheme = \"https\"\n\
             tls_server_name = \"a.example\"\ntls_insecure_skip_verify = true\n";
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = self_signed_pem(&["a.example"]);
        for (name, pem) in
            [("d.pem", &cert), ("d.key", &key), ("a${x}.pem", &cert), ("k\"ey", &key)]
        {
            std::fs::write(directory.path().join(name), pem).unwrap();
        }
        let file =
            parse(&directory.path().join("vhost.toml"), text).unwrap_or_else(|e| panic!("{e}"));
        let backends = file.declared.backends.iter().cloned().map(Into::into);
        let domains = file.declared.domains.iter().cloned();
        let changes = backends.map(Change::PutBackend).chain(domains.map(Change::PutDomain));
        let live = Snapshot::default().after(changes.collect::<Vec<_>>(), 1);
        let exported = export(&file.effective, &live, Secrets::Hidden);
        assert!(exported.warnings.is_empty(), "{:?}", exported.warnings);
        let elsewhere = Path::new("/elsewhere/vhost.toml");
        let again =
            parse(elsewhere, &exported.text).unwrap_or_else(|e| panic!("{e}\n{}", exported.text));
        let domains = |config: &crate::config::Config| config.declared.domains.clone();
        assert_eq!(domains(&again), domains(&file));
        let tls = |config: &crate::config::Config| {
            config.declared.backends.iter().map(|b| b.options.clone()).collect::<Vec<_>>()
        };
        assert_eq!(tls(&again), tls(&file));
        assert_eq!((again.proxy, again.lets_encrypt), (file.proxy, file.lets_encrypt));
        assert_eq!((again.notify, again.hooks), (file.notify, file.hooks));
    }
}
