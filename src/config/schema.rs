//! The JSON Schema of the file: what it may say, for editors and the manual page.
//!
//! The structs are the file's shape and nothing else; nobody fills them. Defaults come from the
//! settings, ranges and words are held to the readers' by tests.

mod kinds;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::load::defaults;
use crate::model::{BackendOptions, OptionSet, TopOptions};
use kinds::{
    AccessFormatWord, Address, BackendAddress, ChallengeWord, ClientIpHeader, Email,
    HealthHostText, HealthKind, HealthPathText, Host, HttpUrl, HttpsUrl, Id, KeyTypeWord, Level,
    Listen, LogFormatWord, LogOutputWord, Name, Pathname, Pattern, RotationWord, Seconds,
    SecondsOrNone, Share, StateWord, Statuses, TagText, TrustedProxyText, UnderscoresWord, Whole,
};

/// The JSON Schema (draft 2020-12) of the config file, which also fits the files that it includes.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = generator.into_generator().into_root_schema_for::<ConfigFile>().to_value();
    forget_defaults(&mut schema);
    for entries in ["virtual_hosts", "backends"] {
        if let Some(entries) = property(&mut schema, entries) {
            as_file(entries);
        }
    }
    for (key, value) in defaults() {
        if let Some(Value::Object(found)) = property(&mut schema, &key) {
            found.insert("default".to_owned(), value);
        }
    }
    schema
}

/// Makes a schema of JSON one of the file: nothing is null there, and a word may be a reference to the
/// environment.
fn as_file(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(kinds)) = fields.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    fields.insert("type".to_owned(), kind);
                }
            }
            for choice in ["anyOf", "oneOf"] {
                let Some(Value::Array(choices)) = fields.get_mut(choice) else { continue };
                choices.retain(|choice| choice["type"] != "null");
                let words: Option<Vec<Value>> =
                    choices.iter().map(|choice| choice.get("const").cloned()).collect();
                if let Some(words) = words {
                    fields.remove(choice);
                    fields.extend(text(&json!({ "enum": words })));
                } else if let [only] = choices.as_mut_slice() {
                    let only = std::mem::take(only);
                    fields.remove(choice);
                    if let Value::Object(only) = only {
                        only.into_iter().for_each(|(key, of)| _ = fields.entry(key).or_insert(of));
                    }
                }
            }
            fields.values_mut().for_each(as_file);
        }
        Value::Array(items) => items.iter_mut().for_each(as_file),
        _ => {}
    }
}

/// The property that a path such as `proxy.threads` or `backends.weight` leads to.
fn property<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Value> {
    path.split('.').try_fold(schema, |schema, key| {
        let schema = if schema.get("items").is_some() { schema.get_mut("items")? } else { schema };
        schema.get_mut("properties")?.get_mut(key)
    })
}

/// Takes out the defaults of Rust's types, which aren't the file's.
fn forget_defaults(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                for property in properties.values_mut().filter_map(Value::as_object_mut) {
                    property.remove("default");
                }
            }
            fields.values_mut().for_each(forget_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_defaults),
        _ => {}
    }
}

/// The config file of vhost. Times are in seconds, whole or with decimals. Relative paths start at the
/// file's directory. In every text, `${NAME}` stands for what the environment variable NAME holds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "vhost config")]
// A file that is included has no sections.
#[schemars(extend("anyOf" = [
    { "required": ["proxy"] },
    { "propertyNames": { "enum": ["virtual_hosts", "backends"] } },
]))]
#[expect(dead_code, reason = "it is a shape")]
struct ConfigFile {
    /// Files that belong to this one: names, or patterns such as `conf.d/*.toml`. They hold
    /// `[[virtual_hosts]]` and `[[backends]]` and nothing else.
    #[schemars(default)]
    include: Vec<Pattern>,
    #[schemars(default)]
    proxy: Proxy,
    #[schemars(default)]
    upstream: Upstream,
    #[schemars(default)]
    switch: Switch,
    #[schemars(default)]
    health_check: HealthCheck,
    #[schemars(default)]
    logging: Logging,
    #[schemars(default)]
    access_log: AccessLog,
    #[schemars(default)]
    metrics: Metrics,
    #[schemars(default)]
    lets_encrypt: LetsEncrypt,
    /// The domains.
    #[schemars(default)]
    virtual_hosts: Vec<VirtualHost>,
    /// The servers that answer requests.
    #[schemars(default)]
    backends: Vec<Backend>,
}

