//! One command's page.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::synopsis;
use crate::cli::exit_code::ExitCode;

/// The page of every command, each with its file's name: the program's own first.
pub(super) fn all(root: Command) -> Vec<(String, Vec<u8>)> {
    let mut root = root.disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, None, &mut pages);
    pages
}

fn add(command: &Command, parent: Option<&Command>, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = name_of(command);
    pages.push((format!("{name}.1"), render(command, name, parent)));
    for verb in visible(command) {
        add(verb, Some(command), pages);
    }
}

/// `vhost-ctl-switch` for `vhost ctl switch`.
fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn render(command: &Command, name: &str, parent: Option<&Command>) -> Vec<u8> {
    let man = Man::new(command.clone());
    // No date and no version: a page only changes with its command. `Man` would leave out the empty
    // date, and shift the following fields.
    let title = name.to_uppercase();
    let mut page = format!(".TH {title} 1 \"\" vhost \"vhost manual\"\n").into_bytes();
    man.render_name_section(&mut page).expect(MEMORY);
    synopsis::render(command, parent).to_writer(&mut page).expect(MEMORY);
    man.render_description_section(&mut page).expect(MEMORY);
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut page).expect(MEMORY);
    }
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut page).expect(MEMORY);
    }
    let mut rest = Roff::new();
    notes(command, &mut rest);
    list("EXIT STATUS", exit_statuses(name), &mut rest);
    list("ENVIRONMENT", environment(name), &mut rest);
    list("FILES", files(name), &mut rest);
    see_also(command, name, parent.map(name_of), &mut rest);
    rest.to_writer(&mut page).expect(MEMORY);
    page
}

const MEMORY: &str = "memory can be written to";

/// The help's text below the options: its paragraphs are sections here.
fn notes(command: &Command, page: &mut Roff) {
    let help = command.get_after_long_help().or_else(|| command.get_after_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for paragraph in help.split("\n\n") {
        let (heading, lines) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        match heading.trim() {
            "Example:" | "Examples:" => {
                page.control("SH", ["EXAMPLES"]);
                page.control("nf", []);
                for line in lines.lines() {
                    page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
                }
                page.control("fi", []);
            }
            // The statuses have a section on every page.
            "" | "Exit status:" => {}
            heading => {
                page.control("SH", [heading.trim_end_matches(':').to_uppercase().as_str()]);
                for line in lines.lines() {
                    page.text([roman(line.trim())]);
                }
            }
        }
    }
}

fn list<'a, T: Into<String>>(
    heading: &str,
    entries: impl IntoIterator<Item = (T, &'a str)>,
    page: &mut Roff,
) {
    let mut entries = entries.into_iter().peekable();
    if entries.peek().is_none() {
        return;
    }
    page.control("SH", [heading]);
    for (term, text) in entries {
        page.control("TP", []);
        page.text([bold(term)]);
        page.text([roman(text)]);
    }
}

/// Whether a command talks to the admin socket; so does the program as a whole.
fn calls_server(name: &str) -> bool {
    name == "vhost" || name.starts_with("vhost-ctl")
}

fn exit_statuses(name: &str) -> impl Iterator<Item = (String, &'static str)> {
    let all = calls_server(name);
    let demo = name == "vhost-demo";
    ExitCode::ALL
        .into_iter()
        .filter(move |code| match code {
            ExitCode::Done | ExitCode::Failed | ExitCode::Usage => true,
            ExitCode::Interrupted => all || demo,
            _ => all,
        })
        .map(|code| (code.number().to_string(), code.as_str()))
}

fn environment(name: &str) -> Vec<(&'static str, &'static str)> {
    let socket = ("VHOST_SOCKET", "The admin socket, if --socket is not given.");
    match name {
        _ if calls_server(name) => vec![
            socket,
            ("NO_COLOR", "If set and not empty: no colours, unless with --color always."),
            ("COLUMNS", "The width of tables, if it is not that of the terminal."),
        ],
        "vhost-completions" => vec![socket],
        "vhost-serve" => vec![
            (
                "RUNTIME_DIRECTORY, STATE_DIRECTORY",
                "Set by systemd: directories of the admin socket and the state, if the config file does not set them.",
            ),
            ("XDG_RUNTIME_DIR, XDG_STATE_HOME", "The same for a server that a user runs."),
            (
                "NOTIFY_SOCKET",
                "Set by systemd: the server reports there that it is ready, and that it is stopping.",
            ),
        ],
        _ => Vec::new(),
    }
}

fn files(name: &str) -> Vec<(&'static str, &'static str)> {
    const SOCKETS: [(&str, &str); 2] = [
        ("/run/vhost/admin.sock", "The admin socket of the system's server."),
        (
            "$XDG_RUNTIME_DIR/vhost/admin.sock",
            "The admin socket of a server that a user runs; it is tried first.",
        ),
    ];
    const SERVERS: [(&str, &str); 2] = [
        ("/etc/vhost/config.toml", "The config file of the systemd unit."),
        ("/var/lib/vhost", "State and history of the system's server."),
    ];
    match name {
        "vhost" | "vhost-serve" => SERVERS.into_iter().chain(SOCKETS).collect(),
        _ if calls_server(name) => SOCKETS.into(),
        _ => Vec::new(),
    }
}

fn see_also(command: &Command, name: &str, parent: Option<&str>, page: &mut Roff) {
    let mut pages: Vec<_> = parent.into_iter().map(|name| format!("{name}(1)")).collect();
    if parent.is_some_and(|parent| parent != "vhost") {
        pages.push("vhost(1)".to_owned());
    }
    pages.extend(visible(command).map(|verb| format!("{}(1)", name_of(verb))));
    if !name.starts_with("vhost-ctl-") {
        pages.push("vhost-config(5)".to_owned());
    }
    page.control("SH", ["SEE ALSO"]);
    let last = pages.len() - 1;
    for (index, name) in pages.iter().enumerate() {
        let (name, section) = name.split_at(name.len() - "(1)".len());
        let comma = if index < last { "," } else { "" };
        page.control("BR", [name, format!("{section}{comma}").as_str()]);
    }
}
