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

/// All metrics.
pub(super) async fn metrics(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    let running = state.blocking("Cannot list the models", mynah_engine::Engine::running).await?;
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for model in running {
        *states.entry(name(&model.phase)).or_default() += 1;
    }
    let mut page = Page(state.metrics.text());
    page.head("mynah_models", "gauge", "Running models by state.");
    for (name, count) in &states {
        page.line("mynah_models", &[("state", *name)], count);
    }
    let weights = state.blocking("Cannot sum up the weights", mynah_engine::Engine::weight_bytes).await?;
    page.figure("mynah_weight_bytes", "gauge", "Bytes of weights in memory.", &weights);
    page.figure("mynah_jobs", "gauge", "Jobs in the engine, including waiting ones.", &state.engine.jobs());
    page.figure("mynah_jobs_limit", "gauge", "Limit of mynah_jobs.", &state.engine.queue_length());
    let help = "Estimated wait of a new client's job, seconds.";
    page.figure("mynah_expected_wait_seconds", "gauge", help, &state.engine.expected_wait_s());
    let batches = state.engine.batch_stats();
    let help = "Rows per decoder step, over all requests that share it.";
    page.head("mynah_step_rows", "histogram", help);
    page.sizes("mynah_step_rows", &[("task", "transcription")], &batches.transcription_rows);
    page.sizes("mynah_step_rows", &[("task", "speech")], &batches.speech_rows);
    let help = "Windows of audio in the batch when one is added, including it.";
    page.head("mynah_batched_windows", "histogram", help);
    page.sizes("mynah_batched_windows", &[], &batches.sequences);
    let limits = state.limits();
    let help = "Limit of mynah_expected_wait_seconds; requests beyond it are refused.";
    page.figure("mynah_expected_wait_seconds_limit", "gauge", help, &limits.max_queue_wait.as_secs_f64());
    let uptime_s = state.started.elapsed().as_secs_f64();
    page.figure("mynah_audio_requests", "gauge", "Audio requests in progress.", &state.permits.taken());
    page.figure(
        "mynah_audio_requests_limit",
        "gauge",
        "Limit of mynah_audio_requests.",
        &limits.max_requests,
    );
    let memory = state.engine.request_memory();
    let help = "Memory reserved for uploads, decoded audio and texts.";
    page.figure("mynah_request_memory_bytes", "gauge", help, &memory.taken_bytes());
    let help = "Limit of mynah_request_memory_bytes.";
    page.figure("mynah_request_memory_bytes_limit", "gauge", help, &memory.limit_bytes());
    page.figure("mynah_connections", "gauge", "Open connections.", &state.connections.taken());
    page.figure("mynah_uptime_seconds", "gauge", "Time since the server started.", &uptime_s);
    if let Some(process) = Process::look() {
        let help = "Resident memory of the process.";
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

/// Resources of this process, as Linux reports them; see proc(5).
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
