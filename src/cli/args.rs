//! The root of the command line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use super::check::{self, CheckArgs};
use super::completions::{self, CompletionsArgs};
use super::ctl::{self, CtlArgs};
use super::demo::{self, DemoArgs};
use super::exit_code;
use super::hash_password::{self, HashPasswordArgs};
use super::man::{self, ManArgs};
use super::schema::{self, SchemaArgs};
use super::serve::{self, ServeArgs};

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
    Demo(DemoArgs),
    Ctl(CtlArgs),
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
            Command::Demo(args) => demo::run(&args),
            Command::Ctl(args) => ctl::run(args),
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
    Cli::try_parse_from(args).map_err(|error| match error.kind() {
        ErrorKind::UnknownArgument => without_wrong_tip(error),
        _ => error,
    })
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
        for verb in ["serve", "check", "schema", "hash-password"] {
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