/// The clients' side, and the process itself. At least one of `listen_addr` and `listen_addr_http` is
/// needed.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    { "required": ["listen_addr"] },
    { "required": ["listen_addr_http"] },
]))]
#[schemars(extend("dependentRequired" = {
    "default_cert": ["default_key"], "default_key": ["default_cert"],
}))]
#[schemars(extend("allOf" = [
    announced("proxy_protocol", "listen_addr"),
    announced("proxy_protocol_http", "listen_addr_http"),
]))]
#[expect(dead_code, reason = "it is a shape")]
#[expect(clippy::struct_field_names, reason = "the keys are the file's")]
struct Proxy {
    /// Where HTTPS is served. `[::]:443` is every address of IPv6.
    #[schemars(default)]
    listen_addr: Listen,
    /// Where plain HTTP is served: HTTP/1.1, and HTTP/2 with prior knowledge.
    #[schemars(default)]
    listen_addr_http: Listen,
    /// Where the REST API is served. Off unless it is set.
    #[schemars(default)]
    management_api_addr: Listen,
    /// Names by which the REST API may be called, besides its address and `localhost`. Requests for other
    /// hosts are refused: a web page could send them.
    #[schemars(default)]
    management_api_hosts: Vec<Host>,
    /// The Unix socket that `vhost ctl` talks to. The default is `admin.sock` in `$RUNTIME_DIRECTORY`
    /// under systemd, else in `/run/vhost` as root, else in `$XDG_RUNTIME_DIR/vhost`, else in
    /// `/tmp/vhost-UID`. `vhost ctl` doesn't read this file: with another path here, give it
    /// `--socket` or `VHOST_SOCKET`.
    #[schemars(default)]
    admin_socket: Address,
    /// A group whose members may use the admin socket too. Without it, only the server's own user.
    #[schemars(default)]
    admin_group: Name,
    /// Where the state and its history are kept. The default is `$STATE_DIRECTORY` under systemd,
    /// else `/var/lib/vhost` as root, else `$XDG_STATE_HOME/vhost`, else `~/.local/state/vhost`.
    #[schemars(default)]
    state_dir: Pathname,
    /// The directory of the error pages that commands and the REST API may name. They name no other
    /// files, and none where it is not set. This file may name pages anywhere.
    #[schemars(default)]
    pages_dir: Pathname,
    /// Threads that carry traffic. The default is the number of cores.
    #[schemars(default)]
    threads: Whole<1, 1024>,
    /// How long running requests may take to end when the server is stopped.
    #[schemars(default)]
    shutdown_timeout_secs: Seconds,
    /// Networks or addresses of proxies in front of this one, whose `X-Forwarded-*` headers are
    /// believed. Those of anyone else are replaced. `private`, `loopback`, `link-local`, `cloudflare`
    /// and `fastly` are lists of networks.
    #[schemars(default)]
    trusted_proxies: Vec<TrustedProxyText>,
    /// The header in which `trusted_proxies` name the client, such as `CF-Connecting-IP`,
    /// `True-Client-IP` or `X-Real-IP`. Without it, or where a request doesn't have it, that is
    /// `X-Forwarded-For`.
    #[schemars(default)]
    client_ip_header: ClientIpHeader,
    /// What becomes of header fields of requests with `_` in their name, which applications behind CGI,
    /// WSGI, Rack or PHP take for those with `-`. `allow` passes on those that are not taken for one
    /// that the proxy writes or removes.
    #[schemars(default)]
    underscores_in_headers: UnderscoresWord,
    /// Whether connections to `listen_addr` begin with a header of the PROXY protocol (version 1 or 2),
    /// which names the client. They are from `trusted_proxies` then; those of anyone else are closed.
    #[schemars(default)]
    proxy_protocol: bool,
    /// The same for `listen_addr_http`.
    #[schemars(default)]
    proxy_protocol_http: bool,
    /// How long a client may keep a connection open between requests, and before the first.
    #[schemars(default)]
    idle_timeout_secs: Seconds,
    /// How long a client may take to send a request's whole head.
    #[schemars(default)]
    header_timeout_secs: Seconds,
    /// How long a client may pause within a request's body.
    #[schemars(default)]
    read_timeout_secs: Seconds,
    /// How long a client may take nothing of an answer.
    #[schemars(default)]
    write_timeout_secs: Seconds,
    /// How long a client that has ended its side of the connection is waited with for its answer. One that
    /// is gone looks the same until it is written to.
    #[schemars(default)]
    half_close_timeout_secs: SecondsOrNone,
    /// The largest request head in bytes. A larger one gets 431.
    #[schemars(default)]
    max_header_bytes: Whole<1024, 1_048_576>,
    /// How long a WebSocket may be silent.
    #[schemars(default)]
    websocket_idle_timeout_secs: Seconds,
    /// How long a TLS handshake may take.
    #[schemars(default)]
    tls_handshake_timeout_secs: Seconds,
    /// TLS handshakes that may be under way at once, from the client's hello on. When there are more, the
    /// oldest of the client that has the most is closed.
    #[schemars(default)]
    max_tls_handshakes: Whole<1, 1_000_000>,
    /// The most header fields of a request. One with more gets 431.
    #[schemars(default)]
    max_headers: Whole<1, 256>,
    /// The longest request target in bytes. A longer one gets 414.
    #[schemars(default)]
    max_uri_bytes: Whole<64, 65_534>,
    /// Requests that one connection may carry before it is closed, in good order.
    #[schemars(default)]
    max_requests_per_connection: Whole<1, 1_000_000_000>,
    /// How fast a request body must come, in bytes a second: a slower one gets 408. 0 is any speed. The
    /// bodies of gRPC, and those of requests whose answer has begun, may take their time.
    #[schemars(default)]
    min_body_bytes_per_sec: Whole<0, 1_000_000_000>,
    /// How long a body may be slower than `min_body_bytes_per_sec`.
    #[schemars(default)]
    body_grace_secs: Seconds,
    /// Client connections in all. What is more is closed at once.
    #[schemars(default)]
    max_connections: Whole<1, 10_000_000>,
    /// Connections of one client address; of IPv6, of one /64; never more than half of `max_connections`.
    /// What is more is closed at once. One of `trusted_proxies` may have seven eighths of all.
    #[schemars(default)]
    max_connections_per_client: Whole<1, 10_000_000>,
    /// Connections on which nothing was said yet: no hello of TLS, no request. When there are more, the
    /// oldest of the client that has the most is closed.
    #[schemars(default)]
    max_silent_connections: Whole<1, 10_000_000>,
    /// Requests at once of one client over HTTP/2, on all of its connections, or through one of
    /// `trusted_proxies`. What is more gets 429.
    #[schemars(default)]
    max_requests_per_client: Whole<1, 10_000_000>,
    /// Requests that may run at once on one HTTP/2 connection.
    #[schemars(default)]
    max_h2_streams: Whole<1, 10_000>,
    /// PING, SETTINGS, PRIORITY, CONTINUATION and empty DATA frames that one HTTP/2 connection may send
    /// in a second, twice as many at once; `RST_STREAM` counts ten times. With more it is closed.
    #[schemars(default)]
    max_h2_control_frames_per_sec: Whole<10, 1_000_000>,
    /// Bytes that may be held in memory on behalf of one connection: of answers that its client does not
    /// take, of request bodies that no backend takes, and of compression. A backend is read no faster.
    #[schemars(default)]
    max_buffered_bytes_per_connection: Whole<262_144, 4_294_967_295>,
    /// The same for one client, the same one as for `max_connections_per_client`. Beyond it each of its
    /// connections has 64 KiB.
    #[schemars(default)]
    max_buffered_bytes_per_client: Whole<262_144, 4_294_967_295>,
    /// The same in all.
    #[schemars(default)]
    max_buffered_bytes: Whole<262_144, 4_294_967_295>,
    /// Bytes of an answer that may wait on one HTTP/2 stream to be sent.
    #[schemars(default)]
    max_h2_send_buffer_bytes: Whole<4_096, 16_777_216>,
    /// The certificate, with its chain, for clients that name no host, or one that is not declared:
    /// PEM. Without it they are refused.
    #[schemars(default)]
    default_cert: Pathname,
    /// The private key of `default_cert`: PEM.
    #[schemars(default)]
    default_key: Pathname,
}

