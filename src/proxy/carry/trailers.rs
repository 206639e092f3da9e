//! Trailers obey what is said of headers: what the operator edits in a head, or goes by, does not come
//! behind a body.

use http::HeaderMap;

use super::stages::RequestContext;
use crate::model::{HeaderEdits, OptionSet};

impl RequestContext {
    /// The trailers of a request that its backend may see.
    pub(crate) fn request_trailers(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        if let Some(named_by) = &self.options.client_ip_header {
            trailers.remove(named_by);
        }
        self.without(trailers, |options| &options.request_headers)
    }

    /// The trailers of an answer that its client may see.
    pub(crate) fn answer_trailers(&self, trailers: HeaderMap) -> Option<HeaderMap> {
        self.without(trailers, |options| &options.response_headers)
    }

    fn without(
        &self,
        mut trailers: HeaderMap,
        edits: impl Fn(&OptionSet) -> &HeaderEdits,
    ) -> Option<HeaderMap> {
        if let Some(domain) = self.domain_node() {
            let edits = edits(domain.virtual_host.options.get());
            for field in edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys()) {
                trailers.remove(field.name());
            }
        }
        (!trailers.is_empty()).then_some(trailers)
    }
}
