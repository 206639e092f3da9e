//! What becomes of header fields with an underscore in their name.

/// Whether backends get them. To those behind CGI, WSGI, Rack and PHP `X_Real_IP` is `X-Real-IP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnderscoresInHeaders {
    /// They don't.
    #[default]
    Drop,
    /// They do, but for those that could be taken for a field of the proxy's own.
    Allow,
}

impl UnderscoresInHeaders {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Drop, Self::Allow];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Allow => "allow",
        }
    }
}
