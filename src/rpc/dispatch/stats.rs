//! The methods on how traffic is.

use serde_json::Value;

use super::{Dispatch, Failure, read, write};
use crate::control::ControlError;
use crate::rpc::methods::stats::{Get, GetParams};
use crate::rpc::stats_view::{stats_query, stats_report};

impl Dispatch {
    pub(super) async fn get_stats(&self, params: Value) -> Result<Value, Failure> {
        let params: GetParams = read(params)?;
        let snapshot = self.control.snapshot();
        if let Some(domain) = &params.domain {
            self.control.find_domain(&snapshot, domain)?;
        }
        if let Some(id) = &params.backend {
            self.control.find_backend(&snapshot, id)?;
        }
        let report = self.facts.stats.report(stats_query(params)).await;
        write::<Get>(&stats_report(&report.ok_or(ControlError::Stopping)?))
    }
}
