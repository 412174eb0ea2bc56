//! `mynah models`, `mynah pull` and `mynah rm`.

use std::io::{self, Write};

use mynah_core::Registry;
use mynah_engine::{Engine, Error, ModelStatus, Settings};
use serde::Serialize;

use crate::args::{ModelsArgs, NamesArgs};
use crate::exit::{Failure, print_error};
use crate::interrupt::interruptible;
use crate::output;
use crate::progress::ProgressBars;

/// The catalogue as a table or as JSON, or whether what is here of it is sound.
pub(crate) fn list(args: &ModelsArgs, registry: Registry) -> Result<(), Failure> {
    let engine = Engine::open(Settings::from_env()?, registry)?;
    if args.check {
        return check(&engine);
    }
    let models = engine.models();
    let text = if args.json {
        output::line(&models.iter().map(Row::new).collect::<Vec<_>>())?
    } else {
        table(&models)
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Reads every file that was fetched.
fn check(engine: &Engine) -> Result<(), Failure> {
    let mut failed = false;
    for model in engine.models() {
        let (engine, name) = (engine.clone(), model.entry.name);
        let checked = interruptible({
            let name = name.clone();
            move |cancel| match engine.check(&name, cancel) {
                Err(Error::Cancelled) => Err(Error::Cancelled.into()),
                outcome => Ok(outcome),
            }
        })?;
        match checked {
            Ok(_) => writeln!(io::stdout(), "{name}: sound")?,
            // Nothing of ours to compare.
            Err(Error::NotOnDisk(_) | Error::NotOurs { .. }) => {}
            Err(error) => {
                failed = true;
                print_error(&error.to_string());
            }
        }
    }
    if failed { Err(Failure::Failed(None)) } else { Ok(()) }
}

/// Fetches models and prints their folders.
pub(crate) fn pull(args: &NamesArgs, registry: Registry, bars: &ProgressBars) -> Result<(), Failure> {
    let engine = Engine::open(Settings::from_env()?, registry)?;
    for name in &args.names {
        let (engine, name, bars) = (engine.clone(), name.clone(), bars.clone());
        let folder = interruptible(move |cancel| {
            let mut bar = bars.add(&name);
            Ok(engine.pull(&name, &mut |progress| bar.pull(&progress), cancel)?)
        })?;
        writeln!(io::stdout(), "{}", folder.display())?;
    }
    Ok(())
}

/// Deletes models.
pub(crate) fn remove(args: &NamesArgs, registry: Registry) -> Result<(), Failure> {
    let engine = Engine::open(Settings::from_env()?, registry)?;
    let mut failed = false;
    for name in &args.names {
        match engine.remove(name) {
            Ok(freed) => writeln!(io::stdout(), "{name}: {} freed", megabytes(freed))?,
            Err(error) => {
                failed = true;
                print_error(&error.to_string());
            }
        }
    }
    if failed { Err(Failure::Failed(None)) } else { Ok(()) }
}

/// A model for programs.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    aliases: &'a [String],
    family: &'a str,
    multilingual: bool,
    languages: &'a [String],
    parameters_m: u32,
    licence: &'a str,
    on_disk: bool,
    bytes: Option<u64>,
    path: Option<String>,
}

impl<'a> Row<'a> {
    fn new(model: &'a ModelStatus) -> Self {
        let entry = &model.entry;
        Self {
            name: &entry.name,
            aliases: &entry.aliases,
            family: &entry.family,
            multilingual: entry.is_multilingual(),
            languages: &entry.languages,
            parameters_m: entry.parameters_m,
            licence: &entry.licence,
            on_disk: model.on_disk.is_some(),
            bytes: model.on_disk.as_ref().map(|disk| disk.bytes),
            path: model.on_disk.as_ref().map(|disk| disk.path.display().to_string()),
        }
    }
}

fn table(models: &[ModelStatus]) -> String {
    let head = ["NAME", "PARAMETERS", "LANGUAGES", "ON DISK", "LICENCE"].map(str::to_owned);
    let rows = models.iter().map(|model| {
        let entry = &model.entry;
        let languages = match entry.languages.as_slice() {
            [] => "many".to_owned(),
            languages => languages.join(" "),
        };
        let on_disk = model.on_disk.as_ref().map_or("-".to_owned(), |disk| megabytes(disk.bytes));
        [entry.name.clone(), format!("{} M", entry.parameters_m), languages, on_disk, entry.licence.clone()]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&row[4]);
        text.push('\n');
    }
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
