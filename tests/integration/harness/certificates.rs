//! What the server says of its certificates.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CtlOutput, Vhost, eventually_some};

/// How long a certificate may take, on a slow and busy machine.
const ISSUANCE: Duration = Duration::from_mins(1);

impl Vhost {
    /// What `cert.show` says.
    #[track_caller]
    pub(crate) fn certificate(&self, name: &str) -> Value {
        self.rpc("cert.show", json!({ "name": name })).expect("cert.show answers")
    }

    /// Waits until the certificate of `name` stands so.
    #[track_caller]
    pub(crate) fn wait_for_certificate(&self, name: &str, state: &str) -> Value {
        eventually_some(&format!("the certificate of `{name}` is {state}"), ISSUANCE, || {
            let shown = self.certificate(name);
            let is_stuck = shown["state"] == "blocked" && state != "blocked";
            assert!(!is_stuck, "{shown}");
            (shown["state"] == state).then_some(shown)
        })
    }

    /// What happened to the certificate of `name`, the newest first.
    pub(crate) fn certificate_news(&self, name: &str) -> Vec<Value> {
        let mut list = self.rpc("event.list", json!({ "domain": name })).expect("event.list");
        let events = list["events"].as_array_mut().expect("events are a list");
        events.retain(|event| event["kind"] == "certificate");
        std::mem::take(events)
    }

    /// Runs `vhost ctl cert import`.
    pub(crate) fn import(&self, name: &str, cert: &str, key: &str) -> CtlOutput {
        let files = tempfile::tempdir().expect("temporary directory");
        let paths = ["cert.pem", "key.pem"].map(|file| files.path().join(file));
        std::fs::write(&paths[0], cert).expect("the certificate is written");
        std::fs::write(&paths[1], key).expect("the key is written");
        let [cert, key] = paths.each_ref().map(|path| path.to_str().expect("UTF-8"));
        self.ctl(&["cert", "import", name, "--cert", cert, "--key", key])
    }

    /// Where certificates are kept, unless `lets_encrypt.cache_dir` says otherwise.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.state_dir().join("certs")
    }
}
