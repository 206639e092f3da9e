//! Edits of headers that an operator declared, after the proxy's own.

use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::model::HeaderEdits;

/// Edits what a backend gets.
pub(in crate::proxy) fn edit_request(
    edits: &HeaderEdits,
    request: &mut RequestHeader,
) -> Result<()> {
    for field in &edits.remove {
        request.remove_header(field.name());
    }
    for (field, text) in &edits.set {
        request.insert_header(field.name().clone(), text.value().clone())?;
    }
    for (field, text) in &edits.add {
        request.append_header(field.name().clone(), text.value().clone())?;
    }
    Ok(())
}

/// Edits what a client gets.
pub(in crate::proxy) fn edit_response(
    edits: &HeaderEdits,
    response: &mut ResponseHeader,
) -> Result<()> {
    for field in &edits.remove {
        response.remove_header(field.name());
    }
    for (field, text) in &edits.set {
        response.insert_header(field.name().clone(), text.value().clone())?;
    }
    for (field, text) in &edits.add {
        response.append_header(field.name().clone(), text.value().clone())?;
    }
    Ok(())
}
