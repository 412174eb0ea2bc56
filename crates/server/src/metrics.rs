//! Metrics for Prometheus: counts and times of requests and jobs. Labels are routes, methods and states of the server, never
//! text of a request, so that requests cannot add series.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Method;
use mynah_engine::SizeHistogram;

/// Upper ends of the buckets of times, seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Upper ends of the buckets of real-time factors.
const REAL_TIMES: [f64; 14] =
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 20.0];

/// All counters.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: BTreeMap<(String, &'static str, u16), u64>,
    left: BTreeMap<String, u64>,
    bytes: BTreeMap<String, u64>,
    first_byte: BTreeMap<String, Histogram>,
    whole: BTreeMap<String, Histogram>,
    tasks: BTreeMap<&'static str, Work>,
}

/// Counters of the jobs of one task.
struct Work {
    queued: Histogram,
    first_result: Histogram,
    real_time: Histogram,
    audio_s: f64,
    tokens: u64,
}

impl Default for Work {
    fn default() -> Self {
        let seconds = || Histogram::new(&SECONDS);
        Self {
            queued: seconds(),
            first_result: seconds(),
            real_time: Histogram::new(&REAL_TIMES),
            audio_s: 0.0,
            tokens: 0,
        }
    }
}

struct Histogram {
    /// Upper ends of the buckets.
    ends: &'static [f64],
    /// Number of values in each bucket; the last is that above all ends.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(ends: &'static [f64]) -> Self {
        Self { ends, counts: vec![0; ends.len() + 1], sum: 0.0 }
    }

    fn add(&mut self, value: f64) {
        self.counts[self.ends.partition_point(|end| *end < value)] += 1;
        self.sum += value;
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new(&SECONDS)
    }
}

/// A finished request.
pub(crate) struct Ended<'a> {
    /// Pattern of its route; `None`: no route matches its path.
    pub(crate) route: Option<&'a str>,
    pub(crate) method: &'a Method,
    /// 0 if the client disconnected before the response.
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// Time to the first byte of the response.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) whole: Duration,
    pub(crate) complete: bool,
}

impl Metrics {
    /// Counts a request.
    pub(crate) fn request(&self, ended: &Ended<'_>) {
        let route = ended.route.unwrap_or("none").to_owned();
        let mut counts = self.counts();
        *counts.requests.entry((route.clone(), method_name(ended.method), ended.status)).or_default() += 1;
        *counts.bytes.entry(route.clone()).or_default() += ended.bytes;
        if let Some(first_byte) = ended.first_byte {
            counts.first_byte.entry(route.clone()).or_default().add(first_byte.as_secs_f64());
        }
        counts.whole.entry(route.clone()).or_default().add(ended.whole.as_secs_f64());
        if !ended.complete {
            *counts.left.entry(route).or_default() += 1;
        }
    }

    /// In Prometheus' text format, version 0.0.4.
    pub(crate) fn text(&self) -> String {
        let counts = self.counts();
        let mut page = Page::default();
        page.head(
            "mynah_requests_total",
            "counter",
            "Requests by route, method and status; status 0: the client disconnected before the response.",
        );
        for ((route, method, status), count) in &counts.requests {
            page.line(
                "mynah_requests_total",
                &[("route", route), ("method", method), ("status", &status.to_string())],
                count,
            );
        }
        page.head(
            "mynah_requests_abandoned_total",
            "counter",
            "Requests whose client disconnected before the end of the response.",
        );
        for (route, count) in &counts.left {
            page.line("mynah_requests_abandoned_total", &[("route", route)], count);
        }
        page.head("mynah_response_bytes_total", "counter", "Bytes of response bodies.");
        for (route, bytes) in &counts.bytes {
            page.line("mynah_response_bytes_total", &[("route", route)], bytes);
        }
        let by_route = [
            ("mynah_first_byte_seconds", "Time to the first byte of the response.", &counts.first_byte),
            ("mynah_request_seconds", "Time to the last byte of the response.", &counts.whole),
        ];
        for (name, help, histograms) in by_route {
            page.head(name, "histogram", help);
            for (route, histogram) in histograms {
                page.histogram(name, ("route", route), histogram);
            }
        }
        page.by_task(
            "mynah_queue_seconds",
            "Time that jobs waited before they were first computed.",
            &counts,
            |work| &work.queued,
        );
        let help = "Time from the end of the upload to the first text or audio.";
        page.by_task("mynah_first_result_seconds", help, &counts, |work| &work.first_result);
        let help = "Compute time of a job per second of its audio.";
        page.by_task("mynah_real_time_factor", help, &counts, |work| &work.real_time);
        page.head(
            "mynah_audio_seconds_total",
            "counter",
            "Audio that was transcribed or synthesized, seconds.",
        );
        for (task, work) in &counts.tasks {
            page.line("mynah_audio_seconds_total", &[("task", task)], &work.audio_s);
        }
        let help = "Tokens of transcripts; for speech, decoder steps.";
        page.head("mynah_tokens_total", "counter", help);
        for (task, work) in &counts.tasks {
            page.line("mynah_tokens_total", &[("task", task)], &work.tokens);
        }
        page.0
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of `/metrics`.
#[derive(Default)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample. Labels contain no quotes, since none comes from a request.
    pub(crate) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &dyn std::fmt::Display) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A metric without labels.
    pub(crate) fn figure(&mut self, name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn by_task(&mut self, name: &str, help: &str, counts: &Counts, of: impl Fn(&Work) -> &Histogram) {
        self.head(name, "histogram", help);
        for (task, work) in &counts.tasks {
            self.histogram(name, ("task", task), of(work));
        }
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), histogram: &Histogram) {
        self.ranges(name, &[label], histogram.ends, &histogram.counts, &histogram.sum);
    }

