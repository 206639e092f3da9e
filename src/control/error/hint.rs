//! What to do about an error.

use super::ControlError;
use crate::model::Tag;
use crate::store::{MAX_PLAN_AGE, MAX_PLANS};

impl ControlError {
    /// What to do next, where there is something.
    #[expect(clippy::too_many_lines, reason = "one table, an entry for each error")]
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Trial(error) => error.hint(),
            Self::Check(error) => error.hint(),
            Self::UnknownDomain { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownDomain { .. } => "`vhost ctl domain list` shows all".into(),
            Self::UnknownBackend { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownBackend { .. } => "`vhost ctl backend list` shows all".into(),
            Self::UnknownTag { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownTag { known, pool, .. } if known.is_empty() => match &pool.app {
                Some(app) => format!(
                    "add one first: `vhost ctl backend add ID ADDRESS --app {app} --tag {}`",
                    pool.tag
                ),
                None => "add one first: `vhost ctl backend add ID ADDRESS --tag TAG`".into(),
            },
            Self::UnknownTag { known, .. } => format!("backends carry {}", list(known)),
            Self::UnknownApp { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownApp { app, .. } => format!(
                "`vhost ctl app list` shows all; `vhost ctl app add {app}` makes one of this name"
            ),
            Self::NoAddress => "name where the new version listens, such as `localhost:3001`".into(),
            Self::AddressTwice { .. } | Self::AppTwice { .. } | Self::NamedTwice { .. } => {
                "name it once".into()
            }
            Self::TooMany { .. } => "name fewer".into(),
            Self::LongId { .. } => {
                "it is made of the names of the app and the tag: shorten one of them (`--tag TAG`)".into()
            }
            Self::NoHost { app } => {
                format!("name its domain: `vhost ctl deploy {app} ADDRESS --host shop.example.com`")
            }
            Self::OtherApp { domain, app, .. } => {
                format!(
                    "take it into a new app with its backends: `vhost ctl app add {app} --domain {domain}`"
                )
            }
            Self::ServesOther { domain, .. } => format!(
                "take that domain into the app as well (`--domain {domain}`), or give each its own tag first"
            ),
            Self::AppIsSplit { app, .. } => format!(
                "name the tag of the new version with `--tag`, or bring its domains together first \
                 (`vhost ctl app show {app}`)"
            ),
            Self::Ambiguous { .. } => "name the domains one by one with `--also`".into(),
            Self::ForeignTag { domain, .. } => format!(
                "if the same application serves both, pass `--force`; to keep applications apart, give \
                 each an app: `vhost ctl app add NAME --domain {domain}`"
            ),
            Self::TagServes { .. } => "name another tag with `--tag`".into(),
            Self::DeployRunning { app, phase: "draining" } => format!(
                "`vhost ctl undo {app}` goes back at once; or wait for it to end with `--wait`"
            ),
            Self::DeployRunning { .. } => "wait for it to end with `--wait`".into(),
            Self::AppExists { app } => {
                format!("change it with `vhost ctl app set {app}`, or remove it first")
            }
            Self::AppInUse { app, kind, by } => format!(
                "remove it first (`vhost ctl {kind} remove {by}`), or all of the app's domains and \
                 backends with it: `vhost ctl app remove {app} --all`"
            ),
            Self::DomainExists { owner, .. } => {
                format!("change it with `vhost ctl domain set {owner}`, or remove it first")
            }
            Self::BackendExists { backend } => {
                format!("change it with `vhost ctl backend set {backend}`, or remove it first")
            }
            Self::NoDomain => "name at least one".into(),
            Self::OptionValue { remedy, .. }
            | Self::AppOption { remedy, .. }
            | Self::BackendOption { remedy, .. }
            | Self::BackendFile { remedy, .. } => remedy.clone(),
            Self::NotTagged { backend, .. } => {
                format!("`vhost ctl backend show {backend}` shows its tags")
            }
            Self::LastBackend { .. } => {
                "make another backend healthy first (`vhost ctl backend ready ID --wait`), or pass \
                 `--force`"
                    .into()
            }
            Self::SwitchRunning { domain, phase: "draining", .. } => {
                format!("`vhost ctl undo {domain}` goes back at once; or wait for it to end")
            }
            Self::SwitchRunning { .. } => "wait for it to end, then try again".into(),
            Self::Moved { .. } | Self::OtherRevision { .. } => {
                "look at the state and try again".into()
            }
            Self::PlanOutdated { .. } => {
                "nothing was changed; plan again, with the same command and `--plan`".into()
            }
            Self::PlanOfOther { verb } => format!("use `vhost ctl {verb} --apply TOKEN`"),
            Self::UnknownPlan { .. } | Self::NewerPlan => format!(
                "plan again, with the same command and `--plan`; a plan is kept for {} h, and the last \
                 {MAX_PLANS} are",
                MAX_PLAN_AGE.as_secs() / 3600
            ),
            Self::NoOtherTag { known, live, previous, .. } => {
                let others: Vec<_> = known.iter().filter(|tag| *tag != live).cloned().collect();
                if others.is_empty() && previous.is_some() {
                    "its backends were removed: deploy that version again, or add them again".into()
                } else if others.is_empty() {
                    "add backends with another tag first".into()
                } else {
                    format!("name the tag; backends carry {}", list(&others))
                }
            }
            Self::NothingToUndo { .. } => "name a tag: `vhost ctl switch DOMAIN TAG`".into(),
            Self::NoneReady { backends, .. } => {
                let id = backends.first().map_or("ID", |(id, _)| id.as_str());
                format!("make one ready: `vhost ctl backend ready {id}`")
            }
            Self::GateFailed { .. } => {
                "nothing was changed; look at the backends above, then try again".into()
            }
            Self::HookRefused { hook, .. } => format!(
                "nothing was changed; `--force` does not skip a hook: without `--before {hook}` it is not asked"
            ),
            Self::UnknownHook { known, .. } if known.is_empty() => {
                "add it as `[[hooks]]` to the config file, then run `vhost ctl reload`".into()
            }
            Self::UnknownHook { known, .. } => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                format!("the config file has {}", known.join(", "))
            }
            Self::NoHooks { .. } => "switches, deploys and rollouts do; leave `before` out here".into(),
            Self::TooManyHooks { .. } => "let one of them ask the others".into(),
            Self::NotHealthy { .. } => "look at the backends above".into(),
            Self::NotDrained { .. } => {
                "they may still finish: run it again to keep waiting; stopping their backend cuts them off".into()
            }
            Self::NotRemoved { backend, .. } => format!(
                "they may still finish: run it again to keep waiting, remove it now with `--force`, or \
                 keep it with `vhost ctl backend ready {backend}`"
            ),
            Self::MadeReady { .. } => "run it again if it should still be removed".into(),
            Self::FileConflict { kind, name, .. } => format!(
                "change the file's entry to the live one (`vhost ctl config export` shows it), remove it \
                 from the file, or remove the live one first: `vhost ctl {kind} remove {name}`"
            ),
            Self::FileNameTaken { owner, .. } => format!(
                "remove the name from the file, or from `{owner}` first: `vhost ctl domain show {owner}`"
            ),
            Self::FileUnserved { domain, tag, .. } => format!(
                "keep a backend with the tag `{tag}` in the file, or move `{domain}` to another tag \
                 first (`vhost ctl switch {domain} TAG`), or pass `--force`"
            ),
            Self::Config(error) => error.hint().map_or_else(
                || "nothing was changed; `vhost check` reports the same before a reload".to_owned(),
                str::to_owned,
            ),
            Self::NeverStill => "try again".into(),
            Self::Store(error) => error.hint(),
            Self::NoFile { .. } => {
                "`vhost ctl` changes domains and backends; to change settings, start it with others"
                    .into()
            }
            Self::TakenOver => "run the same command again: the new process carries it out".into(),
            Self::Stopping => return None,
        })
    }
}

/// The tags, as many as fit a line.
fn list(tags: &[Tag]) -> String {
    const MOST: usize = 8;
    let shown = tags.iter().take(MOST).map(|tag| format!("`{tag}`"));
    let more = tags.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("and {more} more"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}
