//! The ready file: tells tests and scripts where everything is, once the listeners accept.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

/// What stands in the file; members that do not apply are absent.
#[derive(Serialize)]
pub struct Ready {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    pub public_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_url: Option<String>,
    pub tenant_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_did: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
}

impl Ready {
    /// Writes the file so that nobody sees half of it, readable by its owner only: it may hold a secret.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let draft = path.with_extension("tmp");
        let text = serde_json::to_string_pretty(self)?;
        crate::tls::write_private(&draft, text.as_bytes())
            .and_then(|()| std::fs::rename(&draft, path))
            .with_context(|| format!("writing the ready file {}", path.display()))
    }
}
