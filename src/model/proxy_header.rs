//! The header of the PROXY protocol: whose connection a proxy passes on. Versions 1 and 2 of
//! haproxy's `proxy-protocol.txt`, read strictly and written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scheme, worded};

worded! {
    /// Whether connections to a backend begin with the header, and in which version.
    #[derive(Hash, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum SendProxyProtocol read as "PROXY protocol" {
        /// They don't.
        #[default]
        Off "off",
        /// A line of text.
        V1 "v1",
        /// Binary.
        V2 "v2",
    }
}

/// Whose connection it is that the header stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyHeader {
    /// The sender's own.
    Local,
    /// It passes on a connection of somebody whom it can't name; in version 1 that may be its own too.
    Unnamed,
    /// It passes on a connection.
    Proxied {
        /// Who made it.
        client: SocketAddr,
        /// To which address.
        server: SocketAddr,
    },
}

worded! {
    /// Why bytes are no header.
    #[derive(Hash)]
    pub enum BadProxyHeader {
        /// They don't begin as one.
        Unmarked "it does not begin with a PROXY header",
        /// It is longer than it may be.
        TooLong "the PROXY header is too long",
        /// A line of version 1 that does not end in CR LF.
        BadLineEnd "the PROXY header does not end in CR LF",
        /// A line of version 1 with a word that is none of its protocols'.
        UnknownProtocol "the PROXY header is for none of TCP4, TCP6 and UNKNOWN",
        /// A line of version 1 without the four fields of its protocol, each after one space.
        BadFields "the PROXY header does not have its four fields",
        /// An address that is none of its family.
        BadAddress "an address in the PROXY header is not of the family that it names",
        /// A port that is none.
        BadPort "a port in the PROXY header is not a valid number",
        /// Another version than 2 after the signature of 2, or a command that it doesn't have.
        UnknownCommand "the PROXY header is neither LOCAL nor PROXY of version 2",
        /// A family or transport that version 2 doesn't have.
        UnknownFamily "the PROXY header has an unknown address family or transport",
        /// Version 2 with less room than its addresses take.
        NoAddresses "the PROXY header is too short for its addresses",
        /// A field at its end that doesn't fit in.
        BadField "a field of the PROXY header is longer than the header",
        /// Its checksum is another one's.
        BadChecksum "the checksum of the PROXY header is wrong",
    }
}

impl std::error::Error for BadProxyHeader {}

/// How version 1 begins.
const V1_PREFIX: &[u8] = b"PROXY ";

/// The longest line of version 1, its end included (§2.1).
const LONGEST_V1: usize = 107;

/// How version 2 begins (§2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 2 has in any case.
const V2_FIXED: usize = 16;

/// What may follow it: addresses take 216 bytes at most, the rest is for fields.
const LONGEST_V2_REST: usize = 4096;

/// The field with the checksum of a header (§2.2.3).
const TYPE_CRC32C: u8 = 0x03;

