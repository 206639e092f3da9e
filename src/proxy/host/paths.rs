//! Paths that other tags serve.
//!
//! A prefix is compared with the path as it came. Servers behind may read it otherwise, each in its own
//! way: `/x/../api`, `/%61pi` and `/api/..;/y` could so reach a tag that serves them by another name. A
//! path that means another route in any of those ways is refused.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::heads::RequestHead;
use crate::heads::names::X_FORWARDED_PREFIX;
use crate::model::PathRoute;
use crate::state::{DomainNode, RouteNode};

/// Bytes that all readings of a path may have together. One that has more can't be judged for what it
/// costs, and only one made for that has: a path of 8 KiB may be read in eight ways.
const MAX_READ: usize = 64 * 1024;

/// Whether a path means `route` in whatever way a server reads it.
pub(crate) fn is_plain(domain: &DomainNode, route: Option<RouteNode>, path: &str) -> bool {
    domain.has_no_routes() || all_readings(path, |other| domain.route_of(other) == route)
}

/// How segments become a path.
#[expect(clippy::struct_excessive_bools, reason = "servers mix them as they like")]
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// A backslash is a slash.
    backslashes: bool,
    /// What follows a `;` is no part of a segment's name (RFC 3986 §3.3).
    parameters: bool,
    /// Slashes that follow one another are one.
    joins: bool,
    /// `.` and `..` are followed (RFC 3986 §5.2.4).
    dots: bool,
}

/// Whether `holds` for each way in which a path may be read; false where there are too many.
fn all_readings(path: &str, holds: impl Fn(&str) -> bool) -> bool {
    let is_odd = path.contains(['%', '\\', ';']) || path.contains("//") || path.contains("/.");
    if !is_odd {
        return true;
    }
    let decodings = decodings(path);
    // The last one has all that any of them has.
    let Some(last) = decodings.last() else { return true };
    let has = |odd: bool| if odd { &[false, true][..] } else { &[false] };
    let backslashes = has(last.contains('\\'));
    let parameters = has(last.contains(';'));
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let after_slash = last.char_indices().filter(|(at, _)| last[..*at].ends_with(is_slash));
    let (joins, dots) = after_slash
        .fold((false, false), |(joins, dots), (_, c)| (joins || is_slash(c), dots || c == '.'));
    // A segment that is only parameters is empty without them.
    let (joins, dots) = (has(joins || last.contains(';')), has(dots));
    let ways = decodings.len() * backslashes.len() * parameters.len() * joins.len() * dots.len();
    if ways * path.len() > MAX_READ {
        return false;
    }
    let mut text = String::new();
    for decoded in &decodings {
        for backslashes in backslashes {
            for parameters in parameters {
                for joins in joins {
                    for dots in dots {
                        let [backslashes, parameters, joins, dots] =
                            [*backslashes, *parameters, *joins, *dots];
                        Reading { backslashes, parameters, joins, dots }.read(decoded, &mut text);
                        if !holds(&text) {
                            return false;
                        }
                    }
                }
            }
        }
    }
    true
}

/// The path with none of its escapes decoded, with all but those of slashes, with all, and with those
/// that come out of that too; each once.
fn decodings(path: &str) -> Vec<Cow<'_, str>> {
    const SLASHES: &AsciiSet = &CONTROLS.add(b'/').add(b'\\');
    let mut decodings: Vec<Cow<'_, str>> = vec![path.into()];
    if !path.contains('%') {
        return decodings;
    }
    let once = percent_decode_str(path).decode_utf8_lossy();
    // Segment by segment, so that only slashes that were escaped are escaped again.
    let but_slashes = path.split('/').map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        utf8_percent_encode(&decoded, SLASHES).to_string()
    });
    let but_slashes = but_slashes.collect::<Vec<_>>().join("/");
    let twice = percent_decode_str(&once).decode_utf8_lossy().into_owned();
    for decoded in [but_slashes.into(), once, twice.into()] {
        if !decodings.contains(&decoded) {
            decodings.push(decoded);
        }
    }
    decodings
}

impl Reading {
    /// Writes the path as it reads so.
    fn read(self, path: &str, text: &mut String) {
        let is_slash = |c: char| c == '/' || (self.backslashes && c == '\\');
        text.clear();
        for segment in path.strip_prefix(is_slash).unwrap_or(path).split(is_slash) {
            let name =
                if self.parameters { segment.split(';').next().unwrap_or("") } else { segment };
            match name {
                "" if self.joins => {}
                "." if self.dots => {}
                ".." if self.dots => text.truncate(text.rfind('/').unwrap_or(0)),
                name => {
                    text.push('/');
                    text.push_str(name);
                }
            }
        }
    }
}

