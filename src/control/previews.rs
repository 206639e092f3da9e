//! Previews: tags that some browsers get, whatever tag is live.

use std::collections::BTreeSet;
use std::time::Duration;

use super::edit::Edit;
use super::trials::TrialError;
use super::{Caller, ControlError, ControlPlane, find};
use crate::clock::{now_ms, whole_millis};
use crate::model::{Actor, Change, DomainName, EventKind, Preview, Tag};
use crate::state::Snapshot;

/// How many previews a domain has at most.
const MAX_PREVIEWS: usize = 20;

/// The largest number that every reader of JSON gets right.
const MAX_ID: u64 = 1 << 53;

impl ControlPlane {
    /// Makes a preview of a tag, which ends after `time`. Answers with the domain too, which may have been named by an
    /// alias.
    ///
    /// # Errors
    /// When there is no such domain or tag, or there are too many previews.
    pub(crate) async fn make_preview(
        &self,
        caller: impl Into<Caller> + Send,
        name: DomainName,
        tag: Tag,
        time: Duration,
    ) -> Result<(DomainName, Preview), ControlError> {
        let preview =
            Preview { id: fastrand::u64(1..MAX_ID), tag, until_ms: now_ms() + whole_millis(time) };
        let made = preview.clone();
        let (_, domain) = self
            .change_and(caller, move |snapshot| {
                let host = &find::domain(snapshot, &name)?.virtual_host;
                find::carried(snapshot, &host.pool(&preview.tag))?;
                let mut next = host.clone();
                let previews = &mut next.beside.previews;
                previews.retain(|one| one.until_ms > now_ms());
                if previews.len() >= MAX_PREVIEWS {
                    let (domain, most) = (host.domain.clone(), MAX_PREVIEWS);
                    return Err(TrialError::TooManyPreviews { domain, most }.into());
                }
                let event = EventKind::PreviewMade {
                    domain: host.domain.clone(),
                    tag: preview.tag.clone(),
                    until_ms: preview.until_ms,
                };
                previews.push(preview);
                let domain = host.domain.clone();
                Ok((Some(Edit::new(vec![Change::PutDomain(next)], event)), domain))
            })
            .await?;
        Ok((domain, made))
    }

    /// Ends a preview of a domain, or all.
    ///
    /// # Errors
    /// When there is no such domain or preview.
    pub(crate) async fn revoke_previews(
        &self,
        caller: impl Into<Caller> + Send,
        name: DomainName,
        id: Option<u64>,
    ) -> Result<Vec<Preview>, ControlError> {
        let revoked = move |snapshot: &Snapshot| {
            let host = &find::domain(snapshot, &name)?.virtual_host;
            let is_meant = |one: &Preview| id.is_none_or(|id| one.id == id);
            let mut next = host.clone();
            let ended: Vec<_> = next.beside.previews.extract_if(.., |one| is_meant(one)).collect();
            if let Some(id) = id.filter(|_| ended.is_empty()) {
                let (domain, id) = (host.domain.clone(), id.to_string());
                return Err(TrialError::NoPreview { domain, id }.into());
            }
            let edit = (!ended.is_empty()).then(|| {
                let event = ended_event(&host.domain, &ended);
                Edit::new(vec![Change::PutDomain(next)], event)
            });
            Ok((edit, ended))
        };
        Ok(self.change_and(caller, revoked).await?.1)
    }

    /// Ends the previews of which the time is over.
    ///
    /// # Errors
    /// When that can't be saved.
    pub(crate) async fn end_previews(&self) -> Result<(), ControlError> {
        let now_ms = now_ms();
        let is_over = |one: &Preview| one.until_ms <= now_ms;
        let over: Vec<DomainName> = self
            .snapshot()
            .domains()
            .filter(|node| node.virtual_host.beside.previews.iter().any(is_over))
            .map(|node| node.virtual_host.domain.clone())
            .collect();
        for domain in over {
            self.change(Actor::Server, move |snapshot| {
                let Some(node) = snapshot.domain(&domain) else { return Ok(None) };
                let mut next = node.virtual_host.clone();
                let previews = &mut next.beside.previews;
                let ended: Vec<_> = previews.extract_if(.., |one| one.until_ms <= now_ms).collect();
                Ok((!ended.is_empty()).then(|| {
                    let event = ended_event(&next.domain, &ended);
                    Edit::new(vec![Change::PutDomain(next)], event)
                }))
            })
            .await?;
        }
        Ok(())
    }
}

fn ended_event(domain: &DomainName, ended: &[Preview]) -> EventKind {
    let tags: BTreeSet<_> = ended.iter().map(|one| one.tag.clone()).collect();
    EventKind::PreviewsEnded { domain: domain.clone(), tags: tags.into_iter().collect() }
}
