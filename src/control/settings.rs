//! What changed about settings, and which of it wants a restart. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::Setting;
use crate::model::{EntryAction, EntryChange, EntryKind, NeedsRestart};

/// The keys that can't change while the server runs, and what to do about each.
const FIXED: [(&str, &str); 37] = [
    ("proxy.listen_addr", RESTART),
    ("proxy.listen_addr_http", RESTART),
    ("proxy.management_api_addr", RESTART),
    ("proxy.management_api_hosts", RESTART),
    ("proxy.admin_socket", "restart the server; `vhost ctl` then wants the new path"),
    ("proxy.admin_group", RESTART),
    ("proxy.state_dir", "stop the server, move the directory there, and start it again"),
    ("proxy.threads", RESTART),
    ("proxy.default_cert", RESTART),
    ("proxy.default_key", RESTART),
    ("logging.output", RESTART),
    ("logging.format", RESTART),
    ("logging.file_path", RESTART),
    ("logging.rotation", RESTART),
    ("logging.max_size_mb", RESTART),
    ("logging.keep_files", RESTART),
    ("metrics.enabled", RESTART),
    ("metrics.listen_addr", RESTART),
    ("metrics.per_domain_limit", RESTART),
    ("metrics.status_page", RESTART),
    ("metrics.hosts", RESTART),
    ("lets_encrypt.email", RESTART),
    ("lets_encrypt.staging", RESTART),
    ("lets_encrypt.cache_dir", RESTART),
    ("lets_encrypt.directory_url", RESTART),
    ("lets_encrypt.ca_root", RESTART),
    ("lets_encrypt.profile", RESTART),
    ("lets_encrypt.key_type", RESTART),
    ("lets_encrypt.eab_kid", RESTART),
    ("lets_encrypt.eab_hmac_key_file", RESTART),
    ("lets_encrypt.challenges", RESTART),
    ("lets_encrypt.dns_hook", RESTART),
    ("lets_encrypt.on_demand_ask", RESTART),
    ("lets_encrypt.on_demand_per_client", RESTART),
    ("lets_encrypt.on_demand_per_minute", RESTART),
    ("lets_encrypt.on_demand_most", RESTART),
    ("lets_encrypt.fallback", RESTART),
];

const RESTART: &str = "restart the server";

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
        let fixed = FIXED.iter().find(|(fixed, _)| *fixed == key);
        let stays = if fixed.is_some() { now.get(key) } else { new.get(key) };
        change.after.extend(stays.map(|setting| Setting::clone(setting)));
        let (before, after) = (text(now.get(key)), text(new.get(key)));
        // Which files are read is told by what changes in them.
        if before == after || key == "include" {
            continue;
        }
        let key = key.to_owned();
        if let Some((_, hint)) = fixed {
            let hint = (*hint).to_owned();
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

/// A value as it is told: a text without its quotes.
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
        let running = [setting("proxy.threads", json!(2)), setting("switch.gate", json!(30))];
        let read = [setting("proxy.threads", json!(4)), setting("switch.gate", json!(5))];
        let change = compare(&running, &read);
        assert_eq!(change.changed[0].to_string(), "setting `switch.gate`: 30 → 5");
        let told = &change.needs_restart[0];
        assert_eq!((told.running.as_deref(), told.file.as_deref()), (Some("2"), Some("4")));
        let again = compare(&change.after, &read);
        assert!(again.changed.is_empty(), "{again:?}");
        assert_eq!(again.needs_restart, change.needs_restart);
    }

    #[test]
    fn every_fixed_key_is_a_key_of_the_file() {
        let schema = crate::config::schema();
        for (key, _) in FIXED {
            let (section, key) = key.split_once('.').expect("a section and a key");
            let property = &schema["properties"][section]["properties"][key];
            assert!(property.is_object(), "{section}.{key}");
        }
        // All that is said of CAs holds from the start on.
        for key in schema["properties"]["lets_encrypt"]["properties"].as_object().unwrap().keys() {
            let key = format!("lets_encrypt.{key}");
            assert!(FIXED.iter().any(|(fixed, _)| *fixed == key), "{key}");
        }
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
