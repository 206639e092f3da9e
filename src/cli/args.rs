//! The root of the command line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use super::check::{self, CheckArgs};
use super::completions::{self, CompletionsArgs};
use super::ctl::{self, CtlArgs};
use super::demo::{self, DemoArgs};
use super::exit_code;
use super::from::{self, FromArgs};
use super::hash_password::{self, HashPasswordArgs};
use super::init::{self, InitArgs};
use super::man::{self, ManArgs};
use super::schema::{self, SchemaArgs};
use super::serve::{self, ServeArgs};
use super::state::{self, StateArgs};

/// An edge proxy that moves live traffic between versions of a web application.
#[derive(Debug, Parser)]
#[command(name = "vhost", version, arg_required_else_help = true, after_help = exit_code::help())]
pub(super) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(ServeArgs),
    Check(CheckArgs),
    Schema(SchemaArgs),
    Init(InitArgs),
    From(FromArgs),
    Demo(DemoArgs),
    Ctl(CtlArgs),
    State(StateArgs),
    HashPassword(HashPasswordArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Parses and runs the command line; the first of `args` is the program's name. Returns the exit
/// status.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    match parse(args) {
        Ok(cli) => match cli.command {
            Command::Serve(args) => serve::run(args),
            Command::Check(args) => check::run(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Init(args) => init::run(&args),
            Command::From(args) => from::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Ctl(args) => ctl::run(args),
            Command::State(args) => state::run(&args),
            Command::HashPassword(args) => hash_password::run(&args),
            Command::Completions(args) => completions::run(&args, Cli::command()),
            Command::Man(args) => man::run(&args, Cli::command()),
        },
        Err(error) => {
            // A reader that closes the pipe has read enough of a help text.
            let _ = error.print();
            // Clap's own: 2 for mistakes, 0 for help and version.
            u8::try_from(error.exit_code()).unwrap_or(exit_code::ExitCode::Usage.into())
        }
    }
}

fn parse<T: Into<OsString> + Clone>(args: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    Cli::try_parse_from(&args).map_err(|error| match error.kind() {
        ErrorKind::UnknownArgument => without_wrong_tip(with_tip_of_suggested(error, args)),
        _ => error,
    })
}

/// Where Clap suggests a flag that is only known for its tip, gives that tip instead: such a flag is hidden
/// from everything but the suggestions.
fn with_tip_of_suggested(mut error: clap::Error, mut args: Vec<OsString>) -> clap::Error {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let unknown = text(&error, ContextKind::InvalidArg);
    let suggested = text(&error, ContextKind::SuggestedArg);
    let Some((unknown, suggested)) = unknown.zip(suggested) else { return error };
    let is_unknown = |arg: &&mut OsString| {
        let rest = arg.to_str().and_then(|arg| arg.strip_prefix(&unknown));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let Some(arg) = args.iter_mut().find(is_unknown) else { return error };
    *arg = OsString::from(&suggested);
    let refused = Cli::try_parse_from(&args).err().filter(|refused| {
        let flag = text(refused, ContextKind::InvalidArg);
        let flag = flag.as_deref().map(|flag| flag.split(' ').next().unwrap_or_default());
        refused.kind() == ErrorKind::UnknownArgument && flag == Some(&*suggested)
    });
    if let Some(tips) = refused.as_ref().and_then(|refused| refused.get(ContextKind::Suggested)) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, tips.clone());
    }
    error
}

