//! The page of all settings, from the table that `--print-config` is made from.

use std::fmt::Write;

use clap::{Arg, Command};
use toml::{Table, Value};

use super::entries::ENTRIES;
use super::settings::Settings;
use crate::reference::{GENERATED, cell, code};

/// Settings as Markdown; `serve` is the command whose options set some of them.
pub(crate) fn page(serve: &Command) -> String {
    let defaults = Table::try_from(Settings::default()).expect("default settings are valid");
    let mut page = format!(
        "# Configuration\n\n{GENERATED}
`mynah serve` takes each setting from the first of these that has it:

1. the command line: the setting's own option, or `--set NAME=VALUE` for any setting,
2. the setting's variable,
3. the file that `--config` or `MYNAH_CONFIG` names (TOML),
4. the default.

`mynah serve --print-config` prints the effective settings as such a file. SIGHUP makes a running server read again the
settings that say \"Reloaded\". Options and variables that concern a single command are in [cli.md](cli.md).
"
    );
    let mut section = None;
    for entry in &ENTRIES {
        let (wanted, name) = entry.name.split_once('.').unwrap_or(("", entry.name));
        if section != Some(wanted) {
            section = Some(wanted);
            page += &match wanted {
                "" => "\n## Server\n".to_owned(),
                wanted => format!("\n## Section `[{wanted}]`\n"),
            };
            page += "\n| setting | default | variable | option | description |\n| --- | --- | --- | --- | --- |\n";
        }
        let values =
            if wanted.is_empty() { Some(&defaults) } else { defaults.get(wanted).and_then(Value::as_table) };
        let default = values.and_then(|values| values.get(name)).filter(|value| !is_empty(value));
        let (what, unset) = split_default(entry.what);
        let default = default.map_or_else(|| cell(unset), |value| code(&value.to_string()));
        let option = option(serve, name).map_or_else(String::new, |option| code(&format!("--{option}")));
        let variable = code(&entry.variable());
        writeln!(page, "| {} | {default} | {variable} | {option} | {} |", code(name), cell(&what))
            .expect("writing to a string");
    }
    page += "\n## Section `[models]`\n\nCheckpoints on disk to serve, by the name that requests give: `NAME = \"PATH\"`, or \
             `--model-path NAME=PATH`.\n";
    page
}

/// The option of the command line that sets `name`. Lists have an option in the singular, given once per item; a
/// switch that is on by default has one that turns it off.
fn option<'a>(serve: &'a Command, name: &str) -> Option<&'a str> {
    let long = name.replace('_', "-");
    let switched_off = format!("no-{long}");
    let known: Vec<&str> = serve.get_arguments().filter_map(Arg::get_long).collect();
    known
        .into_iter()
        .find(|option| *option == long || long.strip_suffix('s') == Some(*option) || *option == switched_off)
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// A description without its sentence `Default: ...`, which describes what happens where nothing is set, and that.
fn split_default(what: &str) -> (String, &str) {
    let Some((before, after)) = what.split_once(" Default: ") else { return (what.to_owned(), "") };
    let (default, rest) = after.split_once(". ").unwrap_or((after, ""));
    (format!("{before} {rest}").trim_end().to_owned(), default.trim_end_matches('.'))
}
