//! The trace that a request belongs to (W3C Trace Context). vhost has no spans of its own, so it passes
//! `traceparent` and `tracestate` on as they are, and only logs the trace in its access log.

use crate::heads::names::TRACEPARENT;
use crate::heads::{Fields, text_of};

/// The id of the trace, where the request names one as the standard has it: `traceparent` once, of
/// version 00 or of a later one that begins like it.
pub(crate) fn trace_id(headers: &Fields) -> Option<&str> {
    let mut values = headers.all(TRACEPARENT);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = text_of(value)?;
    let (version, rest) = (value.get(..2)?, value.get(2..)?);
    let trace = rest.get(1..33)?;
    let parent = rest.get(34..50)?;
    let flags = rest.get(51..53)?;
    let bytes = rest.as_bytes();
    let dashes = [bytes[0], bytes[33], bytes[50]] == *b"---";
    let more = &rest[53..];
    let ends = more.is_empty() || (version != "00" && more.starts_with('-'));
    let are_hex = [version, trace, parent, flags].iter().all(|part| is_hex(part));
    let is_some = |id: &str| id.bytes().any(|byte| byte != b'0');
    let valid = dashes && ends && are_hex && version != "ff" && is_some(trace) && is_some(parent);
    valid.then_some(trace)
}

/// Upper case is not allowed.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn of(values: &[&str]) -> Option<String> {
        let mut headers = Fields::default();
        for value in values {
            headers.append(TRACEPARENT, value);
        }
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn a_trace_is_what_the_standard_says() {
        let valid = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(of(&[&valid]).as_deref(), Some(TRACE));
        assert_eq!(of(&[&format!("01-{TRACE}-b7ad6b7169203331-01-more")]).as_deref(), Some(TRACE));
        assert_eq!(of(&[&format!("cc-{TRACE}-b7ad6b7169203331-01")]).as_deref(), Some(TRACE));
        for invalid in [
            "",
            "00",
            &valid[..54],
            &format!("{valid}-more"),
            &format!("{valid}0"),
            &format!("01-{TRACE}-b7ad6b7169203331-01.more"),
            &format!("ff-{TRACE}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-B7ad6b7169203331-01"),
            &format!("00-{TRACE}-b7ad6b7169203331-0g"),
            &format!("00-{TRACE}_b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{TRACE}-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(of(&[invalid]), None, "{invalid}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[&valid, &valid]), None, "twice is nobody's");
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(value in "[ -~]{0,80}", part in "0{1,3}-[0-9a-f]{30,34}-.{14,24}") {
            for value in [&value, &part] {
                let mut headers = Fields::default();
                headers.append(TRACEPARENT, value);
                if let Some(trace) = trace_id(&headers) {
                    prop_assert!(trace.len() == 32 && is_hex(trace));
                }
            }
        }
    }
}
