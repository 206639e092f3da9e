//! Where the certificate of a name should come from. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::acme::Ca;
use crate::model::{DomainName, Pattern, TlsMode};

/// Where the certificate of a name should come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// An ACME CA.
    Acme,
    /// The server's own CA; `asked` is whether the operator said so.
    Internal { asked: bool },
    /// Files of the operator.
    Files { cert: PathBuf, key: PathBuf },
    /// An ACME CA, for each allowed name that a client requests.
    OnDemand,
    /// An ACME CA, but it can't sign the name now.
    Blocked { error: String, hint: Option<String> },
    /// Nowhere, with a hint how to change that.
    Nowhere { hint: &'static str },
}

impl Plan {
    /// When a missing certificate without running work will be made.
    pub(super) fn made_when(&self) -> Option<&'static str> {
        match self {
            Self::Internal { .. } => Some("it is made when a client first asks for the name"),
            Self::OnDemand => {
                Some("one is ordered for each requested name that `on_demand_ask` allows")
            }
            Self::Acme | Self::Files { .. } | Self::Blocked { .. } | Self::Nowhere { .. } => None,
        }
    }
}

/// Decides where the certificate of `name` should come from; `tls` is its domain's option.
pub(super) fn plan(name: &DomainName, tls: &TlsMode, cas: &[Ca], on_demand: bool) -> Plan {
    let is_default = name.pattern() == Pattern::Default;
    match tls {
        TlsMode::Off => Plan::Nowhere { hint: "HTTPS is off for this domain" },
        TlsMode::Files { cert, key } => Plan::Files { cert: cert.clone(), key: key.clone() },
        TlsMode::Internal | TlsMode::Auto if is_default && on_demand && *tls == TlsMode::Auto => {
            Plan::OnDemand
        }
        TlsMode::Internal | TlsMode::Auto if is_default => Plan::Nowhere {
            hint: "the domain `*` has no name of its own; set `on_demand_ask`, or give it \
                   `tls = { cert = …, key = … }`",
        },
        TlsMode::Internal => Plan::Internal { asked: true },
        TlsMode::Auto if is_of_this_machine(name) => Plan::Internal { asked: false },
        TlsMode::Auto => match cas.first() {
            None if name.never_public().is_some() => Plan::Internal { asked: false },
            None => Plan::Nowhere {
                hint: "add a section `[lets_encrypt]`, give the domain `tls = { cert = …, key = … }`, \
                       or use `vhost ctl cert import`",
            },
            Some(ca) if ca.is_public() && name.never_public().is_some() => {
                Plan::Internal { asked: false }
            }
            Some(ca) => match ca.can_sign(name) {
                Ok(()) => Plan::Acme,
                Err(error) => Plan::Blocked { error: error.to_string(), hint: error.hint() },
            },
        },
    }
}

/// The name without brackets and wildcard label.
fn base(name: &DomainName) -> String {
    let text = name.to_string();
    let text = text.strip_prefix("*.").unwrap_or(&text);
    text.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Whether the name always means the local machine.
fn is_of_this_machine(name: &DomainName) -> bool {
    let base = base(name);
    let loopback = base.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || base.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
    loopback || base == "localhost" || base.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ca_local_names_get_ours_and_public_ones_none() {
        let plan = |name: &str, tls: &TlsMode| plan(&name.parse().unwrap(), tls, &[], false);
        let auto = TlsMode::Auto;
        for name in ["localhost", "a.localhost", "*.localhost", "127.0.0.1", "[::1]", "a.test"] {
            assert_eq!(plan(name, &auto), Plan::Internal { asked: false }, "{name}");
        }
        assert!(matches!(plan("example.com", &auto), Plan::Nowhere { .. }));
        assert!(matches!(plan("*", &auto), Plan::Nowhere { .. }));
        assert!(matches!(plan("localhost", &TlsMode::Off), Plan::Nowhere { .. }));
        assert_eq!(plan("example.com", &TlsMode::Internal), Plan::Internal { asked: true });
    }
}
