//! Pages that are made from the program's definitions: the committed ones are up to date.

use std::{env, fs};

use crate::{Faults, root};

const UPDATE: &str = "MYNAH_UPDATE_DOCS";

pub(crate) fn command_line() -> Faults {
    compare("docs/cli.md", &mynah_cli::reference::command_line_page())
}

pub(crate) fn configuration() -> Faults {
    compare("docs/configuration.md", &mynah_cli::reference::configuration_page())
}

/// Compares a page with what it should be; with the variable set, writes it.
fn compare(name: &str, wanted: &str) -> Faults {
    let path = root().join(name);
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, wanted).unwrap();
        return Faults::new();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found == wanted {
        return Faults::new();
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(found, wanted)| found == wanted).count();
    vec![
        format!("{name} differs from the program's definitions in line {}:", same + 1),
        format!("  committed: {}", found.lines().nth(same).unwrap_or("(the page ends)")),
        format!("  should be: {}", wanted.lines().nth(same).unwrap_or("(the page ends)")),
        format!("{UPDATE}=1 cargo test --release -p mynah --test docs -- generated    writes it"),
    ]
}
