//! A new tag that is on trial: after a switch, under a guard; or in a rollout, step by step.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GuardRules, ParseError, Share, Tag, serde_as_text, worded};

/// How many steps a rollout has at most.
pub const MAX_ROLLOUT_STEPS: usize = 50;

/// A new tag that is on trial. All domains of an app have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number, the same in the events of it.
    pub id: u64,
    /// The tag to which a rollback goes.
    pub from: Tag,
    /// The one that is on trial.
    pub to: Tag,
    /// By what it is judged; nothing where it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<GuardRules>,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// What it has to stand.
    pub course: Course,
    /// What is known of the old tag from before; nothing while both serve side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// What a tag on trial has to stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// It is live alone, and watched until then, in milliseconds since the Unix epoch.
    Guard {
        /// The end.
        until_ms: u64,
    },
    /// Its share grows.
    Rollout(Rollout),
}

/// A rollout under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its steps.
    pub steps: RolloutSteps,
    /// The number of the one that runs, from 0.
    pub at: usize,
    /// When that began, in milliseconds since the Unix epoch; without the time that it was paused.
    pub since_ms: u64,
    /// Since when it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_ms: Option<u64>,
    /// How long a step may wait for enough requests after its own time.
    pub max_wait_ms: u64,
}

impl Rollout {
    /// The step that runs.
    pub fn step(&self) -> RolloutStep {
        let last = self.steps.0.len() - 1;
        self.steps.0[self.at.min(last)]
    }

    /// The step after that.
    pub fn next(&self) -> Option<RolloutStep> {
        self.steps.0.get(self.at + 1).copied()
    }

    /// The same, gone on to the next step at `now_ms`.
    #[must_use]
    pub fn stepped(&self, now_ms: u64) -> Self {
        Self { at: self.at + 1, since_ms: now_ms, ..self.clone() }
    }

    /// The same, paused since `now_ms`.
    #[must_use]
    pub fn paused(&self, now_ms: u64) -> Self {
        Self { paused_ms: self.paused_ms.or(Some(now_ms)), ..self.clone() }
    }

    /// The same, gone on at `now_ms`.
    #[must_use]
    pub fn resumed(&self, now_ms: u64) -> Self {
        let paused = self.paused_ms.map_or(0, |since| now_ms.saturating_sub(since));
        Self { paused_ms: None, since_ms: self.since_ms + paused, ..self.clone() }
    }

    /// For how long its step has run at `now_ms`.
    pub fn ran(&self, now_ms: u64) -> Duration {
        let until = self.paused_ms.unwrap_or(now_ms);
        Duration::from_millis(until.saturating_sub(self.since_ms))
    }
}

/// What is known of the old tag from before the new one served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Requests that had ended.
    pub requests: u64,
    /// How many of those its backends had failed.
    pub failures: u64,
    /// The time to the first byte that makes a request slow where it is exceeded, in microseconds; nothing where
    /// too little is known to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_micros: Option<u64>,
    /// How many of the requests were slow.
    #[serde(default)]
    pub slow: u64,
    /// The 95th percentile of times to the first byte, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_micros: Option<u64>,
    /// The network that nearly all of them came from, as a number; nothing where they came from several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sole_network: Option<u64>,
}

/// One step of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutStep {
    /// The share of the new tag.
    pub share: Share,
    /// How long it has that at least.
    pub time: Duration,
}

impl fmt::Display for RolloutStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.share,
            humantime::format_duration(self.time).to_string().replace(' ', "")
        )
    }
}

/// The steps of a rollout: the share grows from one to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutSteps(Box<[RolloutStep]>);

impl RolloutSteps {
    /// Each of them.
    pub fn get(&self) -> &[RolloutStep] {
        &self.0
    }
}

impl fmt::Display for RolloutSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.pad(&steps.join(","))
    }
}

