//! Downloads from a working hub and from faulty ones.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mynah_core::CancelFlag;
use mynah_engine::{DownloadTimeouts, Engine, Error, PullProgress, Settings, SourcePreference};
use mynah_testkit::hub::{Hub, Reply, Repository, Request, Then, ranged};
use tempfile::TempDir;

/// Its only source is Hugging Face.
const MODEL: &str = "whisper-small";
const WEIGHTS: &str = "model.safetensors";

/// Settings that use only `hub`. The timeouts are long enough for a busy machine.
pub(crate) fn settings(home: &TempDir, hub: &str) -> Settings {
    Settings {
        hf_endpoint: hub.to_owned(),
        modelscope_endpoint: closed_port(),
        python: home.path().join("no-python"),
        download_timeouts: DownloadTimeouts {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            stall: Duration::from_secs(5),
        },
        ..Settings::new(home.path().join("mynah"))
    }
}

/// An address where no server listens.
fn closed_port() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

fn pull(settings: &Settings) -> (Result<std::path::PathBuf, Error>, Vec<PullProgress>) {
    let mut progress = Vec::new();
    let engine = Engine::open(settings.clone(), mynah_models::registry()).unwrap();
    let result = engine.pull(MODEL, &mut |step| progress.push(step), &CancelFlag::new());
    (result, progress)
}

fn pull_from(hub: &Hub) -> Result<std::path::PathBuf, Error> {
    pull(&settings(&tempfile::tempdir().unwrap(), &hub.url())).0
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_weights(request: &Request) -> bool {
    request.target.ends_with(WEIGHTS)
}

#[test]
fn a_fresh_download_is_complete_and_recorded() {
    let repository = Repository::new();
    let hub = Hub::start({
        let repository = repository.clone();
        move |request| repository.answer(request)
    });
    let home = tempfile::tempdir().unwrap();
    let settings = settings(&home, &hub.url());
    let (result, progress) = pull(&settings);

    let folder = result.unwrap();
    assert_eq!(folder, home.path().join("mynah/models/whisper-small"));
    assert_eq!(names(&folder), ["config.json", WEIGHTS, "mynah.json", "tokenizer.json"]);
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), repository.weights());
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("mynah.json")).unwrap()).unwrap();
    assert_eq!(manifest["source"], "huggingface:openai/whisper-small");
    assert_eq!(manifest["revision"], "c0ffee");
    let files = manifest["files"].as_array().unwrap();
    let weights = files.iter().find(|file| file["name"] == WEIGHTS).unwrap();
    assert_eq!(weights["sha256"], mynah_testkit::hub::sha256(repository.weights()));

    assert_eq!(progress[0], PullProgress::Trying { source: "huggingface:openai/whisper-small".into() });
    let done: Vec<u64> = progress
        .iter()
        .filter_map(|step| match step {
            PullProgress::Bytes { done, total, .. } => {
                assert_eq!(*total, Some(repository.checkpoint_bytes()));
                Some(*done)
            }
            _ => None,
        })
        .collect();
    assert!(done.is_sorted());
    assert_eq!(done.last(), Some(&repository.checkpoint_bytes()));

    // The commit in the list is downloaded, and only once.
    assert_eq!(hub.requests_for(&format!("/openai/whisper-small/resolve/c0ffee/{WEIGHTS}")).len(), 1);
    let requests = hub.requests().len();
    assert_eq!(pull(&settings).0.unwrap(), folder);
    assert_eq!(hub.requests().len(), requests);
}

#[test]
fn an_interrupted_download_is_resumed() {
    let repository = Repository::new();
    let hub = Hub::start({
        let repository = repository.clone();
        let tries = AtomicUsize::new(0);
        move |request| match is_weights(request).then(|| tries.fetch_add(1, Ordering::Relaxed)) {
            Some(0) => repository.answer(request).cut_after(500_000, Then::Close),
            Some(1) => repository.answer(request).cut_after(300_000, Then::Hang),
            _ => repository.answer(request),
        }
    });
    let home = tempfile::tempdir().unwrap();
    let folder = pull(&settings(&home, &hub.url())).0.unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), repository.weights());
    let starts: Vec<Option<usize>> = hub.requests_for(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(starts, [None, Some(500_000), Some(800_000)]);
}

#[test]
fn without_range_support_the_download_starts_over() {
    let repository = Repository::new();
    let hub = Hub::start({
        let repository = repository.clone();
        let tries = AtomicUsize::new(0);
        move |request| match is_weights(request).then(|| tries.fetch_add(1, Ordering::Relaxed)) {
            Some(0) => repository.answer(request).cut_after(500_000, Then::Close),
            Some(_) => Reply::body(repository.weights()),
            None => repository.answer(request),
        }
    });
    let home = tempfile::tempdir().unwrap();
    let folder = pull(&settings(&home, &hub.url())).0.unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), repository.weights());
}

