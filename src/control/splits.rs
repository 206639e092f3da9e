//! Shares of tags beside the live one, as an operator gives them.

use std::collections::BTreeSet;
use std::time::Instant;

use super::checks::{Checks, reporting};
use super::edit::Edit;
use super::trials::{TrialError, hosts_of};
use super::{Caller, ControlError, ControlPlane, SwitchTarget, find, gate, plan};
use crate::clock::whole_millis;
use crate::model::{
    BackendId, Change, DomainName, EventKind, MAX_SPLIT_TAGS, Outcome, PoolName, Share, Split,
    SplitMove, SplitReport, SwitchOptions, SwitchProgress, SwitchReport, SwitchStep, Tag, TagShare,
    VirtualHost,
};
use crate::state::Snapshot;

impl ControlPlane {
    /// Gives tags of domains their shares; the live tag has the rest. A tag that had none is proven healthy first,
    /// and one that has none any more is drained.
    ///
    /// # Errors
    /// When they can't have them, or the gate failed; then nothing has changed.
    pub(crate) async fn split(
        &self,
        caller: impl Into<Caller> + Send,
        names: Vec<DomainName>,
        shares: Vec<TagShare>,
        options: SwitchOptions,
        progress: impl Fn(SwitchProgress) + Send + Sync,
    ) -> Result<SplitReport, ControlError> {
        let caller = caller.into();
        let salt = fastrand::u64(..);
        let snapshot = self.snapshot();
        caller.has_seen(snapshot.revision())?;
        let plan = planned(&snapshot, &names, &shares, salt)?;
        let started = Instant::now();
        let pools: Vec<PoolName> = plan.joined(&snapshot)?.into_iter().collect();
        let checks = Checks {
            live: &snapshot,
            after: &snapshot,
            steps: &plan.joins,
            new: &[],
            pools: &pools,
            // A share is a part of the traffic, and may be taken back.
            looks_at_capacity: false,
            options: &options,
            deadline: self.gate_deadline(&options),
        };
        let proven = self.pass_checks(&checks, &reporting(&progress)).await?;
        let gate_ms = whole_millis(started.elapsed());
        let (reason, percent) = (options.reason.clone(), self.options().min_healthy_percent);
        let (applied, plan) = self
            .change_and(caller, move |snapshot| {
                let plan = planned(snapshot, &names, &shares, salt)?;
                for pool in plan.joined(snapshot)? {
                    check_proven(snapshot, &pool, proven.as_ref(), percent)?;
                }
                let edit = (!plan.moves.is_empty()).then(|| {
                    let event = EventKind::Split { moves: plan.moves.clone(), reason };
                    Edit::new(plan.changes.clone(), event)
                });
                Ok((edit, plan))
            })
            .await?;
        let mut report = SplitReport {
            moves: plan.moves,
            revision: self.snapshot().revision(),
            outcome: Outcome::Done,
            gate_ms,
            drain_ms: 0,
        };
        let Some(applied) = applied else { return Ok(report) };
        report.revision = applied.snapshot.revision();
        if plan.left.is_empty() {
            return Ok(report);
        }
        if options.no_drain {
            report.outcome = Outcome::NotDrained;
            return Ok(report);
        }
        let draining = Instant::now();
        let left = self.left_tags(&applied.snapshot, &plan.left);
        let remaining = || left.requests(&self.snapshot());
        let on_change = |remaining, web_sockets, ended_in_ms| {
            progress(SwitchProgress::Draining { remaining, web_sockets, ended_in_ms });
        };
        report.outcome = self.wait_until_drained(&left, remaining, &options, on_change).await;
        report.drain_ms = whole_millis(draining.elapsed());
        Ok(report)
    }

    /// Makes the tag that has a share live alone; `tag` says which where several have one.
    ///
    /// # Errors
    /// As [`Self::switch`], and when no tag has a share.
    pub(crate) async fn promote(
        &self,
        caller: impl Into<Caller> + Send,
        name: DomainName,
        tag: Option<Tag>,
        options: SwitchOptions,
        progress: impl Fn(SwitchProgress) + Send + Sync,
    ) -> Result<SwitchReport, ControlError> {
        let snapshot = self.snapshot();
        let mut found: BTreeSet<Tag> = BTreeSet::new();
        let hosts = hosts_of(&snapshot, &name)?;
        for host in &hosts {
            found.extend(host.beside.tags().into_iter().cloned());
        }
        let host = *hosts.first().ok_or(ControlError::NoDomain)?;
        let (domain, live) = (host.domain.clone(), host.live.clone());
        if let Some(tag) = &tag {
            found.retain(|of| of == tag);
        }
        let to = match (found.first(), found.len()) {
            (Some(only), 1) => only.clone(),
            (None, _) => return Err(TrialError::NotSplit { domain, live }.into()),
            _ => {
                let tags = found.into_iter().collect();
                return Err(TrialError::Several { domain, tags }.into());
            }
        };
        self.switch(caller, vec![name], SwitchTarget::Tag(to), options, progress).await
    }
}

