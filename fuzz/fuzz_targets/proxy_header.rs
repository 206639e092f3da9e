//! The header of the PROXY protocol as proxies, and those who pretend to be one, may send it: nothing
//! panics, it has its bounds, more bytes change no verdict, and what is written is read.

#![no_main]

#[path = "../../src/model/mod.rs"]
#[allow(dead_code, missing_docs, unused_imports)]
mod model;

use libfuzzer_sys::fuzz_target;
use model::{ProxyHeader, SendProxyProtocol};

/// The longest header, of version 2.
const LONGEST: usize = 16 + 4096;

fuzz_target!(|bytes: &[u8]| {
    let whole = ProxyHeader::read(bytes);
    match whole {
        Ok(None) => assert!(bytes.len() < LONGEST, "it ends"),
        Ok(Some((header, length))) => {
            assert!(length <= bytes.len().min(LONGEST));
            // It ends just there, and not before.
            assert_eq!(ProxyHeader::read(&bytes[..length]), Ok(Some((header, length))));
            assert_eq!(ProxyHeader::read(&bytes[..length - 1]), Ok(None));
            for how in [SendProxyProtocol::V1, SendProxyProtocol::V2] {
                let written = header.write(how).expect("it is sent");
                let (read, length) = ProxyHeader::read(&written).expect("right").expect("whole");
                assert_eq!(length, written.len());
                // The same, in the smaller family.
                assert_eq!(read.write(how), Some(written));
            }
        }
        Err(_) => {}
    }
    // Whatever was said of a part holds for the whole.
    let part = &bytes[..bytes.len() / 2];
    match ProxyHeader::read(part) {
        Ok(None) => {}
        verdict => assert_eq!(verdict, whole),
    }
});
