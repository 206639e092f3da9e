//! Where the two carriers differ, and why that is right.

/// What a listed difference consists of.
pub(super) enum Extent {
    /// These lines, which only one of the two has.
    Lines(&'static [&'static str]),
    /// The same, where it depends on who is faster whether they differ.
    LinesOfRace(&'static [&'static str]),
    /// The order of lines, and the case of names.
    Order,
    /// Whatever comes of who is faster, where each outcome is right.
    Race,
}

/// A difference that is meant.
pub(super) struct Difference {
    /// The names of the requests; all, if there are none.
    pub(super) requests: &'static [&'static str],
    /// The names of the answers; all, if there are none.
    pub(super) answers: &'static [&'static str],
    pub(super) extent: Extent,
    pub(super) why: &'static str,
}

const EARLY: &[&str] =
    &["before the body", "before the body, and closed", "413 before the body", "Expect is refused"];

const WITH_BODIES: &[&str] = &[
    "a length",
    "PUT",
    "GET with a body",
    "HEAD with a body",
    "zeros before a length",
    "a large body",
    "a body that is too large",
    "a large chunk",
    "chunks that are too large",
    "chunks",
    "no chunk but the last",
    "chunk extensions",
    "trailers",
    "trailers that are none",
    "GET with chunks",
    "a coding in capitals",
    "Expect and the body at once",
    "Expect and the body later",
    "Expect and chunks later",
    "Expect of something else",
    "pipelined bodies",
    "ended behind its body",
    "ended behind its chunks",
    "HTTP/1.0 with a body",
    "POST of a WebSocket",
    "a size that is none",
    "a size padded with spaces",
    "a chunk without its end",
    "a trailer that is none",
    "cut in a chunk",
    "cut before the last chunk",
    "cut in its body",
];

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        requests: &[],
        answers: &["trailers", "trailers that are none"],
        extent: Extent::Lines(&["Trailer: X-Sum", "+x-sum: 1"]),
        why: "RFC 9110 §6.5: trailers may be passed on, and are announced; Pingora drops them.",
    },
    Difference {
        requests: &["trailers", "trailers that are none"],
        answers: &[],
        extent: Extent::Lines(&["+x-sum: 1", "+x-sum: 2"]),
        why: "RFC 9110 §6.5: trailers may be passed on; Pingora drops them.",
    },
    Difference {
        requests: &["Trailer"],
        answers: &[],
        extent: Extent::Lines(&["Trailer: X-Sum"]),
        why: "RFC 9110 §6.6.2: who passes trailers passes their announcement; Pingora does neither.",
    },
    Difference {
        requests: &[],
        answers: &["sizes in capitals"],
        extent: Extent::Lines(&["Transfer-Encoding: Chunked", "Transfer-Encoding: chunked"]),
        why: "RFC 9112 §6.1: the coding is that of each connection. The exchange writes its own field.",
    },
    Difference {
        requests: &[],
        answers: &["a Date of its own"],
        extent: Extent::Lines(&["Date: Thu, 01 Jan 1970 00:00:00 GMT", "date: *"]),
        why: "RFC 9110 §6.6.1: only an answer without a Date gets one. Pingora replaces it, so that \
              caches take an old answer for a new one.",
    },
    Difference {
        requests: &["HTTP/1.0", "HTTP/1.0 with keep-alive", "HTTP/1.0 with a body"],
        answers: &["a chunk without its end"],
        extent: Extent::Lines(&["[until close ]", "[until close hello]"]),
        why: "RFC 9112 §8: the answer is incomplete, and what of it was good may be passed on.",
    },
    Difference {
        requests: &[
            "Expect and the body at once",
            "Expect and the body later",
            "Expect and chunks later",
            "Expect without a body",
            "Expect of something else",
        ],
        answers: &[],
        extent: Extent::Lines(&["HTTP/1.1 100 Continue"]),
        why: "RFC 9110 §15.2: interim answers are passed on. Pingora drops one that was read together \
              with the head of a final answer that it refuses.",
    },
    Difference {
        requests: &["a WebSocket that speaks at once"],
        answers: &["101"],
        extent: Extent::LinesOfRace(&["no request: \\x81"]),
        why: "RFC 9110 §7.8: the new protocol begins behind the request. Where the backend ends its \
              side at once, Pingora drops what the client has said.",
    },
    Difference {
        requests: &[],
        answers: &["fields in their order"],
        extent: Extent::Order,
        why: "RFC 9110 §5.3: the exchange keeps all fields where they came; Pingora puts those of one \
              name together.",
    },
    Difference {
        requests: &[
            "fields in their order",
            "a WebSocket",
            "a WebSocket that speaks at once",
            "POST of a WebSocket",
        ],
        answers: &[],
        extent: Extent::Order,
        why: "RFC 9110 §5.1, §5.3: the exchange keeps fields where they came, and writes its own in \
              their usual case; Pingora puts those of one name together, and moves another one to \
              where it takes one out.",
    },
    Difference {
        requests: WITH_BODIES,
        answers: EARLY,
        extent: Extent::Race,
        why: "RFC 9112 §9.3: the connection goes on if the whole body was read when the answer began, \
              and RFC 9110 §15.5.14: who refuses what is too large first has said so.",
    },
];
