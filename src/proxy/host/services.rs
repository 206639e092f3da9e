//! What options of domains need that outlives a request, and the domain in whose name something is
//! answered.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use super::auth::{Passwords, SharedPasswords, fresh_key};
use super::content::Content;
use super::headers::edit_response;
use super::pages::Pages;
use super::sticky::StickyKey;
use crate::model::OptionSet;
use crate::state::DomainNode;

/// What options of domains need that outlives a request. Clones share everything.
#[derive(Clone)]
pub(crate) struct HostServices {
    pub(crate) passwords: SharedPasswords,
    pub(crate) sticky: Arc<StickyKey>,
    /// The error pages.
    pub pages: Pages,
}

impl HostServices {
    /// Reads its key from the state directory, or makes one. Blocks.
    ///
    /// # Errors
    /// When there is no key to be had.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let key = fresh_key().map_err(|_| io::Error::other("there is no randomness"))?;
        Ok(Self {
            passwords: Arc::new(Passwords::new(key)),
            sticky: Arc::new(StickyKey::open(state_dir)?),
            pages: Pages::default(),
        })
    }

    /// Whether the key in the state directory can be read, where there is one. Blocks, and changes nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn check(state_dir: &Path) -> io::Result<()> {
        StickyKey::read_from(state_dir).map(drop)
    }
}

/// The domain in whose name something is answered.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(super) domain: Option<&'a DomainNode>,
    pages: Option<&'a Pages>,
    /// Whether the client came over TLS.
    secure: bool,
}

impl<'a> Host<'a> {
    pub(crate) fn new(domain: Option<&'a DomainNode>, pages: &'a Pages, secure: bool) -> Self {
        Self { domain, pages: Some(pages), secure }
    }

    /// Nobody's: what is answered is the proxy's alone.
    pub(crate) fn none() -> Self {
        Self { domain: None, pages: None, secure: false }
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
    pub(crate) fn finish(self, response: &mut ResponseHeader) -> Result<()> {
        if self.secure
            && let Some(hsts) = self.domain.and_then(DomainNode::hsts)
        {
            response.insert_header(header::STRICT_TRANSPORT_SECURITY, hsts.clone())?;
        }
        match self.options() {
            Some(options) => edit_response(&options.response_headers, response),
            None => Ok(()),
        }
    }
}
