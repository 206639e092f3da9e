//! Edits of headers that an operator declared, after the proxy's own.

use crate::heads::{Fields, RequestHead, ResponseHead, is_plain};
use crate::model::{HeaderEdits, HeaderField};
use crate::proxy::wire::request::is_twin;

/// Edits what a backend gets.
pub(crate) fn edit_request(edits: &HeaderEdits, request: &mut RequestHead) {
    remove_twins(edits, &mut request.headers);
    edit(edits, &mut request.headers);
}

/// Edits what a client gets.
pub(crate) fn edit_response(edits: &HeaderEdits, response: &mut ResponseHead) {
    edit(edits, &mut response.headers);
}

fn edit(edits: &HeaderEdits, headers: &mut Fields) {
    for field in &edits.remove {
        headers.remove(field.name());
    }
    for (field, text) in &edits.set {
        headers.insert(field.name(), text.value());
    }
    for (field, text) in &edits.add {
        headers.append(field.name(), text.value());
    }
}

/// Takes out what backends behind CGI could take for a field that is removed or written here. There is
/// some only where fields with an underscore are allowed.
fn remove_twins(edits: &HeaderEdits, headers: &mut Fields) {
    if !headers.is_odd() {
        return;
    }
    let is_edited_twin = |name: &str| {
        let edited = edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys());
        let is_twin_of = |field: &HeaderField| {
            let field = field.name().as_str();
            !name.eq_ignore_ascii_case(field) && is_twin(name, field)
        };
        !name.bytes().all(is_plain) && edited.into_iter().any(is_twin_of)
    };
    headers.retain(|name| !is_edited_twin(name));
}
