//! Edits of headers that an operator declared, after the proxy's own.

use bytes::BytesMut;
use http::header;

use crate::heads::{Fields, RequestHead, ResponseHead, is_plain};
use crate::model::{HeaderContent, HeaderEdits, HeaderField, HeaderPart, RequestVariable};
use crate::proxy::client::downstream::Downstream;
use crate::proxy::wire::request::is_twin;

/// What variables stand for.
pub(crate) trait Variables: Sync {
    /// Writes what one stands for, as visible ASCII; false where it has no value. `came` is the request as its
    /// client has sent it.
    fn write(&self, variable: RequestVariable, came: &Came<'_>, out: &mut BytesMut) -> bool;
}

/// A request as its client has sent it.
#[derive(Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) request: &'a RequestHead,
    /// The version of TLS.
    pub(crate) tls: Option<&'static str>,
}

impl<'a> Came<'a> {
    pub(crate) fn of(session: &'a impl Downstream) -> Self {
        Self { request: session.request(), tls: session.tls() }
    }
}

/// What is known of the request that headers are edited for.
#[derive(Clone, Copy)]
pub(crate) struct VariableSource<'a> {
    pub(crate) variables: &'a dyn Variables,
    pub(crate) came: Came<'a>,
}

/// Edits what a backend gets.
pub(crate) fn edit_request(
    edits: &HeaderEdits,
    request: &mut RequestHead,
    source: VariableSource<'_>,
) {
    remove_twins(edits, &mut request.headers);
    edit(edits, &mut request.headers, Some(source));
}

/// Edits what a client gets.
pub(crate) fn edit_response(
    edits: &HeaderEdits,
    response: &mut ResponseHead,
    source: Option<VariableSource<'_>>,
) {
    edit(edits, &mut response.headers, source);
}

fn edit(edits: &HeaderEdits, headers: &mut Fields, source: Option<VariableSource<'_>>) {
    for field in &edits.remove {
        headers.remove(field.name());
    }
    for (field, text) in &edits.set {
        let name = field.name();
        match text.content() {
            HeaderContent::Literal(value) => headers.insert(name, value),
            HeaderContent::Template(parts) => {
                let is_written = headers.insert_written(name, |out| render(parts, source, out));
                // What a stranger has sent doesn't stay in its place; but no request goes without a host.
                if !is_written && name != header::HOST {
                    headers.remove(name);
                }
            }
        }
    }
    for (field, text) in &edits.add {
        match text.content() {
            HeaderContent::Literal(value) => headers.append(field.name(), value),
            HeaderContent::Template(parts) => {
                headers.append_written(field.name(), |out| render(parts, source, out));
            }
        }
    }
}

/// Writes a value; false where one of its variables has none.
fn render(parts: &[HeaderPart], source: Option<VariableSource<'_>>, out: &mut BytesMut) -> bool {
    let Some(VariableSource { variables, came }) = source else { return false };
    parts.iter().all(|part| match part {
        HeaderPart::Literal(text) => {
            out.extend_from_slice(text.as_bytes());
            true
        }
        HeaderPart::Variable(variable) => variables.write(*variable, &came, out),
    })
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

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    /// A request of which little is source.
    struct Little;

    impl Variables for Little {
        fn write(&self, variable: RequestVariable, came: &Came<'_>, out: &mut BytesMut) -> bool {
            let is_known = variable == RequestVariable::Method;
            if is_known {
                out.extend_from_slice(came.request.method.as_str().as_bytes());
            }
            is_known
        }
    }

    #[test]
    fn a_header_whose_variable_has_no_value_is_left_out_and_nobody_elses_stays() {
        let edits: HeaderEdits = serde_json::from_value(serde_json::json!({
            "set": {"x-a": "is ${method}", "x-sni": "${method} ${tls_sni}", "host": "${tls_sni}"},
            "add": {"x-b": "${method}", "x-c": "${client_ip}"},
        }))
        .unwrap();
        let mut request = RequestHead::new(Method::PUT, b"/");
        for (name, value) in
            [("Host", "a.test"), ("X-A", "forged"), ("X-SNI", "forged"), ("X-B", "1"), ("X-C", "2")]
        {
            request.headers.append(name, value);
        }
        let came = request.copy();
        let source =
            VariableSource { variables: &Little, came: Came { request: &came, tls: None } };
        edit_request(&edits, &mut request, source);
        let left: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
            .collect();
        assert_eq!(left, ["Host: a.test", "X-A: is PUT", "X-B: 1", "X-C: 2", "x-b: PUT"]);
        let mut answer = ResponseHead::new(http::StatusCode::OK);
        answer.headers.append("x-a", "forged");
        edit_response(&edits, &mut answer, None);
        assert_eq!(answer.headers.len(), 0);
    }
}
