//! The `Via` of requests (RFC 9110 §7.6.3): by which hop they came, and whether they run in a loop.

use http::Version;

use crate::heads::RequestHead;
use crate::heads::names::VIA;

/// How often a request may pass one server: a backend that asks the same server for another host, and
/// passes `Via` on, is no loop.
const MAX_PASSES: usize = 4;

/// The name under which a server stands in `Via`: its own, and another one after each start.
#[derive(Debug)]
pub(crate) struct Via {
    pseudonym: String,
    http_10: String,
    http_11: String,
    http_2: String,
}

impl Via {
    pub(crate) fn random() -> Self {
        let pseudonym = format!("vhost-{:08x}", fastrand::u32(..));
        let [http_10, http_11, http_2] =
            ["1.0", "1.1", "2.0"].map(|version| format!("{version} {pseudonym}"));
        Self { pseudonym, http_10, http_11, http_2 }
    }

    /// Whether a request has passed this server too often.
    pub(crate) fn is_loop(&self, request: &RequestHead) -> bool {
        let lines = request.headers.all(VIA);
        let entries = lines.flat_map(|line| line.split(|byte| *byte == b','));
        let own = entries.filter(|entry| {
            let words = entry.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.take(2).last() == Some(self.pseudonym.as_bytes())
        });
        own.take(MAX_PASSES).count() == MAX_PASSES
    }

    /// Says which hop this was. `client` is the version in which the request came.
    pub(crate) fn add(&self, request: &mut RequestHead, client: Version) {
        let value = match client {
            Version::HTTP_10 => &self.http_10,
            Version::HTTP_2 => &self.http_2,
            _ => &self.http_11,
        };
        request.headers.append(VIA, value);
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::heads::text_of;

    #[test]
    fn a_loop_is_seen_by_ones_own_name() {
        let (via, other) = (Via::random(), Via::random());
        let mut request = RequestHead::new(Method::GET, b"/");
        request.headers.append(VIA, "1.1 first, 1.1 vhost, 2.0 vhost-00000000 (a, b)");
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_11] {
            assert!(!via.is_loop(&request));
            via.add(&mut request, version);
            other.add(&mut request, version);
        }
        assert!(via.is_loop(&request) && other.is_loop(&request));
        assert!(!Via::random().is_loop(&request));
        let lines: Vec<_> = request.headers.all(VIA).filter_map(text_of).collect();
        assert_eq!(lines[1], format!("1.0 {}", via.pseudonym));
        assert_eq!(lines[5], format!("2.0 {}", via.pseudonym));
        // As others fold lines.
        let folded = vec![format!(" 1.1\t{} (x)", via.pseudonym); MAX_PASSES].join(",");
        request.headers.insert(VIA, folded);
        assert!(via.is_loop(&request));
    }
}
