//! The one name that a domain wants to be known by.

use http::uri::Authority;

use super::location::{location, path_of};
use crate::heads::RequestHead;
use crate::model::{DomainName, Pattern, VirtualHost};
use crate::proxy::options::Https;
use crate::proxy::wire::request::host_of;

/// Where a request goes that came under another name: the same resource under the canonical one. At
/// once over HTTPS, where plain HTTP would be redirected there next.
pub(crate) fn redirected(
    virtual_host: &VirtualHost,
    https: Option<&Https>,
    host: &str,
    secure: bool,
    request: &RequestHead,
) -> Option<String> {
    let canonical = virtual_host.options.get().canonical_host.as_ref()?;
    let canonical = name_of(canonical).filter(|name| *name != host && !host.is_empty())?;
    if let Some(https) = https
        && !secure
        && virtual_host.top.http_to_https
        && https.certificates.is_trusted(canonical)
    {
        return Some(location(canonical, https.port, request));
    }
    let scheme = if secure { "https" } else { "http" };
    // The port is the one by which the client got here.
    let authority = host_of(request).and_then(|host| host.parse::<Authority>().ok());
    let port = authority.and_then(|authority| authority.port_u16());
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{scheme}://{canonical}{port}{}", path_of(request)))
}

fn name_of(canonical: &DomainName) -> Option<&str> {
    match canonical.pattern() {
        Pattern::Exact(name) => Some(name),
        Pattern::Wildcard(_) | Pattern::Default => None,
    }
}
