//! Whether a request means this server. A name that somebody else's DNS leads here lets the web pages of
//! that name in (DNS rebinding), so what is only for some is served under names of its own alone.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

use super::DomainName;

/// Why a request is not meant for this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignHost {
    /// There is no `Host`, or several, or it is no text.
    NotOne,
    /// It is the name of something else.
    Foreign,
}

/// Makes sure that a request is for the address that it came to, for `localhost`, or for one of `names`.
///
/// # Errors
/// When its `Host`, or the authority of its target, is something else.
pub fn check_own_host(
    headers: &HeaderMap,
    uri: &Uri,
    own: IpAddr,
    names: &[DomainName],
) -> Result<(), ForeignHost> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let host = host.and_then(|host| host.to_str().ok()).filter(|_| more.is_none());
    let host = host.ok_or(ForeignHost::NotOne)?;
    let target = uri.authority().map(Authority::as_str);
    let mut claims = std::iter::once(host).chain(target);
    if claims.all(|name| is_own(name, own, names)) { Ok(()) } else { Err(ForeignHost::Foreign) }
}

fn is_own(host: &str, own: IpAddr, names: &[DomainName]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    if host.contains('@') {
        return false;
    }
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Ok(address) = literal.unwrap_or(name).parse::<IpAddr>()
        && address.to_canonical() == own.to_canonical()
    {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<DomainName>().is_ok_and(|name| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_address_localhost_and_the_names_it_was_given() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        let names = ["metrics.example.net", "203.0.113.9"].map(|name| name.parse().unwrap());
        let found = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            check_own_host(&headers, &Uri::from_static("/metrics"), own, &names)
        };
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "localhost:9090",
            "LOCALHOST",
            "localhost.",
            "Metrics.Example.Net:1",
            "203.0.113.9",
            "[::ffff:127.0.0.1]:9090",
        ] {
            assert_eq!(found(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.2",
            "metrics.example.net.evil.example",
            "localhost@evil.example",
            "a@localhost",
            "[::1]",
            "",
            "127.0.0.1.evil.example",
            "x.metrics.example.net",
        ] {
            assert_eq!(found(host), Err(ForeignHost::Foreign), "{host}");
        }
        let mut headers = HeaderMap::new();
        let none = check_own_host(&headers, &Uri::from_static("/"), own, &names);
        assert_eq!(none, Err(ForeignHost::NotOne));
        headers.append(header::HOST, "localhost".parse().unwrap());
        let absolute = Uri::from_static("http://evil.example/metrics");
        let found = check_own_host(&headers, &absolute, own, &names);
        assert_eq!(found, Err(ForeignHost::Foreign), "whatever the target says is what is meant");
        headers.append(header::HOST, "localhost".parse().unwrap());
        let two = check_own_host(&headers, &Uri::from_static("/"), own, &names);
        assert_eq!(two, Err(ForeignHost::NotOne));
    }
}
