//! The Huffman code of HPACK (RFC 7541 Appendix B), followed four bits at a time.
//!
//! The code is canonical: of the lengths of its symbols, in their order, follow their bits.

/// The bits of each byte's code, and of the end's.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5,
    5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6,
    6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
    22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23,
    24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27,
    26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21,
    22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27,
    27, 27, 27, 27, 26, 30,
];

/// What four bits more lead to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The node of the tree at which the next four begin.
    pub(crate) next: u8,
    /// How many of them a byte ends behind; 0 where none does. No code is so short that two could.
    pub(crate) ends: u8,
    /// That byte.
    pub(crate) byte: u8,
}

/// By the node at which four bits begin, and by those.
pub(crate) static STEPS: [[Step; 16]; 256] = steps();

/// A child that is no node: a symbol.
const SYMBOL: u16 = 256;

/// The children of each node, by the next bit. 257 symbols have 256 nodes above them.
#[expect(clippy::cast_possible_truncation, reason = "symbols are below 257")]
const fn tree() -> [[u16; 2]; 256] {
    let mut tree = [[0; 2]; 256];
    let (mut nodes, mut code, mut length) = (1, 0_u32, 1);
    while length <= 30 {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] == length {
                let (mut node, mut left) = (0_usize, length);
                while left > 1 {
                    left -= 1;
                    let bit = (code >> left & 1) as usize;
                    if tree[node][bit] == 0 {
                        tree[node][bit] = nodes;
                        nodes += 1;
                    }
                    node = tree[node][bit] as usize;
                }
                tree[node][(code & 1) as usize] = SYMBOL + symbol as u16;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    tree
}

#[expect(clippy::cast_possible_truncation, reason = "nodes and bytes are below 256")]
const fn steps() -> [[Step; 16]; 256] {
    let tree = tree();
    let mut steps = [[Step { next: 0, ends: 0, byte: 0 }; 16]; 256];
    let mut start = 0;
    while start < 256 {
        let mut bits = 0;
        while bits < 16 {
            let (mut node, mut taken) = (start, 0_u8);
            while taken < 4 {
                let child = tree[node][bits >> (3 - taken) & 1];
                taken += 1;
                node = if child < SYMBOL { child as usize } else { 0 };
                // The end is no byte, and may not stand in a string; h2 refuses it.
                if child >= SYMBOL && child < SYMBOL + 256 {
                    steps[start][bits].ends = taken;
                    steps[start][bits].byte = (child - SYMBOL) as u8;
                }
            }
            steps[start][bits].next = node as u8;
            bits += 1;
        }
        start += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Vec<u8> {
        let (mut node, mut text) = (0, Vec::new());
        for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            let step = STEPS[usize::from(node)][usize::from(nibble)];
            node = step.next;
            text.extend((step.ends > 0).then_some(step.byte));
        }
        text
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541 §C.4.1, §C.4.3, §C.6.1
        let cases: [(&[u8], &str); 4] = [
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (b"\x64\x02", "302"),
        ];
        for (bytes, text) in cases {
            assert_eq!(String::from_utf8_lossy(&decode(bytes)), text);
        }
        // 12 bits of `#`, four of padding; and of `>`, which differs in its last.
        assert_eq!((decode(b"\xff\xaf"), decode(b"\xff\xbf")), (b"#".to_vec(), b">".to_vec()));
    }
}
