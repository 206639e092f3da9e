//! Previews: a link that pins one browser to a tag, whatever tag is live.
//!
//! The link has a token that only this server can make, bound to the domain. The first answer puts it into a cookie
//! and takes it out of the URL. It is worth something for as long as the state has the preview.

use cookie::{Cookie, SameSite};

use super::location::path_of;
use super::sticky::StickyKey;
use crate::clock::now_ms;
use crate::heads::RequestHead;
use crate::model::{DomainName, Preview, VirtualHost};
use crate::proxy::wire::request::cookies;

/// The cookie, and the parameter of the link.
const NAME: &str = "vhost_preview";

/// What the token is sealed for, beside the domain: no other cookie of this server is one.
const PURPOSE: &str = "preview";

/// Where a browser goes on that has followed a link, and the cookie that it has from then on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub(crate) location: String,
    pub(crate) cookie: String,
}

/// The token of a preview.
pub(crate) fn token(key: &StickyKey, domain: &DomainName, preview: &Preview) -> Option<String> {
    key.seal(&preview.id.to_le_bytes(), &purpose(domain))
}

/// The query of a link to a preview.
pub(crate) fn query(token: &str) -> String {
    format!("{NAME}={token}")
}

/// The preview that a browser is pinned to.
pub(crate) fn of_cookie<'d>(
    request: &RequestHead,
    virtual_host: &'d VirtualHost,
    key: &StickyKey,
) -> Option<&'d Preview> {
    if virtual_host.beside.previews.is_empty() {
        return None;
    }
    cookies(request, NAME).find_map(|cookie| of_token(cookie.value(), virtual_host, key))
}

/// What becomes of a browser that comes by a link; nothing where the request has none that is worth something.
pub(crate) fn by_link(
    request: &RequestHead,
    virtual_host: &VirtualHost,
    key: &StickyKey,
    secure: bool,
) -> Option<Pinned> {
    if virtual_host.beside.previews.is_empty() {
        return None;
    }
    let (path, query) = path_of(request).split_once('?')?;
    let is_ours = |part: &&str| part.split_once('=').is_some_and(|(name, _)| name == NAME);
    let token = query.split('&').find(is_ours)?.split_once('=')?.1;
    let preview = of_token(token, virtual_host, key)?;
    let rest: Vec<_> = query.split('&').filter(|part| !is_ours(part)).collect();
    // Two slashes at the beginning would name another host.
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    let location = if rest.is_empty() { path } else { format!("{path}?{}", rest.join("&")) };
    let left_ms = preview.until_ms.saturating_sub(now_ms());
    let left_secs = i64::try_from(left_ms / 1000).unwrap_or(i64::MAX);
    let cookie = Cookie::build((NAME, token.to_owned()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(cookie::time::Duration::seconds(left_secs));
    Some(Pinned { location, cookie: cookie.build().to_string() })
}

fn of_token<'d>(
    token: &str,
    virtual_host: &'d VirtualHost,
    key: &StickyKey,
) -> Option<&'d Preview> {
    let id = key.unseal(token, &purpose(&virtual_host.domain))?;
    let id = u64::from_le_bytes(id.try_into().ok()?);
    let now_ms = now_ms();
    virtual_host.beside.previews.iter().find(|one| one.id == id && now_ms < one.until_ms)
}

fn purpose(domain: &DomainName) -> String {
    format!("{PURPOSE} {domain}")
}
