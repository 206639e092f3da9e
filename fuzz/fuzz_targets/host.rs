//! Hosts as requests and operators write them: whatever the text is, nothing panics, what was
//! normalised stays as it is, and what http takes for an authority is routed by its host.

#![no_main]

#[path = "../../src/model/mod.rs"]
#[allow(dead_code, missing_docs, unused_imports)]
mod model;

use libfuzzer_sys::fuzz_target;
use model::{DomainName, normalise_host};

fuzz_target!(|text: &str| {
    let mut buffer = [0; 256];
    let mut again = [0; 256];
    if let Ok(host) = normalise_host(text, &mut buffer) {
        assert!(!host.is_empty() && host.is_ascii());
        assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert_eq!(normalise_host(host, &mut again), Ok(host), "{text:?}");
        // Addresses have one normal form for many ways of writing them.
        if !host.starts_with('[')
            && let Ok(authority) = text.parse::<http::uri::Authority>()
        {
            let own = authority.host();
            let own = own.strip_suffix('.').unwrap_or(own);
            assert_eq!(own.to_ascii_lowercase(), host, "{text:?}");
        }
    }
    if let Ok(name) = text.parse::<DomainName>() {
        assert_eq!(name.to_string().parse::<DomainName>().as_ref(), Ok(&name), "{text:?}");
        let written = name.to_string();
        if !written.contains('*') {
            assert_eq!(normalise_host(&written, &mut buffer), Ok(written.as_str()), "{text:?}");
        }
    }
});
