//! A `server`: its names, where it listens, and whether it only redirects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::scope::{Scope, variable};
use crate::model::DomainName;
use crate::translate::blocks::Directive;
use crate::translate::finding::Place;
use crate::translate::source::Work;
use crate::translate::units::host_and_port;

/// A `server` block.
pub(super) struct Server<'t> {
    pub(super) place: Place,
    pub(super) scope: Scope<'t>,
    /// Its names; `*` where it is the default.
    pub(super) names: Vec<String>,
    /// Where it serves plain HTTP.
    pub(super) plain: BTreeSet<String>,
    /// Where it serves HTTPS.
    pub(super) tls: BTreeSet<String>,
    redirect: Option<Redirect>,
}

/// What a server answers that serves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The same host over HTTPS.
    Https,
    /// Another host.
    Host(String),
    /// It refuses.
    Nothing,
}

impl<'t> Server<'t> {
    pub(super) fn read(block: &'t Directive, http: &Scope<'t>, work: &mut Work<'_>) -> Self {
        let scope = http.with(block.children());
        let mut server = Server {
            place: block.place,
            names: Vec::new(),
            plain: BTreeSet::new(),
            tls: BTreeSet::new(),
            redirect: redirect_of(block.children()),
            scope,
        };
        let mut is_default = false;
        for directive in block.children() {
            match directive.name.as_str() {
                "listen" => is_default |= server.read_listen(directive, work),
                "server_name" => server.read_names(directive, work),
                _ => {}
            }
        }
        if server.plain.is_empty() && server.tls.is_empty() {
            server.plain.insert("0.0.0.0:80".to_owned());
        }
        if server.scope.one("ssl").is_some_and(|ssl| ssl.arg(0) == "on") {
            server.tls.append(&mut server.plain);
        }
        if (is_default || server.names.is_empty()) && !server.names.contains(&"*".to_owned()) {
            server.names.push("*".to_owned());
        }
        server
    }

    /// What it answers, where it passes nothing on.
    pub(super) fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// Returns whether it is the default server there.
    fn read_listen(&mut self, listen: &Directive, work: &mut Work<'_>) -> bool {
        let has = |word: &str| listen.args.iter().any(|arg| arg == word);
        let written = listen.arg(0);
        let is_port = written.parse::<u16>().is_ok();
        let (host, port) = host_and_port(written);
        let address = match (host, port) {
            _ if is_port => format!("0.0.0.0:{written}"),
            ("*", Some(port)) => format!("0.0.0.0:{port}"),
            ("localhost", Some(port)) => format!("127.0.0.1:{port}"),
            (host, Some(port)) if is_ip(host) => format!("{host}:{port}"),
            (host, None) if is_ip(host) => format!("{host}:80"),
            _ => {
                let why = "a listener is an IP address and a port; a name or a Unix socket is not in vhost";
                work.findings.warn(listen.place, listen.shown(), why);
                return has("default_server");
            }
        };
        let is_tls = has("ssl");
        if has("quic") {
            work.findings.warn(listen.place, listen.shown(), "HTTP/3 is not in vhost");
            return has("default_server");
        }
        if has("proxy_protocol") {
            let key = if is_tls { "proxy_protocol" } else { "proxy_protocol_http" };
            work.draft.proxy.set(key, true);
        }
        let addresses = if is_tls { &mut self.tls } else { &mut self.plain };
        addresses.insert(address);
        has("default_server") || has("default")
    }

    fn read_names(&mut self, directive: &Directive, work: &mut Work<'_>) {
        for name in &directive.args {
            let names: &[String] = match name.as_str() {
                "_" | "\"\"" | "" => &["*".to_owned()],
                name if name.starts_with('.') => &[name[1..].to_owned(), format!("*{name}")],
                name => &[name.to_owned()],
            };
            for name in names {
                if name.parse::<DomainName>().is_err() {
                    let why =
                        "not in vhost: a name is exact, or `*.` and a name, or `*` for all others";
                    work.findings.warn(directive.place, directive.shown(), why);
                } else if !self.names.contains(name) {
                    self.names.push(name.clone());
                }
            }
        }
        // Names that can't be said don't make it the default.
        if self.names.is_empty() {
            self.names.push(String::new());
        }
    }
}

fn is_ip(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// What a server does that only redirects or refuses.
fn redirect_of(block: &[Directive]) -> Option<Redirect> {
    let is_proxy = |it: &Directive| it.name.ends_with("_pass");
    let passes = block
        .iter()
        .any(|it| is_proxy(it) || (it.name == "location" && it.children().iter().any(is_proxy)));
    if passes {
        return None;
    }
    let own = block.iter().find_map(returned);
    let of_root = || {
        let root = block.iter().find(|it| it.name == "location" && it.args == ["/"]);
        root.and_then(|root| root.children().iter().find_map(returned))
    };
    // Certbot asks for each name with an `if`, and returns 404 for others.
    let of_if = block.iter().filter(|it| it.name == "if");
    let of_if = of_if.filter_map(|it| it.children().iter().find_map(returned));
    let of_if = of_if.filter(|redirect| *redirect != Redirect::Nothing).collect::<Vec<_>>();
    of_if.first().cloned().or(own).or_else(of_root)
}

fn returned(directive: &Directive) -> Option<Redirect> {
    let (status, url) = match directive.name.as_str() {
        "return" if directive.args.len() == 1 && directive.arg(0).contains("://") => {
            ("302", directive.arg(0))
        }
        "return" => (directive.arg(0), directive.arg(1)),
        "rewrite" if matches!(directive.arg(0), "^" | "^(.*)$" | "^(.*)" | "^/(.*)$" | "(.*)") => {
            ("301", directive.arg(1))
        }
        _ => return None,
    };
    if matches!(status, "404" | "444" | "403" | "410") {
        return Some(Redirect::Nothing);
    }
    if !matches!(status, "301" | "302" | "307" | "308") {
        return None;
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("$scheme://"))?;
    let variable_at = || rest.char_indices().skip(1).find(|(_, c)| *c == '$').map(|(at, _)| at);
    let end = rest.find('/').or_else(variable_at);
    let (host, path) = rest.split_at(end.unwrap_or(rest.len()));
    if !matches!(path, "$request_uri" | "$uri" | "/$1" | "$1" | "$uri$is_args$args") {
        return None;
    }
    match variable(host) {
        Some("host" | "server_name" | "http_host") => Some(Redirect::Https),
        Some(_) => None,
        None => host.parse::<DomainName>().ok().map(|host| Redirect::Host(host.to_string())),
    }
}
