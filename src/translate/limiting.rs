//! The lines of a config that may limit who may reach what, found by their words alone.
//!
//! What translators understand of such rules they translate, or close the domain. Their order and their inheritance are
//! another program's, so nobody is to serve the result before a person has compared these lines with it.

use std::net::IpAddr;

use super::source::Source;

/// The words of nginx, in lower case.
const NGINX: &[&str] = &[
    "allow",
    "deny",
    "auth_basic",
    "auth_basic_user_file",
    "auth_request",
    "auth_jwt",
    "auth_delay",
    "satisfy",
    "internal",
    "if",
    "geo",
    "limit_except",
    "valid_referers",
    "secure_link",
    "ssl_client_certificate",
    "ssl_trusted_certificate",
    "ssl_verify_client",
    "set_real_ip_from",
    "real_ip_header",
    "access_by_lua",
    "access_by_lua_block",
    "access_by_lua_file",
    "rewrite_by_lua",
    "rewrite_by_lua_block",
    "rewrite_by_lua_file",
];

/// Those of Caddy.
const CADDY: &[&str] = &[
    "basic_auth",
    "basicauth",
    "forward_auth",
    "authenticate",
    "authorize",
    "jwtauth",
    "remote_ip",
    "client_ip",
    "trusted_proxies",
    "client_auth",
    "abort",
    "bind",
    "not",
];

/// Those of Traefik.
const TRAEFIK: &[&str] = &[
    "basicauth",
    "digestauth",
    "forwardauth",
    "ipallowlist",
    "ipwhitelist",
    "clientip",
    "clientauth",
    "passtlsclientcert",
    "allowedhosts",
    "options",
    "plugin",
    "command",
];

/// Those of Kamal's proxy.
const KAMAL: &[&str] = &["path_prefix", "path_prefixes"];

/// Directives that refuse a request where they name such a status.
const ANSWERS: &[&str] = &["return", "respond", "error"];

/// Directives that name where is listened.
const LISTENERS: &[&str] = &["listen", "address"];

/// The lines, from 1, each with its text.
pub(super) fn lines(source: Source, text: &str) -> Vec<(usize, String)> {
    let words = match source {
        Source::Caddy => CADDY,
        Source::Kamal => KAMAL,
        Source::Nginx => NGINX,
        Source::Traefik => TRAEFIK,
    };
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let limiting = numbered.filter(|(_, line)| is_limiting(line, words));
    limiting.map(|(number, line)| (number, line.trim().to_owned())).collect()
}

fn is_limiting(line: &str, limiting: &[&str]) -> bool {
    // What stands behind `#` may be part of a value: better a line too many.
    if line.trim_start().starts_with('#') {
        return false;
    }
    let line = line.to_ascii_lowercase();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let words: Vec<_> = line.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
    let has = |any: &[&str]| words.iter().any(|word| any.contains(word));
    has(limiting)
        || (has(ANSWERS) && words.iter().any(|word| is_refusal(word)))
        || (has(LISTENERS)
            && line
                .split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':'))
                .any(is_one_address))
        || line.contains("@file")
        || line.contains("@docker")
}

/// Whether it is a status of 400 or above.
fn is_refusal(word: &str) -> bool {
    word.len() == 3 && word.parse::<u16>().is_ok_and(|status| (400..600).contains(&status))
}

/// Whether it is an address, with or without a port, that not all of the network reaches.
fn is_one_address(text: &str) -> bool {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    let address = [text, host].into_iter().find_map(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_access_is_seen_in_whatever_form() {
        for (source, text) in [
            (Source::Nginx, "  deny all;"),
            (Source::Nginx, "location /x { internal; }"),
            (Source::Nginx, "if ($http_x_token != \"s\") { return 400; }"),
            (Source::Nginx, "location = /xmlrpc.php { return 405; }"),
            (Source::Nginx, "listen 10.0.0.5:80;"),
            (Source::Nginx, "listen 127.0.0.1:8080 ssl;"),
            (Source::Nginx, "listen [::1]:8080;"),
            (Source::Nginx, "set_real_ip_from 10.0.0.0/8;"),
            (Source::Caddy, "respond @notlan \"go away\" 451"),
            (Source::Caddy, "@no not remote_ip 10.0.0.0/8"),
            (Source::Caddy, "tls a b { client_auth"),
            (Source::Traefik, "    ipAllowList:"),
            (Source::Traefik, "- \"traefik.http.routers.a.middlewares=auth@file\""),
            (Source::Traefik, "- traefik.http.routers.a.tls.options=mtls@file"),
            (Source::Traefik, "address = \"10.0.0.5:8080\""),
            (Source::Traefik, "    command:"),
            (Source::Kamal, "  path_prefix: /api"),
        ] {
            assert_eq!(lines(source, text).len(), 1, "{text}");
        }
        for (source, text) in [
            (Source::Nginx, "# deny all;"),
            (Source::Nginx, "listen 80;"),
            (Source::Nginx, "listen 0.0.0.0:80;"),
            (Source::Nginx, "listen [::]:443 ssl;"),
            (Source::Nginx, "return 301 https://$host$request_uri;"),
            (Source::Nginx, "proxy_pass http://10.0.0.5:3000;"),
            (Source::Caddy, "reverse_proxy 10.0.0.5:3000"),
            (Source::Traefik, "address = \":443\""),
        ] {
            assert_eq!(lines(source, text), [], "{text}");
        }
    }
}
