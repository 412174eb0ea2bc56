//! `mynah serve`.

mod entries;
pub(crate) mod reference;
mod settings;
mod users;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mynah_core::Registry;
use mynah_engine::{Engine, Settings as EngineSettings};
use mynah_server::auth::{Auth, AuthConfig, MIN_KEY_CHARS, Store};
use mynah_server::{Control, Hosts, Limits, LocalModel, Origins, ServerConfig, Tls};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::ServeArgs;
use crate::exit::Failure;
use crate::interrupt::Signals;
use crate::keys;
use crate::logging::{self, Level};
use crate::progress::ProgressBars;
use settings::{AuthMode, Settings, Sources};

/// Serves until a signal asks to stop. `own_level` is what -v and -q ask for.
pub(crate) fn run(
    args: ServeArgs,
    own_level: Option<&str>,
    registry: Registry,
    bars: &ProgressBars,
) -> Result<(), Failure> {
    let settings = read(&args)?;
    if args.print_config {
        return crate::client::print(&settings::print(&settings)?);
    }
    #[cfg(feature = "otel")]
    let exporter = crate::traces::Exporter::from_env()?;
    #[cfg(feature = "otel")]
    let traces = exporter.layer();
    #[cfg(not(feature = "otel"))]
    let traces = None;
    let level = logging::start(own_level.unwrap_or(&settings.log_level), settings.log_format, bars, traces);
    let reload = Reload { args, level, level_is_fixed: own_level.is_some() };
    let plan = Plan::new(settings, &reload.args)?;
    if reload.args.metrics_exporter_host.is_some() || reload.args.metrics_exporter_port.is_some() {
        tracing::warn!("metrics are served at /metrics of the server's own address only");
    }
    let engine = Engine::open(plan.engine, registry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(Some(format!("cannot start: {error}"))))?;
    let outcome = runtime.block_on(serve(engine, plan.address, plan.server, reload));
    // Jobs that were cancelled stop at their next step; nothing waits for them.
    runtime.shutdown_background();
    // Waits for the collector, hence outside of the runtime and last.
    #[cfg(feature = "otel")]
    drop(exporter);
    outcome
}

async fn serve(
    engine: Engine,
    address: SocketAddr,
    mut config: ServerConfig,
    reload: Reload,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let hang_up = signal(SignalKind::hangup())
        .map_err(|error| Failure::Failed(Some(format!("cannot wait for signals: {error}"))))?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(Some(format!("cannot listen on {address}: {error}; --port 0 takes a free port")))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::Failed(Some(error.to_string())))?;
    warn_of_openness(address, &config.auth);
    config.address = address;
    let asked_to_stop = Arc::clone(&config.stop);
    engine.restore();
    let auth = config.auth.clone();
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let (router, control) = mynah_server::router_and_control(engine, config);
    ready(scheme, address)?;
    let reloading = tokio::spawn(reload.whenever(hang_up, control.clone(), auth));
    let stop = async move {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping"),
            () = asked_to_stop.notified() => tracing::info!("stopping at a client's request"),
        }
    };
    let outcome = mynah_server::serve(listener, router, control, stop).await;
    reloading.abort();
    outcome.map_err(|error| Failure::Failed(Some(format!("the server failed: {error}"))))
}

fn warn_of_openness(address: SocketAddr, auth: &Auth) {
    if !auth.is_on() && !address.ip().is_loopback() {
        tracing::warn!(
            "{address} is reachable from other machines and no key is required; create one with `mynah keys add`"
        );
    }
    if auth.is_on() && !auth.has_credentials() {
        tracing::warn!("a key is required but none exists; create one with `mynah keys add`");
    }
}

/// The one line on standard output.
fn ready(scheme: &str, address: SocketAddr) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(out, "Mynah {} listening on {scheme}://{address}", env!("CARGO_PKG_VERSION"))?;
    Ok(out.flush()?)
}

/// What a reload of the settings needs.
struct Reload {
    args: ServeArgs,
    level: Level,
    /// The command line says how much is logged.
    level_is_fixed: bool,
}

