//! `vhost ctl token …`: the tokens of the management API.

use clap::Subcommand;

use super::confirm::{confirm, note};
use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::cli::time::timestamp;
use crate::model::{Access, TokenName};
use crate::rpc::methods::token::{self, AddParams, NameParams, RotateParams, Secret, TokenInfo};
use crate::rpc::methods::{Confirmed, NoParams};

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Print the server's own token, `admin`, which may do everything
    #[command(
        after_help = "Examples:\n  vhost ctl token show\n  curl -H \"Authorization: Bearer $(vhost ctl token show)\" \\\n    http://127.0.0.1:8080/api/v1/domains"
    )]
    Show,
    /// Give a token a new secret and print it; the old one is refused from the next request on
    #[command(after_help = "Examples:\n  vhost ctl token rotate\n  vhost ctl token rotate ci")]
    Rotate {
        /// The token [default: `admin`, which is made if it does not exist]
        name: Option<TokenName>,
    },
    /// Make a token and print its secret, which is never shown again
    ///
    /// The history shows this name for changes made with the token.
    #[command(
        after_help = "Examples:\n  vhost ctl token add ci\n  vhost ctl token add dashboard --read"
    )]
    Add {
        /// The new name
        name: TokenName,
        /// Allow the token to read everything, but to change nothing
        #[arg(long)]
        read: bool,
    },
    /// List the tokens, without their secrets
    #[command(after_help = "Example:\n  vhost ctl token list")]
    List,
    /// Remove a token; its secret is refused from the next request on
    #[command(after_help = "Example:\n  vhost ctl token remove ci")]
    Remove {
        /// The token
        name: TokenName,
    },
}

impl TokenVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::Show => {
                let shown = session.call::<token::Show>("show the token", &NoParams {}).await?;
                session.printer.text(&shown, &alone(&shown));
            }
            Self::Rotate { name } => {
                let params = RotateParams { name };
                let rotated = session.call::<token::Rotate>("rotate the token", &params).await?;
                print(session, &rotated);
            }
            Self::Add { name, read } => {
                let access = if read { Access::Read } else { Access::Full };
                let params = AddParams { name, access };
                let added = session.call::<token::Add>("add the token", &params).await?;
                print(session, &added);
                session.printer.note("keep its secret: it is never shown again");
            }
            Self::List => {
                let list = session.call::<token::List>("list the tokens", &NoParams {}).await?;
                let table = table(&list.tokens);
                session.printer.list(&list, table, "there are no tokens");
            }
            Self::Remove { name } => {
                let params = NameParams { name };
                let removed = session.call::<token::Remove>("remove the token", &params).await?;
                let name = &removed.now.name;
                confirm(session, &removed, name, None, &format!("{name}: removed"));
            }
        }
        Ok(ExitCode::Done)
    }
}

/// Prints a new secret, and for whom it is.
fn print(session: &mut Session<'_>, secret: &Confirmed<Secret>) {
    session.printer.text(secret, &alone(&secret.now));
    note(session, secret, &secret.now.name, None);
}

/// Only the secret, for `$(…)`.
fn alone(secret: &Secret) -> String {
    format!("{}\n", secret.secret)
}

fn table(tokens: &[TokenInfo]) -> Table {
    Table::of(tokens, |TokenInfo { name, access, created_ms }| {
        let (name, access) = (name.to_string().into(), access.to_string().into());
        [("NAME", name), ("ACCESS", access), ("CREATED", timestamp(*created_ms).into())]
    })
}
