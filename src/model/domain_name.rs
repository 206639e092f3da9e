//! Names of virtual hosts, and the one place where host names are normalised.

use std::fmt;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::{ParseError, serde_as_text};

/// The name of a virtual host: exact (`example.com`), wildcard for one label (`*.example.com`), or
/// the default (`*`).
///
/// Lower case, IDNA in its ASCII form (RFC 5891), without port and without the trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Name);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Default,
    Exact(Arc<str>),
    Wildcard(Arc<str>),
}

/// What a domain name matches, for the routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern<'a> {
    /// This host only.
    Exact(&'a Arc<str>),
    /// Any host that is one label longer than this name.
    Wildcard(&'a Arc<str>),
    /// Every host that nothing else matches.
    Default,
}

impl DomainName {
    /// What this name matches.
    pub fn pattern(&self) -> Pattern<'_> {
        match &self.0 {
            Name::Default => Pattern::Default,
            Name::Exact(name) => Pattern::Exact(name),
            Name::Wildcard(base) => Pattern::Wildcard(base),
        }
    }
}

impl FromStr for DomainName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "*" {
            return Ok(Self(Name::Default));
        }
        let (base, wildcard) = match text.strip_prefix("*.") {
            Some(base) => (base, true),
            None => (text, false),
        };
        let name =
            normalise_name(base).map_err(|reason| ParseError::new("domain name", text, reason))?;
        if wildcard && name.parse::<Ipv4Addr>().is_ok() {
            return Err(ParseError::new("domain name", text, "an IP address has no subdomains"));
        }
        Ok(Self(if wildcard { Name::Wildcard(name.into()) } else { Name::Exact(name.into()) }))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Default => f.pad("*"),
            Name::Exact(name) => f.pad(name),
            Name::Wildcard(base) => f.pad(&format!("*.{base}")),
        }
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

serde_as_text!(
    DomainName,
    "A host name (`example.com`), a wildcard for one label (`*.example.com`), or `*` for every other host."
);

/// Room for a normalised host name on the stack (RFC 1035: at most 253 characters, plus brackets).
pub type HostBuffer = [u8; 256];

/// Why a request's host cannot be a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError;

/// Normalises the host of a request (a `Host` header or `:authority`): lower case, without port and
/// trailing dot, IDNA as ASCII. The answer lives in `buffer`, so a request allocates nothing here
/// unless its client sent a name that is not ASCII, which browsers and curl don't.
///
/// # Errors
/// When the text cannot be a host: empty, too long, or with characters no host has.
pub fn normalise_host<'a>(text: &str, buffer: &'a mut HostBuffer) -> Result<&'a str, HostError> {
    let host = strip_port(text).ok_or(HostError)?;
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
        return copy_address(address.ok_or(HostError)?, buffer);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.is_ascii() {
        // IDNA has nothing against brackets and colons, nor against wide ones that it makes plain; names
        // have none.
        let ascii = idna::domain_to_ascii(host).map_err(|_| HostError)?;
        return copy_name(&ascii, buffer);
    }
    copy_name(host, buffer)
}

/// Writes an address as names of virtual hosts have it: in brackets, in its shortest form (RFC 5952).
fn copy_address(address: Ipv6Addr, buffer: &mut HostBuffer) -> Result<&str, HostError> {
    let mut rest = &mut buffer[..];
    let room = rest.len();
    write!(rest, "[{address}]").map_err(|_| HostError)?;
    let written = room - rest.len();
    std::str::from_utf8(&buffer[..written]).map_err(|_| HostError)
}

/// Writes a name in lower case. Its labels are not empty: a wildcard would take `.example.com` for one.
fn copy_name<'a>(host: &str, buffer: &'a mut HostBuffer) -> Result<&'a str, HostError> {
    let room = buffer.get_mut(..host.len()).ok_or(HostError)?;
    let mut before = b'.';
    for (to, from) in room.iter_mut().zip(host.bytes()) {
        let is_letter = from.is_ascii_alphanumeric() || matches!(from, b'-' | b'_');
        if !is_letter && (from != b'.' || before == b'.') {
            return Err(HostError);
        }
        before = from;
        *to = from.to_ascii_lowercase();
    }
    if before == b'.' {
        return Err(HostError);
    }
    std::str::from_utf8(room).map_err(|_| HostError)
}

/// Cuts `:port` off a host, if there is one. `None` when what follows the colon is not a port.
fn strip_port(text: &str) -> Option<&str> {
    let after_address = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
    match text[after_address..].find(':') {
        None if after_address > 0 && after_address < text.len() => None,
        None => Some(text),
        Some(colon) => {
            let (host, port) = text.split_at(after_address + colon);
            let digits = &port[1..];
            let is_port = digits.is_empty()
                || (digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok());
            (is_port && (after_address == 0 || colon == 0)).then_some(host)
        }
    }
}

/// Normalises and checks a name that an operator wrote.
fn normalise_name(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("`*` stands alone, or as the whole first label: `*.example.com`".into());
    }
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|a| a.parse::<Ipv6Addr>().ok());
        return address
            .map(|a| format!("[{a}]"))
            .ok_or_else(|| "write an IPv6 address as `[::1]`".into());
    }
    if text.contains("://") || text.contains('/') {
        return Err("give the host alone, without scheme and path".into());
    }
    if text.contains(':') {
        return Err("give the host alone, without a port".into());
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err("it is empty; write a name such as `example.com`".into());
    }
    let name = idna::domain_to_ascii(text)
        .map_err(|_| "it has characters that no host name has (IDNA)".to_owned())?;
    check_dns_name(&name)?;
    Ok(name)
}

