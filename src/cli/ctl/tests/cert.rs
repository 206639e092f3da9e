use std::os::unix::fs::PermissionsExt;

use super::*;

const DAY: u64 = 86_400_000;

fn certificate() -> Value {
    json!({
        "name": "example.com", "domain": "example.com", "source": "acme", "state": "valid",
        "served": {
            "names": ["example.com", "www.example.com"], "issuer": "Let's Encrypt E7",
            "serial": "04a1", "sha256": "ab".repeat(32), "key_type": "P-256",
            "not_before_ms": NOW - DAY, "not_after_ms": NOW + 89 * DAY, "chain": ["E7", "ISRG Root X1"],
        },
        "next_ms": NOW + 60 * DAY, "attempts": 0, "trusted": true,
    })
}

fn failed() -> Value {
    json!({
        "name": "new.example.com", "domain": "new.example.com", "source": "acme", "state": "failed",
        "served": null, "next_ms": NOW + 9_120_000, "attempts": 3, "trusted": false,
        "last_error": "dns: no A or AAAA record", "hint": "add the record",
    })
}

fn list() -> Value {
    let shop = json!({"name": "shop.example.com", "domain": "example.com", "state": "renewing",
        "step": "http-01, waiting for the CA"});
    let own =
        json!({"name": "old.test", "domain": "old.test", "source": "imported", "next_ms": null});
    let off = json!({"name": "*.off.test", "domain": "*.off.test", "source": null, "state": "none",
        "served": null, "next_ms": null});
    json!({"certificates": [
        certificate(), with(certificate(), &shop), failed(), with(certificate(), &own),
        with(certificate(), &off)]})
}

fn on_a_terminal(line: &str, answer: &Value) -> Ran {
    let server = FakeServer::answering(&[result(answer)]);
    let surroundings = Surroundings {
        stdout_terminal: true,
        stdout_width: Some(80),
        stderr_terminal: true,
        no_color: true,
        now_ms: NOW,
    };
    run_among(&server.socket(), line, surroundings)
}

/// Runs `vhost ctl LINE` against a server that answers each call so, and tells what was called.
fn calls(line: &str, answers: &[Vec<Value>]) -> (Ran, Vec<Value>) {
    let server = FakeServer::answering_each(answers);
    let ran = run_at(&server.socket(), line, false, false);
    let requests = server.requests();
    (ran, requests.iter().map(|request| request["method"].clone()).collect())
}

#[test]
fn the_list_says_how_each_stands_and_what_is_next() {
    let ran = ctl("cert list", &[result(&list())]);
    assert_eq!(
        ran.stdout,
        "\
DOMAIN            STATUS    SOURCE    ISSUER            EXPIRES            NEXT
example.com       valid     acme      Let's Encrypt E7  2026-09-28 (89 d)  renew 2026-08-30
shop.example.com  renewing  acme      Let's Encrypt E7  2026-09-28 (89 d)  http-01, waiting for the CA
new.example.com   failed    acme      -                 -                  retry 14:32Z: dns: no A or AAAA record
old.test          valid     imported  Let's Encrypt E7  2026-09-28 (89 d)  not renewed
*.off.test        none      -         -                 -                  -
"
    );
    let note =
        "`new.example.com` needs attention; `vhost ctl cert show new.example.com` says why\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (0, note));
    assert_eq!((ran.method, ran.params), (json!("cert.list"), json!({})));
    let empty = ctl("cert list", &[result(&json!({"certificates": []}))]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""));
    let wide = ctl("cert list -o wide", &[result(&list())]).stdout;
    for part in ["TRUSTED", "P-256", "04a1", "dns: no A or AAAA record\n"] {
        assert!(wide.contains(part), "no `{part}` in\n{wide}");
    }
}

