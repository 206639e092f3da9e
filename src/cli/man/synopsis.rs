//! The synopsis of a command's page, in the order in which people type it: values before options, and each
//! option with the name of its value. `clap_mangen` has values last and leaves those names out.

use clap::{Arg, ArgAction, ArgGroup, Command, Id};
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// The section; `parent` is the command that this is a verb of.
pub(super) fn render(command: &Command, parent: Option<&Command>) -> Roff {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let usage = match command.get_overridden_usage() {
        Some(usage) => usage.to_string(),
        None => usage(command, name, parent),
    };
    let mut section = Roff::new();
    section.control("SH", ["SYNOPSIS"]);
    // A long row goes on in the next line, which then has no space to stretch.
    section.control("ad", ["l"]);
    let mut is_first = true;
    for form in usage.lines().map(str::trim) {
        if !is_first {
            section.control("br", []);
        }
        is_first = false;
        let arguments = form.strip_prefix(name).unwrap_or(form);
        let mut line = vec![bold(name)];
        line.extend(styled(arguments));
        section.text(line);
    }
    section.control("ad", ["b"]);
    section
}

fn usage(command: &Command, name: &str, parent: Option<&Command>) -> String {
    let is_inherited = |arg: &Arg| {
        parent.is_some_and(|parent| parent.get_arguments().any(|own| own.get_id() == arg.get_id()))
            && arg.is_global_set()
    };
    let is_help = |arg: &Arg| {
        let action = arg.get_action();
        matches!(action, ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong)
    };
    let arguments: Vec<_> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    let mut words = vec![name.to_owned()];
    words.extend(arguments.iter().filter(|arg| arg.is_positional()).map(ToString::to_string));
    let alternatives = alternatives(command);
    let options = arguments.iter().filter(|arg| {
        !arg.is_positional()
            && !is_help(arg)
            && !is_inherited(arg)
            && !alternatives.contains(&arg.get_id().as_str())
    });
    let mut options: Vec<_> = options.collect();
    options.sort_by_key(|arg| !arg.is_required_set());
    words.extend(options.into_iter().map(|arg| option(arg)));
    let chosen = arguments.iter().filter(|arg| alternatives.contains(&arg.get_id().as_str()));
    let chosen: Vec<_> = chosen.map(ToString::to_string).collect();
    if !chosen.is_empty() {
        words.push(format!("{{{}}}...", chosen.join(" | ")));
    }
    if arguments.iter().any(|arg| is_inherited(arg)) {
        words.push("[<global option>]...".to_owned());
    }
    if command.has_subcommands() {
        words.push("<command>".to_owned());
    }
    words.join(" ")
}

/// The arguments of which at least one is required.
fn alternatives(command: &Command) -> Vec<&str> {
    let groups = command.get_groups().filter(|group| group.is_required_set());
    groups.flat_map(ArgGroup::get_args).map(Id::as_str).collect()
}

fn option(arg: &Arg) -> String {
    let repeated = if matches!(arg.get_action(), ArgAction::Append) { "..." } else { "" };
    if arg.is_required_set() { format!("{arg}{repeated}") } else { format!("[{arg}]{repeated}") }
}

/// What is typed as it stands in bold, and what stands for something else in italics, without its `<>`.
fn styled(usage: &str) -> Vec<Inline> {
    let mut line = Vec::new();
    let mut rest = usage;
    while !rest.is_empty() {
        let end_of = |ends: &[char]| rest.find(ends).unwrap_or(rest.len());
        let is_value = rest.starts_with(|c: char| c.is_ascii_uppercase());
        let (part, length) = if rest.starts_with("--") {
            let length = end_of(&[' ', '[', ']', '}']);
            (bold(&rest[..length]), length)
        } else if rest.starts_with('<') {
            let length = end_of(&['>']);
            (italic(&rest[1..length]), (length + 1).min(rest.len()))
        } else if is_value {
            let length = end_of(&[' ', ']', '}', '.']);
            (italic(&rest[..length]), length)
        } else {
            let length = rest[1..].find(|c: char| c == '-' || c == '<' || c.is_ascii_uppercase());
            let length = length.map_or(rest.len(), |length| length + 1);
            (roman(&rest[..length]), length)
        };
        line.push(part);
        rest = &rest[length..];
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::cli::args::Cli;

    /// The synopsis of a page, in words.
    fn synopsis(page: &str) -> String {
        let pages = crate::cli::man::page::all(Cli::command());
        let (_, text) = pages.into_iter().find(|(name, _)| name == page).expect(page);
        let text = String::from_utf8(text).expect("UTF-8");
        let (_, section) = text.split_once(".SH SYNOPSIS\n.ad l\n").expect("a synopsis");
        let (section, _) = section.split_once("\n.ad b").expect("its end");
        let plain = [r"\fB", r"\fI", r"\fR"]
            .iter()
            .fold(section.to_owned(), |text, font| text.replace(font, ""));
        plain.replace(r"\-", "-")
    }

    #[test]
    fn values_come_first_and_options_have_the_names_of_theirs() {
        for (page, expected) in [
            ("vhost-check.1", "vhost check FILE [--format FORMAT]"),
            (
                "vhost-ctl-switch.1",
                "vhost ctl switch [DOMAIN|APP] [TAG] [--also DOMAIN]... [--plan] [--apply TOKEN] [--timeout \
                 TIME] [--drain-timeout TIME] [--no-drain] [--force] [--reason TEXT] [--smoke FILE] [--before HOOK]... [--guard TIME] \
                 [--max-error-delta PERCENT] [--max-p95-ratio RATIO] [--min-requests NUMBER] \
                 [--inconclusive WHAT] [--no-wait] [global option]...",
            ),
            (
                "vhost-ctl-backend-untag.1",
                "vhost ctl backend untag ID TAG... [--force] [global option]...",
            ),
            (
                "vhost-ctl-wait.1",
                "vhost ctl wait DOMAIN --until STATE [--timeout TIME] [global option]...",
            ),
            (
                "vhost-ctl-stats.1",
                "vhost ctl stats [DOMAIN] [--backends] [--window TIME] [--sort FIGURE] [--limit N] \
                 [--watch[=SECS]] [global option]...",
            ),
            (
                "vhost-ctl-undo.1",
                "vhost ctl undo DOMAIN|APP [--timeout TIME] [--drain-timeout TIME] [--no-drain] [--force] \
                 [--reason TEXT] [global option]...",
            ),
            ("vhost.1", "vhost [--version] command"),
            (
                "vhost-ctl.1",
                "vhost ctl [--socket PATH] [--output FORMAT] [--quiet] [--no-headers] [--color WHEN] \
                 command",
            ),
        ] {
            assert_eq!(synopsis(page), expected, "{page}");
        }
        let set = synopsis("vhost-ctl-backend-set.1");
        assert!(
            set.starts_with("vhost ctl backend set ID {--address ADDRESS | --app APP | --weight "),
            "{set}"
        );
        assert!(set.ends_with(" | --no-option KEY}... [global option]..."), "{set}");
        assert!(
            synopsis("vhost-serve.1")
                .starts_with("vhost serve --config FILE\n.br\nvhost serve --http ")
        );
    }
}
