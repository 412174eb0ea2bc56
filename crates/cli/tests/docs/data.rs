//! Blocks of data parse, and configuration is what `mynah serve` accepts. Languages that no rule knows are faults, so that
//! no block is left unchecked by a slip in its info string.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Deserializer, Value};
use toml::Table;

use crate::markdown::{Block, Page};
use crate::{Faults, documents};

/// Languages of blocks that are shown and not checked.
const SHOWN: [&str; 10] = ["", "text", "rust", "js", "yaml", "html", "http", "ini", "nginx", "dockerfile"];

pub(crate) fn check() -> Faults {
    faults(&documents())
}

pub(crate) fn faults(pages: &[Page]) -> Faults {
    let settings = settings();
    let mut faults = Faults::new();
    for page in pages {
        for block in &page.blocks {
            let outcome =
                if block.is_closed { fault(block, &settings) } else { Some("is not closed".to_owned()) };
            faults.extend(outcome.map(|what| format!("{}:{}: {what}", page.name, block.line)));
        }
    }
    faults
}

fn fault(block: &Block, settings: &BTreeSet<String>) -> Option<String> {
    if let Some(flag) = block.flags.iter().find(|flag| *flag != "no-run") {
        return Some(format!("`{flag}` is no flag of a block; `no-run` is the only one"));
    }
    match block.language.as_str() {
        "json" => {
            let mut values = Deserializer::from_str(&block.text).into_iter::<Value>();
            values.find_map(Result::err).map(|error| format!("JSON: {error}"))
        }
        "toml" => match block.text.parse::<Table>() {
            Err(error) => Some(format!("TOML: {error}")),
            Ok(table) if table.keys().any(|name| settings.contains(name)) => refused(&block.text),
            Ok(_) => None,
        },
        "sh" | "bash" | "console" | "python" => None,
        language if SHOWN.contains(&language) => None,
        language => Some(format!("no rule for blocks of `{language}`; see tests/docs/data.rs")),
    }
}

/// Names of settings and sections at the top of the file.
fn settings() -> BTreeSet<String> {
    let output = mynah().args(["serve", "--print-config"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let name = match line.strip_prefix('[') {
            Some(section) => section.strip_suffix(']')?,
            None => line.split_once(" =")?.0,
        };
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| name.to_owned())
    });
    let names: BTreeSet<String> = names.collect();
    assert!(names.contains("port") && names.contains("limits"), "{names:?}");
    names
}

/// Why `mynah serve` does not accept these settings.
fn refused(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mynah.toml");
    fs::write(&file, text).unwrap();
    let output = mynah().args(["serve", "--print-config", "--config"]).arg(&file).output().unwrap();
    (!output.status.success()).then(|| format!("configuration: {}", String::from_utf8_lossy(&output.stderr)))
}

fn mynah() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MYNAH_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command
}
