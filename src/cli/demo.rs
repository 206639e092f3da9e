//! `vhost demo`: the tour.

use std::error::Error;
use std::io;

use tokio::sync::watch;

use super::exit_code::ExitCode;
use super::problem::complaint;
use super::words::say;
use crate::demo::{self, DemoOutcome};

/// Show a switch under traffic; needs neither root nor a config file.
///
/// Starts a proxy and four small backends on free ports, with its state in a temporary directory.
/// Sends traffic, switches from version a to version b and back under it, and prints the results.
/// Then the proxy keeps running so that you can try it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  vhost demo\n  vhost demo --exit\n  vhost demo --rollout")]
pub(super) struct DemoArgs {
    /// Stop after the tour; the exit status is 0 only if no request failed
    #[arg(long)]
    pub exit: bool,
    /// Show rollouts instead: a bad version meets its first clients and is rolled back, a good one stays
    #[arg(long)]
    pub rollout: bool,
}

/// Shows the tour. Returns the exit status.
pub(super) fn run(args: &DemoArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error).into(),
    };
    let shown = runtime.block_on(async {
        let (end, ended) = watch::channel(false);
        tokio::spawn(async move {
            until_signal().await;
            end.send_replace(true);
        });
        let stays = !args.exit;
        if args.rollout {
            demo::run_rollouts(&mut io::stdout(), stays, ended).await
        } else {
            demo::run(&mut io::stdout(), stays, ended).await
        }
    });
    match shown {
        Ok(DemoOutcome::NoneFailed) => ExitCode::Done,
        Ok(DemoOutcome::SomeFailed) => ExitCode::Failed,
        Ok(DemoOutcome::Interrupted) => ExitCode::Interrupted,
        Err(error) => complain(&error),
    }
    .into()
}

/// Waits for Ctrl-C, or for the signal that `kill` sends.
async fn until_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    // If a signal can't be caught, its default action ends the demo.
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
}

fn complain(error: &dyn Error) -> ExitCode {
    say(complaint(error, None));
    ExitCode::Failed
}
