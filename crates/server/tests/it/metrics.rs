//! Figures for Prometheus, and headers for browsers.

use crate::access::get_with;
use crate::support::{app, app_with, keys};

#[tokio::test]
async fn what_is_asked_is_counted() {
    let app = app();
    app.transcribe(&[]).await;
    app.speak(&serde_json::json!({})).await;
    app.get("/v1/models/some-secret-text").await;
    app.get("/nope/some-secret-text").await;
    let answer = app.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    for line in [
        "mynah_requests_total{route=\"/v1/audio/transcriptions\",method=\"POST\",status=\"200\"} 1",
        "mynah_requests_total{route=\"/v1/models/{*path}\",method=\"GET\",status=\"400\"} 1",
        "mynah_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "mynah_request_seconds_count{route=\"/v1/audio/transcriptions\"} 1",
        "mynah_first_byte_seconds_count{route=\"/v1/audio/transcriptions\"} 1",
        "mynah_first_result_seconds_count{task=\"transcription\"} 1",
        "mynah_audio_seconds_total{task=\"transcription\"} 2",
        "mynah_tokens_total{task=\"transcription\"} 6",
        "mynah_queue_seconds_count{task=\"speech\"} 1",
        "mynah_first_result_seconds_count{task=\"speech\"} 1",
        "mynah_real_time_factor_count{task=\"speech\"} 1",
        "mynah_audio_seconds_total{task=\"speech\"} 1.5",
        "mynah_tokens_total{task=\"speech\"} 7",
        "mynah_jobs 0",
        "mynah_jobs_limit 4",
        "mynah_audio_requests 0",
        "mynah_audio_requests_limit 256",
        "mynah_step_rows_bucket{task=\"transcription\",le=\"5\"} 1",
        "mynah_step_rows_sum{task=\"transcription\"} 5",
        "mynah_step_rows_count{task=\"speech\"} 1",
        "mynah_step_rows_sum{task=\"speech\"} 3",
        "mynah_batched_windows_bucket{le=\"1\"} 1",
        "mynah_batched_windows_count 1",
        "mynah_expected_wait_seconds 0",
        "mynah_expected_wait_seconds_limit 30",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
    // Every figure is a name, perhaps labels, and a number, after its help and its type.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
    }
    let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(resident.parse::<u64>().unwrap() > 1 << 20);
}

#[tokio::test]
async fn figures_are_for_those_who_may_see_them() {
    let app = app_with(|config| config.auth = keys(&["sk-0123456789abc"]));
    app.get("/metrics").await.error(401);
    let answer = get_with(&app, "/metrics", "authorization", "Bearer sk-0123456789abc").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("route=\"/metrics\",method=\"GET\",status=\"401\"} 1"));
}

#[tokio::test]
async fn browsers_are_kept_in_bounds() {
    let app = app();
    for path in ["/health", "/nope", "/v1/models"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    let speech = app.speak(&serde_json::json!({})).await;
    assert_eq!(speech.header("x-content-type-options"), "nosniff");
}
