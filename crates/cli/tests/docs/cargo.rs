//! Commands of cargo in the documents. Building and testing within a test would take a second target folder, and it is
//! what continuous integration does anyway. So `cargo run -- ARGUMENTS` runs the program that was built already, and of
//! other commands the names in them are checked: packages, paths, test targets, examples, features and profiles.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

const SUBCOMMANDS: [&str; 13] = [
    "add", "bench", "build", "check", "clippy", "deny", "doc", "fmt", "fuzz", "install", "miri", "run",
    "test",
];

/// `cargo run ... -- ARGUMENTS` as `mynah ARGUMENTS`, wherever it is in a command.
pub(crate) fn run_as_program(command: &str) -> String {
    let mut out = String::new();
    let mut rest = command;
    while let Some(at) = rest.find("cargo run ") {
        let Some(dashes) = rest[at..].find(" -- ") else { break };
        let options = &rest[at..at + dashes];
        if options.contains(['&', ';', '|', '\n']) || options.contains("--example") {
            break;
        }
        out += &rest[..at];
        out += "mynah ";
        rest = &rest[at + dashes + " -- ".len()..];
    }
    out + rest
}

/// Parts of a command that are joined by `&&`, `||`, `;` and `|`. Quotes are not looked at: a part too many is no harm.
fn parts(command: &str) -> impl Iterator<Item = Vec<&str>> {
    command.split(['&', ';', '|', '\n']).map(|part| {
        let words = part.split_whitespace().take_while(|word| !word.starts_with('#'));
        words.skip_while(|word| word.contains('=') && !word.starts_with('-')).collect()
    })
}

pub(crate) fn is_cargo(command: &str) -> bool {
    parts(command).any(|words: Vec<&str>| words.first() == Some(&"cargo"))
}

/// What is wrong with a command that [`is_cargo`].
pub(crate) fn fault(root: &Path, command: &str) -> Option<String> {
    parts(&command.replace("\\\n", " ")).filter(|words: &Vec<&str>| !words.is_empty()).find_map(|words| {
        match words[0] {
            "cargo" => part_fault(root, &words[1..]),
            other => Some(format!("`{other}` and cargo in one command: give cargo a line of its own")),
        }
    })
}

fn part_fault(root: &Path, words: &[&str]) -> Option<String> {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('+')).collect();
    let Some((subcommand, options)) = words.split_first() else {
        return Some("cargo does nothing".to_owned());
    };
    if !SUBCOMMANDS.contains(subcommand) {
        return Some(format!("cargo {subcommand}: no such command is known here; see tests/docs/cargo.rs"));
    }
    let options: Vec<&str> = options.iter().copied().take_while(|word| *word != "--").collect();
    let value = |names: &[&str]| {
        let at = options.iter().position(|option| names.contains(option))?;
        options.get(at + 1).copied()
    };
    let packages = packages(root);
    let package = value(&["-p", "--package"]);
    let folders: Vec<&PathBuf> = match package {
        Some(name) => match packages.get(name) {
            Some(folder) => vec![folder],
            None => return Some(format!("there is no package {name}")),
        },
        None => packages.values().collect(),
    };
    if let Some(path) = value(&["--path"])
        && !root.join(path).join("Cargo.toml").is_file()
    {
        return Some(format!("{path} is no package"));
    }
    for (option, folder_name) in [("--test", "tests"), ("--example", "examples"), ("--bench", "benches")] {
        let Some(name) = value(&[option]) else { continue };
        let exists = |folder: &&&PathBuf| {
            let place = folder.join(folder_name);
            place.join(format!("{name}.rs")).is_file() || place.join(name).join("main.rs").is_file()
        };
        if !folders.iter().any(|folder| exists(&folder)) {
            return Some(format!("there is no target {name} for {option}"));
        }
    }
    let manifest = |file: &Path| fs::read_to_string(file).ok()?.parse::<Table>().ok();
    if let Some(profile) = value(&["--profile"]) {
        let known = manifest(&root.join("Cargo.toml"))?.get("profile")?.as_table()?.clone();
        if !known.contains_key(profile) && !["dev", "release", "test", "bench"].contains(&profile) {
            return Some(format!("there is no profile {profile}"));
        }
    }
    if let Some(features) = value(&["-F", "--features"]) {
        let known = |feature: &str| {
            folders.iter().any(|folder| {
                let table = manifest(&folder.join("Cargo.toml"));
                table.and_then(|table| table.get("features")?.get(feature).cloned()).is_some()
            })
        };
        return features
            .split(',')
            .find(|feature| !known(feature))
            .map(|name| format!("there is no feature {name}"));
    }
    None
}

/// Folders of the workspace's packages by their names.
fn packages(root: &Path) -> BTreeMap<String, PathBuf> {
    let folders = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let named = folders.filter_map(|folder| {
        let table: Table = fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse().ok()?;
        Some((table.get("package")?.get("name")?.as_str()?.to_owned(), folder))
    });
    named.collect()
}
