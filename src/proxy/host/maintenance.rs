//! The message of a domain under maintenance.

use bytes::Bytes;

use super::Host;
use super::content::Content;
use crate::model::Reason;

/// The operator's own words.
pub(crate) fn message(reason: Reason, host: Host<'_>) -> Option<Content> {
    if reason != Reason::Maintenance {
        return None;
    }
    let message = host.options()?.maintenance.as_ref()?.message.as_ref()?;
    Some(Content::text(Bytes::from(format!("{message}\n"))))
}