/// What a change of shares comes to.
#[derive(Debug, Default)]
struct Plan {
    changes: Vec<Change>,
    moves: Vec<SplitMove>,
    /// The tags that get a share and had none.
    joins: Vec<SwitchStep>,
    /// The tags that had a share and have none.
    left: Vec<SwitchStep>,
}

fn planned(
    snapshot: &Snapshot,
    names: &[DomainName],
    shares: &[TagShare],
    salt: u64,
) -> Result<Plan, ControlError> {
    if names.is_empty() {
        return Err(ControlError::NoDomain);
    }
    if shares.is_empty() {
        return Err(TrialError::NoShare.into());
    }
    let mut tags = BTreeSet::new();
    if let Some(twice) = shares.iter().find(|share| !tags.insert(&share.tag)) {
        return Err(TrialError::TagTwice { tag: twice.tag.clone() }.into());
    }
    let (mut plan, mut seen) = (Plan::default(), BTreeSet::new());
    for name in names {
        for host in hosts_of(snapshot, name)? {
            if !seen.insert(&host.domain) {
                return Err(ControlError::NamedTwice { name: name.clone() });
            }
            plan.add(snapshot, host, shares, salt)?;
        }
    }
    Ok(plan)
}

impl Plan {
    /// The pools that get traffic and had none.
    fn joined(&self, snapshot: &Snapshot) -> Result<BTreeSet<PoolName>, ControlError> {
        plan::joined(snapshot, &self.joins)
    }

    fn add(
        &mut self,
        snapshot: &Snapshot,
        host: &VirtualHost,
        shares: &[TagShare],
        salt: u64,
    ) -> Result<(), ControlError> {
        let domain = || host.domain.clone();
        if let Some(trial) = &host.beside.trial {
            return Err(TrialError::UnderWay { domain: domain(), to: trial.to.clone() }.into());
        }
        let before = host.beside.split.clone().unwrap_or_else(|| Split::new(salt));
        let mut after = before.clone();
        // Those that shrink come first: what they give, others may take.
        let (shrink, grow): (Vec<_>, Vec<_>) =
            shares.iter().partition(|share| share.share <= before.share_of(&share.tag));
        for TagShare { tag, share } in shrink.into_iter().chain(grow) {
            if *tag == host.live {
                return Err(TrialError::Live { domain: domain(), tag: tag.clone() }.into());
            }
            let had = before.share_of(tag);
            if *share > had {
                find::carried(snapshot, &host.pool(tag))?;
            }
            after = after.with(tag, *share).ok_or_else(|| TrialError::NotLeft {
                domain: domain(),
                tag: tag.clone(),
                share: *share,
                live: host.live.clone(),
                rest: after.rest(),
            })?;
            if *share != had {
                let (tag, before, after) = (tag.clone(), had, *share);
                self.moves.push(SplitMove { domain: domain(), tag, before, after });
            }
            if had == Share::NONE && *share > had {
                let (from, to) = (host.live.clone(), tag.clone());
                self.joins.push(SwitchStep { domain: domain(), from, to });
            }
            if *share == Share::NONE && had > *share {
                let (from, to) = (tag.clone(), host.live.clone());
                self.left.push(SwitchStep { domain: domain(), from, to });
            }
        }
        if after.tags().len() > MAX_SPLIT_TAGS {
            return Err(TrialError::TooManyTags { domain: domain() }.into());
        }
        let mut next = host.clone();
        next.beside.split = (!after.is_empty()).then_some(after);
        if next != *host {
            self.changes.push(Change::PutDomain(next));
        }
        Ok(())
    }
}

/// Whether enough backends of a pool are still those that were proven. `None` means that none was.
pub(super) fn check_proven(
    snapshot: &Snapshot,
    pool: &PoolName,
    proven: Option<&BTreeSet<BackendId>>,
    percent: u8,
) -> Result<(), ControlError> {
    find::carried(snapshot, pool)?;
    let Some(proven) = proven else { return Ok(()) };
    let ready = gate::ready_pool(snapshot, pool)?;
    let healthy = ready.ready().filter(|node| proven.contains(&node.backend.id)).count();
    if healthy < gate::needed(ready.ready().count(), percent) {
        return Err(ControlError::Moved { what: pool.tag.to_string() });
    }
    Ok(())
}
