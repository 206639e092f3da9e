//! What h2 makes of blocks once they were followed, compared with what the client has written.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

/// A field, and what the table has of it.
#[derive(Debug, Clone, PartialEq)]
struct Pair {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The client's end of the table (RFC 7541).
#[derive(Default)]
struct Encoder {
    table: Vec<Pair>,
}

impl Encoder {
    fn shrink_to(&mut self, size: usize) {
        let size_of = |pair: &Pair| pair.name.len() + pair.value.len() + 32;
        while self.table.iter().map(size_of).sum::<usize>() > size {
            self.table.pop();
        }
    }

    fn resize(&mut self, max: u8, block: &mut Vec<u8>) {
        block.push(0x20 | max);
        self.shrink_to(max.into());
        // And back.
        block.extend_from_slice(b"\x3f\xe1\x1f");
    }

    fn add(&mut self, pair: &Pair, how: How, block: &mut Vec<u8>) {
        // Behind the 61 of the static table.
        let index = |place: Option<usize>| place.map(|place| place + 62);
        let whole = index(self.table.iter().position(|entry| entry == pair));
        if let (How::Indexed, Some(whole)) = (how, whole) {
            return push_number(block, 0x80, 0x7f, whole);
        }
        let name = index(self.table.iter().position(|entry| entry.name == pair.name));
        let name = if matches!(how, How::Spelt) { None } else { name };
        let is_kept = !matches!(how, How::Passing);
        let (kind, prefix) = if is_kept { (0x40, 0x3f) } else { (0, 0x0f) };
        push_number(block, kind, prefix, name.unwrap_or(0));
        if name.is_none() {
            push_text(block, &pair.name);
        }
        push_text(block, &pair.value);
        if is_kept {
            self.table.insert(0, pair.clone());
            self.shrink_to(4096);
        }
    }
}

fn push_number(block: &mut Vec<u8>, kind: u8, prefix: u8, value: usize) {
    if value < prefix.into() {
        return block.push(kind | u8::try_from(value).unwrap());
    }
    block.push(kind | prefix);
    let mut left = value - usize::from(prefix);
    while left >= 0x80 {
        block.push(0x80 | u8::try_from(left & 0x7f).unwrap());
        left >>= 7;
    }
    block.push(u8::try_from(left).unwrap());
}

fn push_text(block: &mut Vec<u8>, text: &[u8]) {
    push_number(block, 0, 0x7f, text.len());
    block.extend_from_slice(text);
}

/// How a field is written, where the table has it.
#[derive(Debug, Clone, Copy)]
enum How {
    /// As an index, else kept.
    Indexed,
    /// With the index of its name, and kept.
    Named,
    /// With its whole name, and kept.
    Spelt,
    /// With the index of its name, and not kept.
    Passing,
}

/// A field of a request and whether it may be there.
fn field() -> impl Strategy<Value = (Pair, bool)> {
    let name = prop_oneof![
        3 => Just((&b"x-forwarded-for"[..], true)),
        3 => Just((&b"x-a"[..], true)),
        1 => Just((&b"te"[..], true)),
        1 => Just((&b"X-Bad"[..], false)),
        1 => Just((&b"x bad"[..], false)),
        1 => Just((&b"keep-alive"[..], false)),
        1 => Just((&[b'l'; 700][..], true)),
    ];
    let value = prop_oneof![
        3 => Just((&b"203.0.113.9"[..], true)),
        2 => Just((&b"trailers"[..], true)),
        1 => Just((&b""[..], true)),
        2 => Just((&b"a\x01, 203.0.113.9"[..], false)),
        1 => Just((&b"\n"[..], false)),
        1 => Just((&[b'v'; 1500][..], true)),
        1 => Just((&[0; 1500][..], false)),
        1 => Just((&[b'v'; 4200][..], true)),
        1 => Just((&[0; 4200][..], false)),
    ];
    (name, value).prop_map(|((name, name_is_good), (value, value_is_good))| {
        let is_te = name == b"te" && value != b"trailers";
        let pair = Pair { name: name.to_vec(), value: value.to_vec() };
        (pair, name_is_good && value_is_good && !is_te)
    })
}

fn pseudo(
    name: &'static [u8],
    values: [(&'static [u8], bool); 3],
) -> impl Strategy<Value = (Pair, bool)> {
    let value = proptest::sample::select(values.to_vec());
    value.prop_map(move |(value, is_good)| {
        (Pair { name: name.to_vec(), value: value.to_vec() }, is_good)
    })
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Indexed), Just(How::Named), Just(How::Spelt), Just(How::Passing)]
}

type Block = (Option<u8>, Vec<((Pair, bool), How)>);

fn a_block() -> impl Strategy<Value = Block> {
    let method = pseudo(b":method", [(b"GET", true), (b"POST", true), (b"G T", false)]);
    let scheme = pseudo(b":scheme", [(b"http", true), (b"https", true), (b"ht tp", false)]);
    let authority = pseudo(b":authority", [(b"a.test", true), (b"b", true), (b"\xff", false)]);
    let path = pseudo(b":path", [(b"/", true), (b"/a?b", true), (b"/#f", false)]);
    let heads = ((method, how()), (scheme, how()), (authority, how()), (path, how()));
    let heads = heads.prop_map(|(a, b, c, d)| vec![a, b, c, d]);
    let fields = proptest::collection::vec((field(), how()), 0..6);
    // Most have none of the faults, or hardly a request would pass.
    let resize = proptest::option::weighted(0.05, 0_u8..31);
    (heads, fields, any::<bool>(), resize).prop_map(|(heads, fields, is_good, resize)| {
        let mut all = [heads, fields].concat();
        if is_good {
            for ((pair, fits), _) in &mut all[..4] {
                let good: &[u8] = match &pair.name[..] {
                    b":method" => b"GET",
                    b":scheme" => b"http",
                    b":authority" => b"a.test",
                    _ => b"/",
                };
                if !*fits {
                    (pair.value, *fits) = (good.to_vec(), true);
                }
            }
            all.retain(|((_, fits), _)| *fits);
        }
        (resize, all)
    })
}

/// The fields of the requests that h2 makes of these bytes, and why it has ended the connection.
fn requests_of(bytes: &[u8]) -> (Vec<Vec<Pair>>, Option<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 22);
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        client.write_all(&frame(0x4, 0, 0, &[])).await.unwrap();
        client.write_all(bytes).await.unwrap();
        let end = b"\x82\x86\x01\x01a\x04\x04/end";
        client.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 999, end)).await.unwrap();
        let mut builder = h2::server::Builder::new();
        builder.max_header_list_size(1 << 20).max_local_error_reset_streams(None);
        let mut connection = builder.handshake::<_, bytes::Bytes>(server).await.unwrap();
        let (mut requests, mut error) = (Vec::new(), None);
        while let Some(accepted) = connection.accept().await {
            let request = match accepted {
                Ok((request, _)) => request,
                Err(failed) => {
                    error = Some(failed.to_string());
                    break;
                }
            };
            let uri = request.uri();
            if uri.path() == "/end" {
                break;
            }
            let of = |name: &[u8], value: &str| Pair { name: name.into(), value: value.into() };
            let mut fields = vec![
                of(b":method", request.method().as_str()),
                of(b":scheme", uri.scheme_str().unwrap()),
                of(b":authority", uri.authority().unwrap().as_str()),
                of(b":path", uri.path_and_query().unwrap().as_str()),
            ];
            for (name, value) in request.headers() {
                let name = name.as_str().into();
                fields.push(Pair { name, value: value.as_bytes().to_vec() });
            }
            requests.push(fields);
        }
        (requests, error)
    })
}

