//! The documents are true: generated pages match their source, links lead somewhere, data parses, and the commands on
//! every page run. `CONTRIBUTING.md` describes the rules for writers.
//!
//! `cargo test --release -p mynah --test docs -- README` runs what has README in its name; `MYNAH_DOCS_VERBOSE=1` prints the
//! output of commands that succeed too.

mod cargo;
mod data;
mod generated;
mod links;
mod markdown;
mod page;
mod runner_tests;
#[expect(dead_code, reason = "of what the tests with real speech share, a store and the clients are needed")]
#[path = "../speech/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, panic};

use libtest_mimic::{Arguments, Failed, Trial};

use markdown::Page;

/// What a check found wrong: a line per fault.
pub(crate) type Faults = Vec<String>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Pages use the same port and most of them the same two cores.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let mut trials = vec![
        Trial::test("generated: docs/cli.md", || check(generated::command_line)),
        Trial::test("generated: docs/configuration.md", || check(generated::configuration)),
        Trial::test("links of all Markdown files", || check(links::check)),
        Trial::test("JSON and TOML of the documents", || check(data::check)),
    ];
    trials.extend(runner_tests::ALL.map(|(name, test)| {
        let test = move || {
            check(move || {
                test();
                Faults::new()
            })
        };
        Trial::test(format!("this checker: {name}"), test)
    }));
    trials.extend(documents().into_iter().filter(Page::has_commands).map(|page| {
        let name = format!("commands of {}", page.name);
        Trial::test(name, move || check(|| page::run(&page)))
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a check; faults and panics fail the test.
fn check(check: impl FnOnce() -> Faults) -> Result<(), Failed> {
    match panic::catch_unwind(panic::AssertUnwindSafe(check)) {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => Err(faults.join("\n").into()),
        Err(_) => Err("panicked; the message is above".into()),
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// README.md and all pages of `docs`.
pub(crate) fn documents() -> Vec<Page> {
    let all = markdown_files();
    all.into_iter().filter(|page| page.name == "README.md" || page.name.starts_with("docs/")).collect()
}

/// All Markdown files of the repository, without what builds and tests leave in it.
pub(crate) fn markdown_files() -> Vec<Page> {
    let root = root();
    let (mut folders, mut pages) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
            let path = folder.join(&name);
            let name = name.to_string_lossy();
            let hidden = name.starts_with('.') && name != ".github";
            if kind.is_dir() && !hidden && !matches!(&*name, "target" | "node_modules" | "corpus") {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".md") {
                let text = fs::read_to_string(entry.path()).unwrap();
                pages.push(Page::new(&path.to_string_lossy(), &text));
            }
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(pages.iter().any(|page| page.name == "README.md"), "README.md is not in {}", root.display());
    pages
}
