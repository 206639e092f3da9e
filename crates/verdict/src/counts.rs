//! What was counted of one version, and of the old and the new one side by side.

/// The requests of one version and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    /// Failures that the backend caused.
    pub failures: u64,
    /// Requests whose first byte came later than the threshold of [`super::slow_threshold`].
    pub slow: u64,
}

/// Something of the old version and the same of the new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair<T> {
    pub old: T,
    pub new: T,
}

impl<T> Pair<T> {
    /// The same made of each.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Pair<U> {
        Pair { old: make(self.old), new: make(self.new) }
    }
}

/// How many of a number of requests: fractions occur, because one request may count for less than
/// another.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    pub hits: f64,
    pub of: f64,
}

impl Share {
    /// As counted. No more than all are hits, even where the two were read at different moments.
    pub fn of_counts(hits: u64, of: u64) -> Self {
        Self { hits: real(hits.min(of)), of: real(of) }
    }

    /// 0 where there are no requests.
    pub fn estimate(self) -> f64 {
        if self.of > 0.0 { self.hits / self.of } else { 0.0 }
    }

    /// As if there were `times` as many.
    pub(super) fn scaled(self, times: f64) -> Self {
        Self { hits: self.hits * times, of: self.of * times }
    }

    pub(super) fn misses(self) -> f64 {
        (self.of - self.hits).max(0.0)
    }

    /// The variance of the estimate, if each request fails or not regardless of the others.
    pub(super) fn variance(self) -> f64 {
        let estimate = self.estimate();
        if self.of > 0.0 { estimate * (1.0 - estimate) / self.of } else { 0.0 }
    }
}

/// All values from `low` to `high`, with both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

#[expect(clippy::cast_precision_loss, reason = "one in 2^53 changes no verdict")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}
