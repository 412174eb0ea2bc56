//! The reference pages `docs/cli.md` and `docs/configuration.md`, made from the definitions that the program itself uses.
//! The test target `docs` compares the committed pages with these functions.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::args::Cli;

/// First lines of a generated page.
pub(crate) const GENERATED: &str = "<!-- Generated from the program's definitions; do not edit.\n     \
                                    MYNAH_UPDATE_DOCS=1 cargo test --release -p mynah --test docs -- generated -->\n";

/// All commands with their options, defaults and variables, as Markdown.
pub fn command_line_page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = format!("# Command line\n\n{GENERATED}\n{}.\n", sentence(&root));
    page += "\nThese are the commands of `mynah`; `mynah COMMAND --help` prints the same text.\n\n\
             | command | what it does |\n| --- | --- |\n";
    for command in visible(&root) {
        let name = format!("mynah {}", command.get_name());
        writeln!(page, "| [`{name}`](#{}) | {} |", name.replace(' ', "-"), cell(&sentence(command)))
            .expect("writing to a string");
    }
    page += "\n## All commands\n\nOptions that every command takes:\n\n";
    options(&mut page, root.get_arguments().filter(|arg| arg.is_global_set()));
    for command in visible(&root) {
        section(&mut page, command, "mynah", 2);
    }
    page += "\n## Exit codes and environment\n";
    after_help(&mut page, &root);
    page
}

/// All settings of `mynah serve` with their defaults, variables and options, as Markdown.
pub fn configuration_page() -> String {
    let root = Cli::command();
    let serve = root.find_subcommand("serve").expect("the command `serve` exists");
    crate::serve::reference::page(serve)
}

fn section(page: &mut String, command: &Command, parent: &str, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    write!(page, "\n{} {name}\n\n{}.\n", "#".repeat(level), sentence(command)).expect("writing to a string");
    let mut printed = command.clone();
    let usage = printed.render_usage().to_string();
    write!(page, "\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim())
        .expect("writing to a string");
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    let mut headings: Vec<Option<&str>> = Vec::new();
    for heading in own().map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            write!(page, "\n{heading}:\n").expect("writing to a string");
        }
        page.push('\n');
        options(page, own().filter(|arg| arg.get_help_heading() == heading));
    }
    after_help(page, command);
    for command in visible(command) {
        section(page, command, &name, level + 1);
    }
}

/// Subcommands that the help shows, without clap's own `help`.
fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// What the command does, without a full stop.
fn sentence(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    about.trim_end_matches('.').to_owned()
}

/// Text after the options, examples mostly: lines as they are.
fn after_help(page: &mut String, command: &Command) {
    if let Some(text) = command.get_after_help() {
        write!(page, "\n```text\n{text}\n```\n").expect("writing to a string");
    }
}

fn options<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    *page += "| argument | default | variable | description |\n| --- | --- | --- | --- |\n";
    for argument in arguments.filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
        let (description, default) = description(argument);
        let variable = argument.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
        writeln!(page, "| {} | {default} | {variable} | {} |", names(argument), cell(&description))
            .expect("writing to a string");
    }
}

/// `-m`, `--model MODEL`, or `FILE...`.
fn names(argument: &Arg) -> String {
    let takes_value = !matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::Count);
    let fallback = argument.get_id().as_str().to_ascii_uppercase();
    let value = match argument.get_value_names() {
        Some(names) => names.join(" "),
        None => fallback,
    };
    if argument.is_positional() {
        let dots = if matches!(argument.get_action(), ArgAction::Append) { "..." } else { "" };
        return code(&format!("{value}{dots}"));
    }
    let mut names: Vec<String> =
        argument.get_short().map(|short| code(&format!("-{short}"))).into_iter().collect();
    let longs = argument.get_long().into_iter().chain(argument.get_visible_aliases().unwrap_or_default());
    for (n, long) in longs.enumerate() {
        names.push(code(&if n == 0 && takes_value {
            format!("--{long} {value}")
        } else {
            format!("--{long}")
        }));
    }
    names.join(", ")
}

/// The help text with the possible values, and the default. A default that the program works out itself stands at
/// the end of the text: `[default: detect]`.
fn description(argument: &Arg) -> (String, String) {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut default = argument
        .get_default_values()
        .iter()
        .map(|value| code(&value.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(", ");
    let takes_value = !matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::Count);
    if !takes_value {
        default.clear();
    }
    if let Some((before, rest)) = text.clone().split_once(" [default: ")
        && let Some(value) = rest.strip_suffix(']')
    {
        text = before.to_owned();
        default = cell(value);
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| code(value.get_name()))
        .collect();
    if takes_value && !values.is_empty() && !argument.is_hide_possible_values_set() {
        text += &format!(" ({})", values.join(", "));
    }
    (text, default)
}

pub(crate) fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Text in a cell of a table. Angle brackets outside of code would be tags.
pub(crate) fn cell(text: &str) -> String {
    let mut cell = String::new();
    for (n, part) in text.split('`').enumerate() {
        if n > 0 {
            cell.push('`');
        }
        let part = part.replace('|', "\\|").replace('\n', " ");
        cell += &if n % 2 == 0 { part.replace('<', "&lt;").replace('*', "\\*") } else { part };
    }
    cell
}