/// The backends' side.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a shape")]
struct Upstream {
    /// How long a connection, with its TLS handshake, may take to come about.
    #[schemars(default)]
    connect_timeout_secs: Seconds,
    /// How long a backend may send nothing within a request.
    #[schemars(default)]
    read_timeout_secs: Seconds,
    /// How long a backend may take nothing within a request.
    #[schemars(default)]
    write_timeout_secs: Seconds,
    /// How long an unused connection is kept. Stay below the backends' own keep-alive time (5 s in
    /// Node.js): on a connection that the backend is just closing, a POST fails.
    #[schemars(default)]
    idle_timeout_secs: Seconds,
    /// How many backends a request is tried on when connecting fails.
    #[schemars(default)]
    max_tries: Whole<1, 10>,
    /// How often the names of backends are resolved again.
    #[schemars(default)]
    resolve_interval_secs: Seconds,
    /// Requests that may run at once on one backend; others wait until there is room, in order. 0 is
    /// any number.
    #[schemars(default)]
    max_requests_per_backend: Whole<0, 1_000_000>,
    /// Requests for a tag that may wait for a backend with room. One more gets 503.
    #[schemars(default)]
    queue_size: Whole<0, 1_000_000>,
    /// How long each waits at most; then it gets 503.
    #[schemars(default)]
    queue_timeout_secs: Seconds,
    /// The share of running requests that may be tried on a further backend at once, so that tries can't
    /// make an outage worse; ten always may.
    #[schemars(default)]
    retry_budget_percent: Whole<0, 100>,
}

