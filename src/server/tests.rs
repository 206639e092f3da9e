use std::path::Path;

use super::*;
use crate::config::{Config, Source, parse};
use crate::store::Store;

/// A config that declares a domain, to be started in `directory`.
fn declaring(directory: &Path) -> Config {
    let text = "[proxy]\nlisten_addr = \"127.0.0.1:0\"\nstate_dir = \"state\"\n\
                admin_socket = \"admin.sock\"\nmanagement_api_addr = \"127.0.0.1:0\"\n\
                [metrics]\nenabled = false\n\
                [[virtual_hosts]]\ndomain = \"example.com\"\nenabled_backends_tag = \"a\"\n\
                [[backends]]\nid = \"w\"\naddress = \"127.0.0.1:9\"\ntags = [\"a\"]\n";
    parse(&directory.join("vhost.toml"), text).unwrap()
}

#[test]
fn a_start_that_fails_has_not_applied_the_file() {
    for spoilt in ["sticky.key", "tokens.json", "certs"] {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        drop(Store::open(&state).unwrap());
        std::fs::write(state.join(spoilt), "{").unwrap();
        let config = declaring(directory.path());
        let source = Source::Made("a test", Box::new(config.clone()));
        let started = Server::start(config.clone(), source.clone(), None, None);
        assert!(started.is_err(), "{spoilt}");
        drop(started);
        let saved = Store::open(&state).unwrap().load().unwrap();
        assert_eq!(
            (saved.revision, saved.domains, saved.applied_file),
            (0, vec![], None),
            "{spoilt}"
        );
        std::fs::remove_file(state.join(spoilt)).unwrap();
        let server = Server::start(config, source, None, None).unwrap();
        assert_eq!(server.state().load().domains().count(), 1, "{spoilt}");
    }
}
