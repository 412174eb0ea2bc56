//! Traces for an OpenTelemetry collector, where the program was built with the feature `otel` and the environment names one.
//!
//! The variables are OpenTelemetry's own: `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) switches the export on;
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER` and `OTEL_BSP_*` mean
//! what the specification says. Spans go out as protobuf over HTTP, on a thread of the exporter's own; what a collector
//! does not take is dropped.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;

use crate::exit::Failure;
use crate::logging::Sink;

/// Sends what is left when dropped.
#[derive(Default)]
pub(crate) struct Exporter(Option<SdkTracerProvider>);

impl Exporter {
    /// The exporter that the environment asks for, if it asks for one.
    pub(crate) fn from_env() -> Result<Self, Failure> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].into_iter().any(is_set) {
            return Ok(Self::default());
        }
        // Fails if the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .build()
            .map_err(|error| Failure::Usage(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")))?;
        let mut resource = Resource::builder();
        if !is_set("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name("mynah");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Self(Some(provider)))
    }

    /// What hands spans over to it.
    pub(crate) fn layer(&self) -> Option<Sink> {
        let provider = self.0.as_ref()?;
        Some(tracing_opentelemetry::layer().with_tracer(provider.tracer("mynah")).boxed())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "some traces were not exported");
        }
    }
}
