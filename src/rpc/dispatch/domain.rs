//! The methods on virtual hosts.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, write};
use crate::control::{ControlError, DomainEdit, NewDomain};
use crate::model::record;
use crate::model::{DomainName, HostOptions, TopOptions, VirtualHost};
use crate::rpc::methods::{Changed, Method, domain};
use crate::rpc::views;
use crate::state::Snapshot;

impl Dispatch {
    pub(super) fn list_domains(&self, params: Value) -> Result<Value, Failure> {
        write::<domain::List>(&views::domains(&self.control.snapshot(), &read(params)?))
    }

    pub(super) fn show_domain(&self, params: Value) -> Result<Value, Failure> {
        let domain::DomainParams { domain } = read(params)?;
        self.domain_info::<domain::Show>(&self.control.snapshot(), &domain)
    }

    pub(super) async fn add_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let domain::AddParams { domain, tag: live, top, options, force } = read(params)?;
        let refuse = |error| ControlError::domain_option(&domain, error);
        let top = record::patched(&TopOptions::default(), top.values).map_err(refuse)?;
        let options = HostOptions::default().patched(options).map_err(refuse)?;
        let virtual_host =
            VirtualHost { domain: domain.clone(), live, previous: None, top, options };
        let new = NewDomain { virtual_host, force };
        let snapshot = self.control.add_domain(call.caller(), new).await?;
        self.domain_info::<domain::Add>(&snapshot, &domain)
    }

    pub(super) async fn set_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let domain::SetParams { domain, top, options } = read(params)?;
        let edit = DomainEdit { top: top.values, options };
        let snapshot = self.control.set_domain(call.caller(), domain.clone(), edit).await?;
        self.domain_info::<domain::Set>(&snapshot, &domain)
    }

    pub(super) async fn remove_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let domain::DomainParams { domain } = read(params)?;
        let snapshot = self.control.remove_domain(call.caller(), domain).await?;
        write::<domain::Remove>(&Changed { revision: snapshot.revision() })
    }

    pub(super) async fn wait_for_domain(
        &self,
        params: Value,
        call: &Call,
    ) -> Result<Value, Failure> {
        let domain::WaitParams { domain, until, timeout_ms } = read(params)?;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<domain::Wait>();
        let progress = move |remaining| report(domain::WaitProgress { remaining });
        match until {
            domain::WaitFor::Healthy => {
                self.control.wait_healthy(&domain, timeout, progress).await?;
            }
            domain::WaitFor::Drained => {
                self.control.wait_drained(&domain, timeout, progress).await?;
            }
        }
        self.domain_info::<domain::Wait>(&self.control.snapshot(), &domain)
    }

    fn domain_info<M: Method<Result = domain::DomainInfo>>(
        &self,
        snapshot: &Snapshot,
        name: &DomainName,
    ) -> Result<Value, Failure> {
        let node = self.control.find_domain(snapshot, name)?;
        write::<M>(&views::domain(snapshot, &node))
    }
}
