//! Who may use the management API: names of tokens, and what they allow.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tag::check_label;
use super::{text, worded};

text! {
    /// The name of a token, by which the history tells who acted.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct TokenName(Arc<str>) "The name of a token: letters, digits, `-`, `_` and `.`.",
        by |text| check_label("name of a token", text, 64);
}

impl TokenName {
    /// The name of the token that a server makes by itself.
    pub fn admin() -> Self {
        Self("admin".into())
    }
}

worded! {
    /// What a token allows.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum Access {
        /// Reading everything, and changing nothing.
        Read "read",
        /// Everything.
        Full "full",
    }
}
