//! What arrived at one end, in words that two runs have in common: what is random is left out, and
//! chunked bodies are joined, since where they are cut depends on reads.

use std::fmt::Write as _;

use crate::harness::checksum;

/// Fields whose values differ from one run to the next, unless a backend says when it was.
const RANDOM: [&str; 2] = ["date", "x-request-id"];

/// A body that is longer is shown by its checksum.
const MAX_SHOWN: usize = 200;

/// How much of a request a backend surely gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Whole,
    /// How much of its body comes depends on who was faster.
    Head,
    /// Whether anything comes of one that breaks off does.
    Unsure,
}

/// The requests that a backend got over one connection.
pub(super) fn requests(bytes: &[u8], reach: Reach) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((head, behind)) = head_of(rest) {
        let mut text = words(head);
        rest = body(&mut text, head, behind, false);
        if reach == Reach::Unsure && text.ends_with("…]") {
            continue;
        }
        if reach == Reach::Head {
            text.truncate(text.find("\n[").unwrap_or(text.len()));
        }
        found.push(text);
    }
    if !rest.is_empty() {
        found.push(format!("no request: {}", rest.escape_ascii()));
    }
    found
}

/// The answers that came back to requests of these methods, and what is behind them.
pub(super) struct Answers {
    pub(super) found: Vec<String>,
    /// Final answers that are whole.
    pub(super) whole: usize,
}

/// Reads what came so far; `has_ended`: nothing more can come.
pub(super) fn answers(bytes: &[u8], methods: &[&str], has_ended: bool) -> Answers {
    let mut answers = Answers { found: Vec::new(), whole: 0 };
    let mut rest = bytes;
    while let Some((head, behind)) = head_of(rest) {
        let mut text = words(head);
        let status = head.get(9..12).unwrap_or_default();
        let is_interim = status.starts_with(b"1") && status != b"101";
        if is_interim {
            rest = behind;
        } else if status == b"101" {
            shown(&mut text, behind, "\n[tunnel ", has_ended);
            rest = &[];
            answers.whole += usize::from(has_ended);
        } else {
            let is_head = methods.get(answers.whole).is_some_and(|method| *method == "HEAD");
            if is_head || status == b"204" || status == b"304" {
                rest = behind;
            } else {
                rest = body(&mut text, head, behind, true);
            }
            let is_cut = text.ends_with("…]");
            let is_open = text.contains("\n[until close ");
            answers.whole += usize::from(!is_cut && (!is_open || has_ended));
        }
        answers.found.push(text);
    }
    if !rest.is_empty() {
        answers.found.push(format!("no answer: {}", rest.escape_ascii()));
    }
    answers
}

/// The value of a field, in the head of a message.
pub(super) fn value_of(head: &[u8], name: &str) -> Option<String> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        line[..colon]
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned())
    })
}

/// Where a chunked body ends, once it is whole.
pub(super) fn ends_chunked(bytes: &[u8]) -> Option<usize> {
    let chunked = chunks(bytes).ok()?;
    chunked.is_whole.then_some(chunked.length)
}

fn head_of(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some(bytes.split_at(end))
}

fn words(head: &[u8]) -> String {
    let lines =
        head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut text = String::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !text.is_empty() {
            text.push('\n');
        }
        if RANDOM.contains(&name.as_str()) && !line.ends_with(b" 1970 00:00:00 GMT") {
            let _ = write!(text, "{name}: *");
        } else if name == "via" {
            // Each server has a pseudonym of its own.
            let line = String::from_utf8_lossy(line);
            let words = line
                .split(' ')
                .map(|word| if word.starts_with("vhost-") { "vhost-*" } else { word });
            text.push_str(&words.collect::<Vec<_>>().join(" "));
        } else {
            let _ = write!(text, "{}", line.escape_ascii());
        }
    }
    text
}

/// Adds the body behind a head; what is behind it.
fn body<'b>(text: &mut String, head: &[u8], bytes: &'b [u8], may_close: bool) -> &'b [u8] {
    if value_of(head, "transfer-encoding").is_some() {
        return match chunks(bytes) {
            Ok(chunked) => {
                shown(text, &chunked.content, "\n[chunked ", chunked.is_whole);
                if !chunked.trailers.is_empty() {
                    let _ = write!(text, "\n{}", chunked.trailers.trim_end());
                }
                &bytes[chunked.length..]
            }
            Err(bytes) => {
                let _ = write!(text, "\n[no chunks: {}]", bytes.escape_ascii());
                &[]
            }
        };
    }
    if let Some(length) = value_of(head, "content-length") {
        let length = length.parse().unwrap_or(usize::MAX);
        let here = length.min(bytes.len());
        shown(text, &bytes[..here], "\n[length ", here == length);
        return &bytes[here..];
    }
    if may_close {
        shown(text, bytes, "\n[until close ", true);
        return &[];
    }
    bytes
}

fn shown(text: &mut String, content: &[u8], how: &str, is_whole: bool) {
    text.push_str(how);
    if !is_whole {
        // How much of it was passed on before it broke off is a matter of reads.
        text.push_str("…]");
        return;
    }
    if content.len() > MAX_SHOWN {
        let _ = write!(text, "{} bytes, {:x}", content.len(), checksum(content));
    } else {
        let _ = write!(text, "{}", content.escape_ascii());
    }
    text.push(']');
}

struct ChunkedBody {
    content: Vec<u8>,
    trailers: String,
    length: usize,
    is_whole: bool,
}

/// Reads a chunked body strictly.
fn chunks(bytes: &[u8]) -> Result<ChunkedBody, &[u8]> {
    let mut read =
        ChunkedBody { content: Vec::new(), trailers: String::new(), length: 0, is_whole: false };
    let mut rest = bytes;
    let cut = |read: ChunkedBody| Ok(ChunkedBody { length: bytes.len(), ..read });
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
            return cut(read);
        };
        let size = std::str::from_utf8(&rest[..line]).map_err(|_| rest)?;
        let size = usize::from_str_radix(size, 16).map_err(|_| rest)?;
        let data = &rest[line + 2..];
        if size == 0 {
            rest = data;
            break;
        }
        read.content.extend_from_slice(&data[..size.min(data.len())]);
        let Some(end) = data.get(size..size + 2) else { return cut(read) };
        if end != b"\r\n" {
            return Err(rest);
        }
        rest = &data[size + 2..];
    }
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            read.length = bytes.len() - rest.len();
            read.is_whole = true;
            return Ok(read);
        }
        let _ = writeln!(read.trailers, "+{}", line.escape_ascii());
    }
    cut(read)
}
