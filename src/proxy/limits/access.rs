//! Who is served: `allow` and `deny` of a domain.

use std::net::IpAddr;

use crate::model::{Network, OptionSet};

/// Whether the domain does not serve this client.
pub(crate) fn is_denied(options: &OptionSet, client: IpAddr) -> bool {
    let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
    is_in(&options.deny) || (!options.allow.is_empty() && !is_in(&options.allow))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::HostOptions;

    #[test]
    fn what_is_denied_stays_so_and_without_a_list_all_are_allowed() {
        let denied = |values: serde_json::Value, client: &str| {
            let options = HostOptions::read(values.as_object().unwrap().clone()).unwrap();
            is_denied(options.get(), client.parse().unwrap())
        };
        let (inside, outside) = ("10.6.6.6", "192.0.2.1");
        assert!(!denied(json!({}), outside));
        assert!(denied(json!({ "deny": ["10.6.6.0/24"] }), inside));
        assert!(!denied(json!({ "deny": ["10.6.6.0/24"] }), outside));
        assert!(!denied(json!({ "allow": ["10.0.0.0/8"] }), inside));
        assert!(denied(json!({ "allow": ["10.0.0.0/8"] }), outside));
        assert!(denied(json!({ "allow": ["10.0.0.0/8"], "deny": ["10.6.6.6"] }), inside));
        assert!(denied(json!({ "allow": ["10.0.0.0/8"] }), "2001:db8::1"));
    }
}
