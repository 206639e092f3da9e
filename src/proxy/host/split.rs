//! Which tag a client gets while its domain is live on several.

use cookie::{Cookie, SameSite};
use http::StatusCode;

use crate::heads::names::{CACHE_CONTROL, SET_COOKIE, X_VHOST_TAG};
use crate::heads::{RequestHead, ResponseHead};
use crate::model::{OptionSet, Point, Split, SplitKey, Tag};
use crate::places::client_network;
use crate::proxy::client::sender::Client;
use crate::proxy::wire::request::cookies;
use crate::stable_hash::keyed_hash;

/// The cookie that a client is known by where nothing else is said.
const COOKIE: &str = "vhost_split";

/// How long it lasts: no rollout takes longer, and whoever comes back later is dealt out anew.
const COOKIE_DAYS: i64 = 30;

/// A client that has no cookie yet: the number that it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newcomer(u64);

/// The tag that a client gets by its share; nothing where that is the live one.
///
/// `newcomer` is whom this request was dealt out as when it had no cookie: it is dealt out the same when it is routed
/// once more.
pub(crate) fn tag_of<'d>(
    split: &'d Split,
    options: &OptionSet,
    request: &RequestHead,
    client: Option<Client>,
    newcomer: &mut Option<Newcomer>,
) -> Option<&'d Tag> {
    let point = match options.split.by.as_ref().unwrap_or(&SplitKey::Cookie) {
        SplitKey::Cookie => {
            let known = cookies(request, COOKIE).find_map(|cookie| number_in(cookie.value()));
            let number = known
                .unwrap_or_else(|| newcomer.get_or_insert_with(|| Newcomer(fastrand::u64(..))).0);
            point(split.salt, &number.to_le_bytes())
        }
        SplitKey::Client => point(split.salt, &client_network(client?.origin?).octets()),
        SplitKey::Header(name) => point(split.salt, request.headers.get(name)?),
        SplitKey::CookieOf(name) => {
            point(split.salt, cookies(request, name).next()?.value().as_bytes())
        }
    };
    split.tag_at(point)
}

/// Where a client stands that is known by these bytes.
fn point(salt: u64, key: &[u8]) -> Point {
    Point::of(keyed_hash(salt, key))
}

/// The tag that a tester asks for.
pub(crate) fn asked_for<'r>(
    options: &OptionSet,
    request: &'r RequestHead,
    client: Option<Client>,
) -> Option<&'r str> {
    let testers = &options.split.testers;
    let origin = client.filter(|_| !testers.is_empty())?.origin?;
    let is_tester = testers.iter().any(|network| network.contains(origin));
    request.headers.text(X_VHOST_TAG).filter(|_| is_tester)
}

/// Gives a newcomer its number, unless the answer may be kept for others.
pub(crate) fn set_cookie(response: &mut ResponseHead, newcomer: Newcomer, secure: bool) {
    if response.status == StatusCode::NOT_MODIFIED || is_shared(response) {
        return;
    }
    let cookie = Cookie::build((COOKIE, format!("{:016x}", newcomer.0)))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(cookie::time::Duration::days(COOKIE_DAYS));
    response.headers.append(SET_COOKIE, cookie.build().to_string());
}

fn number_in(value: &str) -> Option<u64> {
    let is_one = value.len() == 16 && value.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    is_one.then(|| u64::from_str_radix(value, 16).ok()).flatten()
}

/// Whether caches may keep an answer for everybody (RFC 9111 §5.2.2).
fn is_shared(response: &ResponseHead) -> bool {
    let mut values = response.headers.all(CACHE_CONTROL);
    values.any(|value| {
        value.split(|byte| *byte == b',').any(|directive| {
            let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
            let name = name.trim_ascii();
            name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage")
        })
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::model::Share;

    fn request(headers: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, b"/");
        for (name, value) in headers {
            request.headers.append(*name, value);
        }
        request
    }

    fn half() -> Split {
        Split::new(7).with(&"b".parse().unwrap(), Share::of_parts(500_000)).unwrap()
    }

    /// The share of a million keys is that of the tag, within four standard deviations.
    #[test]
    fn a_million_clients_are_dealt_fairly() {
        const KEYS: u32 = 1_000_000;
        for (salt, percent) in [(7, "1"), (8, "10"), (9, "33.3333"), (10, "50")] {
            let share: Share = percent.parse().unwrap();
            let split = Split::new(salt).with(&"b".parse().unwrap(), share).unwrap();
            let is_there = |key: &u32| split.tag_at(point(salt, &key.to_le_bytes())).is_some();
            let there = f64::from(u32::try_from((0..KEYS).filter(is_there).count()).unwrap());
            let wanted = f64::from(KEYS) * share.fraction();
            let deviation = (wanted * (1.0 - share.fraction())).sqrt();
            assert!((there - wanted).abs() < 4.0 * deviation, "{percent}: {there} of {KEYS}");
        }
    }

    #[test]
    fn a_cookie_keeps_its_client_where_it_is() {
        let (split, options) = (half(), OptionSet::default());
        for number in 0..100_u64 {
            let cookie = format!("a=b; vhost_split={number:016x}");
            let mut newcomer = None;
            let there =
                tag_of(&split, &options, &request(&[("cookie", &cookie)]), None, &mut newcomer);
            assert_eq!(newcomer, None);
            assert_eq!(there, split.tag_at(point(7, &number.to_le_bytes())));
        }
    }

    #[test]
    fn a_newcomer_gets_a_number_by_which_it_is_known_from_then_on() {
        let (split, options) = (half(), OptionSet::default());
        for odd in
            ["", "vhost_split=", "vhost_split=0123456789ABCDEF", "vhost_split=+12345678901234f"]
        {
            let (request, mut newcomer) = (request(&[("cookie", odd)]), None);
            let first = tag_of(&split, &options, &request, None, &mut newcomer);
            let number = newcomer.expect("it had none");
            assert_eq!(first, tag_of(&split, &options, &request, None, &mut newcomer));
            assert_eq!(newcomer, Some(number), "routed once more, it is the same");
            let mut response = ResponseHead::new(StatusCode::OK);
            set_cookie(&mut response, number, true);
            let cookie = response.headers.text(SET_COOKIE).unwrap().to_owned();
            let parsed = Cookie::parse(cookie).unwrap();
            let known_by = format!("vhost_split={}", parsed.value());
            let again = self::request(&[("cookie", &known_by)]);
            assert_eq!(first, tag_of(&split, &options, &again, None, &mut None));
            assert!(parsed.http_only() == Some(true) && parsed.secure() == Some(true));
            assert_eq!((parsed.domain(), parsed.path()), (None, Some("/")));
            assert_eq!(parsed.same_site(), Some(SameSite::Lax));
        }
    }

    #[test]
    fn what_may_be_kept_for_others_carries_no_cookie() {
        for (cache, status, has_one) in [
            (None, 200, true),
            (Some("private, max-age=60"), 200, true),
            (Some("no-store"), 404, true),
            (Some("max-age=60, Public"), 200, false),
            (Some("s-maxage=60"), 200, false),
            (None, 304, false),
        ] {
            let mut response = ResponseHead::new(StatusCode::from_u16(status).unwrap());
            if let Some(cache) = cache {
                response.headers.insert(CACHE_CONTROL, cache);
            }
            set_cookie(&mut response, Newcomer(1), false);
            assert_eq!(response.headers.has(SET_COOKIE), has_one, "{cache:?} {status}");
        }
    }
}
