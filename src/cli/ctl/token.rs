//! `vhost ctl token …`: the tokens of the management API.

use clap::Subcommand;

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::cli::time::timestamp;
use crate::model::{Access, TokenName};
use crate::rpc::methods::NoParams;
use crate::rpc::methods::token::{self, AddParams, NameParams, RotateParams, Secret, TokenInfo};

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
                print(session, &shown);
            }
            Self::Rotate { name } => {
                let params = RotateParams { name };
                let rotated = session.call::<token::Rotate>("rotate the token", &params).await?;
                print(session, &rotated);
                let name = &rotated.name;
                session.printer.note(&format!("{name} has a new secret; the old one is refused"));
            }
            Self::Add { name, read } => {
                let access = if read { Access::Read } else { Access::Full };
                let params = AddParams { name, access };
                let added = session.call::<token::Add>("add the token", &params).await?;
                print(session, &added);
                let Secret { name, access, .. } = &added;
                let kept = "keep its secret: it is never shown again";
                session.printer.note(&format!("{name} added, access {access}; {kept}"));
            }
            Self::List => {
                let list = session.call::<token::List>("list the tokens", &NoParams {}).await?;
                let table = table(&list.tokens);
                session.printer.list(&list, table, "there are no tokens");
            }
            Self::Remove { name } => {
                let params = NameParams { name };
                let removed = session.call::<token::Remove>("remove the token", &params).await?;
                session.printer.changed(&removed, &format!("{} removed", removed.name));
            }
        }
        Ok(ExitCode::Done)
    }
}

/// Only the secret, for `$(…)`.
fn print(session: &mut Session<'_>, secret: &Secret) {
    session.printer.text(secret, &format!("{}\n", secret.secret));
}

fn table(tokens: &[TokenInfo]) -> Table {
    Table::of(tokens, |TokenInfo { name, access, created_ms }| {
        let (name, access) = (name.to_string().into(), access.to_string().into());
        [("NAME", name), ("ACCESS", access), ("CREATED", timestamp(*created_ms).into())]
    })
}