/// What `vhost ctl switch` does, unless it is told otherwise.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a shape")]
struct Switch {
    /// How long the new tag has to prove itself healthy. If it doesn't, nothing changes.
    #[schemars(default)]
    gate_timeout_secs: Seconds,
    /// How long requests on the old tag have to end before the switch stops waiting for them.
    #[schemars(default)]
    drain_timeout_secs: Seconds,
    /// The share of the new tag's ready backends that must be proven healthy.
    #[schemars(default)]
    min_healthy_percent: Whole<1, 100>,
}

/// How the health of backends is found.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "kind": { "const": "tcp" } }, "required": ["kind"] },
    "then" = { "properties": { "path": false, "host": false, "expected_status": false } },
))]
#[expect(dead_code, reason = "it is a shape")]
struct HealthCheck {
    /// What a probe does: `http` asks for `path`, `tcp` only connects.
    #[schemars(default)]
    kind: HealthKind,
    /// What a probe asks for. Not with `kind = "tcp"`.
    #[schemars(default)]
    path: HealthPathText,
    /// The host that it asks for, with a port if need be; without it, the backend's address. Not with
    /// `kind = "tcp"`.
    #[schemars(default)]
    host: HealthHostText,
    /// The statuses that are healthy: `200`, `200-399`, `200,204,301-308`. Not with `kind = "tcp"`.
    #[schemars(default)]
    expected_status: Statuses,
    /// The time between two probes of a backend.
    #[schemars(default)]
    interval_secs: Seconds,
    /// The time a probe may take.
    #[schemars(default)]
    timeout_secs: Seconds,
    /// Failures in a row that make a backend unhealthy.
    #[schemars(default)]
    unhealthy_threshold: Whole<1, 1000>,
    /// Successes in a row that make a backend healthy.
    #[schemars(default)]
    healthy_threshold: Whole<1, 1000>,
    /// Whether 5xx answers to real traffic count as failures. Failed connections always do.
    #[schemars(default)]
    count_5xx: bool,
    /// How long the share of a backend that has become healthy takes to grow to a full one; 0 is not at
    /// all.
    #[schemars(default)]
    slow_start_secs: SecondsOrNone,
    /// The share of a tag's ready backends that failures of real traffic may put out at once. Probes may
    /// put out more.
    #[schemars(default)]
    max_ejected_percent: Whole<0, 100>,
}

