//! The names of fields that the proxy goes by. Each has a number, so that finding one is a comparison of
//! numbers, and whether a head has it is a bit.

use http::HeaderName;

/// A name that has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known(u8);

/// The number of all names that have none of their own.
pub(super) const OTHER: u8 = 127;

macro_rules! known {
    ($($name:ident $text:literal,)*) => {
        /// Counts them.
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "they name constants")]
        enum Number {
            $($name,)*
        }

        $(pub(crate) const $name: Known = Known(Number::$name as u8);)*

        /// Each as it is usually written.
        const SPELLED: &[&str] = &[$($text,)*];
    };
}

known! {
    HOST "Host",
    CONNECTION "Connection",
    CONTENT_LENGTH "Content-Length",
    TRANSFER_ENCODING "Transfer-Encoding",
    UPGRADE "Upgrade",
    KEEP_ALIVE "Keep-Alive",
    PROXY_CONNECTION "Proxy-Connection",
    HTTP2_SETTINGS "HTTP2-Settings",
    PROXY_AUTHENTICATE "Proxy-Authenticate",
    PROXY_AUTHORIZATION "Proxy-Authorization",
    TE "TE",
    TRAILER "Trailer",
    VIA "Via",
    EXPECT "Expect",
    DATE "Date",
    COOKIE "Cookie",
    SET_COOKIE "Set-Cookie",
    AUTHORIZATION "Authorization",
    WWW_AUTHENTICATE "WWW-Authenticate",
    ACCEPT_ENCODING "Accept-Encoding",
    ACCEPT_RANGES "Accept-Ranges",
    ALLOW "Allow",
    CACHE_CONTROL "Cache-Control",
    CONTENT_DISPOSITION "Content-Disposition",
    CONTENT_ENCODING "Content-Encoding",
    CONTENT_LANGUAGE "Content-Language",
    CONTENT_LOCATION "Content-Location",
    CONTENT_RANGE "Content-Range",
    CONTENT_TYPE "Content-Type",
    ETAG "ETag",
    LAST_MODIFIED "Last-Modified",
    LOCATION "Location",
    REFERER "Referer",
    RETRY_AFTER "Retry-After",
    STRICT_TRANSPORT_SECURITY "Strict-Transport-Security",
    USER_AGENT "User-Agent",
    VARY "Vary",
    SEC_WEBSOCKET_ACCEPT "Sec-WebSocket-Accept",
    SEC_WEBSOCKET_KEY "Sec-WebSocket-Key",
    GRPC_STATUS "grpc-status",
    GRPC_MESSAGE "grpc-message",
    TRACEPARENT "traceparent",
    PROXY "Proxy",
    X_REQUEST_ID "X-Request-Id",
    X_FORWARDED_FOR "X-Forwarded-For",
    X_FORWARDED_PROTO "X-Forwarded-Proto",
    X_FORWARDED_HOST "X-Forwarded-Host",
    FORWARDED "Forwarded",
    X_FORWARDED_PORT "X-Forwarded-Port",
    X_FORWARDED_PREFIX "X-Forwarded-Prefix",
    X_FORWARDED_SERVER "X-Forwarded-Server",
    X_FORWARDED_SSL "X-Forwarded-Ssl",
    X_REAL_IP "X-Real-IP",
    X_CLIENT_IP "X-Client-IP",
    X_CLUSTER_CLIENT_IP "X-Cluster-Client-IP",
    X_ENVOY_EXTERNAL_ADDRESS "X-Envoy-External-Address",
    TRUE_CLIENT_IP "True-Client-IP",
    CF_CONNECTING_IP "CF-Connecting-IP",
    CF_CONNECTING_IPV6 "CF-Connecting-IPv6",
    CF_PSEUDO_IPV4 "CF-Pseudo-IPv4",
    FASTLY_CLIENT_IP "Fastly-Client-IP",
    X_VHOST_TAG "X-Vhost-Tag",
    X_ROBOTS_TAG "X-Robots-Tag",
}

/// What can name a field.
pub(crate) trait Named: Copy {
    /// Its number, where it has one.
    fn known(self) -> Option<Known>;

