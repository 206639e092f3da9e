//! Times, sizes and addresses as other proxies write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// A time such as `90`, `90s`, `1m30s` or `500ms`, in our notation; a bare number is in `unit`.
pub(super) fn time(text: &str, unit: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    if text.chars().all(|c| c.is_ascii_digit()) {
        let number: u64 = text.parse().ok()?;
        return (1..=86_400_000).contains(&number).then(|| format!("{number}{unit}"));
    }
    let is_time = humantime::parse_duration(text).ok()?;
    let milliseconds = is_time.as_millis();
    match milliseconds {
        1..=86_400_000 if milliseconds % 1000 == 0 => Some(format!("{}s", milliseconds / 1000)),
        1..=86_400_000 => Some(format!("{milliseconds}ms")),
        _ => None,
    }
}

/// A size such as `10m`, `10MB` or `1024`, in our notation. Zero is none.
pub(super) fn size(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok().filter(|number| *number < 1 << 40)?;
    match unit.trim() {
        "" | "b" => Some(format!("{number}")),
        "k" | "kb" | "kib" => Some(format!("{number}KB")),
        "m" | "mb" | "mib" => Some(format!("{number}MB")),
        "g" | "gb" | "gib" => Some(format!("{number}GB")),
        _ => None,
    }
}

/// A network or an address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Whether a host is the machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Host and port of an address; IPv6 is in brackets.
pub(super) fn host_and_port(address: &str) -> (&str, Option<u16>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (address, None),
            }
        }
        _ => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read() {
        assert_eq!(time("90", "s").as_deref(), Some("90s"));
        assert_eq!(time("500ms", "s").as_deref(), Some("500ms"));
        assert_eq!(time("1m30s", "s").as_deref(), Some("90s"));
        assert_eq!(time("5000", "ms").as_deref(), Some("5000ms"));
        for none in ["", "0", "x", "$t", "9999999999999999999999"] {
            assert_eq!(time(none, "s"), None, "{none}");
        }
        assert_eq!(size("10m").as_deref(), Some("10MB"));
        assert_eq!(size("512").as_deref(), Some("512"));
        assert_eq!(size("1TB"), None);
        assert_eq!(host_and_port("[::1]:80"), ("[::1]", Some(80)));
        assert_eq!(host_and_port("::1"), ("::1", None));
        assert_eq!(host_and_port("a:80"), ("a", Some(80)));
        assert_eq!(host_and_port("a"), ("a", None));
    }
}
