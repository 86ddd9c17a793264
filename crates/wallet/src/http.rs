//! One bounded HTTP exchange: 10 s, a size limit, no redirects. Owns how failures look. Must not know any message.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::member::ShapeError;

/// A wallet gives up after this long (wallet protocol, section 1.2).
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer: a credential with a photo of 1 MB in base64 inside base64, with room to spare.
pub const MESSAGE_BYTES: usize = 4 << 20;
/// Largest DID document or did-configuration.
pub const DOCUMENT_BYTES: usize = 256 << 10;

/// The inner code that lets the user type the PIN again (section 4.4).
pub const WRONG_PIN: &str = "token_validation.invalid_openid_token_hint_pin";

/// An answer outside 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpFailure {
    /// The status.
    pub status: u16,
    /// The body, with replacement characters where it is not UTF-8.
    pub body: String,
}

impl HttpFailure {
    /// `error.code`, `error.innererror.code` and so on, as deep as each level has a string `code`.
    #[must_use]
    pub fn codes(&self) -> Vec<String> {
        self.chain("code")
    }

    /// The deepest code, the only one wallets act on.
    #[must_use]
    pub fn inner_code(&self) -> Option<String> {
        self.codes().pop()
    }

    /// The deepest message next to a code.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.chain("message").pop()
    }

    /// Whether the user may type the PIN again: 403 and exactly that inner code.
    #[must_use]
    pub fn is_wrong_pin(&self) -> bool {
        self.status == 403 && self.inner_code().as_deref() == Some(WRONG_PIN)
    }

    fn chain(&self, member: &str) -> Vec<String> {
        let parsed: Option<Value> = serde_json::from_str(&self.body).ok();
        let mut found = Vec::new();
        let mut level = parsed.as_ref().and_then(|body| body.get("error"));
        while let Some(error) = level {
            if error.get("code").and_then(Value::as_str).is_none() {
                break;
            }
            found.extend(error.get(member).and_then(Value::as_str).map(str::to_owned));
            level = error.get("innererror");
        }
        found
    }
}

/// Why an exchange brought nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer: name, connection, TLS, time.
    #[error("no answer came")]
    Network(#[source] reqwest::Error),
    /// An answer outside 2xx; redirects are not followed.
    #[error("the answer was HTTP {}", .0.status)]
    Status(HttpFailure),
    /// The injected client followed a redirect.
    #[error("the answer came from another address")]
    Redirected,
    /// More than the limit, in bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("the answer is not UTF-8")]
    NotText,
    /// Not JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// JSON without the member that counts.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl FetchError {
    /// The answer, where one came with a status outside 2xx.
    #[must_use]
    pub fn http_failure(&self) -> Option<&HttpFailure> {
        match self {
            Self::Status(failure) => Some(failure),
            Self::Network(_)
            | Self::Redirected
            | Self::TooLarge(_)
            | Self::NotText
            | Self::NotJson
            | Self::Shape(_) => None,
        }
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The extra certificate authorities are not PEM.
    #[error("the certificate authorities are not readable PEM")]
    Certificates(#[source] reqwest::Error),
    /// No certificate in the PEM.
    #[error("there is no certificate in the PEM")]
    NoCertificate,
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] reqwest::Error),
}

/// A client as the wallet uses it: https only, no redirects, the system's certificate authorities and those in `extra_ca`
/// (PEM). A default rustls crypto provider has to be installed.
///
/// # Errors
/// [`ClientError`].
pub fn client(extra_ca: Option<&[u8]>) -> Result<Client, ClientError> {
    let mut certificates = Vec::new();
    if let Some(pem) = extra_ca {
        certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(ClientError::Certificates)?;
        if certificates.is_empty() {
            return Err(ClientError::NoCertificate);
        }
    }
    Client::builder()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("wallet/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(certificates)
        .build()
        .map_err(ClientError::Tls)
}

/// Sends `request` and reads at most `limit` bytes of a 2xx answer.
pub(crate) async fn fetch(request: RequestBuilder, limit: usize) -> Result<Vec<u8>, FetchError> {
    let (client, request) = request.timeout(TIMEOUT).build_split();
    let request = request.map_err(FetchError::Network)?;
    let asked = request.url().clone();
    let response = client.execute(request).await.map_err(FetchError::Network)?;
    if *response.url() != asked {
        return Err(FetchError::Redirected);
    }
    let status = response.status();
    if status.is_success() && status != StatusCode::NO_CONTENT {
        return read(response, limit).await;
    }
    let body = read(response, limit).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Err(FetchError::Status(HttpFailure { status: status.as_u16(), body }))
}

/// As [`fetch`], for an answer whose body nobody reads: any 2xx is good.
pub(crate) async fn deliver(request: RequestBuilder) -> Result<(), FetchError> {
    match fetch(request, MESSAGE_BYTES).await {
        Ok(_) => Ok(()),
        Err(FetchError::Status(failure)) if failure.status == StatusCode::NO_CONTENT.as_u16() => Ok(()),
        Err(error) => Err(error),
    }
}

/// As [`fetch`], for text.
pub(crate) async fn fetch_text(request: RequestBuilder) -> Result<String, FetchError> {
    String::from_utf8(fetch(request, MESSAGE_BYTES).await?).map_err(|_source| FetchError::NotText)
}

/// As [`fetch`], for JSON.
pub(crate) async fn fetch_json(request: RequestBuilder) -> Result<Value, FetchError> {
    serde_json::from_slice(&fetch(request, MESSAGE_BYTES).await?).map_err(|_source| FetchError::NotJson)
}

async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::Network)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(FetchError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failure(status: u16, body: &str) -> HttpFailure {
        HttpFailure { status, body: body.to_owned() }
    }

    #[test]
    fn only_403_with_the_deepest_code_is_a_wrong_pin() {
        let body = format!(r#"{{"error":{{"code":"forbidden","innererror":{{"code":"{WRONG_PIN}"}}}}}}"#);
        assert!(failure(403, &body).is_wrong_pin());
        assert_eq!(failure(403, &body).codes(), ["forbidden", WRONG_PIN]);
        assert!(!failure(400, &body).is_wrong_pin());
        assert!(!failure(403, &body.replace("innererror", "innerError")).is_wrong_pin());
        assert!(!failure(403, &body.replace(r#""code":"forbidden","#, "")).is_wrong_pin());
        let deeper = body.replace("\"}}}", r#"","innererror":{"code":"other"}}}}"#);
        assert_eq!(failure(403, &deeper).inner_code().as_deref(), Some("other"));
        assert!(!failure(403, "<html>").is_wrong_pin());
    }

    #[test]
    fn the_deepest_message_is_shown() {
        let body = r#"{"error":{"code":"a","message":"outer","innererror":{"code":"b","message":"inner"}}}"#;
        assert_eq!(failure(400, body).message().as_deref(), Some("inner"));
        assert_eq!(failure(400, r#"{"error":"text"}"#).message(), None);
    }

    #[test]
    fn extra_authorities_have_to_be_certificates() {
        assert!(matches!(client(Some(b"")), Err(ClientError::NoCertificate)));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in any::<String>()) {
            prop_assert!(!failure(403, &body).is_wrong_pin());
        }
    }
}
