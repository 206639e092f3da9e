//! Commands on virtual hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::plane::Edit;
use super::{Caller, ControlError, ControlPlane, Reach, find};
use crate::model::{
    Balance, Change, DomainName, EventKind, LONGEST_HSTS_SECS, TlsMode, VirtualHost,
};
use crate::state::Snapshot;

/// A virtual host to be added.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// What it will be.
    pub virtual_host: VirtualHost,
    /// Add it although no backend carries its tag.
    pub force: bool,
}

/// What is to change about a virtual host; what is not given stays.
#[derive(Debug, Clone, Default)]
pub struct DomainEdit {
    /// The whole new list of aliases.
    pub aliases: Option<Vec<DomainName>>,
    /// Whether plain HTTP is redirected.
    pub http_to_https: Option<bool>,
    /// How a backend is chosen.
    pub balance: Option<Balance>,
    /// Where its certificate comes from.
    pub tls: Option<TlsMode>,
    /// For how long browsers are told to ask over HTTPS only, in seconds.
    pub hsts_max_age_secs: Option<u32>,
    /// What it does besides: a JSON merge patch (RFC 7396) of its options.
    pub options: Map<String, Value>,
}

impl ControlPlane {
    /// Adds a virtual host.
    ///
    /// # Errors
    /// When a name is taken, no backend carries the tag, a file that it names can't be had, or it can't be
    /// saved.
    pub async fn add_domain(
        &self,
        caller: impl Into<Caller> + Send,
        new: NewDomain,
    ) -> Result<Arc<Snapshot>, ControlError> {
        self.edit_reading(caller, move |snapshot, reach| add(snapshot, &new, reach).map(Some)).await
    }

    /// Changes a virtual host's options.
    ///
    /// # Errors
    /// When there is no such domain, an alias is taken, no backend carries the tag of a new path, a file
    /// that it names can't be had, or it can't be saved.
    pub async fn set_domain(
        &self,
        caller: impl Into<Caller> + Send,
        domain: DomainName,
        edit: DomainEdit,
    ) -> Result<Arc<Snapshot>, ControlError> {
        self.edit_reading(caller, move |snapshot, reach| {
            set(snapshot, &domain, edit.clone(), reach)
        })
        .await
    }

    /// Removes a virtual host with its aliases. Its requests in flight end as they would have.
    ///
    /// # Errors
    /// When there is no such domain, or it can't be saved.
    pub async fn remove_domain(
        &self,
        caller: impl Into<Caller> + Send,
        domain: DomainName,
    ) -> Result<Arc<Snapshot>, ControlError> {
        self.edit(caller, move |snapshot| {
            let domain = find::domain(snapshot, &domain)?.virtual_host.domain.clone();
            let event = EventKind::DomainRemoved { domain: domain.clone() };
            Ok(Some(Edit::new(vec![Change::DropDomain(domain)], event)))
        })
        .await
    }

    /// Applies an edit and answers with the state after it, or of now when there was nothing to do.
    pub(super) async fn edit(
        &self,
        caller: impl Into<Caller> + Send,
        plan: impl FnOnce(&Snapshot) -> Result<Option<Edit>, ControlError> + Send + 'static,
    ) -> Result<Arc<Snapshot>, ControlError> {
        let applied = self.change(caller, plan).await?;
        Ok(applied.map_or_else(|| self.snapshot(), |applied| applied.snapshot))
    }
}

fn add(snapshot: &Snapshot, new: &NewDomain, reach: &Reach) -> Result<Edit, ControlError> {
    let mut virtual_host = new.virtual_host.clone();
    // Otherwise its own name would count as its own, and it would replace what is there.
    if let Some(owner) = snapshot.domain(&virtual_host.domain) {
        let owner = owner.virtual_host.domain.clone();
        return Err(ControlError::DomainExists { name: virtual_host.domain, owner });
    }
    check_names(snapshot, &virtual_host)?;
    check_options(&virtual_host)?;
    reach.place_pages(None, &mut virtual_host)?;
    if !new.force {
        virtual_host.serving().try_for_each(|tag| find::carried(snapshot, tag))?;
    }
    let event = EventKind::DomainAdded {
        domain: virtual_host.domain.clone(),
        live: virtual_host.live.clone(),
    };
    Ok(Edit::new(vec![Change::PutDomain(virtual_host)], event))
}