/// The map of h2 has the values of a name side by side.
fn grouped(fields: &[Pair]) -> Vec<Pair> {
    let mut names: Vec<_> = fields.iter().map(|field| &field.name[..]).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &[u8]| fields.iter().filter(|field| field.name == name).cloned().collect();
    names.into_iter().flat_map(|name| -> Vec<Pair> { of(name) }).collect()
}

proptest! {
    /// Malformed blocks are refused and no others, and what comes later is what the client has written,
    /// whatever of theirs it names.
    #[test]
    fn h2_reads_of_good_blocks_what_was_written(
        blocks in proptest::collection::vec(a_block(), 1..20),
        piece in 1_usize..3000,
    ) {
        let (mut encoder, mut frames, mut good) = (Encoder::default(), Vec::new(), Vec::new());
        for (stream, (resize, fields)) in (0..).map(|number| 2 * number + 1).zip(&blocks) {
            let mut block = Vec::new();
            if let Some(max) = resize {
                encoder.resize(*max, &mut block);
            }
            for ((pair, _), how) in fields {
                encoder.add(pair, *how, &mut block);
            }
            push_block(&mut frames, stream, true, &block);
            if fields.iter().all(|((_, is_good), _)| *is_good) {
                let fields: Vec<_> = fields.iter().map(|((pair, _), _)| pair.clone()).collect();
                good.push(grouped(&fields));
            }
        }
        let outcome = follow_among_many(&[frames], piece);
        prop_assert!(outcome.goes_on);
        prop_assert_eq!(outcome.refused.len(), blocks.len() - good.len());
        let (requests, error) = requests_of(&outcome.read);
        prop_assert_eq!(error, None);
        let requests: Vec<_> = requests.iter().map(|fields| grouped(fields)).collect();
        prop_assert_eq!(requests, good);
    }
}

/// h2 finds the block malformed by its second method.
#[test]
fn no_field_ends_where_a_frame_of_an_effect_does() {
    for beyond in 0..3 {
        let mut block = b"\x82\x42\x01A\x42\x01A".to_vec();
        let mut kept = 6;
        let mut add = |block: &mut Vec<u8>, length: usize| {
            let before = block.len();
            block.extend_from_slice(b"\x40\x01a");
            push_text(block, &vec![b'v'; length]);
            kept += block.len() - before;
            kept
        };
        while add(&mut block, 1000) < 15_000 {}
        let left = MAX_FRAME - add(&mut block, 0);
        assert_eq!(add(&mut block, left - 6 + beyond) - beyond, MAX_FRAME);
        add(&mut block, 100);
        let mut frames = Vec::new();
        push_block(&mut frames, 1, true, &block);
        push_block(&mut frames, 3, true, b"\x82\x86\x84\x01\x01a");
        let outcome = follow_among_many(&[frames], 5000);
        assert_eq!(outcome.refused, [TWICE]);
        let (requests, error) = requests_of(&outcome.read);
        assert_eq!((requests.len(), error), (1, None), "{beyond}");
    }
}
