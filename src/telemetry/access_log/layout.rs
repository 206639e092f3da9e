//! What lines look like, made ready when the settings are published.

use std::sync::Arc;

use super::field::{AccessField, FieldKind, FieldRow};
use super::headers::LoggedHeader;
use super::line::AccessLine;
use super::plain;
use super::settings::AccessLogSettings;
use super::value::Value;
use crate::model::AccessFormat;

/// Most lines are shorter.
const LINE_CAPACITY: usize = 1024;

/// What lines look like.
#[derive(Debug)]
pub struct LineLayout {
    form: Form,
    /// The headers of requests, and of answers, that lines have.
    pub(super) of_requests: Arc<[LoggedHeader]>,
    pub(super) of_answers: Arc<[LoggedHeader]>,
}

#[derive(Debug)]
enum Form {
    /// An object of these.
    Json(Box<[Cell]>),
    /// These, as `name=value`.
    Text(Box<[Cell]>),
    /// As `text` has it where nobody chooses: these stand behind what it begins with.
    UsualText(Box<[Cell]>),
    Common,
    Combined,
}

/// A field with what stands before its value.
#[derive(Debug)]
struct Cell {
    key: Box<[u8]>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Fact(&'static FieldRow),
    OfRequest(LoggedHeader),
    OfAnswer(LoggedHeader),
}

impl LineLayout {
    /// As the settings say.
    pub fn of(settings: &AccessLogSettings) -> Self {
        let fields = || match &settings.fields {
            Some(fields) => fields.clone(),
            None => AccessField::usual().collect(),
        };
        let form = match (settings.format, &settings.fields) {
            (AccessFormat::Json, _) => Form::Json(cells(fields(), |name| format!("\"{name}\":"))),
            (AccessFormat::Text, Some(_)) => Form::Text(cells(fields(), |name| format!("{name}="))),
            (AccessFormat::Text, None) => {
                let is_behind =
                    |field: &AccessField| !plain::BEGINS_WITH.contains(&&*field.to_string());
                let behind = fields().into_iter().filter(is_behind).collect();
                Form::UsualText(cells(behind, |name| format!("{name}=")))
            }
            (AccessFormat::Common, _) => Form::Common,
            (AccessFormat::Combined, _) => Form::Combined,
        };
        let chosen = || settings.fields.iter().flatten();
        let of_requests = chosen().filter_map(|AccessField(kind)| match kind {
            FieldKind::OfRequest(header) => Some(header.clone()),
            FieldKind::Fact(_) | FieldKind::OfAnswer(_) => None,
        });
        let of_answers = chosen().filter_map(|AccessField(kind)| match kind {
            FieldKind::OfAnswer(header) => Some(header.clone()),
            FieldKind::Fact(_) | FieldKind::OfRequest(_) => None,
        });
        Self { form, of_requests: of_requests.collect(), of_answers: of_answers.collect() }
    }

    /// A line with its newline.
    pub fn written(&self, line: &AccessLine<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(LINE_CAPACITY);
        match &self.form {
            Form::Json(cells) => {
                out.push(b'{');
                write_cells(cells, &mut out, line, true);
                out.push(b'}');
            }
            Form::Text(cells) => write_cells(cells, &mut out, line, false),
            Form::UsualText(cells) => {
                plain::write_beginning(&mut out, line);
                write_cells(cells, &mut out, line, false);
            }
            Form::Common => plain::write_common(&mut out, line),
            Form::Combined => plain::write_combined(&mut out, line),
        }
        out.push(b'\n');
        out
    }
}

fn cells(fields: Vec<AccessField>, key: impl Fn(&str) -> String) -> Box<[Cell]> {
    let cells = fields.into_iter().map(|field| Cell {
        key: key(&field.to_string()).into_bytes().into(),
        content: match field.0 {
            FieldKind::Fact(row) => Content::Fact(row),
            FieldKind::OfRequest(header) => Content::OfRequest(header),
            FieldKind::OfAnswer(header) => Content::OfAnswer(header),
        },
    });
    cells.collect()
}

/// Writes those that have a value, apart from each other and from what stands there already.
fn write_cells(cells: &[Cell], out: &mut Vec<u8>, line: &AccessLine<'_>, is_json: bool) {
    let between = if is_json { b',' } else { b' ' };
    let mut is_first = is_json || out.is_empty();
    for cell in cells {
        let before = out.len();
        if !is_first {
            out.push(between);
        }
        if cell.write(out, line, is_json) {
            is_first = false;
        } else {
            out.truncate(before);
        }
    }
}

impl Cell {
    /// Writes it; whether it has a value.
    fn write(&self, out: &mut Vec<u8>, line: &AccessLine<'_>, is_json: bool) -> bool {
        let mut write = |value: Value<'_>| {
            if is_json {
                value.write_json(out, &self.key)
            } else {
                value.write_text(out, &self.key)
            }
        };
        let mut is_written = false;
        match &self.content {
            Content::Fact(row) => is_written = write((row.value)(line)),
            Content::OfRequest(header) => {
                line.request_headers.with(header, |value| is_written = write(Value::Text(value)));
            }
            Content::OfAnswer(header) => {
                line.response_headers.with(header, |value| is_written = write(Value::Text(value)));
            }
        }
        is_written
    }
}