    /// A histogram of the engine.
    pub(crate) fn sizes(&mut self, name: &str, labels: &[(&str, &str)], sizes: &SizeHistogram) {
        self.ranges(name, labels, &SizeHistogram::ENDS, &sizes.counts(), &sizes.sum());
    }

    /// A histogram: upper ends of its buckets, the count of each and above all, and the sum.
    fn ranges(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        ends: &[impl ToString],
        counts: &[u64],
        sum: &dyn std::fmt::Display,
    ) {
        let mut so_far = 0;
        let ends = ends.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (end, count) in ends.zip(counts) {
            so_far += count;
            self.line(&format!("{name}_bucket"), &[labels, &[("le", &end)]].concat(), &so_far);
        }
        self.line(&format!("{name}_sum"), labels, sum);
        self.line(&format!("{name}_count"), labels, &so_far);
    }
}

/// Measures the times of one job.
pub(crate) struct Stopwatch {
    metrics: Arc<Metrics>,
    task: &'static str,
    begin: Instant,
    /// When its first step was computed.
    first_step: Option<Instant>,
    has_result: bool,
}

impl Stopwatch {
    /// Starts for a job of this task.
    pub(crate) fn start(metrics: &Arc<Metrics>, task: &'static str) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            task,
            begin: Instant::now(),
            first_step: None,
            has_result: false,
        }
    }

    /// The job's first step is about to be computed.
    pub(crate) fn first_step(&mut self, waited_s: f64) {
        self.first_step = Some(Instant::now());
        self.count(|work| work.queued.add(waited_s));
    }

    /// The job has a result, text or audio; only the first one counts.
    pub(crate) fn result(&mut self) {
        if !std::mem::replace(&mut self.has_result, true) {
            let elapsed_s = self.begin.elapsed().as_secs_f64();
            self.count(|work| work.first_result.add(elapsed_s));
        }
    }

    /// All of the job is done.
    pub(crate) fn done(&self, audio_s: f64, tokens: u64) {
        self.count(|work| {
            work.audio_s += audio_s;
            work.tokens += tokens;
            // Cached speech has no step.
            if let Some(first_step) = self.first_step.filter(|_| audio_s > 0.0) {
                work.real_time.add(first_step.elapsed().as_secs_f64() / audio_s);
            }
        });
    }

    fn count(&self, add: impl FnOnce(&mut Work)) {
        add(self.metrics.counts().tasks.entry(self.task).or_default());
    }
}

/// The name of a standard method; clients can send any other.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Arc::new(Metrics::default());
        let made_up = Method::from_bytes(b"MADEUP").unwrap();
        for (method, ms, complete) in
            [(&Method::GET, 5, true), (&Method::GET, 6, true), (&made_up, 400_000, false)]
        {
            metrics.request(&Ended {
                route: Some("/v1/models/{*path}"),
                method,
                status: 200,
                bytes: 10,
                first_byte: Some(Duration::from_millis(ms)),
                whole: Duration::from_millis(ms),
                complete,
            });
        }
        let mut watch = Stopwatch::start(&metrics, "speech");
        watch.first_step(0.3);
        watch.result();
        watch.result();
        watch.done(1e9, 7);
        // From the cache.
        Stopwatch::start(&metrics, "speech").done(1.5, 2);
        let text = metrics.text();
        for line in [
            "mynah_requests_total{route=\"/v1/models/{*path}\",method=\"GET\",status=\"200\"} 2",
            "mynah_requests_total{route=\"/v1/models/{*path}\",method=\"other\",status=\"200\"} 1",
            "mynah_requests_abandoned_total{route=\"/v1/models/{*path}\"} 1",
            "mynah_response_bytes_total{route=\"/v1/models/{*path}\"} 30",
            "mynah_request_seconds_bucket{route=\"/v1/models/{*path}\",le=\"0.005\"} 1",
            "mynah_request_seconds_bucket{route=\"/v1/models/{*path}\",le=\"0.01\"} 2",
            "mynah_request_seconds_bucket{route=\"/v1/models/{*path}\",le=\"300\"} 2",
            "mynah_request_seconds_bucket{route=\"/v1/models/{*path}\",le=\"+Inf\"} 3",
            "mynah_request_seconds_count{route=\"/v1/models/{*path}\"} 3",
            "mynah_queue_seconds_bucket{task=\"speech\",le=\"0.25\"} 0",
            "mynah_queue_seconds_bucket{task=\"speech\",le=\"0.5\"} 1",
            "mynah_first_result_seconds_count{task=\"speech\"} 1",
            "mynah_real_time_factor_bucket{task=\"speech\",le=\"0.002\"} 1",
            "mynah_audio_seconds_total{task=\"speech\"} 1000000001.5",
            "mynah_tokens_total{task=\"speech\"} 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
