//! Encodes compressible responses for clients that take it.

use std::io::{self, Write};
use std::sync::Arc;

use brotli::CompressorWriter;
use flate2::write::GzEncoder;
use http::{Method, StatusCode, Version};
use pingora::{ErrorType, OrErr, Result};

use crate::heads::names::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, TRANSFER_ENCODING, VARY,
};
use crate::heads::{Known, RequestHead, ResponseHead, Set, text_of};
use crate::model::Encoding;
use crate::proxy::memory::{Budget, Charge};

/// Fields that are wrong once the body is encoded.
const OF_THE_PLAIN_BODY: Set = Set::of(&[CONTENT_LENGTH, ACCEPT_RANGES]);

/// An answer with one of these is encoded already, or a part of another.
const OF_OTHER_BODIES: Set = Set::of(&[CONTENT_ENCODING, CONTENT_RANGE]);

/// Smaller bodies gain nothing.
const SMALLEST: u64 = 256;

const BROTLI_BUFFER: usize = 4096;

/// How hard an encoder tries, and the memory that this takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effort {
    gzip_level: u32,
    brotli_quality: u32,
    zstd_level: i32,
    /// The largest windows, as powers of two.
    brotli_window: u32,
    zstd_window: u32,
}

/// As much as fits into what encoders may take of a connection whose limit is the default.
const MIDDLING: Effort =
    Effort { gzip_level: 5, brotli_quality: 3, zstd_level: 3, brotli_window: 16, zstd_window: 17 };

/// When a connection has no room for those: with small tables and windows.
const SMALL: Effort =
    Effort { gzip_level: 1, brotli_quality: 1, zstd_level: 1, brotli_window: 15, zstd_window: 15 };

impl Effort {
    /// The window for a body of this length, as a power of two.
    fn window(self, encoding: Encoding, length: Option<u64>) -> u32 {
        let largest = if encoding == Encoding::Br { self.brotli_window } else { self.zstd_window };
        let needed = length.map_or(u32::MAX, |length| u64::BITS - length.leading_zeros());
        needed.clamp(10, largest)
    }

    /// The most that an encoder takes in bytes: its tables, its window, and what it has not put out. As
    /// measured with bodies that compress badly: brotli then keeps several windows of literals.
    fn memory(self, encoding: Encoding, length: Option<u64>) -> usize {
        let window = 1_usize << self.window(encoding, length);
        match (encoding, self == SMALL) {
            (Encoding::Gzip, _) => 360 << 10,
            (Encoding::Br, false) => (704 << 10) + 8 * window,
            (Encoding::Br, true) => (208 << 10) + 7 * window,
            (Encoding::Zstd, false) => (832 << 10) + 5 * window,
            (Encoding::Zstd, true) => (192 << 10) + 4 * window,
        }
    }
}

/// An encoder, while its memory is counted.
struct Afforded {
    encoder: Encoder,
    _memory: Charge,
}

/// An encoder that the connection has room for.
fn afford(
    encoding: Encoding,
    length: Option<u64>,
    memory: &Arc<Budget>,
) -> Result<Option<Afforded>> {
    for effort in [MIDDLING, SMALL] {
        let needed = effort.memory(encoding, length);
        if let Some(charge) = memory.charge_encoder(needed) {
            let encoder = Encoder::new(encoding, effort, length);
            let encoder = encoder.or_err(ErrorType::InternalError, "compression")?;
            return Ok(Some(Afforded { encoder, _memory: charge }));
        }
    }
    Ok(None)
}

/// Says in the head that the body is encoded from here on, and answers with what does it: if it may be,
/// the client takes one of `allowed`, and its connection has room for what that takes.
pub(crate) fn apply(
    request: &RequestHead,
    response: &mut ResponseHead,
    allowed: &[Encoding],
    memory: &Arc<Budget>,
) -> Result<Option<Box<Encode>>> {
    if allowed.is_empty() || !may_be_encoded(response) {
        return Ok(None);
    }
    vary(response);
    if request.method == Method::HEAD {
        return Ok(None);
    }
    let Some(encoding) = chosen(request, allowed) else { return Ok(None) };
    let length = declared_length(response);
    let Some(encoder) = afford(encoding, length, memory)? else { return Ok(None) };
    let streams = !response.headers.has(CONTENT_LENGTH);
    response.headers.insert(CONTENT_ENCODING, encoding.as_str());
    response.headers.remove_any(OF_THE_PLAIN_BODY);
    if request.version == Version::HTTP_11 {
        response.headers.insert(TRANSFER_ENCODING, "chunked");
    }
    // The bytes are others now; what they mean is the same (RFC 9110 §8.8.1).
    if let Some(tag) = response.headers.get(ETAG)
        && !tag.starts_with(b"W/")
    {
        let weak = [b"W/", tag].concat();
        response.headers.insert(ETAG, weak);
    }
    Ok(Some(Box::new(Encode { encoder: Some(encoder), streams })))
}

fn may_be_encoded(response: &ResponseHead) -> bool {
    let has = |name: Known, part: &str| {
        let mut values = response.headers.all(name);
        values.any(|value| text_of(value).is_some_and(|v| v.to_ascii_lowercase().contains(part)))
    };
    let length = declared_length(response);
    let has_body = !response.status.is_informational()
        && !matches!(
            response.status,
            StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        );
    has_body
        && length.is_none_or(|length| length >= SMALLEST)
        && !response.headers.has_any(OF_OTHER_BODIES)
        && !has(CACHE_CONTROL, "no-transform")
        && response.headers.text(CONTENT_TYPE).is_some_and(is_compressible)
}

