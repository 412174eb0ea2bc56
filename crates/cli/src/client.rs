//! Commands that ask a running server, in Xinference's words.

mod cache;
mod launch;
mod lists;
mod registration;
mod server;
pub(crate) mod session;
pub(crate) mod table;
mod token;

use std::io::{self, IsTerminal, Write};

use reqwest::Method;

use crate::args::ClientCommand;
use crate::exit::Failure;
use crate::interrupt;
use crate::progress::ProgressBars;
use crate::xinference_compat::Name;

pub(crate) use server::Server;

/// Output for people.
pub(crate) struct Out<'a> {
    name: Name,
    pub(crate) bars: &'a ProgressBars,
}

impl Out<'_> {
    /// A result goes to standard output; under Xinference's name to standard error, where Xinference prints its tables.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        match self.name {
            Name::Mynah => print(text),
            Name::Xinference | Name::XinferenceLocal => Ok(io::stderr().lock().write_all(text.as_bytes())?),
        }
    }
}

/// Text for standard output under either name.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Runs a command to its end.
pub(crate) fn run(command: ClientCommand, name: Name, bars: &ProgressBars) -> Result<(), Failure> {
    let out = Out { name, bars };
    interrupt::runtime()?.block_on(async {
        match command {
            ClientCommand::Launch(args) => launch::launch(*args, &out).await,
            ClientCommand::List(connection) => lists::running(&session::open(&connection).await?, &out).await,
            ClientCommand::Terminate(args) => {
                let server = session::open(&args.connection).await?;
                let path = ["v1", "models", &args.model_uid];
                server.request("terminate model", Method::DELETE, &path).send().await?;
                Ok(())
            }
            ClientCommand::Registrations(args) => lists::registrations(&args, &out).await,
            ClientCommand::Register(args) => registration::register(&args).await,
            ClientCommand::Unregister(args) => registration::unregister(&args).await,
            ClientCommand::Cached(args) => cache::list(&args).await,
            ClientCommand::RemoveCache(args) => cache::remove(&args).await,
            ClientCommand::Engine(args) => lists::engines(&args, &out).await,
            ClientCommand::Login(args) => session::login(args).await,
            ClientCommand::StopCluster(args) => session::stop_server(&args).await,
        }
    })
}

/// A line of standard input, with its question and without echo where a person types it.
pub(crate) fn line_of_input(question: &str) -> Result<String, Failure> {
    let unread = |error: io::Error| Failure::Failed(Some(format!("cannot read standard input: {error}")));
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(question).map_err(unread);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(unread)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks a question that is answered with yes or no; no is the default and what the end of input means.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    print(question)?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Failed(Some(format!("cannot read standard input: {error}"))))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
