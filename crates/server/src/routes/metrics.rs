//! `GET /metrics`, for Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mynah_engine::Phase;

use crate::error::ApiError;
use crate::metrics::Page;
use crate::state::AppState;

/// All figures.
pub(super) async fn metrics(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    let running = state.blocking("The models cannot be listed", mynah_engine::Engine::running).await?;
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for model in running {
        *states.entry(name(&model.phase)).or_default() += 1;
    }
    let mut page = Page(state.metrics.text());
    page.head("mynah_models", "gauge", "Running models by state.");
    for (name, count) in &states {
        page.line("mynah_models", &[("state", *name)], count);
    }
    let weights = state.blocking("The weights cannot be counted", mynah_engine::Engine::weight_bytes).await?;
    page.figure("mynah_weight_bytes", "gauge", "Weights in memory.", &weights);
    page.figure(
        "mynah_jobs",
        "gauge",
        "Jobs under way in the engine, waiting ones included.",
        &state.engine.jobs(),
    );
    page.figure("mynah_jobs_bound", "gauge", "Those that may be.", &state.engine.queue_length());
    let help = "Work that goes before a client with nothing under way, seconds.";
    page.figure("mynah_expected_wait_seconds", "gauge", help, &state.engine.expected_wait_s());
    let batches = state.engine.batch_stats();
    let help = "Rows of each step of a decoder, of all requests that share it.";
    page.head("mynah_step_rows", "histogram", help);
    page.sizes("mynah_step_rows", &[("ability", "listen")], &batches.transcription_rows);
    page.sizes("mynah_step_rows", &[("ability", "speak")], &batches.speech_rows);
    let help = "Windows of audio under way whenever one begins, itself among them.";
    page.head("mynah_windows_under_way", "histogram", help);
    page.sizes("mynah_windows_under_way", &[], &batches.sequences);
    let limits = state.limits();
    let help = "The longest that somebody is let wait.";
    page.figure("mynah_expected_wait_seconds_bound", "gauge", help, &limits.max_queue_wait_s.as_secs_f64());
    let uptime_s = state.started.elapsed().as_secs_f64();
    page.figure("mynah_audio_requests", "gauge", "Audio requests under way.", &state.permits.taken());
    page.figure("mynah_audio_requests_bound", "gauge", "Those that may be.", &limits.max_requests);
    let memory = state.engine.request_memory();
    let help = "Memory of uploads, decoded audio and texts.";
    page.figure("mynah_request_memory_bytes", "gauge", help, &memory.taken_bytes());
    let help = "That which there may be.";
    page.figure("mynah_request_memory_bytes_bound", "gauge", help, &memory.bound_bytes());
    page.figure("mynah_connections", "gauge", "Connections.", &state.connections.taken());
    page.figure("mynah_uptime_seconds", "gauge", "Time since the server was started.", &uptime_s);
    if let Some(process) = Process::look() {
        let help = "Memory of the process that is in use.";
        page.figure("process_resident_memory_bytes", "gauge", help, &process.resident_bytes);
        page.figure("process_threads", "gauge", "Threads of the process.", &process.threads);
        page.figure("process_open_fds", "gauge", "Open files and sockets.", &process.open_files);
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], page.0).into_response())
}

fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Downloading(_) => "downloading",
        Phase::Loading => "loading",
        Phase::Ready => "ready",
        Phase::Failed(_) => "failed",
        Phase::Unloading => "unloading",
    }
}

/// What Linux tells of this process; see proc(5).
struct Process {
    resident_bytes: u64,
    threads: u64,
    open_files: usize,
}

impl Process {
    fn look() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            resident_bytes: number("VmRSS:")? * 1024,
            threads: number("Threads:")?,
            open_files: std::fs::read_dir("/proc/self/fd").ok()?.count(),
        })
    }
}
