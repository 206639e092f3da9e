//! A service and its roles.

use crate::model::{AppName, BackendAddr, DomainName};
use crate::translate::draft::{Domain, Entry, text};
use crate::translate::finding::Place;
use crate::translate::pools::slug;
use crate::translate::source::Work;
use crate::translate::tree::{Content, Node};
use crate::translate::units::{size, time};

/// Translates a `deploy.yml`.
pub(in crate::translate) fn translate(config: &Node, work: &mut Work<'_>) {
    let service = config.text_of("service").unwrap_or("app");
    let empty = Node::default();
    let proxy = config.get("proxy").unwrap_or(&empty);
    work.draft.proxy.push("listen_addr_http", "0.0.0.0:80");
    work.draft.proxy.push("listen_addr_http", "[::]:80");
    for (key, setting) in
        [("deploy_timeout", "gate_timeout_secs"), ("drain_timeout", "drain_timeout_secs")]
    {
        let Some(node) = config.get(key) else { continue };
        match node.text().and_then(|text| time(text, "s")) {
            Some(time) => work.draft.switch.set(setting, time),
            None => work.unknown(node.place, key.to_owned()),
        }
    }
    let servers = config.get("servers").unwrap_or(&empty);
    match &servers.content {
        Content::Map(roles) => {
            for (role, node) in roles {
                let own = node.get("proxy");
                let is_proxied = role == "web" || own.is_some_and(|it| !it.is_false());
                if !is_proxied || own.is_some_and(Node::is_false) {
                    continue;
                }
                let own = own.filter(|it| !it.members().is_empty());
                let mut settings = own.cloned().unwrap_or_default();
                settings.merge(proxy.clone());
                let hosts = node.get("hosts").unwrap_or(node);
                app(&format!("{service}-{role}"), hosts, &settings, work);
            }
        }
        _ => app(&format!("{service}-web"), servers, proxy, work),
    }
    for (name, accessory) in config.get("accessories").unwrap_or(&empty).members() {
        if let Some(proxy) = accessory.get("proxy") {
            let hosts = accessory.get("hosts").or_else(|| accessory.get("host")).unwrap_or(&empty);
            app(&format!("{service}-{name}"), hosts, proxy, work);
        }
    }
    if work.draft.domains.is_empty() {
        let place = servers.place;
        work.findings.warn(place, "servers", "no role has servers that a proxy serves");
    }
}

/// An app with its domain and its backends.
fn app(name: &str, hosts: &Node, proxy: &Node, work: &mut Work<'_>) {
    let name = slug(name);
    if name.parse::<AppName>().is_err() {
        work.findings.warn(hosts.place, name, "not a name that an app can have");
        return;
    }
    let mut app = Entry::default();
    app.set("name", name.as_str());
    health(proxy, &mut app, work);
    let mut domain = Domain::default();
    let names = proxy.get("host").map(Node::texts).unwrap_or_default();
    let more = proxy.get("hosts").map(Node::texts).unwrap_or_default();
    let names: Vec<_> = names.into_iter().chain(more).collect();
    for wrong in names.iter().filter(|name| name.parse::<DomainName>().is_err()) {
        work.findings.warn(proxy.place, *wrong, "not a domain; write it out");
    }
    let mut names = names.into_iter().filter(|name| name.parse::<DomainName>().is_ok());
    domain.entry.set("domain", text(names.next().unwrap_or("*")));
    let aliases: Vec<_> = names.map(text).collect();
    if !aliases.is_empty() {
        domain.entry.set("aliases", aliases);
    }
    domain.entry.set("app", name.as_str());
    domain.entry.set("enabled_backends_tag", "a");
    options(proxy, &mut app, &mut domain, work);
    let port = proxy.text_of("app_port").unwrap_or("80");
    let count = work.draft.backends.len();
    for host in addresses(hosts) {
        backend(&name, host, port, hosts.place, work);
    }
    if work.draft.backends.len() == count {
        work.findings.warn(hosts.place, name, "it has no servers that can be written as backends");
        return;
    }
    let why = "a container of Kamal publishes no port: publish it, or let vhost take the place of kamal-proxy, as \
               docs/deploy.md says";
    work.findings.warn(hosts.place, format!("app_port {port}"), why);
    work.draft.apps.push(app);
    work.draft.domains.push(domain);
}

/// The servers; one that has tags is a map of one member.
fn addresses(hosts: &Node) -> Vec<&str> {
    match &hosts.content {
        Content::List(items) => items
            .iter()
            .filter_map(|item| {
                item.text().or_else(|| item.members().first().map(|(name, _)| name.as_str()))
            })
            .collect(),
        Content::Text(host) => vec![host],
        Content::Empty | Content::Map(_) => Vec::new(),
    }
}

