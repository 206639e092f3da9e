//! `vhost ctl call`.

use clap::{Args, ValueHint};
use serde_json::{Map, Value};

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;

/// Call any method of the admin socket, and print its result as JSON
///
/// What a long method reports meanwhile is printed on stderr, one JSON object a line. Methods,
/// parameters and results are those of JSON-RPC, as `docs/admin-rpc.md` has them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl call state.get
  vhost ctl call domain.show '{\"domain\": \"example.com\"}'
  vhost ctl call switch.start -")]
pub(super) struct CallArgs {
    /// The method, such as `domain.list`
    method: String,
    /// Its parameters, a JSON object; `-` reads them from stdin
    #[arg(value_hint = ValueHint::Other)]
    params: Option<String>,
}

impl CallArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { method, params } = self;
        let action = format!("call `{method}`");
        let wrong = |cause: String| Problem::usage(&action, &cause, EXAMPLE);
        let params = match params.as_deref() {
            None => Value::Object(Map::new()),
            Some("-") => std::io::read_to_string(std::io::stdin())
                .map_err(|error| format!("stdin cannot be read: {error}"))
                .and_then(|text| parse(&text))
                .map_err(wrong)?,
            Some(text) => parse(text).map_err(wrong)?,
        };
        let result = session.call_named(&action, &method, &params).await?;
        session.printer.json(&result);
        Ok(ExitCode::Done)
    }
}

const EXAMPLE: &str = "write a JSON object: '{\"domain\": \"example.com\"}'";

fn parse(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(params @ Value::Object(_)) => Ok(params),
        Ok(_) => Err("the parameters are not a JSON object".to_owned()),
        Err(error) => Err(format!("the parameters are not JSON: {error}")),
    }
}