#[test]
fn on_a_terminal_the_list_fits_eighty_columns() {
    let long = json!({"name": "a-very-long-name-of-a-shop.departments.example.com"});
    let few = json!({"certificates": [certificate(), failed()]});
    let all = json!({"certificates": [
        with(certificate(), &long), with(failed(), &long), failed()]});
    assert_eq!(
        on_a_terminal("cert list", &few).stdout,
        "\
DOMAIN           STATUS  EXPIRES            NEXT
example.com      valid   2026-09-28 (89 d)  renew 2026-08-30
new.example.com  failed  -                  retry 14:32Z: dns: no A or AAAA rec…
"
    );
    for list in [few, list(), all] {
        let ran = on_a_terminal("cert list", &list);
        assert_fits(&ran.stdout);
        for part in ["EXPIRES", "2026-09-28 (89 d)", "retry 14:32", "failed"] {
            assert!(ran.stdout.contains(part), "no `{part}` in\n{}", ran.stdout);
        }
    }
    let usual = on_a_terminal("cert list", &json!({"certificates": [certificate()]})).stdout;
    assert_fits(&usual);
    assert!(usual.contains("Let's Encrypt E7"), "{usual}");
}

#[test]
fn pages_are_told_one_after_the_other() {
    let page = |name: &str, next: Value| {
        let report = with(certificate(), &json!({"name": name, "domain": name}));
        vec![result(&json!({"certificates": [report], "next": next}))]
    };
    let (ran, _) =
        calls("cert list", &[page("a.test", json!("a.test")), page("b.test", Value::Null)]);
    let names: Vec<_> = ran.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["DOMAIN", "a.test", "b.test"]);
}

#[test]
fn one_certificate_is_shown_with_all_that_is_known() {
    let acme = json!({
        "directory_url": "https://acme.example/dir", "account": "https://acme.example/acct/1",
        "challenge": "http-01", "window_ms": [NOW + 58 * DAY, NOW + 61 * DAY],
        "explanation_url": "https://acme.example/why",
        "log": [{"at_ms": NOW - DAY, "directory_url": "https://acme.example/dir"},
                {"at_ms": NOW - 2 * DAY, "directory_url": "https://acme.example/dir",
                 "error": "connection: timeout"}],
    });
    let ran = ctl("cert show example.com", &[result(&with(certificate(), &json!({"acme": acme})))]);
    assert_eq!(
        ran.stdout,
        format!(
            "\
name          example.com
status        valid
source        acme
issuer        Let's Encrypt E7
names         example.com, www.example.com
key type      P-256
serial        04a1
SHA-256       {}
chain         E7, ISRG Root X1
valid from    2026-06-30T12:00:00Z
valid until   2026-09-28T12:00:00Z, 89 days left
trusted       yes
renewal       2026-08-30T12:00:00Z
CA            https://acme.example/dir
account       https://acme.example/acct/1
challenge     http-01
CA's window   2026-08-28T12:00:00Z to 2026-08-31T12:00:00Z
explained at  https://acme.example/why

ATTEMPT               CA                        ENDED
2026-06-30T12:00:00Z  https://acme.example/dir  well
2026-06-29T12:00:00Z  https://acme.example/dir  connection: timeout
",
            "ab".repeat(32)
        )
    );
    let ran = ctl("cert show new.example.com", &[result(&failed())]);
    assert_eq!(
        ran.stdout,
        "\
name          new.example.com
status        failed
source        acme
next attempt  2026-07-01T14:32:00Z
failed        3 times in a row
last error    dns: no A or AAAA record
to do         add the record
"
    );
}

