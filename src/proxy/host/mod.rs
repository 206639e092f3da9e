//! What a domain does about requests beyond sending them to its live tag: one file an option.

pub(super) mod canonical;
pub(super) mod headers;
pub(super) mod maintenance;
pub(super) mod paths;

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::model::OptionSet;
use crate::state::DomainNode;

/// The domain in whose name something is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host<'a> {
    domain: Option<&'a DomainNode>,
    /// Whether the client came over TLS.
    secure: bool,
}

impl<'a> Host<'a> {
    pub(super) fn new(domain: Option<&'a DomainNode>, secure: bool) -> Self {
        Self { domain, secure }
    }

    /// Nobody's: what is answered is the proxy's alone.
    pub(super) fn none() -> Self {
        Self { domain: None, secure: false }
    }

    /// Its options, where there are any.
    pub(super) fn options(self) -> Option<&'a OptionSet> {
        let options = &self.domain?.virtual_host.options;
        (!options.is_empty()).then(|| options.get())
    }

    /// The last edits of a response before the client gets it.
    pub(super) fn finish(self, response: &mut ResponseHeader) -> Result<()> {
        if self.secure
            && let Some(hsts) = self.domain.and_then(DomainNode::hsts)
        {
            response.insert_header(header::STRICT_TRANSPORT_SECURITY, hsts.clone())?;
        }
        match self.options() {
            Some(options) => headers::edit_response(&options.response_headers, response),
            None => Ok(()),
        }
    }
}
