//! `vhost ctl app …`: arguments and calls.

use clap::{Args, Subcommand};

use super::app_view::{facts, summary, table};
use super::confirm::confirm;
use super::connect::Session;
use super::domain::unfit;
use super::flags::{EDITS, Flags};
use super::options::OptionArgs;
use super::pages::print_all;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::model::{AppName, AppOptions, DomainName};
use crate::rpc::methods::app::{self, AddParams, AppInfo, AppParams, RemoveParams, SetParams};

#[derive(Debug, Subcommand)]
pub(super) enum AppVerb {
    /// List all apps with what is live
    #[command(after_help = "Example:\n  vhost ctl app list")]
    List,
    /// Show one app with its versions
    #[command(after_help = "Example:\n  vhost ctl app show shop")]
    Show {
        /// The app
        app: AppName,
    },
    Add(AddArgs),
    Set(SetArgs),
    /// Remove an app
    #[command(after_help = "Examples:
  vhost ctl app remove shop
  vhost ctl app remove shop --all")]
    Remove {
        /// The app
        app: AppName,
        /// Remove its domains and backends with it
        #[arg(long)]
        all: bool,
    },
}

/// Add an app, or let the first `vhost ctl deploy` make the app and its first version in one step
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl app add shop --option max_body_bytes=20MB
  vhost ctl app add shop --domain example.com")]
pub(super) struct AddArgs {
    /// The name: lower-case letters, digits, `-` and `_`
    app: AppName,
    /// A domain in no app that joins the new app, with its backends; may be repeated
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,
    #[command(flatten)]
    flags: Flags<AppOptions, true>,
    #[command(flatten)]
    options: OptionArgs<AppOptions, true>,
}

/// Change an app's options, which hold for its domains and backends unless they have their own
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl app set shop --option timeouts.response_secs=90")]
pub(super) struct SetArgs {
    /// The app
    app: AppName,
    #[command(flatten)]
    edits: Edits,
}

#[derive(Debug, Args)]
#[group(id = EDITS, required = true, multiple = true)]
struct Edits {
    #[command(flatten)]
    flags: Flags<AppOptions, false>,
    #[command(flatten)]
    options: OptionArgs<AppOptions, false>,
}

impl AppVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List => {
                let nothing =
                    "there are no apps; make one with `vhost ctl deploy APP ADDRESS --host DOMAIN`";
                let rows = |page: &[AppInfo], is_wide, now_ms| table(page, is_wide, now_ms);
                print_all::<app::List, _>(session, "list the apps", nothing, rows).await?;
            }
            Self::Show { app } => {
                let action = format!("show `{app}`");
                let info = session.call::<app::Show>(&action, &AppParams { app }).await?;
                let now_ms = session.printer.now_ms();
                session.printer.show(&info, facts(&info, now_ms));
            }
            Self::Add(AddArgs { app, domains, flags, options }) => {
                let action = format!("add `{app}`");
                let options = options.patch(flags.into_values()).map_err(unfit)?.into();
                let info =
                    session.call::<app::Add>(&action, &AddParams { app, domains, options }).await?;
                session.printer.changed(&info, &format!("added {}", summary(&info.now)));
            }
            Self::Set(SetArgs { app, edits: Edits { flags, options } }) => {
                let action = format!("change `{app}`");
                let options = options.patch(flags.into_values()).map_err(unfit)?.into();
                let info = session.call::<app::Set>(&action, &SetParams { app, options }).await?;
                let AppInfo { app, revision, .. } = &info.now;
                confirm(session, &info, app, Some(*revision), &summary(&info.now));
            }
            Self::Remove { app, all } => {
                let action = format!("remove `{app}`");
                let params = RemoveParams { app, all };
                let changed = session.call::<app::Remove>(&action, &params).await?;
                let (name, revision) = (&params.app, Some(changed.now.revision));
                confirm(session, &changed, name, revision, &format!("{name}: removed"));
            }
        }
        Ok(ExitCode::Done)
    }
}
