//! The JSON Schema of the file: what it may say, for editors and the manual page.
//!
//! The sections are those of their tables. The structs are the shapes of the entries and nothing else;
//! nobody fills them.

mod kinds;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::kind::like;
use super::load::defaults;
use super::settings::tables;
use crate::model::{LONGEST_HSTS_SECS, OptionSet};
use kinds::{
    BackendAddress, BalanceWord, Id, Pathname, SchemeWord, SendProxyProtocolWord, Server,
    StateWord, TagText, Tls, Whole,
};

/// The JSON Schema (draft 2020-12) of the config file, which also fits the files that it includes.
pub fn schema() -> Value {
    let mut properties = Map::from_iter([
        (
            "include".to_owned(),
            json!({
                "description": "Files that belong to this one: names, or patterns such as \
                    `conf.d/*.toml`. They hold `[[virtual_hosts]]` and `[[backends]]` and nothing else.",
                "type": "array",
                "items": like(".+"),
                "default": [],
                "examples": [["conf.d/*.toml"]],
            }),
        ),
        ("virtual_hosts".to_owned(), list::<VirtualHost>("The domains.")),
        ("backends".to_owned(), list::<Backend>("The servers that answer requests.")),
    ]);
    let sections = tables().into_iter().filter(|table| !table.name.contains('.'));
    properties.extend(sections.map(|table| (table.name.to_owned(), table.schema())));
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vhost config",
        "description": "The config file of vhost. Times are numbers of seconds, or texts such as `90s`; \
            sizes are numbers of bytes, or texts such as `10MB`, whose units are powers of 1024. Relative \
            paths start at the file's directory. In every text, `${NAME}` stands for what the environment \
            variable NAME holds.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        // A file that is included has no sections.
        "anyOf": [
            { "required": ["proxy"] },
            { "propertyNames": { "enum": ["virtual_hosts", "backends"] } },
        ],
    });
    for (key, value) in defaults() {
        if let Some(Value::Object(found)) = property(&mut schema, &key) {
            found.insert("default".to_owned(), value);
        }
    }
    schema
}

/// The schema of a list of entries.
fn list<T: JsonSchema>(about: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut entry = generator.into_generator().into_root_schema_for::<T>().to_value();
    forget_defaults(&mut entry);
    if let Some(entry) = entry.as_object_mut() {
        entry.retain(|key, _| key != "$schema" && key != "title");
    }
    json!({ "type": "array", "description": about, "items": entry })
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
    /// Redirect plain HTTP once the domain is served over HTTPS.
    #[schemars(default)]
    http_to_https: bool,
    /// Other names that are served, and switched, with it.
    #[schemars(default)]
    aliases: Vec<kinds::Domain>,
    /// `round-robin`; `least-connections`: the less busy of two at random; `least-latency`: the one of
    /// two that is likely to answer first; or, so that a client stays with a backend, `hash-client`: by
    /// its address, `hash-header:NAME` or `hash-cookie:NAME`.
    #[schemars(default)]
    balance: BalanceWord,
    /// Where the certificate comes from: `auto`, from the CA of `[lets_encrypt]`, and for names that no
    /// public CA signs, such as `app.internal`, from the server's own; `internal`, always from the
    /// server's own (not for `*`); `off`, no HTTPS; or the files of one, which are read again when they
    /// change.
    #[schemars(default)]
    tls: Tls,
    /// For how long browsers are told to ask over HTTPS only (`Strict-Transport-Security`), in seconds;
    /// 0 is not at all. They can't be told otherwise before it is over.
    #[schemars(default)]
    hsts_max_age_secs: Whole<0, { LONGEST_HSTS_SECS }>,
    #[schemars(flatten)]
    options: OptionSet,
}

/// The files of a certificate.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is a shape")]
struct TlsFiles {
    /// The certificate with its chain, PEM.
    cert: Pathname,
    /// Its private key, PEM.
    key: Pathname,
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
    /// Its share of a pool's traffic, relative to the others'.
    #[schemars(default)]
    weight: Whole<1, 1000>,
    /// `http`; `https` (HTTP/2 if the backend offers it, else HTTP/1.1); `h2` (HTTP/2 over TLS, as for
    /// gRPC); or `h2c` (HTTP/2 without TLS). Over TLS the backend's certificate is verified.
    #[schemars(default)]
    scheme: SchemeWord,
    /// The name that is asked for (SNI) and that the certificate must be for, or an IP. Without it, the
    /// host of `address`, for a Unix socket `localhost`.
    #[schemars(default)]
    tls_server_name: Server,
    /// The CAs to trust instead of the system's, as PEM. Files are read at a start and at a reload.
    #[schemars(default)]
    tls_ca_file: Pathname,
    /// The certificate that the backend is shown, with its chain, as PEM; with `tls_client_key_file`.
    #[schemars(default)]
    tls_client_cert_file: Pathname,
    /// The private key of that certificate, as PEM.
    #[schemars(default)]
    tls_client_key_file: Pathname,
    /// Whether the backend's certificate is not verified: neither its name, its CA nor its dates.
    #[schemars(default)]
    tls_insecure_skip_verify: bool,
    /// `ready`, `draining` (no new requests) or `disabled` (not probed either). Where the file doesn't
    /// say, a new backend is ready, and what `vhost ctl backend drain` and the like did stays.
    #[schemars(default)]
    state: StateWord,
    /// Whether it serves only while no other backend of a tag is fit.
    #[schemars(default)]
    backup: bool,
    /// `v1` or `v2`: each connection to it begins with a header of the PROXY protocol, which names the
    /// client. Such a connection serves this client alone, over HTTP/1.1. Not with `scheme = "h2"` or
    /// `"h2c"`.
    #[schemars(default)]
    send_proxy_protocol: SendProxyProtocolWord,
}

#[cfg(test)]
mod tests;