impl FromStr for RolloutSteps {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const DAYS_30: Duration = Duration::from_hours(30 * 24);
        let wrong = |reason: String| ParseError::new("list of steps", text, reason);
        let form = || wrong("write shares and times, such as `1%:5m,10%:10m,50%:10m`".to_owned());
        let mut steps: Vec<RolloutStep> = Vec::new();
        for part in text.split(',') {
            let (share, time) = part.trim().split_once(':').ok_or_else(form)?;
            let share: Share =
                share.parse().map_err(|error: ParseError| wrong(error.to_string()))?;
            let time = humantime::parse_duration(time).map_err(|_| {
                wrong(format!("`{time}` is no time; write one such as `30s` or `5m`"))
            })?;
            if time.is_zero() || time > DAYS_30 {
                return Err(wrong("a step takes from a millisecond to 30 days".to_owned()));
            }
            let before = steps.last().map_or(Share::NONE, |step| step.share);
            if share <= before {
                return Err(wrong(format!(
                    "each share is larger than the one before: {share} is not above {before}"
                )));
            }
            steps.push(RolloutStep { share, time });
        }
        if steps.len() > MAX_ROLLOUT_STEPS {
            return Err(wrong(format!("a rollout has at most {MAX_ROLLOUT_STEPS} steps")));
        }
        Ok(Self(steps.into()))
    }
}

serde_as_text!(
    RolloutSteps,
    "Shares and times, such as `1%:5m,10%:10m,50%:10m`; each share is larger than the one before."
);

/// A tag of a domain that some browsers get by a link, whatever tag is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Its number, which its link names.
    pub id: u64,
    /// The tag.
    pub tag: Tag,
    /// When it ends, in milliseconds since the Unix epoch.
    pub until_ms: u64,
}

worded! {
    /// How a trial ended. The names are stable: metrics and notifications carry them.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum TrialEnd {
        /// Its guard has found the new tag no worse.
        Passed "passed",
        /// It stayed, and its traffic did not say whether it is worse.
        Inconclusive "inconclusive",
        /// A rollout has made the new tag live alone.
        Promoted "promoted",
        /// The old tag is live alone again, for the new one was worse, or nothing could be said of it.
        RolledBack "rolled_back",
        /// An operator has ended it, and the old tag is live alone.
        Aborted "aborted",
        /// The new tag was worse, and the old one could not take its place.
        Alarm "alarm",
        /// Somebody else has moved the domain, or changed it in the config file.
        Superseded "superseded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_as_they_are_written() {
        for (text, shown) in [
            ("1%:5m,10%:10m,50%:10m", "1%:5m,10%:10m,50%:10m"),
            ("0.5:90s, 100:1h", "0.5%:1m30s,100%:1h"),
            ("5%:1500ms", "5%:1s500ms"),
        ] {
            let steps: RolloutSteps = text.parse().unwrap();
            assert_eq!(steps.to_string(), shown);
            assert_eq!(shown.parse::<RolloutSteps>().unwrap(), steps);
        }
        for (text, part) in [
            ("", "write shares and times"),
            ("10%", "write shares and times"),
            ("10%:5m,", "write shares and times"),
            ("10%:5", "is no time"),
            ("10%:0s", "from a millisecond"),
            ("10%:31days", "from a millisecond"),
            ("0%:5m", "0% is not above 0%"),
            ("10%:5m,10%:5m", "10% is not above 10%"),
            ("101%:5m", "at most 100%"),
        ] {
            let error = text.parse::<RolloutSteps>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let many: Vec<_> = (1..=51).map(|percent| format!("{percent}:1s")).collect();
        assert!(many.join(",").parse::<RolloutSteps>().is_err());
    }

    #[test]
    fn the_time_of_a_step_stands_still_while_it_is_paused() {
        let steps = "10%:5s,50%:5s".parse().unwrap();
        let rollout = Rollout { steps, at: 0, since_ms: 1_000, paused_ms: None, max_wait_ms: 0 };
        assert_eq!(rollout.ran(3_000), Duration::from_secs(2));
        let paused = rollout.paused(3_000).paused(4_000);
        assert_eq!(paused.ran(9_000), Duration::from_secs(2));
        assert_eq!(paused.resumed(9_000).ran(10_000), Duration::from_secs(3));
        assert_eq!(rollout.stepped(6_000).step().share.to_string(), "50%");
        assert_eq!(rollout.stepped(6_000).next(), None);
    }
}
