//! The name that the program was called by, and Xinference's spellings on the command line.
//!
//! Linked as `xinference` or `xinference-local` the program takes what those take. Whatever the name, options of several
//! letters after one dash are written out, and what `launch` does not know becomes an option of the model; both before
//! the command line is parsed, so that `--help` and the errors of [`clap`] stay the only ones.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, Args, Command, Subcommand};

use crate::args::{ClientCommand, EXTRA, LaunchArgs};

/// What the program is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Mynah,
    /// Xinference's client, which without a command starts a server.
    Xinference,
    /// Xinference's server.
    XinferenceLocal,
}

/// Options that Xinference's client takes before its command; they concern the server that it starts without one.
const GROUP_OPTIONS: [&str; 5] = ["--log-level", "--host", "-H", "--port", "-p"];

impl Name {
    fn of(argument: &OsStr) -> Self {
        match Path::new(argument).file_stem().and_then(OsStr::to_str) {
            Some("xinference") => Self::Xinference,
            Some("xinference-local") => Self::XinferenceLocal,
            _ => Self::Mynah,
        }
    }
}

/// The name, and the command line in `mynah`'s words.
pub(crate) fn command_line(arguments: impl IntoIterator<Item = OsString>) -> (Name, Vec<OsString>) {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let name = Name::of(&program);
    let rest: Vec<OsString> = arguments.collect();
    let rest = match name {
        Name::Mynah => rest,
        Name::Xinference => from_xinference(rest),
        Name::XinferenceLocal => serve(&rest),
    };
    (name, std::iter::once("mynah".into()).chain(spelled_out(rest)).collect())
}

/// Takes options of the group away from before a command; without a command, a server is started with them.
fn from_xinference(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut at = 0;
    while let Some(text) = arguments.get(at).and_then(|argument| argument.to_str()) {
        match text {
            "-v" | "--version" => return vec!["--version".into()],
            "--help" | "-h" => return arguments,
            _ if GROUP_OPTIONS.contains(&text) => at += 2,
            _ if GROUP_OPTIONS.iter().any(|option| text.starts_with(&format!("{option}="))) => at += 1,
            _ => return arguments[at..].to_vec(),
        }
    }
    serve(&arguments)
}

fn serve(options: &[OsString]) -> Vec<OsString> {
    std::iter::once("serve".into()).chain(options.iter().cloned()).collect()
}

/// Click takes options of several letters after one dash, by command.
fn long_name(command: &str, option: &str) -> Option<&'static str> {
    Some(match (command, option) {
        // `-q` is `--quiet` elsewhere.
        ("launch", "-q") => "--quantization",
        ("launch", "-mp") => "--model-path",
        ("launch", "-vp") => "--virtual-env-package",
        ("launch", "-ev") => "--env",
        ("launch" | "engine", "-en") => "--model-engine",
        ("serve", "-MH") => "--metrics-exporter-host",
        ("serve", "-mp") => "--metrics-exporter-port",
        (command, "-ak") if command == "keys" || ClientCommand::has_subcommand(command) => "--api-key",
        _ => return None,
    })
}

fn spelled_out(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_command = |argument: &OsString| !argument.to_string_lossy().starts_with('-');
    let Some(at) = arguments.iter().position(is_command) else { return arguments };
    let (before, after) = arguments.split_at(at);
    let Some(command) = after[0].to_str() else { return arguments };
    let after = after.iter().map(|argument| {
        let Some(text) = argument.to_str() else { return argument.clone() };
        let (option, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        // Click also takes the value of an option of one letter right after it.
        if command == "launch"
            && !text.starts_with("-q=")
            && let Some(value) = text.strip_prefix("-q").filter(|value| !value.is_empty())
        {
            return format!("--quantization={value}").into();
        }
        match (long_name(command, option), value) {
            (Some(long), None) => long.into(),
            (Some(long), Some(value)) => format!("{long}={value}").into(),
            (None, _) => argument.clone(),
        }
    });
    let mut rewritten = before.to_vec();
    if command == "launch" {
        rewritten.extend(with_model_options(after.collect()));
    } else {
        rewritten.extend(after);
    }
    rewritten
}

/// Puts `--key value` that `launch` does not know into the hidden option for it.
fn with_model_options(arguments: Vec<OsString>) -> Vec<OsString> {
    let launch = LaunchArgs::augment_args(Command::new("launch"));
    let globals = ["--help", "--verbose", "--quiet"];
    let mut rewritten = Vec::new();
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy().into_owned();
        let (option, value) =
            text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
        let known = launch.get_arguments().find(|known| is_named(known, option));
        match known {
            Some(known) => {
                let values = known.get_num_args().map_or(0, |range| range.max_values());
                let values = if known.get_action().takes_values() { values.max(1) } else { 0 };
                // `-nNAME` and `--name=NAME` bring their value along.
                let own = value.is_some() || (!option.starts_with("--") && text.len() > 2);
                rewritten.push(argument);
                rewritten.extend(rest.by_ref().take(if own { 0 } else { values }));
            }
            None if option.len() > 2 && option.starts_with("--") && !globals.contains(&option) => {
                let value = value.map(str::to_owned);
                let value = value.or_else(|| rest.next().map(|next| next.to_string_lossy().into_owned()));
                match value {
                    Some(value) => {
                        rewritten.push(format!("--{EXTRA}").into());
                        rewritten.push(format!("{}={value}", &option[2..]).into());
                    }
                    // Clap reports it as unknown.
                    None => rewritten.push(argument),
                }
            }
            None => rewritten.push(argument),
        }
    }
    rewritten
}

