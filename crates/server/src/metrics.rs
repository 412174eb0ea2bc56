//! Figures for Prometheus: what was asked and how long it took. Labels are routes, methods and states of this program,
//! never text of a request, so that nobody can make the figures grow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;

/// Upper ends of the histograms' ranges, seconds.
const BUCKETS_S: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// All that is counted.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: BTreeMap<(String, &'static str, u16), u64>,
    left: BTreeMap<String, u64>,
    bytes: BTreeMap<String, u64>,
    first_byte: BTreeMap<String, Histogram>,
    whole: BTreeMap<String, Histogram>,
    heard_s: f64,
}

#[derive(Default)]
struct Histogram {
    /// Values in each range, and in that above all.
    counts: [u64; BUCKETS_S.len() + 1],
    sum_s: f64,
}

impl Histogram {
    fn add(&mut self, value: Duration) {
        let value_s = value.as_secs_f64();
        self.counts[BUCKETS_S.partition_point(|end| *end < value_s)] += 1;
        self.sum_s += value_s;
    }
}

/// A request that has ended.
pub(crate) struct Ended<'a> {
    /// Pattern of its route; `None`: no route has its path.
    pub(crate) route: Option<&'a str>,
    pub(crate) method: &'a Method,
    /// 0 where the client left before there was an answer.
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// Until the answer began.
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
            counts.first_byte.entry(route.clone()).or_default().add(first_byte);
        }
        counts.whole.entry(route.clone()).or_default().add(ended.whole);
        if !ended.complete {
            *counts.left.entry(route).or_default() += 1;
        }
    }

    /// Counts audio that was transcribed or translated.
    pub(crate) fn heard(&self, seconds: f64) {
        self.counts().heard_s += seconds;
    }

    /// In Prometheus' text format, version 0.0.4.
    pub(crate) fn text(&self) -> String {
        let counts = self.counts();
        let mut page = Page::default();
        page.head(
            "mynah_requests_total",
            "counter",
            "Requests by route, method and status; 0: the client left before.",
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
            "Requests whose client left before the answer's end.",
        );
        for (route, count) in &counts.left {
            page.line("mynah_requests_abandoned_total", &[("route", route)], count);
        }
        page.head("mynah_response_bytes_total", "counter", "Bytes of answers.");
        for (route, bytes) in &counts.bytes {
            page.line("mynah_response_bytes_total", &[("route", route)], bytes);
        }
        page.head(
            "mynah_first_byte_seconds",
            "histogram",
            "Time until an answer began: first word, first audio.",
        );
        counts
            .first_byte
            .iter()
            .for_each(|(route, histogram)| page.histogram("mynah_first_byte_seconds", route, histogram));
        page.head("mynah_request_seconds", "histogram", "Time until an answer was sent.");
        counts
            .whole
            .iter()
            .for_each(|(route, histogram)| page.histogram("mynah_request_seconds", route, histogram));
        page.head("mynah_audio_heard_seconds_total", "counter", "Audio that was transcribed or translated.");
        page.line("mynah_audio_heard_seconds_total", &[], &counts.heard_s);
        page.0
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page that Prometheus reads.
#[derive(Default)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A figure. Labels hold no quotes, since none comes from outside.
    pub(crate) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &dyn std::fmt::Display) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// One figure of the whole server.
    pub(crate) fn figure(&mut self, name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn histogram(&mut self, name: &str, route: &str, histogram: &Histogram) {
        let mut sum = 0;
        let ends = BUCKETS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (end, count) in ends.zip(histogram.counts) {
            sum += count;
            self.line(&format!("{name}_bucket"), &[("route", route), ("le", &end)], &sum);
        }
        self.line(&format!("{name}_sum"), &[("route", route)], &histogram.sum_s);
        self.line(&format!("{name}_count"), &[("route", route)], &sum);
    }
}

/// Anybody can make up methods.
fn method_name(method: &Method) -> &'static str {
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
    fn requests_are_counted_in_ranges_that_add_up() {
        let metrics = Metrics::default();
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
        metrics.heard(1.5);
        metrics.heard(2.0);
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
            "mynah_audio_heard_seconds_total 3.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
