//! What single values of the file mean: each reader takes one, or says what would be right.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::de::DeValue;

use crate::model::{DomainName, ParseError, Pattern, SampleRate, Word, choose};

/// Turns a value into what it means, or says what would be right.
pub(super) trait Read<T>: Fn(&DeValue<'_>) -> Result<T, String> {}
impl<T, F: Fn(&DeValue<'_>) -> Result<T, String>> Read<T> for F {}

/// The longest path of a Unix socket: the kernel's `sockaddr_un` holds 108 bytes, the last zero.
const LONGEST_SOCKET_PATH: usize = 107;

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "write `true` or `false`, without quotes".into())
}

/// A whole number within `range`.
pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Read<T>
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let (from, to) = (range.start(), range.end());
        let Some(number) = whole(value) else {
            return Err(format!("write a whole number from {from} to {to}, without quotes"));
        };
        T::try_from(number)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("use {from} to {to}"))
    }
}

/// A whole number; one too large for any key reads as the largest there is.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i128> {
    let number = value.as_integer()?;
    Some(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
}

/// A number, whole or with decimals.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(_) => whole(value)?.to_string().parse().ok(),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

/// A share of a whole, 0 to 1.
pub(super) fn share(value: &DeValue<'_>) -> Result<f64, String> {
    let share = number(value).and_then(|number| SampleRate::try_from(number).ok());
    share.map(SampleRate::get).ok_or_else(|| SampleRate::FORM.into())
}

pub(super) fn string(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some("") => Err("it is empty; write a text, or leave the key out".into()),
        Some(text) => Ok(text.to_owned()),
        None => Err("write a text in quotes".into()),
    }
}

/// A text that has a type of its own.
pub(super) fn parsed<T: FromStr<Err = ParseError>>(value: &DeValue<'_>) -> Result<T, String> {
    let text = value.as_str().ok_or("write a text in quotes")?;
    text.parse().map_err(|error: ParseError| error.reason)
}

/// One of a few words.
pub(super) fn choice<T: Word>(value: &DeValue<'_>) -> Result<T, String> {
    let chosen = value.as_str().and_then(|text| T::all().iter().find(|one| one.word() == text));
    let words = || T::all().iter().map(|one| one.word()).collect::<Vec<_>>();
    chosen.copied().ok_or_else(|| choose(&words()))
}

/// An address to listen on. Port 0 lets the kernel choose.
pub(super) fn listen_address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let example = "write address and port: `0.0.0.0:80`, `127.0.0.1:80` or `[::]:80`";
    let text = value.as_str().ok_or(example)?;
    if let Some((host, port)) = text.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"))
        && let Some((address, zone)) = host.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
        && let Ok(port) = port.parse::<u16>()
    {
        // The system knows the numbers of its interfaces; it looks up no name here.
        let found = (host, port).to_socket_addrs().ok().and_then(|mut found| found.next());
        return found.ok_or_else(|| format!("there is no interface `{zone}`"));
    }
    text.parse().map_err(|_| match text.rsplit_once(':') {
        Some(("", port)) if port.parse::<u16>().is_ok() => {
            format!(
                "add an address: `0.0.0.0:{port}` for all IPv4 addresses, or `[::]:{port}` for all \
                 IPv6 addresses"
            )
        }
        Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
            format!("write the address of localhost: `127.0.0.1:{port}` or `[::1]:{port}`")
        }
        _ => example.to_owned(),
    })
}

/// The name of one host.
pub(super) fn host_name(value: &DeValue<'_>) -> Result<DomainName, String> {
    match parsed::<DomainName>(value)? {
        name if matches!(name.pattern(), Pattern::Exact(_)) => Ok(name),
        _ => Err("name each host: a pattern would let in names that are somebody else's".into()),
    }
}

/// A path; a relative one starts at `base`, the directory of the config file.
pub(super) fn path(base: &Path) -> impl Read<PathBuf> {
    |value| {
        let text = value.as_str().ok_or("write a path in quotes")?;
        if text.is_empty() {
            return Err("it is empty; write a path, or leave the key out".into());
        }
        if text.contains('\0') {
            return Err("a path cannot hold a zero byte".into());
        }
        Ok(base.join(text))
    }
}

/// The path of a Unix socket.
pub(super) fn socket_path(base: &Path) -> impl Read<PathBuf> {
    |value| {
        let path = path(base)(value)?;
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(format!(
                "the path of a Unix socket has at most {LONGEST_SOCKET_PATH} bytes"
            ));
        }
        Ok(path)
    }
}

/// A URL that begins with one of `schemes`; `example` is one.
pub(super) fn url(schemes: &'static [&'static str], example: &'static str) -> impl Read<String> {
    move |value| {
        let text = value.as_str().filter(|text| {
            let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
            let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
            host.is_some_and(|host| !host.is_empty() && !host.starts_with(':'))
                && text.chars().all(|c| c.is_ascii_graphic())
        });
        text.map(str::to_owned).ok_or_else(|| {
            let schemes: Vec<_> = schemes.iter().map(|scheme| format!("`{scheme}`")).collect();
            format!("write a URL that begins with {}: `{example}`", schemes.join(" or "))
        })
    }
}

pub(super) fn email(value: &DeValue<'_>) -> Result<String, String> {
    let example = "write an e-mail address: `admin@example.com`";
    let text = value.as_str().ok_or(example)?;
    let plausible = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !host.contains('@') && host.contains('.')
    });
    let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if plausible && printable { Ok(text.to_owned()) } else { Err(example.into()) }
}