/// Takes the prefix off the path, where the route says so, and sends it to the backend in a header.
pub(crate) fn strip(route: &PathRoute, request: &mut RequestHead) {
    if !route.strip {
        return;
    }
    if let Some(rest) = request.path_and_query().strip_prefix(route.prefix.as_str()) {
        // What begins with `//` names another host to whoever reads it as a reference, and to browsers
        // `/\` is the same.
        let rest = format!("/{}", rest.trim_start_matches(['/', '\\']));
        request.set_target(rest.as_bytes());
    }
    // A prefix is made of characters that a header may have.
    request.headers.insert(X_FORWARDED_PREFIX, route.prefix.as_str());
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use http::Method;

    use super::*;

    fn readings(path: &str) -> BTreeSet<String> {
        let readings = RefCell::new(BTreeSet::new());
        let all = all_readings(path, |reading| {
            readings.borrow_mut().insert(reading.to_owned());
            true
        });
        assert!(all, "{path}");
        readings.into_inner()
    }

    #[test]
    fn odd_paths_are_read_in_every_way_that_is_common() {
        for (path, others) in [
            ("/a/b", &[][..]),
            ("/a.b/c~", &[]),
            ("/x/../api", &["/x/../api", "/api"]),
            ("/x/%2e%2E/api", &["/x/%2e%2E/api", "/x/../api", "/api"]),
            ("/x/%252e%252e/api", &["/x/%2e%2e/api", "/api"]),
            ("//api/x", &["//api/x", "/api/x"]),
            ("/%61pi", &["/%61pi", "/api"]),
            ("/api%2Fx", &["/api%2Fx", "/api/x"]),
            ("/x\\..\\api", &["/x\\..\\api", "/x/../api", "/api"]),
            ("/x%5c..%5capi", &["/api"]),
            ("/api;v=1/x", &["/api;v=1/x", "/api/x"]),
            ("/api%3bv=1/x", &["/api/x"]),
            ("/x/../api/..;/y", &["/x/../api/..;/y", "/api/..;/y", "/y"]),
            ("/x/../api/%2e%2e/y", &["/api/%2e%2e/y", "/y"]),
            // A server that keeps escaped slashes, and one that joins slashes, end elsewhere than others.
            ("/a%2fb/%2e%2e/api", &["/api", "/a/api"]),
            ("/x//../api", &["/x/api", "/api"]),
            ("/./api", &["/api"]),
            // A segment that is only parameters is empty without them.
            ("/;/api/x", &["/api/x"]),
            ("/%3bv=1/api/x", &["/api/x"]),
            ("/x/;/../api/x", &["/api/x"]),
            ("/api/.", &["/api"]),
            ("/../..", &[""]),
        ] {
            let readings = readings(path);
            for other in others {
                assert!(readings.contains(*other), "{path} as {other}: {readings:?}");
            }
            assert_eq!(readings.is_empty(), others.is_empty(), "{path}");
        }
    }

    #[test]
    fn what_can_be_read_in_too_many_ways_is_not_plain() {
        let all = |path: &str| all_readings(path, |_| true);
        assert!(all(&format!("/{}", "%20;a//".repeat(1000))), "eight ways or so");
        assert!(!all(&format!("/%252e\\;//./{}", "a".repeat(8000))));
    }

    proptest::proptest! {
        /// Nothing that is read otherwise goes unseen, and nothing panics.
        #[test]
        fn a_path_is_among_its_readings(path in "/([a-c./\\\\;%é]|%2[ef]|%5c|%25){0,30}") {
            let path: String = path;
            let seen = std::cell::Cell::new(false);
            let all = all_readings(&path, |reading| {
                seen.set(seen.get() || reading == path);
                true
            });
            let is_odd = path.contains(['%', '\\', ';']) || path.contains("//") || path.contains("/.");
            proptest::prop_assert!(all && seen.get() == is_odd);
        }
    }

    #[test]
    fn a_prefix_is_taken_off_and_the_query_stays() {
        let route =
            PathRoute { prefix: "/api".parse().unwrap(), tag: "api".parse().unwrap(), strip: true };
        for (path, left) in [
            ("/api", "/"),
            ("/api/", "/"),
            ("/api/x?y=/api", "/x?y=/api"),
            ("/api?q", "/?q"),
            ("/api//evil.test", "/evil.test"),
            ("/api///", "/"),
            ("/api//?q", "/?q"),
            ("/api/\\evil.test", "/evil.test"),
            ("/api\\/evil.test", "/evil.test"),
        ] {
            let mut request = RequestHead::new(Method::GET, path.as_bytes());
            strip(&route, &mut request);
            assert_eq!(request.target(), left.as_bytes(), "{path}");
            assert_eq!(request.headers.text(X_FORWARDED_PREFIX), Some("/api"));
        }
    }
}
