//! One call of a service or a program.

use super::payload::{Payload, Refusal};
use super::{post, program};
use crate::config::{CallBy, Callee, Secret};

/// Calls someone; what they answered, in words, where they agree.
pub(super) async fn call(callee: &Callee, payload: &Payload) -> Result<String, Refusal> {
    match &callee.by {
        CallBy::Url { url, secret, ca_file } => {
            let secret = secret.as_ref().map(Secret::reveal);
            post::post(url, secret, ca_file.as_deref(), callee.timeout, payload).await
        }
        CallBy::Exec(exec) => program::run(exec, callee.timeout, payload).await,
    }
}