/// What is logged, how and where.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "output": { "const": "file" } }, "required": ["output"] },
    "then" = { "required": ["file_path"] },
))]
#[expect(dead_code, reason = "it is a shape")]
struct Logging {
    /// The least important level that is logged.
    #[schemars(default)]
    level: Level,
    /// `json` is one object a line, `text` is for people.
    #[schemars(default)]
    format: LogFormatWord,
    /// `console` is standard error, `file` the end of `file_path`, which must be given then.
    #[schemars(default)]
    output: LogOutputWord,
    /// The log file. SIGUSR1 opens it again, for who moves it away.
    #[schemars(default)]
    file_path: Pathname,
    /// When the file is moved away to `file_path` with `.1` behind it, and another one is begun:
    /// `never`, `daily` (at midnight UTC), or by `size`.
    #[schemars(default)]
    rotation: RotationWord,
    /// How large the file becomes with `rotation = "size"`, in MiB.
    #[schemars(default)]
    max_size_mb: Whole<1, 1_000_000>,
    /// How many files are kept that were moved away: `.1` is the newest.
    #[schemars(default)]
    keep_files: Whole<1, 1000>,
}

/// A line for each request: who asked for what, who answered, and how it ended.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "output": { "const": "file" } }, "required": ["output"] },
    "then" = { "required": ["file_path"] },
))]
#[expect(dead_code, reason = "it is a shape")]
struct AccessLog {
    /// Whether requests are logged. Where not, those that were refused or failed are in the log of
    /// `[logging]`.
    #[schemars(default)]
    enabled: bool,
    /// `json` is one object a line, `text` is for people, `common` and `combined` are those of other
    /// web servers.
    #[schemars(default)]
    format: AccessFormatWord,
    /// `console` is standard output, `file` the end of `file_path`, which must be given then.
    #[schemars(default)]
    output: LogOutputWord,
    /// The access log's file, another one than that of `[logging]`. SIGUSR1 opens it again, for who
    /// moves it away.
    #[schemars(default)]
    file_path: Pathname,
    /// When the file is moved away to `file_path` with `.1` behind it, and another one is begun:
    /// `never`, `daily` (at midnight UTC), or by `size`.
    #[schemars(default)]
    rotation: RotationWord,
    /// How large the file becomes with `rotation = "size"`, in MiB.
    #[schemars(default)]
    max_size_mb: Whole<1, 1_000_000>,
    /// How many files are kept that were moved away: `.1` is the newest.
    #[schemars(default)]
    keep_files: Whole<1, 1000>,
    /// The share of requests that are logged, of those that neither failed nor were answered with a
    /// 5xx; the others always are.
    #[schemars(default)]
    sample: Share,
    /// Whether the query is logged, and with `combined` that of the referer. It may hold secrets.
    #[schemars(default)]
    query: bool,
}

