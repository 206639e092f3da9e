//! Header blocks that can't be decoded.

use super::peer::*;
use super::*;

fn case(name: &'static str, bytes: &[u8]) -> Case {
    let block = [&request("GET", "/", &[])[..], bytes].concat();
    Case::new(name, vec![frame(HEADERS, WHOLE, 1, &block)], Step::Ends(&[COMPRESSION_ERROR]))
}

#[test]
fn blocks_that_cannot_be_decoded_end_the_connection() {
    let cases = [
        case("hpack/2.3.3: an index beyond the tables", &[0xc6]),
        case("hpack/2.3.3: the name of an index beyond the tables", &[0x7f, 0x07, 1, b'x']),
        case("hpack/4.2: an update of the table's size at the end", &[0x20]),
        case(
            "hpack/5.1: an integer that never ends",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
        case(
            "hpack/5.2: Huffman padding of more than 7 bits",
            &[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff],
        ),
        case(
            "hpack/5.2: Huffman padding of zeros",
            &[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x83, 0x49, 0x50, 0x90],
        ),
        case(
            "hpack/5.2: EOS in a Huffman code",
            &[
                0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x87, 0xff, 0xff, 0xff, 0xfa, 0xf2, 0xb2, 0x4a, 0x84,
                0xff,
            ],
        ),
        case("hpack/5.2: a string longer than its block", &[0x00, 1, b'x', 100, b'y']),
        case("hpack/6.1: the index 0", &[0x80]),
        Case::new(
            "hpack/6.3: a table larger than allowed",
            vec![frame(
                HEADERS,
                WHOLE,
                1,
                &[&[0x3f, 0xe2, 0x1f][..], &request("GET", "/", &[])].concat(),
            )],
            Step::Ends(&[COMPRESSION_ERROR]),
        ),
    ];
    run(&cases, false);
}
