//! The hooks of the config, as control asks them.

use std::sync::Arc;

use super::call::call;
use super::payload::Payload;
use crate::config::Callee;
use crate::control::{AskHook, Hooks};

/// The hooks that these callees are.
pub(crate) fn hooks(callees: &[Callee]) -> Hooks {
    Hooks::new(callees.iter().cloned().map(|callee| (callee.name.clone(), asking(callee))))
}

/// Asks a callee. Whatever is no agreement refuses: also that it cannot be reached, or takes too long.
fn asking(callee: Callee) -> AskHook {
    let callee = Arc::new(callee);
    Arc::new(move |proposal| {
        let callee = Arc::clone(&callee);
        Box::pin(async move {
            let answer = call(&callee, &Payload::new("before", &proposal)).await;
            answer.map(drop).map_err(|refusal| refusal.in_full())
        })
    })
}