#[test]
fn a_cancelled_download_stops_at_once_and_is_resumed_later() {
    let repository = Repository::new();
    let hub = Hub::start({
        let repository = repository.clone();
        let tries = AtomicUsize::new(0);
        move |request| match is_weights(request).then(|| tries.fetch_add(1, Ordering::Relaxed)) {
            Some(0) => repository.answer(request).cut_after(700_000, Then::Hang),
            _ => repository.answer(request),
        }
    });
    let home = tempfile::tempdir().unwrap();
    let settings = Settings {
        download_timeouts: DownloadTimeouts { stall: Duration::from_secs(60), ..DownloadTimeouts::default() },
        ..settings(&home, &hub.url())
    };
    let engine = Engine::open(settings.clone(), mynah_models::registry()).unwrap();
    let cancel = CancelFlag::new();
    thread::scope(|scope| {
        let pull = scope.spawn(|| engine.pull(MODEL, &mut |_| (), &cancel));
        let partial = home.path().join("mynah/models/.partial/whisper-small");
        let part = partial.join("Huggingface-openai_whisper-small-c0ffee/model.safetensors.part");
        while fs::metadata(&part).map_or(0, |metadata| metadata.len()) < 700_000 {
            thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        cancel.cancel();
        let result = pull.join().unwrap();
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert!(start.elapsed() < Duration::from_secs(20));
    });

    let folder = pull(&settings).0.unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), repository.weights());
    assert_eq!(hub.requests_for(WEIGHTS)[1].range_start(), Some(700_000));
    assert!(!home.path().join("mynah/models/.partial/whisper-small").exists());
}

#[test]
fn damaged_files_are_downloaded_once_more_and_then_refused() {
    let mut wrong = Repository::new().weights().to_vec();
    wrong[1000] ^= 1;
    let repository = Repository::new();
    let hub =
        Hub::start(
            move |request| {
                if is_weights(request) { ranged(request, &wrong) } else { repository.answer(request) }
            },
        );
    let home = tempfile::tempdir().unwrap();
    let error = pull(&settings(&home, &hub.url())).0.unwrap_err();
    assert!(matches!(&error, Error::Download { .. }), "{error:?}");
    assert!(error.to_string().contains("model.safetensors arrived damaged: its sha256"), "{error}");
    assert_eq!(hub.requests_for(WEIGHTS).len(), 2);
    assert!(!home.path().join("mynah/models/whisper-small").exists());
}

#[test]
fn more_bytes_than_announced_are_refused() {
    let repository = Repository::new();
    let hub = Hub::start(move |request| {
        if is_weights(request) { Reply::body(vec![7; 2_000_000]) } else { repository.answer(request) }
    });
    let error = pull_from(&hub).unwrap_err();
    assert!(error.to_string().contains("model.safetensors is longer than announced"), "{error}");
}

