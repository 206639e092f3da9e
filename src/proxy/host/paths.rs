//! Paths that other tags serve.
//!
//! A prefix is compared with the path as it came. A path that servers may read otherwise, such as
//! `/x/../api` or `/%61pi`, could so reach a tag that serves it by another name; one that means
//! another route once it is read in the other ways is refused.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use pingora::Result;
use pingora::http::RequestHeader;

use crate::model::PathRoute;
use crate::state::{DomainNode, RouteNode};

const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Whether a path means `route` in whatever way a server reads it.
pub(in crate::proxy) fn is_plain(
    domain: &DomainNode,
    route: Option<RouteNode>,
    path: &str,
) -> bool {
    domain.has_no_routes()
        || match other_reading(path) {
            Some(other) => domain.route_of(&other) == route,
            None => true,
        }
}

/// The path with its escapes decoded, its dot segments followed and its doubled slashes joined; nothing
/// when it has none of them.
fn other_reading(path: &str) -> Option<String> {
    let is_odd = path.contains(['%', '\\', ';']) || path.contains("//") || path.contains("/.");
    if !is_odd {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy().replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        // Parameters of a segment are no part of its name to some servers.
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

/// Takes the prefix off the path, where the route says so, and tells the backend of it.
pub(in crate::proxy) fn strip(route: &PathRoute, request: &mut RequestHeader) -> Result<()> {
    if !route.strip {
        return Ok(());
    }
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    if let Some(rest) = path.strip_prefix(route.prefix.as_str()) {
        let rest: Cow<'_, str> = match rest.chars().next() {
            Some('/') => rest.into(),
            Some(_) | None => format!("/{rest}").into(),
        };
        let rest = rest.into_owned();
        request.set_raw_path(rest.as_bytes())?;
    }
    // A prefix is made of characters that a header may have.
    if let Ok(prefix) = HeaderValue::from_str(route.prefix.as_str()) {
        request.insert_header(X_FORWARDED_PREFIX, prefix)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_read_in_the_other_way() {
        for (path, other) in [
            ("/a/b", None),
            ("/a.b/c~", None),
            ("/x/../api", Some("/api")),
            ("/x/%2e%2E/api", Some("/api")),
            ("//api/x", Some("/api/x")),
            ("/%61pi", Some("/api")),
            ("/api%2Fx", Some("/api/x")),
            ("/x\\..\\api", Some("/api")),
            ("/api;v=1/x", Some("/api/x")),
            ("/../..", Some("/")),
        ] {
            assert_eq!(other_reading(path).as_deref(), other, "{path}");
        }
    }

    #[test]
    fn a_prefix_is_taken_off_and_the_query_stays() {
        let route =
            PathRoute { prefix: "/api".parse().unwrap(), tag: "api".parse().unwrap(), strip: true };
        for (path, left) in
            [("/api", "/"), ("/api/", "/"), ("/api/x?y=/api", "/x?y=/api"), ("/api?q", "/?q")]
        {
            let mut request = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
            strip(&route, &mut request).unwrap();
            assert_eq!(request.raw_path(), left.as_bytes(), "{path}");
            assert_eq!(request.headers["x-forwarded-prefix"], "/api");
        }
    }
}
