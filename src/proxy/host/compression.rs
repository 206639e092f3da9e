//! Encodes compressible responses for clients that take it.

use std::io::{self, Write};

use async_trait::async_trait;
use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::{HttpModule, HttpModuleBuilder, HttpModules, Module};
use pingora::proxy::Session;
use pingora::{ErrorType, OrErr, Result};

use crate::model::Encoding;

/// Smaller bodies gain nothing.
const SMALLEST: u64 = 256;

/// Middling levels, and windows that keep a response below two megabytes of memory.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW: u32 = 18;
const BROTLI_BUFFER: usize = 4096;
const ZSTD_LEVEL: i32 = 3;
const ZSTD_WINDOW: u32 = 18;

/// Encodes the response from here on, if it may be and the client takes one of `allowed`.
pub(in crate::proxy) fn apply(
    session: &mut Session,
    response: &mut ResponseHeader,
    allowed: &[Encoding],
) -> Result<()> {
    if allowed.is_empty() || !may_be_encoded(response) {
        return Ok(());
    }
    vary(response)?;
    let request = session.req_header();
    if request.method == Method::HEAD {
        return Ok(());
    }
    let Some(encoding) = chosen(request, allowed) else { return Ok(()) };
    let streams = !response.headers.contains_key(header::CONTENT_LENGTH);
    let encoder = Encoder::new(encoding).or_err(ErrorType::InternalError, "compression")?;
    response.insert_header(header::CONTENT_ENCODING, encoding.as_str())?;
    response.remove_header(&header::CONTENT_LENGTH);
    response.remove_header(&header::ACCEPT_RANGES);
    if request.version == Version::HTTP_11 {
        response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    // The bytes are others now; what they mean is the same (RFC 9110 §8.8.1).
    if let Some(tag) = response.headers.get(header::ETAG)
        && !tag.as_bytes().starts_with(b"W/")
    {
        let weak = [b"W/", tag.as_bytes()].concat();
        response.insert_header(header::ETAG, weak)?;
    }
    let mut modules = HttpModules::new();
    modules.add_module(Box::new(NoEncoder));
    session.downstream_modules_ctx = modules.build_ctx();
    if let Some(encode) = session.downstream_modules_ctx.get_mut::<Encode>() {
        *encode = Encode { encoder: Some(encoder), streams };
    }
    Ok(())
}

fn may_be_encoded(response: &ResponseHeader) -> bool {
    let has = |name, part: &str| {
        let mut values = response.headers.get_all(name).iter();
        values.any(|value| value.to_str().is_ok_and(|v| v.to_ascii_lowercase().contains(part)))
    };
    let length = response.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let has_body = !response.status.is_informational()
        && !matches!(
            response.status,
            StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        );
    has_body
        && length.is_none_or(|length| length >= SMALLEST)
        && !response.headers.contains_key(header::CONTENT_ENCODING)
        && !response.headers.contains_key(header::CONTENT_RANGE)
        && !has(header::CACHE_CONTROL, "no-transform")
        && response.headers.get(header::CONTENT_TYPE).is_some_and(is_compressible)
}

fn is_compressible(kind: &HeaderValue) -> bool {
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
    let Ok(kind) = kind.to_str() else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let structured = kind.ends_with("+json") || kind.ends_with("+xml");
    kind.starts_with("text/") || structured || KINDS.contains(&&*kind)
}

/// Caches must know that another client may get other bytes.
fn vary(response: &mut ResponseHeader) -> Result<()> {
    let says = |value: &HeaderValue| {
        let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
        names.into_iter().any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"))
    };
    if response.headers.get_all(header::VARY).iter().any(says) {
        return Ok(());
    }
    response.append_header(header::VARY, "Accept-Encoding").map(|_| ())
}

/// The one that the client likes best; of those that it likes equally, the first.
fn chosen(request: &RequestHeader, allowed: &[Encoding]) -> Option<Encoding> {
    let accepted: Vec<(&str, u32)> = request
        .headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
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
    fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Gzip => {
                Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            Encoding::Br => Self::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                BROTLI_QUALITY,
                BROTLI_WINDOW,
            ))),
            Encoding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW)?;
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

/// Encodes a body as it passes. A module of Pingora's: only modules are told of the end of a body that
/// trailers end.
struct Encode {
    /// Nothing once the body has ended.
    encoder: Option<Encoder>,
    /// The backend did not say how long the body is: it may be written as it goes, and each piece goes
    /// on when it comes.
    streams: bool,
}

impl Encode {
    fn finish(&mut self) -> Result<Option<Bytes>> {
        let Some(encoder) = self.encoder.take() else { return Ok(None) };
        let rest = encoder.finish().or_err(ErrorType::InternalError, "compression")?;
        Ok(Some(rest.into()))
    }
}

#[async_trait]
impl HttpModule for Encode {
    fn response_body_filter(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<()> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        if let Some(bytes) = body.take() {
            let written = encoder.writer().write_all(&bytes);
            written.or_err(ErrorType::InternalError, "compression")?;
            if self.streams && !end && !bytes.is_empty() {
                encoder.writer().flush().or_err(ErrorType::InternalError, "compression")?;
            }
        }
        if end {
            *body = self.finish()?;
            return Ok(());
        }
        let out = encoder.take();
        *body = (!out.is_empty()).then(|| out.into());
        Ok(())
    }

    fn response_trailer_filter(
        &mut self,
        _trailers: &mut Option<Box<http::HeaderMap>>,
    ) -> Result<Option<Bytes>> {
        self.finish()
    }

    fn response_done_filter(&mut self) -> Result<Option<Bytes>> {
        self.finish()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// Makes the module; its encoder is put in afterwards.
struct NoEncoder;

impl HttpModuleBuilder for NoEncoder {
    fn init(&self) -> Module {
        Box::new(Encode { encoder: None, streams: false })
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
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.append_header(header::ACCEPT_ENCODING, accept).unwrap();
            assert_eq!(chosen(&request, &allowed), expected, "{accept}");
        }
        assert_eq!(chosen(&RequestHeader::build("GET", b"/", None).unwrap(), &allowed), None);
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
            assert_eq!(is_compressible(&HeaderValue::from_static(kind)), fits, "{kind}");
        }
    }
}