fn set(
    snapshot: &Snapshot,
    domain: &DomainName,
    edit: DomainEdit,
    reach: &Reach,
) -> Result<Option<Edit>, ControlError> {
    let before = &find::domain(snapshot, domain)?.virtual_host;
    let mut after = before.clone();
    if let Some(aliases) = edit.aliases {
        after.aliases = aliases;
    }
    if let Some(http_to_https) = edit.http_to_https {
        after.http_to_https = http_to_https;
    }
    if let Some(balance) = edit.balance {
        after.balance = balance;
    }
    if let Some(tls) = edit.tls {
        after.tls = tls;
    }
    if let Some(secs) = edit.hsts_max_age_secs {
        after.hsts_max_age_secs = secs;
    }
    after.options = before.options.patched(edit.options).map_err(|error| {
        let domain = before.domain.clone();
        ControlError::OptionValue { domain, path: error.path, remedy: error.reason }
    })?;
    check_names(snapshot, &after)?;
    check_options(&after)?;
    reach.place_pages(Some(before), &mut after)?;
    for tag in after.serving().filter(|tag| before.serving().all(|served| served != *tag)) {
        find::carried(snapshot, tag)?;
    }
    let changed = differences(before, &after);
    if changed.is_empty() {
        return Ok(None);
    }
    let event = EventKind::DomainSet { domain: after.domain.clone(), changed };
    Ok(Some(Edit::new(vec![Change::PutDomain(after)], event)))
}

/// The options are such as a config file may have.
fn check_options(virtual_host: &VirtualHost) -> Result<(), ControlError> {
    let VirtualHost { domain, tls, hsts_max_age_secs, .. } = virtual_host;
    let refuse = |option, value: String, remedy: String| {
        Err(ControlError::Option { domain: domain.clone(), option, value, remedy })
    };
    if let Some(remedy) = tls.problem_of(domain) {
        return refuse("tls", format!("`{tls}`"), remedy.to_owned());
    }
    if *hsts_max_age_secs > LONGEST_HSTS_SECS {
        let remedy = format!("use 0 to {LONGEST_HSTS_SECS} seconds (four years)");
        return refuse("hsts_max_age_secs", format!("`{hsts_max_age_secs}`"), remedy);
    }
    Ok(())
}

/// How the history tells what changed about a virtual host.
pub(super) fn differences(before: &VirtualHost, after: &VirtualHost) -> Vec<String> {
    let mut changed = Vec::new();
    if before.live != after.live {
        changed.push(format!("live: {} → {}", before.live, after.live));
    }
    if before.aliases != after.aliases {
        changed.push(format!("aliases: {} → {}", names(&before.aliases), names(&after.aliases)));
    }
    if before.http_to_https != after.http_to_https {
        changed.push(format!("http_to_https: {} → {}", before.http_to_https, after.http_to_https));
    }
    if before.balance != after.balance {
        changed.push(format!("balance: {} → {}", before.balance, after.balance));
    }
    if before.tls != after.tls {
        changed.push(format!("tls: {} → {}", before.tls, after.tls));
    }
    let hsts = (before.hsts_max_age_secs, after.hsts_max_age_secs);
    if hsts.0 != hsts.1 {
        changed.push(format!("hsts_max_age_secs: {} → {}", hsts.0, hsts.1));
    }
    for (key, was, is) in before.options.differences(&after.options) {
        changed.push(format!("{key}: {was} → {is}"));
    }
    changed
}

fn names(names: &[DomainName]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Every name of a virtual host is its own, and stands once.
pub(super) fn check_names(
    snapshot: &Snapshot,
    virtual_host: &VirtualHost,
) -> Result<(), ControlError> {
    let is_new = snapshot
        .domain(&virtual_host.domain)
        .is_none_or(|owner| owner.virtual_host.domain != virtual_host.domain);
    let mut seen = BTreeSet::new();
    for name in virtual_host.names() {
        if !seen.insert(name) {
            return Err(ControlError::NamedTwice { name: name.clone() });
        }
        if let Some(owner) = snapshot.domain(name)
            && (is_new || owner.virtual_host.domain != virtual_host.domain)
        {
            let owner = owner.virtual_host.domain.clone();
            return Err(ControlError::DomainExists { name: name.clone(), owner });
        }
    }
    Ok(())
}
