//! The program `mynah`, as a function of its arguments and of the families of models that it runs.

mod args;
mod client;
mod exit;
mod interrupt;
mod keys;
mod logging;
mod models;
mod output;
mod progress;
pub mod reference;
mod serve;
mod speak;
#[cfg(feature = "otel")]
mod traces;
mod transcribe;
mod xinference_compat;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use mynah_core::{Registry, Task};

use args::{Cli, Command};

/// Runs the command that `arguments` say, the name of the program first.
pub fn run(arguments: impl IntoIterator<Item = OsString>, registry: Registry) -> ExitCode {
    let (name, arguments) = xinference_compat::command_line(arguments);
    let cli = Cli::parse_from(arguments);
    let bars = progress::ProgressBars::default();
    if cli.quiet {
        bars.hide();
    }
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => Some("error"),
        (_, 0) => None,
        (_, 1) => Some("debug"),
        _ => Some("trace"),
    };
    if !matches!(cli.command, Command::Serve(_)) {
        logging::start(level.unwrap_or("warn"), logging::LogFormat::Text, &bars, None);
    }
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(*args, level, registry, &bars),
        Command::Transcribe(args) => transcribe::run(*args, Task::Transcribe, registry, &bars),
        Command::Translate(args) => transcribe::run(*args, Task::Translate, registry, &bars),
        Command::Speak(args) => speak::run(args, registry, &bars),
        Command::Models(args) => models::list(&args, registry),
        Command::Pull(args) => models::pull(&args, registry, &bars),
        Command::Rm(args) => models::remove(&args, registry),
        Command::Keys(command) => keys::run(command),
        Command::Users(command) => keys::users(command),
        Command::Completions(args) => completions(args.shell),
        Command::Man(args) => manual(args.output_dir.as_deref()),
        Command::Client(command) => client::run(command, name, &bars),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// A shell's script, on standard output.
fn completions(shell: clap_complete::Shell) -> Result<(), exit::Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mynah", &mut script);
    client::print(&String::from_utf8_lossy(&script))
}

/// The program's manual page, on standard output; or that of every command, in a folder.
fn manual(folder: Option<&Path>) -> Result<(), exit::Failure> {
    let command = Cli::command();
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
        return Ok(clap_mangen::generate_to(command, folder)?);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    client::print(&String::from_utf8_lossy(&page))
}
