//! Progress on standard error: bars on a terminal, nothing elsewhere.

use std::path::Path;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mynah_engine::{LoadProgress, PullProgress};

const BYTES: &str = "{prefix}  {bar:30}  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}";
const AUDIO: &str = "{prefix}  {bar:30}  {percent} %  {msg}  {eta}";
const TEXT: &str = "{prefix}  {bar:30}  {percent} %  {eta}";
const PART: &str = "{prefix}  {bar:30}  {percent} %  {msg}";
const BUSY: &str = "{prefix}  {spinner} {msg}";

/// All bars of the program.
#[derive(Clone, Default)]
pub(crate) struct ProgressBars(MultiProgress);

impl ProgressBars {
    /// Draws nothing from here on.
    pub(crate) fn hide(&self) {
        self.0.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Does something to the terminal while no bar is there.
    pub(crate) fn between<T>(&self, act: impl FnOnce() -> T) -> T {
        self.0.suspend(act)
    }

    /// A bar, shown once there is progress and removed when dropped. Of a path, it shows the last part.
    pub(crate) fn add(&self, name: &str) -> TaskProgress {
        let name = Path::new(name).file_name().map_or(name.into(), |name| name.to_string_lossy());
        let bar = ProgressBar::no_length().with_style(style(BUSY)).with_prefix(name.into_owned());
        TaskProgress { bar: self.0.add(bar), shown: Shown::Nothing }
    }
}

/// What a bar shows at present.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    Nothing,
    Bytes,
    Audio,
    Text,
    Part,
    Busy,
}

/// The bar of one file or model.
pub(crate) struct TaskProgress {
    bar: ProgressBar,
    shown: Shown,
}

impl TaskProgress {
    /// A model on its way to memory.
    pub(crate) fn load(&mut self, progress: &LoadProgress) {
        match progress {
            LoadProgress::Pulling(progress) => self.pull(progress),
            LoadProgress::Loading => self.busy("loading the model"),
        }
    }

    /// A model on its way to disk.
    pub(crate) fn pull(&mut self, progress: &PullProgress) {
        match progress {
            PullProgress::Notice(text) => tracing::warn!("{text}"),
            PullProgress::Waiting => self.busy("waiting for another process that is downloading it"),
            PullProgress::Trying { source } => self.busy(&format!("asking {source}")),
            PullProgress::GaveUp { source, reason } => tracing::warn!("{source}: {reason}"),
            PullProgress::Bytes { done, total, .. } => {
                self.show(Shown::Bytes, BYTES);
                self.bar.set_length(total.unwrap_or(*done));
                self.bar.set_position(*done);
            }
        }
    }

    /// Seconds of audio done, of how many.
    pub(crate) fn audio(&mut self, done_s: f64, duration_s: f64) {
        self.show(Shown::Audio, AUDIO);
        self.bar.set_length((duration_s * 10.0) as u64);
        self.bar.set_position((done_s * 10.0) as u64);
        self.bar.set_message(format!("{}/{}", clock(done_s), clock(duration_s)));
    }

    /// Bytes of a text that are spoken, of how many.
    pub(crate) fn text(&mut self, done_bytes: usize, total_bytes: usize) {
        self.show(Shown::Text, TEXT);
        self.bar.set_length(total_bytes as u64);
        self.bar.set_position(done_bytes as u64);
    }

    /// A part of 1, and what goes on.
    pub(crate) fn part(&mut self, done: f64, what: &str) {
        self.show(Shown::Part, PART);
        self.bar.set_length(1000);
        self.bar.set_position((done.clamp(0.0, 1.0) * 1000.0) as u64);
        self.bar.set_message(what.to_owned());
    }

    /// Something without a measure.
    pub(crate) fn busy(&mut self, what: &str) {
        self.show(Shown::Busy, BUSY);
        self.bar.set_message(what.to_owned());
    }

    fn show(&mut self, shown: Shown, template: &str) {
        if self.shown != shown {
            self.shown = shown;
            self.bar.set_style(style(template));
            self.bar.reset_eta();
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }
}

impl Drop for TaskProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `1:02:03` or `2:03`.
fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