fn backend(app: &str, host: &str, port: &str, place: Place, work: &mut Work<'_>) {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let address = format!("{host}:{port}");
    if address.parse::<BackendAddr>().is_err() {
        work.findings.warn(place, address, "not an address that a backend can have; write it out");
        return;
    }
    let mut backend = Entry::default();
    backend.set("id", format!("{app}-{}", work.draft.backends.len() + 1));
    backend.set("address", text(&address));
    backend.set("tags", vec!["a"]);
    backend.set("app", app);
    work.draft.backends.push(backend);
}

fn health(proxy: &Node, app: &mut Entry, work: &mut Work<'_>) {
    let check = proxy.get("healthcheck");
    let path = check.and_then(|it| it.text_of("path")).unwrap_or("/up");
    app.set_in("health_check", "path", text(path));
    app.set_in("health_check", "expected_status", "200-299");
    for (key, setting) in [("interval", "interval_secs"), ("timeout", "timeout_secs")] {
        let Some(node) = check.and_then(|it| it.get(key)) else { continue };
        match node.text().and_then(|text| time(text, "s")) {
            Some(time) => app.set_in("health_check", setting, time),
            None => work.unknown(node.place, format!("healthcheck: {key}")),
        }
    }
}

fn options(proxy: &Node, app: &mut Entry, domain: &mut Domain, work: &mut Work<'_>) {
    let mut is_tls = false;
    for (key, node) in proxy.members() {
        let place = node.place;
        let shown = match node.text() {
            Some(text) => format!("proxy: {key}: {text}"),
            None => format!("proxy: {key}"),
        };
        match key.as_str() {
            "ssl" if node.is_true() => is_tls = true,
            "ssl" if node.members().is_empty() => {}
            "ssl" => {
                is_tls = true;
                let why =
                    "the certificate is in Kamal's secrets: import it with `vhost ctl cert import`";
                work.findings.warn(place, shown, why);
            }
            "ssl_redirect" if node.is_false() => domain.entry.set("http_to_https", false),
            "response_timeout" => match node.text().and_then(|text| time(text, "s")) {
                Some(time) => app.set_in("timeouts", "response_secs", time),
                None => work.unknown(place, shown),
            },
            "buffering" => buffering(node, app, work),
            "forward_headers" if node.is_true() => {
                let why = "forwarded headers are believed of proxies that you name: `trusted_proxies` of `[proxy]`";
                work.findings.warn(place, shown, why);
            }
            "path_prefix" | "path_prefixes" if node.text() != Some("/") => {
                domain.is_closed = true;
                let why = "not in vhost for all of an app: the rest of the domain would reach it; see `paths`";
                work.findings.deny(place, shown, why);
            }
            "host" | "hosts" | "app_port" | "healthcheck" | "ssl_redirect" | "forward_headers"
            | "strip_path_prefix" | "path_prefix" | "path_prefixes" => {}
            "logging" => {
                let why = "headers are logged by `fields` of `[access_log]`, for all domains";
                work.findings.note(place, shown, why);
            }
            "run" => run(node, work),
            _ => work.unknown(place, shown),
        }
    }
    if !is_tls {
        domain.entry.set("tls", "off");
        return;
    }
    work.draft.proxy.push("listen_addr", "0.0.0.0:443");
    work.draft.proxy.push("listen_addr", "[::]:443");
    if let Some(email) = &work.hints.email {
        work.draft.lets_encrypt.set("email", text(email));
    } else {
        let why = "certificates need an e-mail address: give it with `--email ADDRESS`";
        work.findings.warn(proxy.place, "proxy: ssl", why);
    }
}

fn buffering(node: &Node, app: &mut Entry, work: &mut Work<'_>) {
    for (key, value) in node.members() {
        match key.as_str() {
            "max_request_body" => {
                let number = value.text().unwrap_or_default().replace('_', "");
                match size(&number) {
                    Some(size) => app.set("max_body_bytes", size),
                    None => work.unknown(value.place, format!("buffering: {key}")),
                }
            }
            "max_response_body" => work.unknown(value.place, format!("buffering: {key}")),
            _ => {
                let why = "bodies are passed on as they come: nothing is buffered";
                work.findings.note(value.place, format!("buffering: {key}"), why);
            }
        }
    }
}

fn run(node: &Node, work: &mut Work<'_>) {
    for (key, value) in node.members() {
        let port = value.text().and_then(|text| text.parse::<u16>().ok());
        match (key.as_str(), port) {
            ("http_port", Some(port)) => {
                let all = vec![format!("0.0.0.0:{port}"), format!("[::]:{port}")];
                work.draft.proxy.set("listen_addr_http", all);
            }
            ("metrics_port", Some(port)) => {
                work.draft.metrics.set("enabled", true);
                work.draft.metrics.set("listen_addr", format!("127.0.0.1:{port}"));
            }
            _ => work.unknown(value.place, format!("run: {key}")),
        }
    }
}
