//! What the server gives the control plane to reach the processes before and after this one.

use crate::model::{Change, Outcome};
use crate::state::Snapshot;

/// Has the processes follow that this one has replaced: changes, and the state that they lead to. Blocks until they do.
/// Given by the server.
pub(crate) type Follow = Box<dyn Fn(&Snapshot, &[Change]) + Send>;

/// Takes the outcome of a drain, with the number of its event.
pub(crate) type TellOutcome = Box<dyn Fn(u64, Outcome) + Send + Sync>;