fn declared_length(response: &ResponseHead) -> Option<u64> {
    response.headers.text(CONTENT_LENGTH)?.parse().ok()
}

fn is_compressible(kind: &str) -> bool {
    const KINDS: [&str; 13] = [
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/wasm",
        "application/x-javascript",
        "application/xml",
        "application/x-ndjson",
        "font/otf",
        "font/ttf",
        "application/vnd.ms-fontobject",
        "image/bmp",
        "image/svg+xml",
        "image/x-icon",
    ];
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let structured = kind.ends_with("+json") || kind.ends_with("+xml");
    kind.starts_with("text/") || structured || KINDS.contains(&&*kind)
}

/// Caches must know that another client may get other bytes.
fn vary(response: &mut ResponseHead) {
    let says = |value: &[u8]| {
        let names = text_of(value).unwrap_or_default().split(',').map(str::trim);
        names.into_iter().any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"))
    };
    let is_said = response.headers.all(VARY).any(says);
    if !is_said {
        response.headers.append(VARY, "Accept-Encoding");
    }
}

/// The one that the client likes best; of those that it likes equally, the first.
fn chosen(request: &RequestHead, allowed: &[Encoding]) -> Option<Encoding> {
    let accepted: Vec<(&str, u32)> = request
        .headers
        .all(ACCEPT_ENCODING)
        .filter_map(text_of)
        .flat_map(|value| value.split(','))
        .filter_map(weighted)
        .collect();
    let weight = |encoding: &Encoding| {
        let of = |wanted: &str| {
            accepted.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|one| one.1)
        };
        of(encoding.as_str()).or_else(|| of("*")).unwrap_or(0)
    };
    // `max_by_key` takes the last of equals.
    let best = allowed.iter().rev().max_by_key(|encoding| weight(encoding)).copied()?;
    (weight(&best) > 0).then_some(best)
}

/// `gzip;q=0.5`, the weight in thousandths (RFC 9110 §12.4.2).
fn weighted(text: &str) -> Option<(&str, u32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let weight = match weight {
        None => 1.0,
        Some(weight) => weight.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    Some((name, (weight * 1000.0) as u32))
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(encoding: Encoding, effort: Effort, length: Option<u64>) -> io::Result<Self> {
        let window = effort.window(encoding, length);
        Ok(match encoding {
            Encoding::Gzip => {
                let level = flate2::Compression::new(effort.gzip_level);
                Self::Gzip(GzEncoder::new(Vec::new(), level))
            }
            Encoding::Br => Self::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                effort.brotli_quality,
                window,
            ))),
            Encoding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), effort.zstd_level)?;
                encoder.window_log(window)?;
                Self::Zstd(encoder)
            }
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    /// What has come out so far.
    fn take(&mut self) -> Vec<u8> {
        let out = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        std::mem::take(out)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// Encodes a body as it passes.
pub(crate) struct Encode {
    /// Nothing once the body has ended.
    encoder: Option<Afforded>,
    /// The backend did not say how long the body is: it may be written as it goes, and each piece goes
    /// on when it comes.
    streams: bool,
}

impl Encode {
    /// Takes the next piece of a body; what goes on of it now, and all that is left where it `is_last`.
    ///
    /// # Errors
    /// When the encoder fails, which none does that writes to memory.
    pub(crate) fn pass(&mut self, piece: &[u8], is_last: bool) -> Result<Vec<u8>> {
        let Some(Afforded { encoder, .. }) = &mut self.encoder else { return Ok(Vec::new()) };
        if !piece.is_empty() {
            let written = encoder.writer().write_all(piece);
            written.or_err(ErrorType::InternalError, "compression")?;
            if self.streams && !is_last {
                encoder.writer().flush().or_err(ErrorType::InternalError, "compression")?;
            }
        }
        if is_last { self.finish() } else { Ok(encoder.take()) }
    }

    fn finish(&mut self) -> Result<Vec<u8>> {
        let Some(encoder) = self.encoder.take() else { return Ok(Vec::new()) };
        encoder.encoder.finish().or_err(ErrorType::InternalError, "compression")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_and_among_equals_the_operator() {
        let allowed = [Encoding::Zstd, Encoding::Br, Encoding::Gzip];
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some(Encoding::Zstd)),
            ("gzip;q=1.0, br;q=0.9", Some(Encoding::Gzip)),
            ("GZIP", Some(Encoding::Gzip)),
            ("zstd;q=0, *;q=0.1", Some(Encoding::Br)),
            ("*", Some(Encoding::Zstd)),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=2", None),
            ("", None),
        ] {
            let mut request = RequestHead::new(Method::GET, b"/");
            request.headers.append(ACCEPT_ENCODING, accept);
            assert_eq!(chosen(&request, &allowed), expected, "{accept}");
        }
        assert_eq!(chosen(&RequestHead::new(Method::GET, b"/"), &allowed), None);
    }

    #[test]
    fn what_is_compressed_already_is_left_alone() {
        for (kind, fits) in [
            ("text/html; charset=utf-8", true),
            ("Application/JSON", true),
            ("application/ld+json", true),
            ("image/svg+xml", true),
            ("font/ttf", true),
            ("text/event-stream", true),
            ("image/png", false),
            ("font/woff2", false),
            ("application/octet-stream", false),
            ("application/grpc", false),
        ] {
            assert_eq!(is_compressible(kind), fits, "{kind}");
        }
    }
}
