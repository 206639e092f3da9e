//! Compiled regular expressions, which are large: they are kept apart from the options of backends, of which
//! there may be many with the same.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use regex::bytes::Regex;

use crate::model::{ParseError, expected_regex};

/// As many are kept; a configuration has few.
const MAX_KEPT: usize = 64;

/// The patterns that probes have used.
#[derive(Default)]
pub(super) struct Patterns(Mutex<HashMap<Arc<str>, Arc<Regex>>>);

impl Patterns {
    /// The compiled pattern.
    ///
    /// # Errors
    /// When it is none, which was checked where it came in.
    pub(super) fn get(&self, pattern: &Arc<str>) -> Result<Arc<Regex>, ParseError> {
        if let Some(known) = self.0.lock().get(pattern) {
            return Ok(Arc::clone(known));
        }
        // Not under the lock: it takes a while.
        let compiled = Arc::new(expected_regex(pattern)?);
        let mut kept = self.0.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(Arc::clone(pattern), Arc::clone(&compiled));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compiled_once_and_few_are_kept() {
        let patterns = Patterns::default();
        let one = patterns.get(&"a+".into()).unwrap();
        assert!(Arc::ptr_eq(&one, &patterns.get(&"a+".into()).unwrap()));
        for number in 0..1000 {
            patterns.get(&format!("a{number}").into()).unwrap();
        }
        assert!(patterns.0.lock().len() <= MAX_KEPT);
        assert!(patterns.get(&"(".into()).is_err());
    }
}
