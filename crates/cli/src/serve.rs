//! `mynah serve`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use mynah_engine::{Engine, Settings};
use mynah_server::{Limits, LocalModel, ServerConfig};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::args::{Compute, ServeArgs};
use crate::exit::Failure;
use crate::interrupt::Signals;

const DEFAULT_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEFAULT_PORT: u16 = 9997;

/// Serves until a signal asks to stop.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let plan = Plan::new(args)?;
    let engine = Engine::open(plan.settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(Some(format!("cannot start: {error}"))))?;
    let outcome = runtime.block_on(serve(engine, plan.address, plan.server));
    // Jobs that were cut off stop at their next step; nobody waits for them.
    runtime.shutdown_background();
    outcome
}

async fn serve(engine: Engine, address: SocketAddr, mut config: ServerConfig) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(Some(format!("cannot listen on {address}: {error}; --port 0 takes a free port")))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::Failed(Some(error.to_string())))?;
    if !address.ip().is_loopback() && config.api_keys.is_empty() {
        tracing::warn!("{address} can be reached from other machines and no --api-key is set");
    }
    let grace = config.limits.shutdown_grace;
    config.address = address;
    let asked_to_stop = Arc::clone(&config.stop);
    engine.restore();
    let router = mynah_server::router(engine, config);
    ready(address)?;
    let stop = async move {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping"),
            () = asked_to_stop.notified() => tracing::info!("stopping, as a client asked"),
        }
    };
    mynah_server::serve(listener, router, grace, stop)
        .await
        .map_err(|error| Failure::Failed(Some(format!("the server failed: {error}"))))
}

/// The one line on standard output.
fn ready(address: SocketAddr) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(out, "mynah {} listens on http://{address}", env!("CARGO_PKG_VERSION"))?;
    Ok(out.flush()?)
}

/// Settings, put together from the command line, the environment and the file, in this order.
struct Plan {
    address: SocketAddr,
    settings: Settings,
    server: ServerConfig,
}

impl Plan {
    fn new(args: ServeArgs) -> Result<Self, Failure> {
        let file = args.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let mut settings = Settings::from_env()?;
        let compute = match (args.compute, file.compute) {
            (Some(compute), _) => compute,
            (None, Some(name)) => Compute::from_str(&name, true).map_err(|_| {
                Failure::Usage("compute in the settings file must be auto, f32, f16 or int8".to_owned())
            })?,
            (None, None) => Compute::Auto,
        };
        settings.compute = compute.into();
        settings.threads = args.threads.or(file.threads).map(usize::from);
        settings.speech_cache_bytes =
            args.speech_cache_bytes.or(file.speech_cache_bytes).unwrap_or(settings.speech_cache_bytes);
        settings.load_on_request = !(args.no_load_on_request || file.no_load_on_request);
        settings.restore_running = args.restore || file.restore;
        settings.memory_budget_bytes = args.memory_budget_bytes.or(file.memory_budget_bytes);
        settings.unload_after = args
            .unload_after_s
            .or(file.unload_after_s)
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|_| Failure::Usage("unload_after_s is no number of seconds".to_owned()))?;
        settings.queue_length = args.queue_length.or(file.queue_length).unwrap_or(settings.queue_length);

        let max_audio_s = args.max_audio_s.or(file.limits.max_audio_s);
        settings.decode_limits.max_duration_s = max_audio_s.unwrap_or(settings.decode_limits.max_duration_s);
        let mut limits = file.limits.over(Limits::default())?;
        limits.max_upload_bytes = args.max_upload_bytes.unwrap_or(limits.max_upload_bytes);
        limits.max_requests = args.max_requests.unwrap_or(limits.max_requests);

        let mut local_models: Vec<_> =
            args.model_path.iter().map(|text| local_model(text)).collect::<Result<_, _>>()?;
        local_models.extend(file.models.into_iter().map(|(name, path)| LocalModel { name, path }));

        let api_keys = if args.api_key.is_empty() { file.api_keys } else { args.api_key };
        if api_keys.iter().any(|key| key.trim().is_empty()) {
            return Err(Failure::Usage("an API key is empty".to_owned()));
        }
        Ok(Self {
            address: SocketAddr::new(
                args.host.or(file.host).unwrap_or(DEFAULT_HOST),
                args.port.or(file.port).unwrap_or(DEFAULT_PORT),
            ),
            settings,
            server: ServerConfig {
                api_keys,
                wait_for_models: !(args.no_wait || file.no_wait),
                local_models,
                limits,
                ..ServerConfig::default()
            },
        })
    }
}

/// `NAME=PATH`, or a path whose last part is the name.
fn local_model(text: &str) -> Result<LocalModel, Failure> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
        None => {
            let path = PathBuf::from(text);
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path)
        }
    };
    if name.is_empty() {
        return Err(Failure::Usage(format!("--model-path {text}: write NAME=PATH")));
    }
    if !path.exists() {
        return Err(Failure::ModelUnavailable(format!("--model-path: there is no {}", path.display())));
    }
    Ok(LocalModel { name, path })
}

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    host: Option<IpAddr>,
    port: Option<u16>,
    api_keys: Vec<String>,
    compute: Option<String>,
    threads: Option<u16>,
    queue_length: Option<usize>,
    no_load_on_request: bool,
    no_wait: bool,
    restore: bool,
    unload_after_s: Option<f64>,
    memory_budget_bytes: Option<u64>,
    speech_cache_bytes: Option<usize>,
    models: BTreeMap<String, PathBuf>,
    limits: FileLimits,
}

/// [`Limits`] as the file has them, and the longest audio; durations are seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileLimits {
    max_upload_bytes: Option<u64>,
    max_audio_s: Option<f64>,
    spool_bytes: Option<usize>,
    max_text_bytes: Option<usize>,
    max_parts: Option<usize>,
    max_requests: Option<usize>,
    upload_idle: Option<f64>,
    upload_time: Option<f64>,
    request_time: Option<f64>,
    shutdown_grace: Option<f64>,
}

impl File {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
    }
}

impl FileLimits {
    fn over(self, default: Limits) -> Result<Limits, Failure> {
        let duration = |seconds: Option<f64>, default: Duration| match seconds {
            None => Ok(default),
            Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
                Failure::Usage(format!("limits in the settings file: {seconds} is no number of seconds"))
            }),
        };
        Ok(Limits {
            max_upload_bytes: self.max_upload_bytes.unwrap_or(default.max_upload_bytes),
            spool_bytes: self.spool_bytes.unwrap_or(default.spool_bytes),
            max_text_bytes: self.max_text_bytes.unwrap_or(default.max_text_bytes),
            max_parts: self.max_parts.unwrap_or(default.max_parts),
            max_requests: self.max_requests.unwrap_or(default.max_requests),
            upload_idle: duration(self.upload_idle, default.upload_idle)?,
            upload_time: duration(self.upload_time, default.upload_time)?,
            request_time: duration(self.request_time, default.request_time)?,
            shutdown_grace: duration(self.shutdown_grace, default.shutdown_grace)?,
        })
    }
}
