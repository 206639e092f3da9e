//! Requests that carry a number of their own, so that a backend can count how often each reached it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

/// The field with the number.
pub(crate) const ORDER: &str = "x-order";

/// How often each was seen.
#[derive(Default)]
pub(super) struct Orders(Mutex<HashMap<String, usize>>);

impl Orders {
    /// Counts a request, if it has a number.
    pub(super) fn note(&self, headers: &HeaderMap) {
        if let Some(order) = headers.get(ORDER) {
            let order = String::from_utf8_lossy(order.as_bytes()).into_owned();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(order).or_default() += 1;
        }
    }

    pub(super) fn seen(&self) -> HashMap<String, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
