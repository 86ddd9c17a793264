//! Certificates: those of an operator, and a local certificate authority for development.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads an operator's certificate chain and key.
pub fn from_files(certificate: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("reading the certificates in {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("reading the private key in {}", key.display()))?;
    server_config(chain, key)
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> anyhow::Result<ServerConfig> {
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and its key do not fit together")
}

/// The development certificate authority's certificate, and a server configuration with a leaf for `host`.
pub struct Development {
    /// PEM of the authority.
    pub ca_file: PathBuf,
    /// For the HTTPS listener.
    pub server: ServerConfig,
}

impl Development {
    /// Makes the authority at the first start and a new leaf at every start, valid for `localhost` and `host`.
    pub fn prepare(directory: &Path, host: &str, now: domain::Timestamp) -> anyhow::Result<Self> {
        let ca_file = directory.join("ca.pem");
        let key_file = directory.join("ca-key.pem");
        if !(ca_file.exists() && key_file.exists()) {
            make_authority(&ca_file, &key_file, now).context("making the local certificate authority")?;
        }
        let ca_key =
            fs::read_to_string(&key_file).with_context(|| format!("reading {}", key_file.display()))?;
        let ca_key =
            KeyPair::from_pem(&ca_key).with_context(|| format!("{} holds no key", key_file.display()))?;
        // Name and key are all that a leaf takes from its issuer, and both are the same at every start.
        let authority = Issuer::new(authority_params(now)?, ca_key);
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name.push(DnType::CommonName, "Credenza development");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.use_authority_key_identifier_extension = true;
        (leaf.not_before, leaf.not_after) = validity(now, 397)?;
        let leaf_key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&leaf_key, &authority)?;
        let key = PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let server = server_config(vec![leaf.der().clone()], key)?;
        Ok(Self { ca_file, server })
    }
}

fn authority_params(now: domain::Timestamp) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "Credenza development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(now, 3650)?;
    Ok(params)
}

fn make_authority(ca_file: &Path, key_file: &Path, now: domain::Timestamp) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let certificate = authority_params(now)?.self_signed(&key)?;
    write_private(key_file, key.serialize_pem().as_bytes())?;
    fs::write(ca_file, certificate.pem())?;
    Ok(())
}

fn validity(
    now: domain::Timestamp,
    days: i64,
) -> anyhow::Result<(time::OffsetDateTime, time::OffsetDateTime)> {
    let now = time::OffsetDateTime::from_unix_timestamp(now.seconds())?;
    // A day back: clocks of phones and containers differ.
    Ok((now - time::Duration::days(1), now + time::Duration::days(days)))
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    // The mode above counts for a new file only.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    file.write_all(bytes)
}
