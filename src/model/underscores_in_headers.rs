//! What becomes of header fields with an underscore in their name.

use super::worded;

worded! {
    /// Whether backends get them. To those behind CGI, WSGI, Rack and PHP `X_Real_IP` is `X-Real-IP`.
    #[derive(Default)]
    pub enum UnderscoresInHeaders {
        /// They don't.
        #[default]
        Drop "drop",
        /// They do, but for those that could be taken for a field of the proxy's own.
        Allow "allow",
    }
}