impl ProxyHeader {
    /// Reads the header that `bytes` begin with, and tells how long it is; nothing while it is not
    /// whole.
    ///
    /// # Errors
    /// When it can't become one.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, BadProxyHeader> {
        if is_start(bytes, V2_SIGNATURE) {
            read_v2(bytes)
        } else if is_start(bytes, V1_PREFIX) {
            read_v1(bytes)
        } else {
            Err(BadProxyHeader::Unmarked)
        }
    }

    /// The header as it goes over the wire; nothing where none is sent.
    pub fn write(&self, how: SendProxyProtocol) -> Option<Vec<u8>> {
        match how {
            SendProxyProtocol::Off => None,
            SendProxyProtocol::V1 => Some(self.write_v1().into_bytes()),
            SendProxyProtocol::V2 => Some(self.write_v2()),
        }
    }

    fn write_v1(&self) -> String {
        match self.ends() {
            Ends::None => "PROXY UNKNOWN\r\n".to_owned(),
            Ends::V4(client, server, [from, to]) => {
                format!("PROXY TCP4 {client} {server} {from} {to}\r\n")
            }
            Ends::V6(client, server, [from, to]) => {
                format!("PROXY TCP6 {client} {server} {from} {to}\r\n")
            }
        }
    }

    fn write_v2(&self) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        let ports = match self.ends() {
            Ends::None => {
                bytes.extend([0x20, 0, 0, 0]);
                return bytes;
            }
            Ends::V4(client, server, ports) => {
                bytes.extend([0x21, 0x11, 0, 12]);
                bytes.extend([client.octets(), server.octets()].concat());
                ports
            }
            Ends::V6(client, server, ports) => {
                bytes.extend([0x21, 0x21, 0, 36]);
                bytes.extend([client.octets(), server.octets()].concat());
                ports
            }
        };
        bytes.extend(ports.map(u16::to_be_bytes).concat());
        bytes
    }

    /// The addresses in one family, as both versions want them.
    fn ends(&self) -> Ends {
        let Self::Proxied { client, server } = self else { return Ends::None };
        let ports = [client.port(), server.port()];
        match (client.ip().to_canonical(), server.ip().to_canonical()) {
            (IpAddr::V4(client), IpAddr::V4(server)) => Ends::V4(client, server, ports),
            (client, server) => Ends::V6(in_v6(client), in_v6(server), ports),
        }
    }
}

/// Two addresses of one family, and their ports.
enum Ends {
    None,
    V4(Ipv4Addr, Ipv4Addr, [u16; 2]),
    V6(Ipv6Addr, Ipv6Addr, [u16; 2]),
}

fn in_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Whether `bytes` are `mark` as far as both go.
fn is_start(bytes: &[u8], mark: &[u8]) -> bool {
    let both = bytes.len().min(mark.len());
    bytes[..both] == mark[..both]
}

fn read_v1(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, BadProxyHeader> {
    let seen = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if seen.len() < LONGEST_V1 { Ok(None) } else { Err(BadProxyHeader::TooLong) };
    };
    match &seen[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if seen.len() < LONGEST_V1 => return Ok(None),
        [b'\r'] => return Err(BadProxyHeader::TooLong),
        _ => return Err(BadProxyHeader::BadLineEnd),
    }
    let line = &bytes[V1_PREFIX.len().min(end)..end];
    let (word, fields) = match line.iter().position(|byte| *byte == b' ') {
        Some(space) => (&line[..space], Some(&line[space + 1..])),
        None => (line, None),
    };
    let header = match word {
        b"TCP4" => read_fields::<Ipv4Addr>(fields)?,
        b"TCP6" => read_fields::<Ipv6Addr>(fields)?,
        // Whatever follows is to be ignored.
        b"UNKNOWN" => ProxyHeader::Unnamed,
        _ => return Err(BadProxyHeader::UnknownProtocol),
    };
    Ok(Some((header, end + 2)))
}

fn read_fields<A>(fields: Option<&[u8]>) -> Result<ProxyHeader, BadProxyHeader>
where
    A: FromStr + Into<IpAddr>,
{
    let fields = fields.and_then(|fields| std::str::from_utf8(fields).ok());
    let mut fields = fields.ok_or(BadProxyHeader::BadFields)?.split(' ');
    let mut next = || fields.next().ok_or(BadProxyHeader::BadFields);
    let texts = [next()?, next()?, next()?, next()?];
    if fields.next().is_some() {
        return Err(BadProxyHeader::BadFields);
    }
    let address = |text: &str| text.parse().map(A::into).map_err(|_| BadProxyHeader::BadAddress);
    let [client, server, from, to] = texts;
    Ok(ProxyHeader::Proxied {
        client: SocketAddr::new(address(client)?, port(from)?),
        server: SocketAddr::new(address(server)?, port(to)?),
    })
}

