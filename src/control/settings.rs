//! What changed about settings, and which of it wants a restart. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Setting, remedy};
use crate::model::{EntryAction, EntryChange, EntryKind, NeedsRestart};

/// What a newly read config changes about the settings that are in effect.
#[derive(Debug, Default)]
pub(super) struct SettingsChange {
    /// What takes effect.
    pub(super) changed: Vec<EntryChange>,
    /// What doesn't.
    pub(super) needs_restart: Vec<NeedsRestart>,
    /// The settings in effect afterwards.
    pub(super) after: Vec<Setting>,
}

/// Compares the settings that are in effect with those that were read.
pub(super) fn compare(running: &[Setting], read: &[Setting]) -> SettingsChange {
    let now: BTreeMap<&str, &Setting> = running.iter().map(|s| (s.key.as_str(), s)).collect();
    let new: BTreeMap<&str, &Setting> = read.iter().map(|s| (s.key.as_str(), s)).collect();
    // In the order of the file; what has gone from it, such as a whole section, at the end.
    let gone = running.iter().filter(|setting| !new.contains_key(setting.key.as_str()));
    let mut change = SettingsChange::default();
    for key in read.iter().chain(gone).map(|setting| setting.key.as_str()) {
        let remedy = remedy(key);
        let stays = if remedy.is_some() { now.get(key) } else { new.get(key) };
        change.after.extend(stays.map(|setting| Setting::clone(setting)));
        let (before, after) = (text(now.get(key)), text(new.get(key)));
        // A change in which files are read is reported as what changes in them.
        if before == after || is_same(now.get(key), new.get(key)) || key == "include" {
            continue;
        }
        let key = key.to_owned();
        if let Some(hint) = remedy.map(str::to_owned) {
            change.needs_restart.push(NeedsRestart { key, running: before, file: after, hint });
        } else {
            let word = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
            let changes = vec![format!("{} → {}", word(before), word(after))];
            let (kind, action) = (EntryKind::Setting, EntryAction::Changed);
            change.changed.push(EntryChange { kind, name: key, action, changes });
        }
    }
    change
}

/// Whether both say the same: where a key takes one value or a list, a list of one is that one.
fn is_same(before: Option<&&Setting>, after: Option<&&Setting>) -> bool {
    let only = |setting: Option<&&Setting>| match setting?.value.as_ref()? {
        Value::Array(list) if list.len() == 1 => list.first().cloned(),
        value => Some(value.clone()),
    };
    only(before) == only(after)
}

/// A value as it is shown: a text without its quotes.
fn text(setting: Option<&&Setting>) -> Option<String> {
    setting?.value.as_ref().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Origin;

    fn setting(key: &str, value: Value) -> Setting {
        Setting { key: key.into(), value: Some(value), from: Origin::Default }
    }

    #[test]
    fn what_is_fixed_stays_until_the_restart_and_is_told_each_time() {
        let running =
            [setting("proxy.threads", json!(2)), setting("switch.gate_timeout_secs", json!(30))];
        let read =
            [setting("proxy.threads", json!(4)), setting("switch.gate_timeout_secs", json!(5))];
        let change = compare(&running, &read);
        assert_eq!(change.changed[0].to_string(), "setting `switch.gate_timeout_secs`: 30 → 5");
        let told = &change.needs_restart[0];
        assert_eq!((told.running.as_deref(), told.file.as_deref()), (Some("2"), Some("4")));
        let again = compare(&change.after, &read);
        assert!(again.changed.is_empty(), "{again:?}");
        assert_eq!(again.needs_restart, change.needs_restart);
    }

    #[test]
    fn a_list_of_one_address_is_that_address() {
        let one = [setting("proxy.listen_addr", json!("0.0.0.0:443"))];
        let list = [setting("proxy.listen_addr", json!(["0.0.0.0:443"]))];
        let two = [setting("proxy.listen_addr", json!(["0.0.0.0:443", "[::]:443"]))];
        assert!(compare(&one, &list).needs_restart.is_empty());
        let told = compare(&one, &two).needs_restart.remove(0);
        assert_eq!(told.file.as_deref(), Some("[\"0.0.0.0:443\",\"[::]:443\"]"));
    }

    #[test]
    fn a_section_that_comes_or_goes_is_a_change() {
        let none: [Setting; 0] = [];
        let some = [setting("lets_encrypt.email", json!("a@b.c"))];
        let change = compare(&none, &some);
        assert_eq!(change.needs_restart[0].running, None);
        assert!(change.after.is_empty());
        assert_eq!(compare(&some, &none).needs_restart[0].file, None);
        assert_eq!(compare(&some, &none).after.len(), 1);
    }
}
