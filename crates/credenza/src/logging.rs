//! What is logged and how: JSON lines in production, short lines in development.

use store::NoticeWatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Anybody can make these complain by sending broken requests; an error of theirs is none of ours. What the verifier of
/// certificates refuses is said by whoever wanted the connection.
const QUIET: &str = "actix_http=off,actix_tls=off,actix_server=warn,rustls_platform_verifier=off";

/// Starts logging to standard error. `CREDENZA_LOG` overrides `level`.
pub fn start(format: Format, level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("CREDENZA_LOG")
        .or_else(|_unset| EnvFilter::try_new(format!("{level},{QUIET}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Json => {
            let lines =
                tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            NoticeWatch::around(registry.with(lines)).try_init()?;
        }
        Format::Text => {
            let lines =
                tracing_subscriber::fmt::layer().compact().with_target(false).with_writer(std::io::stderr);
            NoticeWatch::around(registry.with(lines)).try_init()?;
        }
    }
    Ok(())
}