/// Metrics for Prometheus, at `/metrics`. Anyone who reaches the address can read them.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a shape")]
struct Metrics {
    /// Whether they are served.
    #[schemars(default)]
    enabled: bool,
    /// Where they are served.
    #[schemars(default)]
    listen_addr: Listen,
    /// How many domains have series of their own, those with most requests first; the others are
    /// counted together, as `domain="other"`.
    #[schemars(default)]
    per_domain_limit: Whole<0, 1_000_000>,
    /// A page for people at `/`, which shows the same live: domains, backends, what happened.
    #[schemars(default)]
    status_page: bool,
    /// Names by which they may be called, besides their address and `localhost`: what Prometheus is to
    /// call them by. Requests for other hosts are refused: a web page could send them.
    #[schemars(default)]
    hosts: Vec<Host>,
}

/// Certificates from Let's Encrypt, or from another CA that speaks ACME. Without this section there are
/// none; those of files, of the server's own CA and of `vhost ctl cert import` need no section.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "staging": { "const": true } }, "required": ["staging"] },
    "then" = { "properties": { "directory_url": false } },
    "allOf" = [{
        "if": {
            "properties": { "challenges": { "contains": { "const": "dns-01" } } },
            "required": ["challenges"],
        },
        "then": { "required": ["dns_hook"] },
    }],
    "dependentRequired" = {
        "eab_kid": ["eab_hmac_key_file"], "eab_hmac_key_file": ["eab_kid"],
        "on_demand_per_client": ["on_demand_ask"], "on_demand_per_minute": ["on_demand_ask"],
        "on_demand_most": ["on_demand_ask"],
    },
))]
#[expect(dead_code, reason = "it is a shape")]
struct LetsEncrypt {
    /// Whom the CA writes to about the account and its certificates.
    email: Email,
    /// Whether to use the staging service: its limits are generous, but browsers do not trust it.
    #[schemars(default)]
    staging: bool,
    /// Where certificates, keys and accounts are kept, and certificates that were imported. The default
    /// is `certs` in the state directory, also where there is no such section.
    #[schemars(default)]
    cache_dir: Pathname,
    /// The directory of another CA (RFC 8555). The default is that of Let's Encrypt. Not with
    /// `staging = true`.
    #[schemars(default)]
    directory_url: HttpsUrl,
    /// The roots by which the CA's own HTTPS is trusted, PEM, such as for a CA within a company. The
    /// default is the system's roots.
    #[schemars(default)]
    ca_root: Pathname,
    /// The profile to ask the CA for, such as `shortlived`. The default is the CA's own choice.
    #[schemars(default)]
    profile: Name,
    /// The kind of key that certificates have: ECDSA on P-256 or P-384.
    #[schemars(default)]
    key_type: KeyTypeWord,
    /// The id of the key that binds the account to one that the CA has of you (external account
    /// binding). With `eab_hmac_key_file`.
    #[schemars(default)]
    eab_kid: Name,
    /// The file with the key of `eab_kid`, in base64url.
    #[schemars(default)]
    eab_hmac_key_file: Pathname,
    /// The ways in which names are proven to be yours, in the order in which they are tried. `dns-01`
    /// needs `dns_hook`, and is one of them by default where that is set.
    #[schemars(default, length(min = 1), extend("uniqueItems" = true))]
    challenges: Vec<ChallengeWord>,
    /// The program that sets and clears DNS records for `dns-01`, which wildcards need. It is called
    /// with `present NAME VALUE` and `cleanup NAME VALUE`.
    #[schemars(default)]
    dns_hook: Pathname,
    /// Who is asked, with `?domain=NAME`, whether a name that is not declared may have a certificate at
    /// its first visitor; the domain `*` then serves it. The status 200 allows it, any other refuses.
    /// Off unless it is set.
    #[schemars(default)]
    on_demand_ask: HttpUrl,
    /// Names that one client may have asked about in a minute. With `on_demand_ask`.
    #[schemars(default)]
    on_demand_per_client: Whole<1, 1_000_000>,
    /// New names that may be ordered for in a minute, in all. With `on_demand_ask`.
    #[schemars(default)]
    on_demand_per_minute: Whole<1, 1_000_000>,
    /// Names that may have a certificate this way, in all. With `on_demand_ask`.
    #[schemars(default)]
    on_demand_most: Whole<1, 1_000_000>,
    /// CAs that are tried, in this order, when the one before keeps failing.
    #[schemars(default)]
    fallback: Vec<Fallback>,
}