/// Whether `option`, with its dashes, is this argument of Clap's.
fn is_named(known: &Arg, option: &str) -> bool {
    if let Some(long) = option.strip_prefix("--") {
        return known.get_long() == Some(long)
            || known.get_all_aliases().is_some_and(|aliases| aliases.contains(&long));
    }
    let letter = option.strip_prefix('-').and_then(|letters| letters.chars().next());
    letter.is_some() && known.get_short() == letter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let arguments = line.split_whitespace().map(OsString::from);
        let (_, rewritten) = command_line(arguments);
        rewritten.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(words(line).join(" "), expected);
    }

    #[test]
    fn names_are_distinguished() {
        for (path, name) in [
            ("/usr/bin/mynah", Name::Mynah),
            ("xinference", Name::Xinference),
            ("./bin/xinference-local", Name::XinferenceLocal),
            ("", Name::Mynah),
        ] {
            assert_eq!(Name::of(OsStr::new(path)), name, "{path}");
        }
    }

    #[test]
    fn xinference_without_a_command_is_a_server() {
        check("xinference", "mynah serve");
        check("xinference --host 0.0.0.0 -p 9000", "mynah serve --host 0.0.0.0 -p 9000");
        check("xinference --log-level=DEBUG list -ak k", "mynah list --api-key k");
        check("xinference -v", "mynah --version");
        check("xinference --help", "mynah --help");
        check(
            "xinference-local -H 0.0.0.0 -MH 127.0.0.1",
            "mynah serve -H 0.0.0.0 --metrics-exporter-host 127.0.0.1",
        );
    }

    #[test]
    fn several_letters_after_a_dash_are_an_option() {
        check(
            "mynah launch -n a -en transformers -mp=/m",
            "mynah launch -n a --model-engine transformers --model-path=/m",
        );
        check("mynah -v engine -n a -en x -e http://h", "mynah -v engine -n a --model-engine x -e http://h");
        check("mynah transcribe -ak x", "mynah transcribe -ak x");
    }

    #[test]
    fn unknown_options_of_launch_are_the_models() {
        check(
            "mynah launch --device cpu -n a --compile False -u b --seed=3 --env K V --persist",
            "mynah launch --model-option device=cpu -n a --model-option compile=False -u b \
             --model-option seed=3 --env K V --persist",
        );
        check("mynah launch -na --enable-thinking", "mynah launch -na --enable-thinking");
        for quantization in ["-q int8", "--quantization int8"] {
            check(&format!("mynah launch -na {quantization}"), "mynah launch -na --quantization int8");
        }
        for quantization in ["-q=int8", "-qint8", "--quantization=int8"] {
            check(&format!("mynah launch -na {quantization}"), "mynah launch -na --quantization=int8");
        }
        check("mynah launch -na --compute int8", "mynah launch -na --compute int8");
        check("mynah -q launch -na", "mynah -q launch -na");
        check("mynah launch --n-gpu -1 --help", "mynah launch --n-gpu -1 --help");
        check("mynah launch --model_path p -n a --verbose", "mynah launch --model_path p -n a --verbose");
    }
}
