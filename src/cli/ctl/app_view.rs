//! Apps as people read them.

use super::trial_view;
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::cli::time::{age, elapsed};
use crate::model::{Share, record};
use crate::rpc::methods::app::{AppInfo, VersionInfo};
use crate::rpc::methods::domain::PoolInfo;

/// The state of an app in one line.
pub(super) fn summary(info: &AppInfo) -> String {
    let AppInfo { app, revision, domains, .. } = info;
    let live = join(live(info).map(with_share));
    let live = if live.is_empty() { String::new() } else { format!("live {live}, ") };
    format!("{app}: {live}{}, revision {revision}", count(domains.len(), "domain"))
}

/// All apps, within the width of a terminal.
pub(super) fn table(apps: &[AppInfo], wide: bool, now_ms: u64) -> Table {
    let row = |info: &AppInfo| {
        let healthy = live(info).map(|of| of.backends.healthy).sum();
        let ready = live(info).map(|of| of.backends.ready).sum();
        let mut row = vec![
            ("APP", info.app.to_string().into()),
            ("LIVE", join(live(info).map(with_share)).into()),
            ("BACKENDS", pool(healthy, ready)),
            ("STAND-BY", join(standby(info).map(|of| with_end(of, now_ms))).into()),
        ];
        let mut domains: Vec<_> = info.domains.iter().map(ToString::to_string).collect();
        if wide {
            let deployed = live(info).filter_map(|of| of.deployed_at_ms).max();
            row.push(("DEPLOYED", deployed.map(|at| age(now_ms, at)).unwrap_or_default().into()));
        } else if domains.len() > 1 {
            domains = vec![format!("{} +{}", domains[0], domains.len() - 1)];
        }
        row.push(("DOMAINS", join(domains).into()));
        row
    };
    Table::of(apps, row).shortening(&[(4, 8), (3, 8), (1, 8), (0, 12)])
}

/// One app.
pub(super) fn facts(info: &AppInfo, now_ms: u64) -> Table {
    let mut table = Table::facts();
    table.fact("app", info.app.to_string());
    table.fact("domains", join(&info.domains));
    for of in &info.versions {
        let role = if of.live_domains == 0 && of.share > Share::NONE {
            "split".to_owned()
        } else if of.live_domains == 0 {
            "stand-by".to_owned()
        } else if of.live_domains == info.domains.len() {
            "live".to_owned()
        } else {
            format!("live on {}", of.live_domains)
        };
        let PoolInfo { healthy, ready, .. } = of.backends;
        let mut words = vec![with_end(of, now_ms), pool_text(healthy, ready), join(&of.ids)];
        words.extend(of.deployed_at_ms.map(|at| format!("deployed {}", age(now_ms, at))));
        if of.share > Share::NONE && of.share < Share::ALL {
            words.insert(1, of.share.to_string());
        }
        words.retain(|word| !word.is_empty());
        table.fact(&role, Cell::toned(words.join(", "), Tone::of_pool(healthy, ready)));
    }
    if let Some(trial) = &info.trial {
        table.fact(trial.kind.as_str(), trial_view::brief(trial));
    }
    if info.previews > 0 {
        table.fact("previews", info.previews.to_string());
    }
    for (key, value) in info.options.iter() {
        table.fact(&key.replace('_', " "), record::text(key, Some(value)));
    }
    table.fact("revision", info.revision.to_string());
    table
}

fn live(info: &AppInfo) -> impl Iterator<Item = &VersionInfo> {
    info.versions.iter().filter(|of| of.live_domains > 0 || of.share > Share::NONE)
}

fn standby(info: &AppInfo) -> impl Iterator<Item = &VersionInfo> {
    info.versions.iter().filter(|of| of.live_domains == 0 && of.share == Share::NONE)
}

/// A version by its tag, and what the operator calls it.
fn name(of: &VersionInfo) -> String {
    match &of.release {
        Some(label) => format!("{} ({label})", of.tag),
        None => of.tag.to_string(),
    }
}

/// The same, with its share where it has not all.
fn with_share(of: &VersionInfo) -> String {
    if of.share > Share::NONE && of.share < Share::ALL {
        return format!("{} {}", name(of), of.share);
    }
    name(of)
}

/// The same, with how long it is still kept.
fn with_end(of: &VersionInfo, now_ms: u64) -> String {
    match of.remove_at_ms.filter(|_| of.live_domains == 0) {
        Some(at) => {
            format!("{}, removed in {}", name(of), elapsed(at, now_ms))
        }
        None => name(of),
    }
}

fn pool(healthy: usize, ready: usize) -> Cell {
    Cell::toned(pool_text(healthy, ready), Tone::of_pool(healthy, ready))
}

fn pool_text(healthy: usize, ready: usize) -> String {
    if ready == 0 { "none ready".to_owned() } else { format!("{healthy}/{ready} healthy") }
}