/// Takes out the tip to write an unknown flag as a value, after `--`: no value begins with `-`.
fn without_wrong_tip(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains("as a value"));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    // A flag that is only known for its tip is shown with a value.
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let Some((flag, _)) = flag.split_once(" [<")
    {
        let flag = ContextValue::String(flag.to_owned());
        error.insert(ContextKind::InvalidArg, flag);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits as a shell does, as far as the examples need it: at spaces outside of quotes.
    fn shell_words(line: &str) -> Vec<String> {
        let mut quoted = false;
        let mut words = vec![String::new()];
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().expect("there is always one").push(c),
            }
        }
        words
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        super::parse(line.split_whitespace())
    }

    /// Whether any command shows a flag in its help.
    fn is_shown(command: &clap::Command, flag: &str) -> bool {
        let is_it = |arg: &clap::Arg| {
            !arg.is_hide_set() && arg.get_long() == Some(flag.trim_start_matches('-'))
        };
        command.get_arguments().any(is_it)
            || command.get_subcommands().any(|verb| is_shown(verb, flag))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_ctl_verb_has_an_example_that_parses() {
        fn walk(command: &clap::Command, path: &str, seen: &mut Vec<String>) {
            let mut verbs = command.get_subcommands().filter(|c| c.get_name() != "help").peekable();
            if verbs.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let examples: Vec<_> =
                    help.lines().map(str::trim).filter(|line| line.starts_with("vhost ")).collect();
                assert!(!examples.is_empty(), "`{path}` has no example");
                for example in examples {
                    // What follows is the shell's.
                    let example = example.split(" > ").next().unwrap_or(example);
                    assert!(example.starts_with(path), "`{example}` is no example of `{path}`");
                    if let Err(error) = Cli::try_parse_from(shell_words(example)) {
                        panic!("{example}: {error}");
                    }
                }
                seen.push(path.to_owned());
            }
            for verb in verbs {
                walk(verb, &format!("{path} {}", verb.get_name()), seen);
            }
        }
        let mut seen = Vec::new();
        let root = Cli::command();
        walk(root.find_subcommand("ctl").expect("it exists"), "vhost ctl", &mut seen);
        for verb in ["serve", "check", "schema", "init", "from", "state", "hash-password"] {
            let command = root.find_subcommand(verb).expect("it exists");
            walk(command, &format!("vhost {verb}"), &mut Vec::new());
        }
        assert!(seen.len() > 40, "{seen:?}");
    }

    #[test]
    fn malformed_values_are_usage_errors_in_the_models_words() {
        for (line, part) in [
            ("vhost ctl domain show exa_mple..com", "is not a valid domain name"),
            ("vhost ctl switch example.com -- -b", "is not a valid tag"),
            ("vhost ctl backend show a/b", "is not a valid backend id"),
            ("vhost ctl backend add web localhost --tag a", "add the port: `host:port`"),
            ("vhost ctl backend add web localhost:1 --tag a,", "is not a valid tag"),
            ("vhost ctl backend add web localhost:1 --weight 0", "use 1 to 1000"),
            ("vhost ctl backend set web --scheme ftp", "choose `http`, `https`, `h2` or `h2c`"),
            ("vhost ctl switch example.com b --timeout soon", "is not a valid duration"),
            ("vhost ctl switch example.com b --timeout 0", "use `1ms` or more"),
            ("vhost ctl switch example.com b --drain-timeout 0s", "or `--no-drain` instead"),
            ("vhost ctl undo example.com --timeout 0ms", "use `1ms` or more"),
            ("vhost ctl reload --drain-timeout 0", "or `--no-drain` instead"),
            ("vhost ctl wait example.com --until drained --timeout 0", "use `1ms` or more"),
            ("vhost ctl backend remove web --timeout 0", "use `1ms` or more"),
            ("vhost ctl backend ready web --wait --timeout 0", "use `1ms` or more"),
            ("vhost ctl backend drain web --wait --timeout 100us", "use `1ms` or more"),
            ("vhost ctl cert renew example.com --wait --timeout 0", "use `1ms` or more"),
            ("vhost ctl domain pause example.com --max-wait 0", "use `1ms` or more"),
            ("vhost serve", "--config <FILE>"),
            ("vhost serve --config x --http 127.0.0.1:1", "cannot be used with"),
            ("vhost serve --config x --https 127.0.0.1:1", "cannot be used with"),
            ("vhost serve --config x --state-dir x", "cannot be used with"),
            ("vhost serve --https :443", "add an address: `0.0.0.0:443`"),
            ("vhost serve --route example.com=a", "--http"),
            ("vhost serve --http :80", "add an address: `0.0.0.0:80`"),
            ("vhost serve --http 127.0.0.1:1 --route example.com", "`example.com=a`"),
            ("vhost serve --http 127.0.0.1:1 --route a_b..c=a", "is not a valid domain name"),
            ("vhost serve --http 127.0.0.1:1 --route example.com=", "is not a valid tag"),
            ("vhost serve --http 127.0.0.1:1 --backend w", "`web1=localhost:3001,a`"),
            ("vhost serve --http 127.0.0.1:1 --backend w=localhost,a", "add the port"),
            ("vhost serve --http 127.0.0.1:1 --backend w=::1:1,a", "in brackets"),
            ("vhost serve --http 127.0.0.1:1 --backend w=a:1,a,", "is not a valid tag"),
            ("vhost ctl domain set example.com --balance random", "round-robin"),
            ("vhost ctl domain set example.com", "required arguments"),
            ("vhost ctl domain set example.com --tag b", "tip: use `vhost ctl switch DOMAIN TAG`"),
            ("vhost ctl domain set example.com --live=b", "argument '--live' found"),
            ("vhost ctl domain set a.test --option enabled_backends_tag=b", "`vhost ctl switch"),
            ("vhost ctl domain add a.test --tag a --deny ::1", "tip: use `--option deny=…`"),
            ("vhost ctl domain set a.test --max-body-bytes", "`--option max_body_bytes=…`"),
            ("vhost ctl domain set a.test --timeout 5", "tip: use `--option timeouts=…`"),
            (
                "vhost ctl domain set a.test --max-body-byte=5",
                "tip: use `--option max_body_bytes=…`",
            ),
            ("vhost ctl domain set a.test --no-max-body-bytes", "`--no-option max_body_bytes`"),
            ("vhost ctl domain set a.test --no-max-body-byte", "`--no-option max_body_bytes`"),
            (
                "vhost ctl domain set a.test --hsts-maxage 5",
                "similar argument exists: '--hsts-max-age'",
            ),
            ("vhost ctl domain add a.test --tag a --option live=b", "option; use `--tag TAG`"),
            ("vhost ctl domain add a.test --tag a --live b", "tip: use `--tag TAG`"),
            ("vhost ctl domain add a.test --enabled-backends-tag b", "tip: use `--tag TAG`"),
            ("vhost ctl backend add w a:1 --tag a --state draining", "backend drain ID`"),
            ("vhost ctl backend add w a:1 --option tags=a", "option; use `--tag TAG`"),
            ("vhost ctl backend set web --stat draining", "`drain ID`"),
            ("vhost ctl backend set web --tag b", "`vhost ctl backend tag ID TAG`"),
            ("vhost ctl backend set web --state draining", "`drain ID`"),
            ("vhost ctl backend set web --option state=draining", "`drain ID`"),
            ("vhost ctl backend set web", "required arguments"),
            ("vhost ctl backend tag web", "required arguments"),
            ("vhost ctl backend tag web b --remove a", "cannot be used with"),
            ("vhost ctl switch example.com --no-drain --drain-timeout 1s", "cannot be used with"),
            ("vhost ctl backend drain web --timeout 1s", "--wait"),
            ("vhost ctl domain set example.com --tls on", "choose `auto`, `internal` or `off`"),
            ("vhost ctl domain set example.com --tls-cert a", "--tls-key <FILE>"),
            (
                "vhost ctl domain set a.test --tls off --tls-cert a --tls-key b",
                "cannot be used with",
            ),
            ("vhost ctl domain set example.com --hsts-max-age 5y", "use 0 to 126144000 seconds"),
            ("vhost ctl domain add example.com --tag a --timeout 1m", "--wait-cert"),
            ("vhost ctl cert renew example.com --timeout 1m", "--wait"),
            ("vhost ctl cert import example.com --cert a", "--key <FILE>"),
            ("vhost ctl cert revoke example.com --reason whim", "key-compromise"),
            ("vhost ctl history --limit 0", "is not in"),
            ("vhost ctl wait example.com", "--until"),
            ("vhost ctl call domain.list {", "not JSON"),
            ("vhost ctl call domain.list 1", "in braces"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            let text = error.to_string();
            assert!(text.contains(part), "{line}: {text}");
            assert!(!text.contains("as a value"), "{line}: {text}");
            if let Some((_, similar)) = text.split_once("similar argument exists: '") {
                let (flag, _) = similar.split_once('\'').expect("it is quoted");
                assert!(is_shown(&Cli::command(), flag), "{line}: {text}");
            }
        }
    }

    #[test]
    fn help_and_version_are_no_mistakes() {
        for line in ["vhost --help", "vhost --version", "vhost ctl switch --help"] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 0, "{line}");
        }
        for mut command in [Cli::command(), Cli::command().find_subcommand("ctl").unwrap().clone()]
        {
            let help = command.render_help().to_string();
            assert!(help.contains("Exit status:"), "{help}");
        }
    }
}
