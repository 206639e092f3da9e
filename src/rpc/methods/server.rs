//! Methods on the server's process.

use std::path::PathBuf;

use nix::unistd::Uid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hand_over::UpgradeError;
use crate::model::{Actor, UpgradeProgress, UpgradeReport};
use crate::rpc::dispatch::{Call, Dispatch, to_its_end};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Has a new process take over: with the program that is on the disk now, and the config as it is now. It gets
    /// the listening sockets and the state, and proves that it can serve. Only then does the old process accept no
    /// more; it serves what it has to the end. If the new process fails, nothing has changed.
    Upgrade, "server.upgrade", UpgradeParams => UpgradeReport, progress UpgradeProgress,
        faults [Conflict, Denied, Timeout];
}

/// What `server.upgrade` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpgradeParams {
    /// The program to run, by its absolute path. The default is the path by which this one was started. Only root and
    /// the server's own user may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// Go on although the new program changes the state so that this one can't read it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub migrate: bool,
}

impl Run for Upgrade {
    async fn run(server: &Dispatch, params: UpgradeParams, call: &Call) -> Answered<Self> {
        let UpgradeParams { program, migrate } = params;
        if let Some(program) = &program {
            // Whoever names a program has it run with the rights of the server.
            let own = Uid::effective().as_raw();
            let may = matches!(call.actor, Actor::Socket { uid, .. } if uid == 0 || uid == own);
            if !may {
                return Err(UpgradeError::NotAllowed.into());
            }
            if !program.is_absolute() {
                return Err(UpgradeError::Relative { program: program.clone() }.into());
            }
        }
        let upgrade = server.facts.upgrade.clone();
        to_its_end(upgrade.run(program, migrate, call.reporter::<Self>())).await
    }
}