/// RFC 1035 §2.3.4 sizes and RFC 1123 §2.1 letters, with the underscore that real names use.
fn check_dns_name(name: &str) -> Result<(), String> {
    if name.len() > 253 {
        return Err("a host name has at most 253 characters".into());
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("it has an empty label (two dots, or one at the start)".into());
        }
        if label.len() > 63 {
            return Err(format!("the label `{label}` has more than 63 characters"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(format!("the label `{label}` starts or ends with `-`"));
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err("use only letters, digits, `-` and dots".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<DomainName>().map(|d| d.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn names_are_normalised_once() {
        for (given, expected) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("*", "*"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn a_bad_name_says_what_would_be_right() {
        for (given, part) in [
            ("", "empty"),
            ("exa mple.com", "use only letters"),
            ("example.com:80", "without a port"),
            ("http://example.com", "without scheme"),
            ("a..b", "empty label"),
            ("-a.com", "starts or ends"),
            ("a.*.com", "whole first label"),
            ("*.10.0.0.1", "no subdomains"),
            (&"a".repeat(64), "63"),
        ] {
            let error = parse(given).expect_err(given);
            assert!(error.contains(part), "{given}: {error}");
        }
    }

    #[test]
    fn hosts_of_requests_are_normalised_without_port_case_and_dot() {
        let mut buffer = [0; 256];
        for (given, expected) in [
            ("Example.COM:8080", Ok("example.com")),
            ("example.com.", Ok("example.com")),
            ("example.com.:80", Ok("example.com")),
            ("[::1]:80", Ok("[::1]")),
            ("[::1]", Ok("[::1]")),
            ("bücher.example:1", Ok("xn--bcher-kva.example")),
            ("example.com:", Ok("example.com")),
            ("example.com:x", Err(HostError)),
            ("example.com:99999", Err(HostError)),
            ("exa mple", Err(HostError)),
            ("", Err(HostError)),
            (":80", Err(HostError)),
            (".", Err(HostError)),
            ("[::1]x", Err(HostError)),
            ("[::.[Ț:J]", Err(HostError)),
            ("［::1］", Err(HostError)),
            ("é［x", Err(HostError)),
            ("user@example.com", Err(HostError)),
            ("[0:0::0:1]", Ok("[::1]")),
            ("[2001:DB8::A]:443", Ok("[2001:db8::a]")),
            ("a][b", Err(HostError)),
            ("[a]", Err(HostError)),
            ("[]", Err(HostError)),
            ("[", Err(HostError)),
            ("]", Err(HostError)),
            ("a]", Err(HostError)),
            ("[::1", Err(HostError)),
            ("[[::1]]", Err(HostError)),
            ("[::1]]", Err(HostError)),
            ("[::1].", Err(HostError)),
            ("[127.0.0.1]", Err(HostError)),
            ("[fe80::1%25eth0]", Err(HostError)),
            ("[v1.a]", Err(HostError)),
            ("::1", Err(HostError)),
            ("a:b:80", Err(HostError)),
            ("a..b", Err(HostError)),
            (".example.com", Err(HostError)),
            ("example.com..", Err(HostError)),
        ] {
            assert_eq!(normalise_host(given, &mut buffer), expected, "{given}");
        }
        assert_eq!(normalise_host(&"a".repeat(300), &mut buffer), Err(HostError));
    }

    proptest::proptest! {
        #[test]
        fn a_host_is_one_for_the_rules_of_uris_too(
            text in r"([a-zA-Z0-9\-_.:@%/?#é]|\[|\]|[\[]::1[\]]|:80){0,12}",
        ) {
            let mut buffer = [0; 256];
            let Ok(host) = normalise_host(&text, &mut buffer) else { return Ok(()) };
            // RFC 3986 §3.2.2: a name, or an address in brackets.
            match host.strip_prefix('[') {
                Some(rest) => {
                    let address = rest.strip_suffix(']').and_then(|a| a.parse::<Ipv6Addr>().ok());
                    proptest::prop_assert!(address.is_some(), "{}", host);
                }
                None => proptest::prop_assert!(
                    host.split('.').all(|label| !label.is_empty()
                        && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))),
                    "{}", host
                ),
            }
            if text.is_ascii() {
                let authority = text.parse::<http::uri::Authority>();
                proptest::prop_assert!(authority.is_ok(), "{}", text);
                let (named, is_address) = (authority.unwrap(), host.starts_with('['));
                proptest::prop_assert!(!named.as_str().contains('@'));
                let named = named.host().to_ascii_lowercase();
                let named = named.strip_suffix('.').unwrap_or(&named);
                proptest::prop_assert!(is_address || named == host, "{} {}", named, host);
            }
            // What was normalised once stays as it is.
            let mut again = [0; 256];
            proptest::prop_assert_eq!(normalise_host(host, &mut again), Ok(host));
        }

        #[test]
        fn no_text_makes_a_name_panic(text in ".{0,300}") {
            let mut buffer = [0; 256];
            let _ = normalise_host(&text, &mut buffer);
            if let Ok(name) = text.parse::<DomainName>() {
                // What was normalised once stays as it is.
                proptest::prop_assert_eq!(name.to_string().parse::<DomainName>(), Ok(name));
            }
        }
    }
}
