//! What is wrong with a file is said where it is, with what would be right.

use super::*;

#[test]
fn each_mistake_is_a_line_and_a_count_ends_them() {
    let text = r#"[proxy]
listen_addr_http = ":80"
threads = 0
[[virtual_hosts]]
domain = "example.com:80"
enabled_backend_tag = "a"
[[backends]]
id = "web-v1"
address = "localhost"
tags = ["a", "b c"]
"#;
    let error = parse(Path::new("config.toml"), text).expect_err("six mistakes");
    assert_eq!(
        error.to_string(),
        "\
config.toml:2: proxy.listen_addr_http: `:80`: add an address: `0.0.0.0:80` for all IPv4 \
addresses, or `[::]:80` for all IPv6 addresses
config.toml:3: proxy.threads: `0`: use 1 to 1024
config.toml:5: virtual_hosts[\"example.com:80\"].domain: `example.com:80`: give the host alone, \
without a port
config.toml:6: virtual_hosts[\"example.com:80\"].enabled_backend_tag: unknown key; did you mean \
`enabled_backends_tag`?
config.toml:9: backends[\"web-v1\"].address: `localhost`: add the port: `host:port`
config.toml:10: backends[\"web-v1\"].tags[1]: `b c`: start with a letter or digit and use only \
letters, digits, `-`, `_` and `.`
6 problems in config.toml"
    );
}

#[test]
fn each_mistake_says_where_it_is_and_what_would_be_right() {
    for (text, expected) in [
        ("threads = 1025", "3: proxy.threads: `1025`: use 1 to 1024"),
        ("threads = 99999999999999999999999999999999999999999999", "use 1 to 1024"),
        ("threads = \"2\"", "`2`: write a whole number from 1 to 1024, without quotes"),
        ("max_header_bytes = 1048577", "use 1024 to 1048576"),
        ("idle_timeout_secs = 0", "proxy.idle_timeout_secs: `0`: use 0.001 to 86400 seconds"),
        ("idle_timeout_secs = -1.5", "`-1.5`: use 0.001"),
        ("idle_timeout_secs = nan", "`nan`: use 0.001"),
        ("idle_timeout_secs = 1e300", "`1e300`: use 0.001"),
        ("idle_timeout_secs = \"30 parsecs\"", "`30 parsecs`: use a time such as 90s, 1h30m or 90"),
        ("idle_timeout_secs = \"2d\"", "`2d`: use 0.001 to 86400 seconds"),
        ("idle_timeout_secs = true", "`true`: use a time such as 90s"),
        ("max_header_bytes = \"64 apples\"", "`64 apples`: use a size such as 10MB or 10485760"),
        ("max_header_bytes = 0.5", "`0.5`: use a size such as 10MB or 10485760"),
        ("[logging]\nmax_size_mb = \"1500KB\"", "`1500KB`: use a multiple of 1048576 bytes"),
        ("max_header_bytes = \"1GB\"", "`1GB`: use 1024 to 1048576"),
        ("management_api_hosts = [\"*.a.b\"]", "name each host"),
        ("trusted_proxies = \"10.0.0.0/8\"", "write a list: `[\"10.0.0.0/8\"]`"),
        ("trusted_proxies = [\n\"::1\",\n\"10.0.0/8\"]", "5: proxy.trusted_proxies[1]: `10.0.0/8`"),
        ("trusted_proxies = [\"Cloudflare\"]", "the name of a list: `private`, `loopback`"),
        ("client_ip_header = \"X-Real-IP\"", "`trusted_proxies` is empty"),
        (
            "trusted_proxies = [\"::1\"]\nclient_ip_header = \"X-Forwarded-For\"",
            "leave the key out",
        ),
        ("trusted_proxies = [\"::1\"]\nclient_ip_header = \"X_Real_IP\"", "write it with `-`"),
        ("underscores_in_headers = true", "choose `drop` or `allow`"),
        (
            "proxy_protocol_http = true",
            "3: proxy.proxy_protocol_http: `true`: `trusted_proxies` is",
        ),
        (
            "proxy_protocol_http = true\ntrusted_proxies = []",
            "`trusted_proxies = [\"10.0.0.0/8\"]`",
        ),
        (
            "trusted_proxies = [\"::1\"]\nproxy_protocol = true",
            "4: proxy.proxy_protocol: `true`: there is no `listen_addr` that it could be for",
        ),
        ("state_dir = \"\"", "proxy.state_dir: ``: it is empty"),
        ("state_dir = \"a\\u0000b\"", "`a\\u{0}b`: a path cannot hold a zero byte"),
        ("admin_group = \"\"", "it is empty"),
        ("listen_addr = \"127.0.0.1:80\"", "`proxy.listen_addr` listens there"),
        ("management_api_addr = \"0.0.0.0:80\"", "`proxy.listen_addr_http` listens there"),
        ("[metrics]\nenabled = true\nlisten_addr = \"127.0.0.1:80\"", "5: metrics.listen_addr"),
        ("listen_addr = \"localhost:443\"", "`127.0.0.1:443` or `[::1]:443`"),
        ("listen_addr = 443", "`443`: write address and port"),
        ("[[switch]]", "write a section `[switch]`, once"),
        ("[switch]\nmin_healthy_percent = 101", "`101`: use 1 to 100"),
        ("[upstream]\nmax_tries = 0", "`0`: use 1 to 10"),
        (
            "[health_check]\nkind = \"ws\"",
            "4: health_check.kind: `ws`: choose `http`, `tcp` or `grpc`",
        ),
        ("[health_check]\nkind = \"tcp\"\npath = \"/\"", "5: health_check.path: `/`: only for"),
        ("[health_check]\nkind = \"tcp\"\nexpected_status = \"200\"", "only for `kind"),
        ("[health_check]\npath = \"up\"", "it starts with `/`"),
        ("[health_check]\nexpected_status = 200", "`200`: write a text in quotes"),
        ("[health_check]\nport = 0", "`0`: write a whole number from 1 to 65535, without quotes"),
        ("[health_check]\nmethod = \"PUT\"", "`PUT`: choose `GET`, `HEAD`, `POST` or `OPTIONS`"),
        (
            "[health_check]\nheaders = { Host = \"a\" }",
            "health_check.headers: `host` has a key of its own",
        ),
        ("[health_check]\nkind = \"grpc\"\nexpect_body = \"a\"", "`a`: only for `kind = \"http\"`"),
        ("[health_check]\nexpect_body = { regex = \"(\" }", "regular expression: unclosed group"),
        ("[health_check]\nmethod = \"HEAD\"\nexpect_body = \"a\"", "use `method = \"GET\"`"),
        ("[health_check]\npath = \"/\"\ngrpc_service = \"a.B\"", "take one or the other out"),
        ("[health_check]\ninterval_secs = 0", "use 0.001 to 86400 seconds"),
        ("[health_check]\nunhealthy_threshold = 1001", "`1001`: use 1 to 1000"),
        ("[health_check]\ncount_5xx = \"yes\"", "write `true` or `false`, without quotes"),
        ("[logging]\nlevel = \"verbose\"", "`debug`, `info`, `warn`, `error` or `off`"),
        ("[logging]\noutput = \"file\"", "3: logging.file_path: missing, and `output = \"file\"`"),
        ("[access_log]\nsample = 1.5", "4: access_log.sample: `1.5`: write a share from 0 to 1"),
        (
            "[logging]\noutput = \"file\"\nfile_path = \"a\"\n\
             [access_log]\noutput = \"file\"\nfile_path = \"./a\"",
            "`logging.file_path` is the same",
        ),
        ("[lets_encrypt]", "3: lets_encrypt.email: missing; add `email = \"admin@example.com\"`"),
        ("[lets_encrypt]\nemail = \"admin\"", "`admin`: write an e-mail address"),
        ("thread = 2", "3: proxy.thread: unknown key; did you mean `threads`?"),
        ("drain_timeout_secs = 2", "unknown key here; it belongs in `[switch]`"),
        ("[switch]\nfoo = 2", "the keys here are gate_timeout_secs, drain_timeout_secs, min_"),
        ("[heath_check]", "3: heath_check: unknown key; did you mean `health_check`?"),
        ("[virtual_hosts]", "write `[[virtual_hosts]]`, once for each entry"),
        ("backends = []\nvirtual_hosts = [1]", "write it with a header of its own, `[[backends]]`"),
        ("include = [\"a\"]", "it belongs in no section: move it to the top of the file"),
        ("[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"", "3: backends[\"x\"].tags: missing"),
        ("[[backends]]\nid = 5\naddress = \"[::1]:1\"\ntags = []", "4: backends[0].id: `5`: write"),
    ] {
        // Two unknown keys make two problems; the first is the one that is looked for.
        let found = if text.starts_with("backends =") {
            problems(&format!("{PROXY}{text}"))[0].to_string()
        } else {
            problem(text)
        };
        assert!(found.contains(expected), "{text}\n   found: {found}\nexpected: {expected}");
    }
}

#[test]
fn each_address_of_a_list_is_checked() {
    for (text, expected) in [
        ("listen_addr = []", "it is empty; name at least one, `[\"0.0.0.0:80\",\"[::]:80\"]`"),
        (
            "listen_addr = [\"127.0.0.1:443\", 443]",
            "3: proxy.listen_addr[1]: `443`: write address and port",
        ),
        (
            "listen_addr = [\"[::]:443\", \"[::]:443\"]",
            "3: proxy.listen_addr[1]: `[::]:443`: it is listed twice; name each once",
        ),
        (
            "listen_addr = [\"0.0.0.0:443\", \"[::]:443\", \"127.0.0.1:443\"]",
            "3: proxy.listen_addr[2]: `127.0.0.1:443`: `0.0.0.0:443` takes its connections already; \
             leave one of the two out, or choose another port",
        ),
        (
            "management_api_addr = [\"127.0.0.1:443\", \"0.0.0.0:80\"]",
            "3: proxy.management_api_addr[1]: `0.0.0.0:80`: `proxy.listen_addr_http` listens there",
        ),
        ("listen_addr = \"[::]:80\"", "`proxy.listen_addr` listens there"),
    ] {
        let found = problem(text);
        assert!(found.contains(expected), "{text}\n   found: {found}\nexpected: {expected}");
    }
}

#[test]
fn a_log_is_no_file_of_the_servers_own() {
    let proxy = "[proxy]\nlisten_addr_http = \"127.0.0.1:0\"\nlisten_addr = \"127.0.0.1:0\"\n\
                 state_dir = \"/srv/state\"\nadmin_socket = \"/srv/run/admin.sock\"\n\
                 [lets_encrypt]\nemail = \"a@example.com\"\ncache_dir = \"/srv/certs\"\n";
    for section in ["logging", "access_log"] {
        let told = |path: &str| {
            let text = format!("{proxy}[{section}]\noutput = \"file\"\nfile_path = \"{path}\"\n");
            parse(Path::new("/srv/vhost.toml"), &text).err().map(|error| error.to_string())
        };
        for path in ["tokens.json", "state.db", "state.db-wal", "lock", "logs/vhost.log"] {
            let told = told(&format!("state/{path}")).expect("it is refused");
            let words =
                format!("11: {section}.file_path: `state/{path}`: this is in a place of the");
            assert!(told.contains(&words), "{told}");
        }
        for path in ["run/admin.sock", "certs/a.pem", "other/../state/lock"] {
            assert!(told(path).is_some(), "{path}");
        }
        assert_eq!(told("logs/vhost.log"), None);
    }
}

#[test]
fn what_is_wrong_with_a_backend_is_said_where_it_is() {
    for (keys, expected) in [
        ("weight = 0", "7: backends[\"x\"].weight: `0`: use 1 to 1000"),
        ("scheme = \"ws\"", "`ws`: choose `http`, `https`, `h2` or `h2c`"),
        ("state = \"off\"", "`off`: choose `ready`, `draining` or `disabled`"),
        (
            "tls_ca_file = \"ca.pem\"",
            "7: backends[\"x\"].tls_ca_file: `ca.pem`: it needs TLS, and the backend has `scheme = \"http\"`",
        ),
        (
            "scheme = \"https\"\ntls_client_key_file = \"c.key\"",
            "3: backends[\"x\"].tls_client_cert_file: missing, and `tls_client_key_file` needs it",
        ),
        (
            "scheme = \"h2\"\ntls_ca_file = \"/ca.pem\"\ntls_insecure_skip_verify = true",
            "8: backends[\"x\"].tls_ca_file: `/ca.pem`: `tls_insecure_skip_verify` verifies nothing",
        ),
        ("scheme = \"h2\"\ntls_server_name = \"*.x\"", "`*.x`: write one name"),
        ("send_proxy_protocol = true", "`true`: choose `off`, `v1` or `v2`"),
        ("send_proxy_protocol = \"v3\"", "send_proxy_protocol: `v3`: choose `off`, `v1` or `v2`"),
        (
            "scheme = \"h2c\"\nsend_proxy_protocol = \"v2\"",
            "8: backends[\"x\"].send_proxy_protocol: `v2`: the header names one client",
        ),
    ] {
        let backend = "[[backends]]\nid = \"x\"\naddress = \"[::1]:1\"\ntags = []";
        let found = problem(&format!("{backend}\n{keys}"));
        assert!(found.contains(expected), "{keys}\n   found: {found}\nexpected: {expected}");
    }
}

#[test]
fn what_is_said_of_cas_and_of_handshakes_is_checked() {
    for (text, expected) in [
        (
            "default_cert = \"a\"",
            "proxy.default_key: missing, and `default_cert` needs it; add `default_key = ",
        ),
        ("default_key = \"a\"", "proxy.default_cert: missing, and `default_key` needs it"),
        ("max_tls_handshakes = 0", "`0`: use 1 to 1000000"),
        ("max_buffered_bytes = 1", "`1`: use 262144 to 4294967295"),
        ("max_h2_send_buffer_bytes = 1", "`1`: use 4096 to 16777216"),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\ndirectory_url = \"http://a.b\"",
            "5: lets_encrypt.directory_url: `http://a.b`: write a URL that begins with `https://`: `https://acme",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\nstaging = true\ndirectory_url = \"https://a.b\"",
            "6: lets_encrypt.directory_url: `https://a.b`: `staging = true` is a CA of its own",
        ),
        ("[lets_encrypt]\nemail = \"a@b.c\"\nkey_type = \"rsa\"", "`rsa`: choose `p256` or `p384`"),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\neab_kid = \"a\"",
            "lets_encrypt.eab_hmac_key_file: missing, and `eab_kid` needs it",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = []",
            "lets_encrypt.challenges: it is empty; name at least one",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = [\"dns\"]",
            "lets_encrypt.challenges[0]: `dns`: choose `tls-alpn-01`, `http-01`, `dns-01` or `dns-persist-01`",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = [\"http-01\", \"http-01\"]",
            "lets_encrypt.challenges[1]: `http-01`: it is listed twice",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\nchallenges = [\"dns-01\"]",
            "lets_encrypt.challenges[0]: `dns-01`: it needs a program that sets DNS records; add `dns_hook",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\non_demand_ask = \"localhost:80\"",
            "write a URL that begins with `https://` or `http://`",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\non_demand_most = 5",
            "lets_encrypt.on_demand_most: `5`: only with `on_demand_ask`",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\n[lets_encrypt.fallback]",
            "write `[[lets_encrypt.fallback]]`, once for each entry",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\n[[lets_encrypt.fallback]]",
            "lets_encrypt.fallback[0].directory_url: missing; add",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\ndirectory_url = \"https://a.b\"\n\
             [[lets_encrypt.fallback]]\ndirectory_url = \"https://a.b\"",
            "7: lets_encrypt.fallback[\"https://a.b\"].directory_url: `https://a.b`: this CA is tried",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\n[[lets_encrypt.fallback]]\ndirectory_url = \"https://a.b\"\nemial = \"a@b.c\"",
            "7: lets_encrypt.fallback[\"https://a.b\"].emial: unknown key; did you mean `email`?",
        ),
        (
            "[lets_encrypt]\nemail = \"a@b.c\"\n[[lets_encrypt.fallback]]\ndirectory_url = \"https://a.b\"\nchallenges = [\"dns-01\"]",
            "].challenges[0]: `dns-01`: it needs a program",
        ),
    ] {
        let found = problem(text);
        assert!(found.contains(expected), "{text}\n   found: {found}\nexpected: {expected}");
    }
}

#[test]
fn a_file_that_listens_nowhere_is_refused() {
    for text in ["", "[proxy]\nthreads = 1\n"] {
        let found = problems(text);
        assert_eq!((found.len(), found[0].key.as_str()), (1, "proxy"), "{found:?}");
        assert!(found[0].message.starts_with("nothing to listen on"), "{found:?}");
    }
}

#[test]
fn a_user_without_a_home_must_say_where_the_state_goes() {
    let nobody = Environment::new(&|_| None, 65534);
    let path = Path::new("c.toml");
    let error = read_text(path, PROXY, &nobody).into_result(path).expect_err("no home").to_string();
    assert!(error.contains("proxy.state_dir: missing"), "{error}");
    let text = format!("{PROXY}state_dir = \"state\"");
    let result = read_text(path, &text, &nobody).into_result(path);
    assert_eq!(result.expect("it says").proxy.state_dir, Path::new("state"));
}

#[test]
fn a_tag_that_no_backend_carries_is_told_with_those_that_exist() {
    let host = "[[virtual_hosts]]\ndomain = \"x.example\"\nenabled_backends_tag = \"c\"\n";
    let found = problem(&format!("{host}{BACKENDS}"));
    assert_eq!(
        found,
        "5: virtual_hosts[\"x.example\"].enabled_backends_tag: `c`: no backend carries this tag; \
         there are `a` and `b`"
    );
    assert!(problem(host).ends_with("there are no tags at all"));
    // In the same run as mistakes in the tags of backends, of which the others count.
    let wrong = BACKENDS.replace("[\"b\"]", "[\"c \", \"d\"]");
    let found: Vec<_> = problems(&format!("{PROXY}{host}{wrong}"));
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(found[0].ends_with("no backend carries this tag; there are `a` and `d`"), "{found:?}");
    assert!(found[1].starts_with("backends[\"two\"].tags[0]: "), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    // What a variable would have said is not known.
    let unset = BACKENDS.replace("[\"b\"]", "[\"${VHOST_TEST_UNSET}\"]");
    let found = problem(&format!("{host}{unset}"));
    assert!(found.contains("is not set"), "{found}");
}

#[test]
fn names_and_ids_occur_once() {
    let host = |domain: &str, alias: &str| {
        format!(
            "[[virtual_hosts]]\ndomain = \"{domain}\"\naliases = [\"{alias}\"]\n\
             enabled_backends_tag = \"a\"\n"
        )
    };
    let hosts = format!("{}{}", host("x.example", "y.example"), host("z.example", "Y.example."));
    assert_eq!(
        problem(&format!("{hosts}{BACKENDS}")),
        "9: virtual_hosts[\"z.example\"].aliases[0]: `y.example`: line 5 has this name already \
         (`virtual_hosts[\"x.example\"].aliases[0]`)"
    );
    let own_alias = format!("{}{BACKENDS}", host("x.example", "x.example"));
    assert!(problem(&own_alias).contains("line 4 has this name already"));
    let found = problem(&BACKENDS.replace("two", "one"));
    assert_eq!(found, "9: backends[\"one\"].id: `one`: the backend on line 5 has this id");
}

#[test]
fn what_a_domain_says_of_its_certificate_is_checked() {
    let host = |domain: &str, said: &str| {
        format!("[[virtual_hosts]]\ndomain = \"{domain}\"\nenabled_backends_tag = \"a\"\n{said}\n")
    };
    for (domain, said, expected) in [
        ("x.example", "tls = \"on\"", "6: virtual_hosts[\"x.example\"].tls: `on`: choose `auto`"),
        ("x.example", "tls = true", "or name the files of a certificate: `{ cert = "),
        (
            "x.example",
            "tls = { cert = \"a\" }",
            "6: virtual_hosts[\"x.example\"].tls: choose `auto`",
        ),
        (
            "x.example",
            "tls = { cert = \"a\", key = \"b\", ca = \"c\" }",
            "or name the files of a certificate: `{ cert = ",
        ),
        ("x.example", "tls = { cert = 1, key = \"b\" }", "or name the files of a certificate"),
        (
            "*",
            "tls = \"internal\"",
            "virtual_hosts[\"*\"].tls: `internal`: the server's own CA signs",
        ),
        // They are not null, which would take an option away.
        ("x.example", "max_body_bytes = inf", "max_body_bytes: `inf`: write a finite number"),
        ("x.example", "maintenance = { message = nan }", "write a finite number"),
        ("x.example", "hsts_max_age_secs = 126144001", "`126144001`: use 0 to 126144000"),
    ] {
        let found = problem(&format!("{}{BACKENDS}", host(domain, said)));
        assert!(found.contains(expected), "{said}\n   found: {found}\nexpected: {expected}");
    }
    let files = host("*", "tls = { cert = \"a\", key = \"b\" }");
    valid(&format!("{PROXY}{files}{BACKENDS}"));
}

#[test]
fn what_is_no_toml_says_where() {
    for (text, expected) in [
        ("[switch\nfoo = 1", "3: column 8: `[switch`: unclosed table"),
        ("admin_group = \"a\n[switch]", "3: column 17: `admin_group = \"a`: invalid basic string"),
        ("threads: 5", "3: column 10: `threads: 5`: key with no value, expected `=`"),
    ] {
        let found = problem(text);
        assert!(found.starts_with(expected), "{text}\n   found: {found}\nexpected: {expected}");
    }
}

#[test]
fn a_value_without_quotes_and_a_key_given_twice_leave_the_rest_readable() {
    let found = problems(
        "[proxy]\nlisten_addr = 0.0.0.0:443\nthreads = 0\nread_timeout_secs = \n\
         [logging]\nlevel = info\n[[backends]]\nid = web\naddress = localhost\ntags = [\"a b\"]\n\
         [switch]\ndrain_timeout_secs = 1\ndrain_timeout_secs = 0\nfoo = 1\n[switch]\n",
    );
    let told: Vec<_> = found.iter().map(|p| (p.line, p.message.contains("quotes"))).collect();
    let expected = [
        (2, true),
        (3, false),
        (4, true),
        (6, true),
        (8, true),
        (9, true),
        (10, false),
        (13, false),
        (14, false),
        (15, false),
    ];
    assert_eq!(told, expected, "{found:#?}");
    assert!(found[7].message.contains("keep one of the two"), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_says_why_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.toml");
    let error = load(&path).expect_err("not there");
    assert!(error.to_string().starts_with("cannot read the config file"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("config.example.toml")));
    std::fs::write(&path, b"[proxy]\nadmin_group = \"\xff\"\n").unwrap();
    let error = load(&path).expect_err("not UTF-8").to_string();
    assert!(error.contains("none.toml:2: column 16: not UTF-8"), "{error}");
}

#[test]
fn values_in_problems_are_short_and_harmless() {
    let found = problem(&format!("admin_socket = \"\\u001b[31m{}\"", "é".repeat(200)));
    assert!(found.contains("`\\u{1b}[31mé") && found.contains("…`"), "{found}");
    assert!(!found.contains('\u{1b}'), "{found:?}");
}

const BACKEND: &str = "[[backends]]\nid = \"b\"\naddress = \"127.0.0.1:1\"\ntags = [\"a\"]\n";
const DOMAIN: &str = "[[virtual_hosts]]\ndomain = \"x.test\"\nenabled_backends_tag = \"a\"\n";

#[test]
fn a_health_check_of_an_entry_is_read_in_each_way_of_writing_it() {
    for text in [
        "health_check = { path = \"/up\", port = 9000 }",
        "health_check.path = \"/up\"\nhealth_check.port = 9000",
        "[backends.health_check]\npath = \"/up\"\nport = 9000",
        "[backends.health_check]\npath = \"/up\"\nport = 9000\n[health_check]\npath = \"/\"",
    ] {
        let config = parse(Path::new("c"), &format!("{PROXY}{BACKEND}{text}\n{DOMAIN}"));
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let check = config.declared.backends[0].options.health_check.clone().expect(text);
        assert_eq!(check.path.as_ref().map(ToString::to_string).as_deref(), Some("/up"));
        assert_eq!(check.port.map(std::num::NonZeroU16::get), Some(9000));
    }
}

#[test]
fn what_is_wrong_with_a_health_check_of_an_entry_is_said_where_it_is() {
    for (text, expected) in [
        (
            "health_check = { path = \"up\" }",
            "backends[\"b\"].health_check: `health_check.path`: `up` is not a",
        ),
        (
            "[backends.health_check]\npth = \"/up\"",
            "unknown field `pth`, expected one of `kind`, `path`",
        ),
        (
            "health_check = { kind = \"tcp\", path = \"/\" }",
            "`health_check.path`: only for `kind = \"http\"`",
        ),
        (
            "health_check = { headers = { Connection = \"close\" } }",
            "`connection` is the proxy's own",
        ),
        ("health_check = { headers = { X-A = \"1\", x-a = \"2\" } }", "are the same name"),
        ("health_check = 5", "write a table, such as `{ key = value }`"),
        (
            "path = \"/up\"",
            "unknown key here; write it in the entry's `health_check = { path = … }`",
        ),
        ("grpc_service = \"a.B\"", "write it in the entry's `health_check = { grpc_service = … }`"),
    ] {
        let error = parse(Path::new("c"), &format!("{PROXY}{BACKEND}{text}\n")).expect_err(text);
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let socket = BACKEND.replace("127.0.0.1:1", "unix:/run/app.sock");
    let text = format!("{PROXY}{socket}health_check = {{ port = 9000 }}\n");
    let error = parse(Path::new("c"), &text).expect_err("a port of a socket").to_string();
    assert!(
        error.contains("`health_check.port`: a backend at a Unix socket has no other port"),
        "{error}"
    );
    // A domain has none, and its words don't send anybody to the head of the file.
    for backends in [BACKEND, ""] {
        let text =
            format!("{PROXY}{DOMAIN}[virtual_hosts.health_check]\npath = \"/up\"\n{backends}");
        let error = parse(Path::new("c"), &text).expect_err("a domain has no check").to_string();
        assert!(!error.contains("top of the file"), "{error}");
        assert!(error.contains("health_check: unknown key here; "), "{error}");
    }
}
