use super::*;

/// What is seen in a block.
fn seen(fields: &mut Fields, block: &[u8]) -> Seen {
    let mut seen = Seen::default();
    fields.begin();
    fields.follow(block, &mut seen).unwrap();
    assert!(fields.is_between_fields());
    seen
}

fn sizes(fields: &Fields) -> Vec<usize> {
    fields.table.entries.iter().map(|entry| entry.size).collect()
}

/// RFC 7541 §C.3 and §C.4: the same requests, without and with the Huffman code.
#[test]
fn the_table_is_as_large_as_in_the_examples_of_the_rfc() {
    let plain: [&[u8]; 3] = [
        b"\x82\x86\x84\x41\x0fwww.example.com",
        b"\x82\x86\x84\xbe\x58\x08no-cache",
        b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
    ];
    let coded: [&[u8]; 3] = [
        b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
        b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
        b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\
          \xb4\xbf",
    ];
    for blocks in [plain, coded] {
        let mut fields = Fields::default();
        for (block, expected) in blocks.iter().zip([&[57][..], &[53, 57], &[54, 53, 57]]) {
            let seen = seen(&mut fields, block);
            assert!(seen.pseudo() && seen.authority && !seen.foreign_scheme);
            assert_eq!(seen.fault, None);
            assert_eq!(sizes(&fields), expected);
        }
        assert_eq!(fields.table.size, 164);
    }
}

/// RFC 7541 §C.5: a table of 256 bytes, from which entries are evicted.
#[test]
fn entries_leave_the_table_as_others_come() {
    let mut fields = Fields::default();
    seen(&mut fields, b"\x3f\xe1\x01");
    assert_eq!(fields.table.max, 256);
    seen(
        &mut fields,
        b"\x48\x03302\x58\x07private\x61\x1dMon, 21 Oct 2013 20:13:21 GMT\
          \x6e\x17https://www.example.com",
    );
    assert_eq!(sizes(&fields), [63, 65, 52, 42]);
    seen(&mut fields, b"\x48\x03307\xc1\xc0\xbf");
    assert_eq!(sizes(&fields), [42, 63, 65, 52]);
    // One that does not fit empties it.
    let large = [&b"\x40\x01a\x7f\x81\x01"[..], &[b'x'; 256]].concat();
    seen(&mut fields, &large);
    assert_eq!((sizes(&fields), fields.table.size), (vec![], 0));
    seen(&mut fields, b"\x40\x01a\x01b");
    seen(&mut fields, b"\x20");
    assert_eq!((sizes(&fields), fields.table.max), (vec![], 0));
}

#[test]
fn a_fragment_is_seen() {
    for (block, fault) in [
        (&b"\x04\x04/a#f"[..], true),
        (b"\x44\x05/?#f#", true),
        (b"\x10\x05:path\x01#", true),
        // The code of `/` is 011000, of `#` 111111111010.
        (b"\x04\x83\x63\xfe\xbf", true),
        (b"\x04\x82\xff\xaf", true),
        (b"\x04\x04/%23", false),
        (b"\x0f\x11\x02#a", false),
        (b"\x01\x01#", false),
    ] {
        let seen = seen(&mut Fields::default(), block);
        assert_eq!(seen.fault.is_some(), fault, "{}", block.escape_ascii());
    }
}

#[test]
fn a_name_is_known_however_it_is_written() {
    for (block, pseudo) in [
        (&b"\x82"[..], true),
        (b"\x04\x01/", true),
        // `:path` in the Huffman code.
        (b"\x00\x84\xb9\x58\xd3\x3f\x01/", true),
        (b"\x90", false),
        (b"\x00\x01a\x00", false),
        (b"\x00\x00\x00", false),
        (b"\x20", false),
    ] {
        let seen = seen(&mut Fields::default(), block);
        assert_eq!(seen.pseudo(), pseudo, "{}", block.escape_ascii());
    }
}

#[test]
fn what_is_no_block_is_told() {
    for block in [
        &b"\x80"[..],
        b"\xbe",
        b"\x82\x20",
        b"\x7e\x00",
        b"\x3f\xe2\x1f",
        b"\xff\xff\xff\xff\xff\xff\x0f",
    ] {
        let followed = Fields::default().follow(block, &mut Seen::default());
        assert_eq!(followed, Err(BrokenBlock), "{}", block.escape_ascii());
    }
}

proptest::proptest! {
    /// Whatever comes, in whatever pieces: nothing panics, and the table keeps its bound.
    #[test]
    fn the_table_has_a_bound(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000),
        piece in 1_usize..40,
    ) {
        let (mut fields, mut seen) = (Fields::default(), Seen::default());
        for end in (0..bytes.len()).step_by(piece).skip(1) {
            if fields.follow(&bytes[end - piece..end], &mut seen).is_err() {
                fields.state = State::Field;
            }
            let size: usize = sizes(&fields).iter().sum();
            proptest::prop_assert!(size == fields.table.size && size <= MAX_TABLE);
        }
    }
}
