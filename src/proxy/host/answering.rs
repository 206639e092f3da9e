//! The domain in whose name something is answered.

use super::content::Content;
use super::headers::{Came, VariableSource, Variables, edit_response};
use super::pages::Pages;
use crate::heads::ResponseHead;
use crate::heads::names::STRICT_TRANSPORT_SECURITY;
use crate::model::OptionSet;
use crate::state::DomainNode;

/// The domain in whose name something is answered.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(super) domain: Option<&'a DomainNode>,
    pages: Option<&'a Pages>,
    /// Whether the client came over TLS.
    secure: bool,
    /// What is known of the request that is answered.
    variables: Option<&'a dyn Variables>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(
        domain: Option<&'a DomainNode>,
        pages: &'a Pages,
        secure: bool,
        variables: &'a dyn Variables,
    ) -> Self {
        Self { domain, pages: Some(pages), secure, variables: Some(variables) }
    }

    /// Nobody's: what is answered is the proxy's alone.
    pub(crate) fn none() -> Self {
        Self { domain: None, pages: None, secure: false, variables: None }
    }

    /// Its page for a status.
    pub(crate) fn page(self, status: u16) -> Option<Content> {
        self.pages?.page(self.options()?, status)
    }

    /// Its options, where there are any.
    pub(crate) fn options(self) -> Option<&'a OptionSet> {
        let options = &self.domain?.virtual_host.options;
        (!options.is_empty()).then(|| options.get())
    }

    /// The last edits of a response before the client gets it.
    pub(crate) fn finish(self, response: &mut ResponseHead, came: Came<'_>) {
        if self.secure
            && let Some(hsts) = self.domain.and_then(DomainNode::hsts)
        {
            response.headers.insert(STRICT_TRANSPORT_SECURITY, hsts);
        }
        if let Some(options) = self.options() {
            let source = self.variables.map(|variables| VariableSource { variables, came });
            edit_response(&options.response_headers, response, source);
        }
    }
}