#[test]
fn error_responses_of_the_hub_are_reported() {
    for (status, text) in [
        (404, "127.0.0.1 answered 404"),
        (401, "set HF_TOKEN if the model needs a login"),
        (403, "set HF_TOKEN if the model needs a login"),
        (500, "127.0.0.1 answered 500"),
    ] {
        let hub = Hub::start(move |_| Reply::status(status));
        let error = pull_from(&hub).unwrap_err();
        assert!(matches!(&error, Error::Download { .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{status}: {error}");
    }
    for (body, text) in [
        ("<html>log in to the wireless network</html>", "its list of files cannot be parsed"),
        (r#"{"sha": "1", "siblings": []}"#, "it has no weights in a supported format"),
    ] {
        let hub = Hub::start(move |_| Reply::body(body));
        let error = pull_from(&hub).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_temporary_server_error_is_retried() {
    let repository = Repository::new();
    let tries = AtomicUsize::new(0);
    let hub = Hub::start(move |request| {
        if is_weights(request) && tries.fetch_add(1, Ordering::Relaxed) == 0 {
            return Reply::status(503);
        }
        repository.answer(request)
    });
    pull_from(&hub).unwrap();
    assert_eq!(hub.requests_for(WEIGHTS).len(), 2);
}

#[test]
fn the_token_is_sent_to_the_hub_only() {
    let repository = Repository::new();
    let storage = Hub::start({
        let repository = repository.clone();
        move |request| repository.answer(request)
    });
    let elsewhere = format!("{}/bucket/{WEIGHTS}", storage.url());
    let hub = Hub::start(move |request| {
        if request.headers.get("authorization").map(String::as_str) != Some("Bearer hf_secret") {
            return Reply::status(401);
        }
        if is_weights(request) {
            return Reply::status(302).header("Location", elsewhere.clone());
        }
        repository.answer(request)
    });
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { hf_token: Some("hf_secret".to_owned()), ..settings(&home, &hub.url()) };
    pull(&settings).0.unwrap();
    let received = storage.requests();
    assert_eq!(received.len(), 1);
    assert!(!received[0].headers.contains_key("authorization"));
}

#[test]
fn the_checksum_of_the_response_counts_if_the_list_has_none() {
    for (etag_of, right) in [("the weights", true), ("something else", false)] {
        let repository = Repository::new();
        let sum = if right {
            mynah_testkit::hub::sha256(repository.weights())
        } else {
            mynah_testkit::hub::sha256(b"other")
        };
        let hub = Hub::start(move |request| {
            if request.target.starts_with("/api/models/") {
                return Reply::body(repository.huggingface_listing(false));
            }
            if request.target.starts_with("/storage/") || !is_weights(request) {
                return repository.answer(request);
            }
            Reply::status(302)
                .header("Location", format!("/storage/{WEIGHTS}"))
                .header("X-Linked-Etag", format!("\"{sum}\""))
        });
        assert_eq!(pull_from(&hub).is_ok(), right, "tag of {etag_of}");
    }
}

#[test]
fn redirects_are_limited() {
    let hub = Hub::start(|_| Reply::status(302).header("Location", "/again"));
    let error = pull_from(&hub).unwrap_err();
    assert!(error.to_string().contains("redirects too often"), "{error}");
}

#[test]
fn an_unresponsive_hub_is_given_up_soon() {
    let hub = Hub::start(|_| Reply::silence());
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(&home, &hub.url());
    settings.download_timeouts.answer = Duration::from_millis(500);
    let start = Instant::now();
    let error = pull(&settings).0.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(matches!(&error, Error::NoNetwork { .. }), "{error:?}");
    assert!(
        error.to_string().contains("huggingface:openai/whisper-small: 127.0.0.1 does not answer"),
        "{error}"
    );
}

#[test]
fn a_missing_network_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let (result, progress) = pull(&settings(&home, &closed_port()));
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::NoNetwork { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("cannot get whisper-small, no source answered; is there a network?\n  ")
    );
    assert!(matches!(&progress[1], PullProgress::GaveUp { reason, .. } if reason.contains("no connection")));
}

#[test]
fn offline_sends_no_request() {
    let hub = Hub::start(|_| Reply::status(200));
    let home = tempfile::tempdir().unwrap();
    let error = pull(&Settings { offline: true, ..settings(&home, &hub.url()) }).0.unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
    assert!(hub.requests().is_empty());
}

#[test]
fn too_little_disk_space_is_detected_before_the_download() {
    let hub = Hub::start(|_| {
        let file = |name: &str| serde_json::json!({"rfilename": name, "size": 1_u64 << 60});
        let siblings = [WEIGHTS, "config.json", "tokenizer.json"].map(file);
        Reply::body(serde_json::json!({"sha": "1", "siblings": siblings}).to_string())
    });
    let error = pull_from(&hub).unwrap_err();
    assert!(
        matches!(error, Error::NoSpace { needed_bytes: Some(_), available_bytes: Some(_), .. }),
        "{error:?}"
    );
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn concurrent_pulls_download_once() {
    let repository = Repository::new();
    let hub = Hub::start(move |request| {
        thread::sleep(Duration::from_millis(100));
        repository.answer(request)
    });
    let home = tempfile::tempdir().unwrap();
    let settings = settings(&home, &hub.url());
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..4).map(|_| scope.spawn(|| pull(&settings))).collect();
        let steps: Vec<_> = pulls
            .into_iter()
            .map(|pull| {
                let (result, progress) = pull.join().unwrap();
                result.unwrap();
                progress
            })
            .collect();
        let waited = steps.iter().filter(|steps| ***steps == [PullProgress::Waiting]).count();
        assert_eq!(waited, 3, "{steps:?}");
    });
    assert_eq!(hub.requests_for(WEIGHTS).len(), 1);
}

#[test]
fn modelscope_is_the_fallback() {
    let repository = Repository::new();
    let modelscope = Hub::start({
        let repository = repository.clone();
        move |request| repository.answer(request)
    });
    let huggingface = Hub::start(move |request| repository.answer(request));
    let home = tempfile::tempdir().unwrap();
    let both = Settings { modelscope_endpoint: modelscope.url(), ..settings(&home, &closed_port()) };
    let engine = Engine::open(both.clone(), mynah_models::registry()).unwrap();
    let mut gave_up = Vec::new();
    let mut note = |step| {
        if let PullProgress::GaveUp { source, .. } = step {
            gave_up.push(source);
        }
    };
    let folder = engine.pull("whisper-large-v3", &mut note, &CancelFlag::new()).unwrap();
    assert_eq!(gave_up, ["huggingface:openai/whisper-large-v3"]);
    assert_eq!(names(&folder), ["config.json", WEIGHTS, "mynah.json", "tokenizer.json"]);

    // If it is preferred, no other source is tried.
    let preferring =
        Settings { source: SourcePreference::Modelscope, hf_endpoint: huggingface.url(), ..both.clone() };
    let engine = Engine::open(preferring, mynah_models::registry()).unwrap();
    engine.pull("whisper-large-v3-turbo", &mut |_| (), &CancelFlag::new()).unwrap();
    assert!(huggingface.requests().is_empty());
}

#[test]
fn an_invalid_address_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let error = pull(&settings(&home, "huggingface.co")).0.unwrap_err();
    assert!(matches!(&error, Error::Settings(text) if text.contains("\"huggingface.co\"")), "{error:?}");
}
