//! Variables of other programs, which people who come from there write into values of headers.

use crate::model::RequestVariable;
use crate::model::RequestVariable::{
    BackendId, ClientIp, Domain, Host, Method, Path, PeerIp, Protocol, RequestId, Scheme, TlsSni,
    TlsVersion,
};

/// nginx's, behind a `$`.
const OF_NGINX: &[(&str, RequestVariable)] = &[
    ("binary_remote_addr", ClientIp),
    ("document_uri", Path),
    ("host", Host),
    ("http_host", Host),
    ("proxy_add_x_forwarded_for", ClientIp),
    ("realip_remote_addr", PeerIp),
    ("remote_addr", ClientIp),
    ("request_id", RequestId),
    ("request_method", Method),
    ("request_uri", Path),
    ("scheme", Scheme),
    ("server_name", Domain),
    ("server_protocol", Protocol),
    ("ssl_protocol", TlsVersion),
    ("ssl_server_name", TlsSni),
    ("upstream_addr", BackendId),
    ("uri", Path),
];

/// How further ones of nginx begin, for which there is none here.
const OF_NGINX_BEGIN: [&str; 9] = [
    "arg_",
    "cookie_",
    "http_",
    "proxy_",
    "remote_",
    "request_",
    "sent_http_",
    "ssl_",
    "upstream_",
];

/// Caddy's, in braces.
const OF_CADDY: &[(&str, RequestVariable)] = &[
    ("http.request.host", Host),
    ("http.request.hostport", Host),
    ("http.request.method", Method),
    ("http.request.remote.host", ClientIp),
    ("http.request.scheme", Scheme),
    ("http.request.tls.server_name", TlsSni),
    ("http.request.tls.version", TlsVersion),
    ("http.request.uri", Path),
    ("http.request.uri.path", Path),
    ("http.request.uuid", RequestId),
    ("http.reverse_proxy.upstream.hostport", BackendId),
    ("http.vars.client_ip", ClientIp),
    ("remote_host", ClientIp),
    ("upstream_hostport", BackendId),
];

/// Those of proxies that write them in other ways.
const OTHERS: &[(&str, RequestVariable)] = &[
    ("%[method]", Method),
    ("%[path]", Path),
    ("%[req.hdr(host)]", Host),
    ("%[src]", ClientIp),
    ("%[ssl_fc_protocol]", TlsVersion),
    ("%[ssl_fc_sni]", TlsSni),
    ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", ClientIp),
    ("%PROTOCOL%", Protocol),
    ("%REQ(:METHOD)%", Method),
    ("%REQ(:PATH)%", Path),
];

/// What to write for the first variable of another program in a literal text.
pub(super) fn foreign_variable(text: &str) -> Option<String> {
    let (written, meant) = behind_dollar(text).or_else(|| in_braces(text)).or_else(|| {
        let others = OTHERS.iter().find(|(other, _)| text.contains(other));
        others.map(|(other, meant)| ((*other).to_owned(), Some(*meant)))
    })?;
    let right = match meant {
        Some(meant) => format!("write `${{{meant}}}`"),
        None => RequestVariable::list_for(written.trim_matches(['$', '{', '}'])),
    };
    Some(format!("`{written}` is not a variable here, and would be sent as it is written; {right}"))
}

/// A word behind a `$`: one of nginx's, or one of ours.
fn behind_dollar(text: &str) -> Option<(String, Option<RequestVariable>)> {
    text.match_indices('$').find_map(|(at, _)| {
        let behind = &text[at + 1..];
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name = &behind[..behind.find(|c| !is_of_name(c)).unwrap_or(behind.len())];
        let meant = found(OF_NGINX, name).or_else(|| RequestVariable::named(name));
        let is_foreign =
            meant.is_some() || OF_NGINX_BEGIN.iter().any(|begin| name.starts_with(begin));
        is_foreign.then(|| (format!("${name}"), meant))
    })
}

/// A word in braces: one of Caddy's, or one of ours. What is one word alone may be a part of a template of
/// addresses (RFC 6570) unless it is the whole text.
fn in_braces(text: &str) -> Option<(String, Option<RequestVariable>)> {
    text.match_indices('{').find_map(|(at, _)| {
        let (name, behind) = text[at + 1..].split_once('}')?;
        let is_escaped = text[..at].ends_with('$');
        let is_whole = at == 0 && behind.is_empty();
        let ours = RequestVariable::named(name).filter(|_| is_whole || name.contains('_'));
        let meant = found(OF_CADDY, name).or(ours);
        let is_foreign = meant.is_some() || name.starts_with("http.");
        (is_foreign && !is_escaped).then(|| (format!("{{{name}}}"), meant))
    })
}

fn found(table: &[(&str, RequestVariable)], name: &str) -> Option<RequestVariable> {
    table.iter().find(|(other, _)| *other == name).map(|(_, meant)| *meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_another_program_is_found_with_ours_for_it() {
        for (text, right) in [
            ("$remote_addr", "write `${client_ip}`"),
            ("for=$remote_addr;", "`$remote_addr` is not a variable here"),
            ("$host$request_uri", "write `${host}`"),
            ("$http_user_agent", "the variables of requests are `${client_ip}`, "),
            ("$client_ip", "write `${client_ip}`"),
            ("{http.request.remote.host}", "write `${client_ip}`"),
            ("{http.request.header.X}", "the variables of requests are "),
            ("%{client_ip}", "`{client_ip}` is not a variable here"),
            ("{host}", "write `${host}`"),
            ("%[src]", "write `${client_ip}`"),
        ] {
            let found = foreign_variable(text).unwrap_or_default();
            assert!(found.contains(right), "{text}: {found}");
        }
        for text in [
            "a $5 $ {} { x",
            "default-src 'self'",
            r#"{"group":"default","endpoints":[{"url":"https://a.test/{host}"}]}"#,
            "</books/{path}{?page}>; rel=next",
            "$remotes",
            "${client_ip}",
            "$Host",
        ] {
            assert_eq!(foreign_variable(text), None, "{text}");
        }
    }
}