/// A CA that is tried when the ones before it keep failing.
#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend("dependentRequired" = {
    "eab_kid": ["eab_hmac_key_file"], "eab_hmac_key_file": ["eab_kid"],
}))]
#[expect(dead_code, reason = "it is a shape")]
struct Fallback {
    /// Its directory (RFC 8555).
    directory_url: HttpsUrl,
    /// Whom it writes to. The default is the `email` of `[lets_encrypt]`.
    #[schemars(default)]
    email: Email,
    /// The roots by which its own HTTPS is trusted, PEM. The default is the system's roots.
    #[schemars(default)]
    ca_root: Pathname,
    /// The profile to ask it for. The default is the CA's own choice.
    #[schemars(default)]
    profile: Name,
    /// The kind of key that its certificates have. The default is that of `[lets_encrypt]`.
    #[schemars(default)]
    key_type: KeyTypeWord,
    /// The id of the key that binds the account to one that the CA has of you (external account
    /// binding). With `eab_hmac_key_file`.
    #[schemars(default)]
    eab_kid: Name,
    /// The file with the key of `eab_kid`, in base64url.
    #[schemars(default)]
    eab_hmac_key_file: Pathname,
    /// The ways in which names are proven to be yours. The default is those of `[lets_encrypt]`.
    #[schemars(default, length(min = 1), extend("uniqueItems" = true))]
    challenges: Vec<ChallengeWord>,
}

/// A domain. vhost applies what changed here since the file was last applied; what was done with
/// `vhost ctl`, such as a switch, stays.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a shape")]
struct VirtualHost {
    /// An exact name, a wildcard for one label (`*.example.com`), or `*` for every other host.
    domain: kinds::Domain,
    /// The tag that serves the domain. At least one backend must carry it.
    enabled_backends_tag: TagText,
    #[schemars(flatten)]
    top: TopOptions,
    #[schemars(flatten)]
    options: OptionSet,
}

/// A server that answers requests.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "scheme": { "enum": ["h2", "h2c"] } }, "required": ["scheme"] },
    "then" = { "properties": { "send_proxy_protocol": { "const": "off" } } },
))]
#[schemars(extend("dependentRequired" = {
    "tls_client_cert_file": ["tls_client_key_file"],
    "tls_client_key_file": ["tls_client_cert_file"],
}))]
#[expect(dead_code, reason = "it is a shape")]
struct Backend {
    /// Unique, and never reused for another server: history and metrics go by it.
    id: Id,
    /// `address:port`, `name:port` (resolved again as its records change) or `unix:/path`.
    address: BackendAddress,
    /// The pools it belongs to.
    tags: Vec<TagText>,
    /// `ready`, `draining` (no new requests) or `disabled` (not probed either). Where the file doesn't
    /// say, a new backend is ready, and what `vhost ctl backend drain` and the like did stays.
    #[schemars(default)]
    state: StateWord,
    #[schemars(flatten)]
    options: BackendOptions,
}

/// What a listener needs whose connections begin with a header of the PROXY protocol.
fn announced(key: &str, address: &str) -> Value {
    json!({
        "if": { "properties": { key: { "const": true } }, "required": [key] },
        "then": {
            "properties": { "trusted_proxies": { "minItems": 1 } },
            "required": [address, "trusted_proxies"],
        },
    })
}

/// A schema for a text of the file: it fits, or it refers to the environment.
fn text(schema: &Value) -> Map<String, Value> {
    let refers = json!({ "type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}" });
    Map::from_iter([("anyOf".to_owned(), json!([schema, refers]))])
}

#[cfg(test)]
mod tests;