impl Reload {
    async fn whenever(self, mut hang_up: Signal, control: Control, auth: Auth) {
        while hang_up.recv().await.is_some() {
            let (args, auth) = (self.args.clone(), auth.clone());
            // Hashes passwords and reads files, hence off the async threads.
            let read = tokio::task::spawn_blocking(move || -> Result<(Limits, String), Failure> {
                let settings = read(&args)?;
                let limits = settings.limits.limits()?;
                auth.reload(auth_config(&settings)?)?;
                Ok((limits, settings.log_level))
            });
            match read.await {
                Ok(Ok((limits, log_level))) => {
                    control.set_limits(limits);
                    if let Err(error) = control.reload_tls() {
                        tracing::error!(%error, "certificate reload failed; keeping the previous one");
                    }
                    if !self.level_is_fixed {
                        self.level.set(&log_level);
                    }
                    tracing::warn!("reloaded keys, limits and log level");
                }
                Ok(Err(failure)) => {
                    tracing::error!("configuration reload failed; keeping the previous one: {failure}");
                }
                Err(error) => {
                    tracing::error!(%error, "configuration reload failed; keeping the previous one");
                }
            }
        }
    }
}

/// The settings of the command line, the environment and the file, in this order.
fn read(args: &ServeArgs) -> Result<Settings, Failure> {
    let mut sources = Sources::new(args.config.as_deref())?;
    xinference_variables(&mut sources)?;
    for text in &args.set {
        sources.set(text)?;
    }
    let number = |number: u64| toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let numbers = [
        ("port", args.port.map(u64::from)),
        ("threads", args.threads.map(u64::from)),
        ("queue_length", args.queue_length.map(|n| n as u64)),
        ("speech_cache_bytes", args.speech_cache_bytes.map(|n| n as u64)),
        ("memory_budget_bytes", args.memory_budget_bytes),
        ("limits.max_upload_bytes", args.max_upload_bytes),
        ("limits.max_requests", args.max_requests.map(|n| n as u64)),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            sources.put(name, number(value));
        }
    }
    let times = [
        ("limits.max_audio_s", args.max_audio_s),
        ("limits.max_queue_wait_s", args.max_queue_wait_s),
        ("unload_after_s", args.unload_after_s),
    ];
    for (name, seconds) in times {
        if let Some(seconds) = seconds {
            sources.put(name, seconds);
        }
    }
    let switches = [
        ("load_on_request", args.no_load_on_request, false),
        ("wait_for_load", args.no_wait_for_load, false),
        ("restore", args.restore, true),
    ];
    for (name, given, value) in switches {
        if given {
            sources.put(name, value);
        }
    }
    let path = |path: &PathBuf| path.display().to_string();
    let texts = [
        ("host", args.host.clone()),
        ("compute", args.compute.map(|compute| compute.to_string())),
        ("auth_config", args.auth_config.as_ref().map(path)),
        ("tls_cert", args.tls_cert.as_ref().map(path)),
        ("tls_key", args.tls_key.as_ref().map(path)),
        ("log_level", args.log_level.clone()),
        ("log_format", args.log_format.clone()),
        ("auth", args.auth.clone()),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            sources.put(name, value);
        }
    }
    if !args.api_key.is_empty() {
        sources.put("api_keys", args.api_key.clone());
    }
    if !args.cors_origin.is_empty() {
        sources.put("cors_origins", args.cors_origin.clone());
    }
    if !args.allowed_host.is_empty() {
        sources.put("allowed_hosts", args.allowed_host.clone());
    }
    let settings = sources.settings()?;
    if logging::level_name(&settings.log_level).is_none() {
        let message =
            format!("log_level: {:?} is none of error, warn, info, debug, trace", settings.log_level);
        return Err(Failure::Usage(message));
    }
    Ok(settings)
}

