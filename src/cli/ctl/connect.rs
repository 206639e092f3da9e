//! Finds the socket of a command, and makes its call.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::config::default_admin_socket;
use crate::rpc::client::Client;
use crate::rpc::methods::Method;

/// A command's connection to the server, and its printer.
pub(super) struct Session<'w> {
    socket: PathBuf,
    /// Where the command prints.
    pub(super) printer: Printer<'w>,
}

impl<'w> Session<'w> {
    /// A session with the server at `socket`, or at the default place.
    pub(super) fn new(socket: Option<PathBuf>, printer: Printer<'w>) -> Self {
        Self { socket: socket.unwrap_or_else(default_socket), printer }
    }

    /// The server's admin socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Calls a method. `action` describes it in errors.
    pub(super) async fn call<M: Method>(
        &mut self,
        action: &str,
        params: &M::Params,
    ) -> Result<M::Result, Problem> {
        self.watch::<M>(action, params, |_, _| {}).await
    }

    /// Calls a long method that changes nothing: Ctrl-C ends it.
    pub(super) async fn watch<M: Method>(
        &mut self,
        action: &str,
        params: &M::Params,
        mut on_progress: impl FnMut(&mut Printer<'w>, M::Progress),
    ) -> Result<M::Result, Problem> {
        let Self { socket, printer } = self;
        let called = async {
            let mut client = Client::connect(socket).await?;
            client.call::<M>(params, |progress| on_progress(printer, progress)).await
        };
        let called = called.await;
        self.printer.end_progress();
        called.map_err(|error| Problem::calling(action, error))
    }

    /// Calls a method by name, without types.
    pub(super) async fn call_by_name(
        &mut self,
        method: &str,
        params: &Value,
    ) -> Result<Value, Problem> {
        let Self { socket, printer } = self;
        let called = async {
            let mut client = Client::connect(socket).await?;
            client.call_by_name(method, params, |progress| printer.progress(&progress)).await
        };
        called.await.map_err(|error| Problem::calling(&format!("call `{method}`"), error))
    }

    /// Calls a long method, and shows its progress, until Ctrl-C: `interrupted` says what that means for an action.
    pub(super) async fn attend<M: Method>(
        &mut self,
        action: &str,
        params: &M::Params,
        interrupted: fn(&str) -> Problem,
        mut on_progress: impl FnMut(&mut Printer<'w>, M::Progress),
    ) -> Result<M::Result, Problem> {
        let show = |printer: &mut Printer<'w>, progress: M::Progress| {
            printer.progress_for_scripts(&progress);
            on_progress(printer, progress);
        };
        tokio::select! {
            biased;
            result = self.watch::<M>(action, params, show) => return result,
            Ok(()) = tokio::signal::ctrl_c() => {}
        }
        self.printer.end_progress();
        Err(interrupted(action))
    }
}

/// The socket that `VHOST_SOCKET` names, unless it is empty. Clap doesn't read it: it would take the
/// variable for an argument that was typed, show it in usage lines, and refuse it beside arguments that
/// stand alone.
pub(in crate::cli) fn socket_of_environment() -> Option<PathBuf> {
    std::env::var_os("VHOST_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Where the system's own server listens.
const SYSTEM_SOCKET: &str = "/run/vhost/admin.sock";

/// The socket of this user's server; if there is none, the system's, which members of
/// `proxy.admin_group` may use.
pub(in crate::cli) fn default_socket() -> PathBuf {
    nearest(default_admin_socket(), Path::new(SYSTEM_SOCKET))
}

fn nearest(own: PathBuf, system: &Path) -> PathBuf {
    if !own.exists() && system.exists() { system.to_owned() } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_server_goes_before_the_systems() {
        let directory = tempfile::tempdir().unwrap();
        let (own, system) = (directory.path().join("own"), directory.path().join("system"));
        assert_eq!(nearest(own.clone(), &system), own, "neither runs: the own one is named");
        std::fs::write(&system, "").unwrap();
        assert_eq!(nearest(own.clone(), &system), system);
        std::fs::write(&own, "").unwrap();
        assert_eq!(nearest(own.clone(), &system), own);
    }
}
