//! Owns the throw-away certificate authority and the leaf that the listener shows.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("a TLS file: {0}")]
    Io(#[from] io::Error),
    /// A certificate cannot be made.
    #[error("a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file holds no PEM of its kind.
    #[error("a PEM file: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Certificate and key do not belong together, or the library refuses them.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What the listener needs, and what its clients need to trust it.
#[derive(Debug)]
pub struct Identity {
    pub ca_pem: String,
    pub server: Arc<ServerConfig>,
}

struct Leaf {
    certificate: String,
    key: String,
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "vault-sim, trust it nowhere else");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2045, 1, 1);
    params
}

fn issue(names: &[String], ca_key: &KeyPair) -> Result<Leaf, TlsError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "vault-sim");
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2044, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &Issuer::new(ca_params(), ca_key))?;
    Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn server_config(leaf: &Leaf) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(leaf.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The names in a leaf. `*.localhost` is there for those who take it; libraries that want two labels after the star need
/// the vaults by name.
pub fn names(vaults: &[String], more: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "*.localhost", "127.0.0.1", "::1"].into_iter().map(str::to_owned).collect();
    names.extend(vaults.iter().map(|vault| format!("{}.localhost", vault.to_ascii_lowercase())));
    names.extend(more.iter().cloned());
    names
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Makes or reads what `dir` holds; without it, everything stays in memory.
pub fn open(dir: Option<&Path>, names: &[String]) -> Result<Identity, TlsError> {
    let Some(dir) = dir else {
        let key = KeyPair::generate()?;
        let ca_pem = ca_params().self_signed(&key)?.pem();
        return Ok(Identity { ca_pem, server: server_config(&issue(names, &key)?)? });
    };
    fs::create_dir_all(dir)?;
    let file = |name: &str| dir.join(name);
    if !file("ca.pem").exists() {
        let key = KeyPair::generate()?;
        write_secret(&file("ca-key.pem"), &key.serialize_pem())?;
        fs::write(file("ca.pem"), ca_params().self_signed(&key)?.pem())?;
    }
    // A leaf of the operator's own has no list of names beside it and stays.
    let (leaf, list) = (file("leaf.pem"), file("leaf.names"));
    let covers = |list: &str| names.iter().all(|name| list.lines().any(|line| line == name));
    let stays = leaf.exists() && (!list.exists() || covers(&fs::read_to_string(&list)?));
    if !stays {
        let key = KeyPair::from_pem(&fs::read_to_string(file("ca-key.pem"))?)?;
        let made = issue(names, &key)?;
        write_secret(&file("leaf-key.pem"), &made.key)?;
        fs::write(&leaf, &made.certificate)?;
        fs::write(&list, names.join("\n"))?;
    }
    let leaf =
        Leaf { certificate: fs::read_to_string(&leaf)?, key: fs::read_to_string(file("leaf-key.pem"))? };
    Ok(Identity { ca_pem: fs::read_to_string(file("ca.pem"))?, server: server_config(&leaf)? })
}
