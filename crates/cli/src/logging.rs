//! Logs go to standard error, between the progress bars.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{Cli, Command};
use crate::progress::Bars;

/// Starts logging. `MYNAH_LOG` goes before the command line's choice.
pub(crate) fn start(cli: &Cli, bars: &Bars) {
    let level = match (cli.quiet, cli.verbose, &cli.command) {
        (true, ..) => "error",
        (_, 0, Command::Serve(_)) => "info",
        (_, 0, _) => "warn",
        (_, 1, _) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::builder()
        .with_env_var("MYNAH_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into());
    let filter = match std::env::var_os("MYNAH_LOG") {
        Some(_) => filter.from_env_lossy(),
        None => filter.parse_lossy(format!("warn,mynah={level},{}", crates(level))),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_target(cli.verbose > 0)
        .with_writer(Between(bars.clone()))
        .init();
}

fn crates(level: &str) -> String {
    ["audio", "engine", "kernels", "models", "server", "text"]
        .map(|name| format!("mynah_{name}={level}"))
        .join(",")
}

struct Between(Bars);

impl<'a> MakeWriter<'a> for Between {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.0)
    }
}

struct Line<'a>(&'a Bars);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.between(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
