//! Logs and traces.

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// What is told of the inside, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which logs: a level, or `target=level` pairs separated by commas.
    pub log: String,
    pub format: Format,
    /// Where traces go over OTLP/gRPC, such as `http://collector:4317`; nowhere when empty.
    #[serde(default)]
    pub otlp_endpoint: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For machines: an object a line.
    Json,
}

/// Sends what is left when dropped.
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("telemetry.log: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("telemetry.otlp_endpoint: {0}")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("telemetry is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Targets of the WhatsApp Web library, some of whose messages below errors show stanzas with numbers in them.
const INDISCREET: [&str; 10] = [
    "whatsapp_rust",
    "whatsapp_rust_tokio_transport",
    "wacore",
    "wacore_binary",
    "wacore_libsignal",
    "wacore_noise",
    "wacore_appstate",
    "Client",
    "Bot",
    "Router",
];

/// What is asked for, and of the indiscreet nothing but errors, whatever was asked for.
fn filter(log: &str) -> Result<EnvFilter, Error> {
    let mut filter = EnvFilter::try_new(log)?;
    for target in INDISCREET {
        filter = filter.add_directive(format!("{target}=error").parse()?);
    }
    Ok(filter)
}

/// Sets up logs and traces for the process.
pub fn init(service: &str, config: &Config) -> Result<Guard, Error> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let filter = filter(&config.log)?;
    let logs = match config.format {
        Format::Text => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
        Format::Json => tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let mut provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_attribute(KeyValue::new("service.name", format!("barid-{service}"))).build());
    if !config.otlp_endpoint.is_empty() {
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(&config.otlp_endpoint).build()?;
        provider = provider.with_batch_exporter(exporter);
    }
    let provider = provider.build();
    // Spans are made even without an exporter, so that a trace context that comes in also goes out.
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("barid"));
    tracing_subscriber::registry().with(filter).with(logs).with(traces).try_init()?;
    Ok(Guard(Some(provider)))
}