    /// As it is written where it is added.
    fn as_text(&self) -> &str;
}

impl Named for Known {
    fn known(self) -> Option<Known> {
        Some(self)
    }

    fn as_text(&self) -> &str {
        self.as_static()
    }
}

impl Named for &str {
    fn known(self) -> Option<Known> {
        Known::of(self.as_bytes())
    }

    fn as_text(&self) -> &str {
        self
    }
}

impl Named for &HeaderName {
    fn known(self) -> Option<Known> {
        Known::of(self.as_str().as_bytes())
    }

    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl Known {
    /// The one with this name, in whatever case it is written.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let (first, last) = (name.first()?, name.last()?);
        let mut slot = slot_of(name.len(), *first, name[name.len() / 2], *last);
        loop {
            let number = SLOTS[slot];
            let known = SPELLED.get(usize::from(number))?;
            if is_alike(known.as_bytes(), name) {
                return Some(Self(number));
            }
            slot = (slot + 1) % PLACES;
        }
    }

    /// The one with this number.
    pub(super) fn numbered(number: u8) -> Option<Self> {
        (number != OTHER).then_some(Self(number))
    }

    /// As it is usually written.
    pub(crate) const fn as_static(self) -> &'static str {
        SPELLED[self.0 as usize]
    }

    /// Its number, which no other has and which is less than [`OTHER`].
    pub(super) const fn number(self) -> u8 {
        self.0
    }
}

/// Whether two names, which are tokens, differ in case alone. Without branches for each byte: a head has many
/// names.
fn is_alike(known: &[u8], name: &[u8]) -> bool {
    // Of the signs of a token only letters differ in this bit, besides some that no known name has.
    let is_alike = |one: &u8, other: &u8| (one ^ other) & !0x20 == 0;
    known.len() == name.len()
        && known.iter().zip(name).fold(true, |all, (one, other)| all & is_alike(one, other))
}

/// Where a name is looked for first. What differs in case has the same place.
const fn slot_of(length: usize, first: u8, middle: u8, last: u8) -> usize {
    let sum = length * 173
        + (first | 0x20) as usize * 51
        + (middle | 0x20) as usize * 25
        + (last | 0x20) as usize * 215;
    (sum >> 2) % PLACES
}

const PLACES: usize = 512;

/// The numbers of names, each at its place or at the next one that was free.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 127")]
static SLOTS: [u8; PLACES] = {
    let mut slots = [OTHER; PLACES];
    let mut number = 0;
    while number < SPELLED.len() {
        let name = SPELLED[number].as_bytes();
        let mut slot = slot_of(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]);
        while slots[slot] != OTHER {
            slot = (slot + 1) % PLACES;
        }
        slots[slot] = number as u8;
        number += 1;
    }
    assert!(SPELLED.len() < OTHER as usize, "a set has a bit for each");
    slots
};

/// Names that have numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Set(u128);

impl Set {
    pub(crate) const fn of(names: &[Known]) -> Self {
        let mut set = Self(0);
        let mut index = 0;
        while index < names.len() {
            set.0 |= 1 << names[index].0;
            index += 1;
        }
        set
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, name: Known) -> bool {
        self.has_number(name.0)
    }

    pub(super) const fn has_number(self, number: u8) -> bool {
        self.0 >> number & 1 == 1
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// [`OTHER`] has a bit too.
    pub(super) fn add_number(&mut self, number: u8) {
        self.0 |= 1 << number;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_by_its_text_in_any_case() {
        for (number, name) in SPELLED.iter().enumerate() {
            for text in [(*name).to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let known = Known::of(text.as_bytes()).expect("it is known");
                assert_eq!(usize::from(known.0), number, "{text}");
                assert!(http::HeaderName::try_from(text.as_str()).is_ok(), "{text}");
            }
        }
        assert_eq!(Known::of(b"host"), Some(HOST));
        for other in ["", "x", "hosts", "x-forwarded-fox", "content_length", "te ", "ho\x00t"] {
            assert_eq!(Known::of(other.as_bytes()), None, "{other}");
        }
    }
}
