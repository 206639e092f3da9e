//! `vhost ctl call`: any method of the admin socket.

use std::io::Read;

use clap::Args;
use serde_json::{Map, Value};

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;

/// Call any method of the admin socket and print its result as JSON
///
/// `docs/admin-rpc.md` describes every method. Progress of a long one is printed on standard error,
/// one JSON object a line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl call state.get
  vhost ctl call domain.show '{\"domain\": \"example.com\"}'
  vhost ctl call domain.add -")]
pub(super) struct CallArgs {
    /// The method, such as `domain.list`
    method: String,
    /// Its parameters, a JSON object; `-` reads them from standard input
    #[arg(value_name = "PARAMS", default_value = "{}", value_parser = parse_params)]
    #[arg(allow_hyphen_values = true, hide_default_value = true)]
    params: Params,
}

/// The parameters, or their source.
#[derive(Debug, Clone)]
enum Params {
    Given(Map<String, Value>),
    Input,
}

fn parse_params(text: &str) -> Result<Params, String> {
    if text == "-" { Ok(Params::Input) } else { parse_object(text).map(Params::Given) }
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => {
            Err("write the parameters by name, in braces: `{\"domain\": \"example.com\"}`".into())
        }
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

impl CallArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let params = match self.params {
            Params::Given(members) => members,
            Params::Input => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| error.to_string())
                    .and_then(|_| parse_object(&text))
                    .map_err(|cause| Problem::usage("cannot read the parameters", cause))?
            }
        };
        let result = session.call_by_name(&self.method, &Value::Object(params)).await?;
        session.printer.json(&result);
        Ok(ExitCode::Done)
    }
}