/// Variables of Xinference's that set the same.
fn xinference_variables(sources: &mut Sources) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ours = |name: &str| std::env::var_os(name).is_some();
    if let Some(text) = variable("XINFERENCE_AUTH_ADVANCED").filter(|_| !ours("MYNAH_AUTH")) {
        let off = ["0", "false", "no"].contains(&text.to_ascii_lowercase().as_str());
        sources.put("auth", if off { "off" } else { "on" });
    }
    if let Some(minutes) =
        variable("XINFERENCE_ACCESS_TOKEN_EXPIRE_MINUTES").filter(|_| !ours("MYNAH_LOGIN_TOKEN_MINUTES"))
    {
        sources.set(&format!("login_token_minutes={minutes}"))?;
    }
    Ok(())
}

/// Keys and users of the settings.
fn auth_config(settings: &Settings) -> Result<AuthConfig, Failure> {
    let mut config = AuthConfig {
        enabled: match settings.auth {
            AuthMode::Auto => None,
            AuthMode::On => Some(true),
            AuthMode::Off => Some(false),
        },
        api_keys: settings.api_keys.clone(),
        token_lifetime: settings.login_token_minutes.map(users::minutes_long).transpose()?,
        ..AuthConfig::default()
    };
    if let Some(path) = &settings.auth_config {
        users::add(path, &mut config)?;
    }
    let in_clear = config.api_keys.iter().filter(|key| !key.starts_with("sha256:"));
    if in_clear.filter(|key| key.len() < MIN_KEY_CHARS).count() > 0 {
        tracing::warn!("an API key is shorter than {MIN_KEY_CHARS} characters and may be guessed");
    }
    Ok(config)
}

/// What is to be run.
struct Plan {
    address: SocketAddr,
    engine: EngineSettings,
    server: ServerConfig,
}

impl Plan {
    fn new(settings: Settings, args: &ServeArgs) -> Result<Self, Failure> {
        let mut engine = EngineSettings::from_env()?;
        engine.compute = settings
            .compute
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| Failure::Usage("compute must be auto, f32, f16 or int8".to_owned()))?;
        engine.threads = settings.threads.map(usize::from);
        engine.speech_cache_bytes = settings.speech_cache_bytes;
        engine.queue_length = settings.queue_length;
        engine.decode_limits.max_duration_s = settings.limits.max_audio_s;
        engine.load_on_request = settings.load_on_request;
        engine.restore_running = settings.restore;
        engine.memory_budget_bytes = settings.memory_budget_bytes;
        engine.unload_after = settings
            .unload_after_s
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|_| Failure::Usage("unload_after_s is not a number of seconds".to_owned()))?;

        let mut local_models: Vec<_> =
            args.model_path.iter().map(|text| local_model(text)).collect::<Result<_, _>>()?;
        let auth = auth_config(&settings)?;
        let store = Store::open(engine.home.join(keys::FILE))?;
        let auth = Auth::new(auth, Some(store)).map_err(|error| Failure::Usage(error.to_string()))?;
        let limits = settings.limits.limits()?;
        let address = (settings.host.as_str(), settings.port);
        let address = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address.ok_or_else(|| {
            Failure::Usage(format!("host: {:?} is not an address of this machine", settings.host))
        })?;
        let tls = match (settings.tls_cert, settings.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(
                Tls::open(certificate, key)
                    .map_err(|error| Failure::Usage(format!("tls_cert and tls_key: {error}")))?,
            ),
            _ => return Err(Failure::Usage("tls_cert and tls_key go together".to_owned())),
        };
        let cors_origins = Origins::new(&settings.cors_origins)
            .map_err(|error| Failure::Usage(format!("cors_origins: {error}")))?;
        let allowed_hosts = Hosts::new(&settings.allowed_hosts, &settings.host)
            .map_err(|error| Failure::Usage(format!("allowed_hosts: {error}")))?;
        local_models.extend(settings.models.into_iter().map(|(name, path)| LocalModel { name, path }));
        Ok(Self {
            address,
            engine,
            server: ServerConfig {
                auth,
                cors_origins,
                allowed_hosts,
                tls,
                wait_for_models: settings.wait_for_load,
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
        return Err(Failure::ModelUnavailable(format!("--model-path: {} does not exist", path.display())));
    }
    Ok(LocalModel { name, path })
}