/// A port in the one way in which it may be written: Rust itself takes `+80` and `080`, too.
fn port(text: &str) -> Result<u16, BadProxyHeader> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(BadProxyHeader::BadPort);
    }
    text.parse().map_err(|_| BadProxyHeader::BadPort)
}

fn read_v2(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, BadProxyHeader> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    if !matches!(command, 0x20 | 0x21) {
        return Err(BadProxyHeader::UnknownCommand);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2_REST {
        return Err(BadProxyHeader::TooLong);
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let whole = &bytes[..V2_FIXED + length];
    // What says whose connection it is not, is to be skipped unread: of LOCAL all, of UNSPEC too.
    let header = if command == 0x20 {
        ProxyHeader::Local
    } else if family == 0x00 {
        ProxyHeader::Unnamed
    } else {
        let (header, length) = read_addresses(family, rest)?;
        check_fields(whole, V2_FIXED + length)?;
        header
    };
    Ok(Some((header, whole.len())))
}

/// Reads the addresses, and tells how long they are.
fn read_addresses(family: u8, rest: &[u8]) -> Result<(ProxyHeader, usize), BadProxyHeader> {
    let length = match family {
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(BadProxyHeader::UnknownFamily),
    };
    let block = rest.get(..length).ok_or(BadProxyHeader::NoAddresses)?;
    let header = match family {
        0x11 => read_ends::<4>(block),
        0x21 => read_ends::<16>(block),
        // Paths name nobody, and datagrams are not what came: as if it were unspecified (§2.2).
        _ => Some(ProxyHeader::Unnamed),
    };
    Ok((header.ok_or(BadProxyHeader::NoAddresses)?, length))
}

/// Reads two addresses of `N` bytes and two ports.
fn read_ends<const N: usize>(block: &[u8]) -> Option<ProxyHeader>
where
    IpAddr: From<[u8; N]>,
{
    let (client, block) = block.split_first_chunk::<N>()?;
    let (server, block) = block.split_first_chunk::<N>()?;
    let (from, block) = block.split_first_chunk()?;
    let to = block.first_chunk()?;
    Some(ProxyHeader::Proxied {
        client: SocketAddr::new(IpAddr::from(*client), u16::from_be_bytes(*from)),
        server: SocketAddr::new(IpAddr::from(*server), u16::from_be_bytes(*to)),
    })
}

/// Checks that fields fill the header from `at` on, and its checksum where one of them is that.
fn check_fields(header: &[u8], mut at: usize) -> Result<(), BadProxyHeader> {
    while let Some(field) = header.get(at..).filter(|field| !field.is_empty()) {
        let [kind, high, low, ref rest @ ..] = *field else { return Err(BadProxyHeader::BadField) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(..length).ok_or(BadProxyHeader::BadField)?;
        if kind == TYPE_CRC32C {
            let told = value.try_into().map_err(|_| BadProxyHeader::BadField)?;
            // Computed with zeros where it stands.
            let sum = crc32c::crc32c(&header[..at + 3]);
            let sum = crc32c::crc32c_append(sum, &[0; 4]);
            let sum = crc32c::crc32c_append(sum, &rest[length..]);
            if sum != u32::from_be_bytes(told) {
                return Err(BadProxyHeader::BadChecksum);
            }
        }
        at += 3 + length;
    }
    Ok(())
}

impl SendProxyProtocol {
    /// Why a backend that is spoken to so can't be sent the header, and what would be right.
    pub fn problem_with(self, scheme: Scheme) -> Option<&'static str> {
        match (self, scheme) {
            (Self::Off, _) | (_, Scheme::Http | Scheme::Https) => None,
            (Self::V1 | Self::V2, Scheme::H2 | Scheme::H2c) => Some(
                "the header names one client, and an HTTP/2 connection carries the requests of \
                 many; choose the scheme `http` or `https`, or `off`: `X-Forwarded-For` names the \
                 client of each request",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
