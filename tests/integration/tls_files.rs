//! Certificates in files of the operator: those that don't fit change nothing, wherever they are named.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// `example.com` with a certificate that fits, and pairs of files that don't.
struct Site {
    vhost: Vhost,
    setup: Setup,
    authority: Authority,
    directory: tempfile::TempDir,
    good: CertificateFiles,
    _backend: Backend,
}

impl Site {
    fn start() -> Self {
        let backend = Backend::start("web");
        let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
        let good = authority.issue(&["example.com"]).write_to(directory.path(), "good");
        let setup = Setup::new()
            .domain_with("example.com", "a", &good.tls_line())
            .domain("plain.test", "a")
            .backend("web", backend.address(), &["a"])
            .lifetime(Duration::from_mins(2));
        let vhost = setup.start();
        vhost.wait_for_health("web", "healthy");
        Self { vhost, setup, authority, directory, good, _backend: backend }
    }

    /// Pairs that don't fit `example.com`, each with what is said of it.
    fn misfits(&self) -> Vec<(String, String, &'static str)> {
        let write = |issued: &Issued, name: &str| {
            let files = issued.write_to(self.directory.path(), name);
            (files.cert.display().to_string(), files.key.display().to_string())
        };
        let (cert, key) = write(&self.authority.issue(&["example.com"]), "one");
        let (other, other_key) = write(&self.authority.issue(&["other.test"]), "other");
        let (old, old_key) = write(&self.authority.issue_in(2020..2021, &["example.com"]), "old");
        vec![
            (cert.clone(), other_key.clone(), "does not belong"),
            (key.clone(), cert.clone(), "swap `cert` and `key`"),
            (other, other_key, "not for `example.com`"),
            (old, old_key, "expired"),
            (cert, "/nowhere/key.pem".to_owned(), "/nowhere/key.pem"),
        ]
    }

    fn serial(&self) -> String {
        let client = TlsClient::trusting(&self.authority.pem());
        let connection = client.connect(self.vhost.https(), Some("example.com"));
        connection.unwrap_or_else(|error| panic!("no handshake: {error}")).handshake().serial()
    }

    fn tls(&self) -> Value {
        self.vhost.rpc("domain.show", json!({"domain": "example.com"})).unwrap()["tls"].take()
    }
}

#[test]
fn files_that_do_not_fit_are_refused_before_anything_changes() {
    let site = Site::start();
    let (served, before) = (site.serial(), site.tls());
    let new = site.directory.path().join("vhost.toml");
    for (cert, key, said) in site.misfits() {
        let tls = json!({"files": {"cert": cert, "key": key}});
        let set = json!({"domain": "example.com", "tls": tls});
        let fault = site.vhost.rpc("domain.set", set).expect_err(said);
        assert!(fault.whole.to_string().contains(said), "{said}: {fault:?}");
        let name = if said.contains("not for") { "new.test" } else { "example.net" };
        let add = json!({"domain": name, "tag": "a", "tls": tls});
        site.vhost.rpc("domain.add", add).expect_err(said);

        let line = format!("tls = {{ cert = {cert:?}, key = {key:?} }}");
        let setup = site.setup.clone().replace(&site.good.tls_line(), &line);
        std::fs::write(&new, setup.text(site.vhost.directory())).unwrap();
        let mut check = std::process::Command::new(vhost_binary());
        check.arg("check").arg(&new);
        let checked = RunningCtl::of(check).wait();
        assert_eq!(checked.code, 2, "{said}: {checked:?}");
        assert!(checked.stderr.contains(said), "{said}: {checked:?}");

        site.vhost.write_config(&setup);
        let reloaded = site.vhost.ctl(&["reload"]);
        assert_ne!(reloaded.code, 0, "{said}: {reloaded:?}");
        assert!(reloaded.stderr.contains(said), "{said}: {reloaded:?}");
    }
    // A certificate that fits the domain doesn't fit every alias.
    let aliases = json!({"domain": "example.com", "aliases": ["www.example.com"]});
    let fault = site.vhost.rpc("domain.set", aliases).expect_err("it is not for the alias");
    assert!(fault.whole.to_string().contains("not for `www.example.com`"), "{fault:?}");
    assert_eq!((site.serial(), site.tls()), (served, before), "nothing changed");
    // One that fits is taken.
    let next = site.authority.issue(&["example.com", "www.example.com"]);
    let files = next.write_to(site.directory.path(), "next");
    let tls = json!({"files": {"cert": files.cert, "key": files.key}});
    let set = json!({"domain": "example.com", "tls": tls, "aliases": ["www.example.com"]});
    site.vhost.rpc("domain.set", set).unwrap();
    eventually("the next certificate is served", SOON, || site.serial() == next.serial());
}

#[test]
fn a_working_certificate_is_not_given_up_for_files_that_do_not_fit() {
    let site = Site::start();
    let served = site.serial();
    for (issued, said) in [
        (site.authority.issue(&["other.test"]), "other names"),
        (site.authority.issue_in(2020..2021, &["example.com"]), "expired"),
    ] {
        site.good.replace(&issued);
        let shown = eventually_some("it is shown", SOON, || {
            let shown = site.vhost.certificate("example.com");
            let error = shown["last_error"].as_str().unwrap_or_default();
            error.contains(said).then_some(shown.clone())
        });
        assert_eq!(shown["served"]["serial"], served.as_str(), "{shown}");
        assert_eq!(site.serial(), served, "{said}");
        let status = site.vhost.ctl_ok(&["status"]);
        assert!(status.stdout.contains("`example.com` can't be used"), "{status:?}");
        let list = site.vhost.ctl_ok(&["cert", "list"]);
        assert!(list.stdout.contains("failed"), "{list:?}");
    }
    let next = site.authority.issue(&["example.com"]);
    site.good.replace(&next);
    eventually("the next certificate is served", SOON, || site.serial() == next.serial());
}

#[test]
fn a_default_certificate_that_is_spoilt_is_a_warning_and_still_served() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let issued = authority.issue(&["default.test"]);
    let files = issued.write_to(directory.path(), "default");
    let vhost = Setup::new()
        .set("proxy.default_cert", format!("{:?}", files.cert))
        .set("proxy.default_key", format!("{:?}", files.key))
        .start();
    let serial = || {
        let client = TlsClient::accepts_any().connect(vhost.https(), Some("x.test")).unwrap();
        client.handshake().serial()
    };
    assert_eq!(serial(), issued.serial());
    std::fs::write(&files.key, "nonsense").unwrap();
    eventually("it is a warning", SOON, || {
        vhost.ctl_ok(&["status"]).stdout.contains("default certificate's files can't be used")
    });
    assert_eq!(serial(), issued.serial());
}
