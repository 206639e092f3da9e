//! Edits of headers that an operator declared, after the proxy's own.

use http::HeaderName;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::model::{HeaderEdits, HeaderField};
use crate::proxy::wire::request::{is_plain, is_twin};

/// Edits what a backend gets.
pub(crate) fn edit_request(edits: &HeaderEdits, request: &mut RequestHeader) -> Result<()> {
    remove_twins(edits, request);
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

/// Takes out what backends behind CGI could take for a field that is removed or written here. There is
/// some only where fields with an underscore are allowed.
fn remove_twins(edits: &HeaderEdits, request: &mut RequestHeader) {
    let is_edited_twin = |name: &&HeaderName| {
        let edited = edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys());
        let is_twin_of = |field: &HeaderField| {
            *name != field.name() && is_twin(name.as_str(), field.name().as_str())
        };
        !name.as_str().bytes().all(is_plain) && edited.into_iter().any(is_twin_of)
    };
    if request.headers.keys().any(|name| is_edited_twin(&name)) {
        let twins: Vec<_> = request.headers.keys().filter(is_edited_twin).cloned().collect();
        for name in &twins {
            request.remove_header(name);
        }
    }
}

/// Edits what a client gets.
pub(crate) fn edit_response(edits: &HeaderEdits, response: &mut ResponseHeader) -> Result<()> {
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