#[test]
fn a_renewal_is_waited_for_on_request() {
    let renewing = with(certificate(), &json!({"state": "renewing", "step": "order made"}));
    let begun = with(renewing.clone(), &json!({"changed": ["status: valid → renewing"]}));
    let ran = ctl("cert renew example.com --force", &[result(&begun)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(ran.params, json!({"name": "example.com", "force": true}));
    assert_eq!(
        ran.stderr,
        "example.com: status valid → renewing\n\
         `vhost ctl cert wait example.com` waits for its end\n"
    );
    let steps = ["http-01, waiting for the CA", "waiting for the certificate"];
    let steps = steps.map(|step| progress(&json!({"step": step})));
    let waited = steps.into_iter().chain([result(&certificate())]).collect::<Vec<_>>();
    let line = "cert renew example.com --wait --timeout 5m";
    let (ran, methods) = calls(line, &[vec![result(&renewing)], waited]);
    assert_eq!(methods, ["cert.renew", "cert.wait"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(
        unstamped(&ran.stderr),
        "\
ordering  http-01, waiting for the CA
ordering  waiting for the certificate
done      example.com: valid, until 2026-09-28, by Let's Encrypt E7
"
    );
}

#[test]
fn a_wait_is_one_when_there_is_none_and_six_when_it_is_late() {
    let ran = ctl("cert wait new.example.com --timeout 1s", &[result(&failed())]);
    assert_eq!(ran.params, json!({"name": "new.example.com", "timeout_ms": 1000}));
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            1,
            "\
error: cannot get a certificate for `new.example.com`
cause: dns: no A or AAAA record
hint: add the record
"
        )
    );
    let scripts = ctl("cert wait new.example.com -o json", &[result(&failed())]);
    assert_eq!(serde_json::from_str::<Value>(&scripts.stdout).unwrap()["state"], "failed");
    let late = fault("timeout", "no certificate after 2 min", &json!({}));
    let ran = ctl("cert wait example.com", &[late]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    for (kind, code) in [("not_found", 4), ("conflict", 5)] {
        assert_eq!(ctl("cert renew x.test", &[fault(kind, "no", &json!({}))]).code, code);
    }
}

#[test]
fn a_domain_that_is_added_may_wait_for_its_certificate() {
    let line = "domain add example.com --tag a --wait-cert --timeout 1m";
    let added = || vec![result(&domain())];
    let waited = vec![progress(&json!({"step": "new order"})), result(&certificate())];
    let (ran, methods) = calls(line, &[added(), waited]);
    assert_eq!(methods, ["domain.add", "cert.wait"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(
        unstamped(&ran.stderr),
        "\
added     example.com: live a, 2 of 2 backends healthy, revision 7
ordering  new order
done      example.com: valid, until 2026-09-28, by Let's Encrypt E7
"
    );
    let (ran, _) = calls(line, &[added(), vec![result(&failed())]]);
    assert_eq!(ran.code, 1);
    let late = vec![fault("timeout", "not there after 1 min", &json!({}))];
    let (ran, _) = calls(&format!("{line} -o json"), &[added(), late]);
    assert_eq!(ran.code, 6);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap(), domain());
}

#[test]
fn an_import_sends_the_files_and_prints_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    std::fs::write(&cert, "CERT").unwrap();
    std::fs::write(&key, "SECRET").unwrap();
    let changed = "certificate: none → Let's Encrypt E7 until 2026-09-28";
    let imported = with(
        certificate(),
        &json!({"source": "imported", "next_ms": null, "changed": [changed, "status: pending → valid"]}),
    );
    let line = format!("cert import example.com --cert {cert} --key {key}");
    let ran = ctl(&line, &[result(&imported)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(ran.params, json!({"name": "example.com", "cert": "CERT", "key": "SECRET"}));
    assert_eq!(
        ran.stderr,
        "\
example.com: certificate none → Let's Encrypt E7 until 2026-09-28
example.com: status pending → valid
it is never renewed: import the next one before 2026-09-28
"
    );
    std::fs::write(&key, b"SECRET\xff").unwrap();
    for (key, cause) in
        [(key.clone(), "it is not text"), (path("none"), "no such file or directory")]
    {
        let line = format!("cert import example.com --cert {cert} --key {key}");
        let ran = run_at(Path::new("/nonexistent"), &line, false, false);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(&format!("cannot read `{key}`\ncause: {cause}")), "{ran:?}");
        assert!(!ran.stderr.contains("SECRET"), "{ran:?}");
    }
}

#[test]
fn an_export_goes_to_stdout_or_to_files_and_the_key_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let both = json!({"cert": "CERT\n", "key": "KEY\n"});
    let ran = ctl("cert export example.com", &[result(&json!({"cert": "CERT"}))]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("CERT\n", ""));
    assert_eq!(ran.params, json!({"name": "example.com", "key": false}));
    let ran = ctl("cert export example.com --key", &[result(&both)]);
    assert_eq!(ran.stdout, "CERT\nKEY\n");
    let line = format!("cert export example.com --out-cert {cert} --out-key {key}");
    for json in ["", " -o json"] {
        let ran = ctl(&format!("{line}{json}"), &[result(&both)]);
        assert_eq!(ran.params["key"], true);
        assert!(!ran.stdout.contains("KEY"), "{ran:?}");
        assert_eq!(std::fs::read_to_string(&key).unwrap(), "KEY\n");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&cert).unwrap().permissions().mode() & 0o777, 0o644);
    }
    let ran = ctl("cert export example.com --key", &[result(&json!({"cert": "CERT"}))]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let ran = ctl("cert export example.com --out-key /nonexistent/k", &[result(&both)]);
    assert!(ran.code == 1 && ran.stderr.contains("cannot write `/nonexistent/k`"), "{ran:?}");
}

#[test]
fn a_revocation_has_a_reason() {
    for (line, reason) in [("", "unspecified"), (" --reason key-compromise", "key-compromise")] {
        let line = format!("cert revoke example.com{line}");
        let changed = format!("revoked, reason {reason}");
        let revoked =
            json!({"state": "renewing", "changed": [changed, "status: valid → renewing"]});
        let ran = ctl(&line, &[result(&with(certificate(), &revoked))]);
        assert_eq!(ran.params, json!({"name": "example.com", "reason": reason}));
        assert_eq!(
            ran.stderr,
            format!(
                "example.com: revoked, reason {reason}\nexample.com: status valid → renewing\n"
            )
        );
    }
}

#[test]
fn the_own_ca_is_pem_and_the_accounts_come_with_records() {
    let authority = json!({"cert": "ROOT\n", "sha256": "ff"});
    let ran = ctl("cert ca", &[result(&authority)]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("ROOT\n", "its SHA-256 is ff\n"));
    let list = json!({"accounts": [
        {"directory_url": "https://acme.example/dir", "email": "a@b.c", "uri": "https://acme.example/1",
         "thumbprint": "tp", "dns_persist": "ca.example; accounturi=https://acme.example/1",
         "caa": "0 issue \"ca.example; accounturi=https://acme.example/1\""},
        {"directory_url": "https://other.example/dir", "email": "a@b.c"},
    ]});
    let ran = ctl("cert account *.example.com", &[result(&list)]);
    assert_eq!(
        ran.stdout,
        "\
CA          https://acme.example/dir
e-mail      a@b.c
account     https://acme.example/1
thumbprint  tp
TXT record  _validation-persist.example.com TXT \"ca.example; accounturi=https://acme.example/1\"
CAA record  example.com CAA 0 issue \"ca.example; accounturi=https://acme.example/1\"

CA          https://other.example/dir
e-mail      a@b.c
account     none yet
thumbprint  -
"
    );
    assert!(ctl("cert account", &[result(&list)]).stdout.contains("_validation-persist.NAME TXT"));
}

#[test]
fn the_history_of_a_certificate_fits_a_terminal_where_it_is_told_as_events() {
    let event = |id: u64, news: Value| {
        let actor = json!({"via": "certificates"});
        let event = json!({"id": id, "revision": 7, "at_ms": NOW, "actor": actor,
            "kind": "certificate", "domain": "example.com"});
        with(event, &news)
    };
    let list = json!({"revision": 12, "events": [
        event(4, json!({"news": "revoked", "serial": "04a1", "reason": "superseded"})),
        event(3, json!({"news": "rejected", "error": "the key is another's"})),
        event(2, json!({"news": "failed", "error": "dns: no A record", "attempt": 2,
            "next_ms": NOW + 600_000})),
        event(1, json!({"news": "served", "source": "acme", "issuer": "Let's Encrypt E7",
            "serial": "04a1", "not_after_ms": NOW + 89 * DAY, "renewed": false})),
    ]});
    let what = [
        "example.com cert revoked (superseded)",
        "example.com cert rejected: the key is another's",
        "example.com cert failed: dns: no A record (attempt 2, next 2026-07-01T12:10:00Z)",
        "example.com cert until 2026-09-28, by Let's Encrypt E7 (acme)",
    ];
    let history = ctl("history", &[result(&list)]).stdout;
    let told: Vec<_> = history.lines().skip(1).collect();
    for (line, what) in told.iter().zip(what) {
        assert_eq!(*line, format!("2026-07-01T12:00:00Z  7         vhost itself  {what}"));
    }
    assert_eq!(told.len(), what.len());
    let events = on_a_terminal("events", &list).stdout;
    assert_fits(&events);
    assert_eq!(events.lines().count(), what.len(), "{events}");
    assert!(events.contains("vhost itself  example.com cert revoked (superseded)"), "{events}");
}
