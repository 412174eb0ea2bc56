//! Logs go to standard error, between the progress bars.

use std::io::{self, IsTerminal, Write};

use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::progress::ProgressBars;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// How much is logged, to be changed while the program runs.
pub(crate) struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Logs from this level on. `MYNAH_LOG` goes before it still.
    pub(crate) fn set(&self, level: &str) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::error!(%error, "cannot change the log level");
        }
    }
}

/// What passed the filter goes to.
pub(crate) type Sink = Box<dyn Layer<Layered<reload::Layer<EnvFilter, Registry>, Registry>> + Send + Sync>;

/// Starts logging from this level on, to standard error and to `traces` too. `MYNAH_LOG` goes before the command line's
/// choice.
pub(crate) fn start(level: &str, format: LogFormat, bars: &ProgressBars, traces: Option<Sink>) -> Level {
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal() && format == LogFormat::Text)
        .with_target(format == LogFormat::Json || ["debug", "trace"].contains(&level))
        .with_writer(Between(bars.clone()));
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines.and_then(traces)).try_init().unwrap_or_else(
        |error| {
            // A program that embeds this one has a log of its own.
            tracing::debug!(%error, "logging was already set up");
        },
    );
    Level(handle)
}

/// Our name of a level, of which Xinference has others.
pub(crate) fn level_name(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "error" | "critical" => "error",
        "warn" | "warning" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => return None,
    })
}

fn filter(level: &str) -> EnvFilter {
    let level = level_name(level).unwrap_or("info");
    let filter = EnvFilter::builder()
        .with_env_var("MYNAH_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into());
    match std::env::var_os("MYNAH_LOG") {
        Some(_) => filter.from_env_lossy(),
        // Demuxers warn of every damaged packet of a recording, so that its sender could fill the log.
        None => filter.parse_lossy(format!("warn,symphonia=error,mynah={level},{}", crates(level))),
    }
}

fn crates(level: &str) -> String {
    ["audio", "cli", "engine", "kernels", "models", "server", "text", "weights"]
        .map(|name| format!("mynah_{name}={level}"))
        .join(",")
}

struct Between(ProgressBars);

impl<'a> MakeWriter<'a> for Between {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.0)
    }
}

struct Line<'a>(&'a ProgressBars);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.between(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
