//! The `Via` of requests (RFC 9110 §7.6.3): by which hop they came, and whether they run in a loop.

use http::{HeaderValue, Version, header};
use pingora::Result;
use pingora::http::RequestHeader;

// Of text that is static Pingora makes no copy, of a `HeaderName` it does.
const VIA: &str = "via";

/// How often a request may pass one server: a backend that asks the same server for another host, and
/// passes `Via` on, is no loop.
const MAX_PASSES: usize = 4;

/// The name under which a server stands in `Via`: its own, and another one after each start.
#[derive(Debug)]
pub(crate) struct Via {
    pseudonym: String,
    http_10: HeaderValue,
    http_11: HeaderValue,
    http_2: HeaderValue,
}

impl Via {
    pub(crate) fn random() -> Self {
        let pseudonym = format!("vhost-{:08x}", fastrand::u32(..));
        let value = |version| {
            HeaderValue::try_from(format!("{version} {pseudonym}")).expect("letters and digits")
        };
        let [http_10, http_11, http_2] = ["1.0", "1.1", "2.0"].map(value);
        Self { pseudonym, http_10, http_11, http_2 }
    }

    /// Whether a request has passed this server too often.
    pub(crate) fn is_loop(&self, request: &RequestHeader) -> bool {
        let lines = request.headers.get_all(header::VIA).iter();
        let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let own = entries.filter(|entry| {
            let words = entry.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.take(2).last() == Some(self.pseudonym.as_bytes())
        });
        own.take(MAX_PASSES).count() == MAX_PASSES
    }

    /// Says which hop this was. `client` is the version in which the request came.
    pub(crate) fn add(&self, request: &mut RequestHeader, client: Version) -> Result<()> {
        let value = match client {
            Version::HTTP_10 => &self.http_10,
            Version::HTTP_2 => &self.http_2,
            _ => &self.http_11,
        };
        request.append_header(VIA, value.clone()).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_seen_by_ones_own_name() {
        let (via, other) = (Via::random(), Via::random());
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header(VIA, "1.1 first, 1.1 vhost, 2.0 vhost-00000000 (a, b)").unwrap();
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_11] {
            assert!(!via.is_loop(&request));
            via.add(&mut request, version).unwrap();
            other.add(&mut request, version).unwrap();
        }
        assert!(via.is_loop(&request) && other.is_loop(&request));
        assert!(!Via::random().is_loop(&request));
        let lines: Vec<_> = request.headers.get_all(VIA).iter().collect();
        assert_eq!(lines[1], &format!("1.0 {}", via.pseudonym));
        assert_eq!(lines[5], &format!("2.0 {}", via.pseudonym));
        // As others fold lines.
        let folded = vec![format!(" 1.1\t{} (x)", via.pseudonym); MAX_PASSES].join(",");
        request.insert_header(VIA, folded).unwrap();
        assert!(via.is_loop(&request));
    }
}
