//! The steps of one issuance over the network, each on its own so that a test may leave one out or alter what it sends. Owns
//! which call goes where with which headers; judging answers is [`crate::verify`]'s.

use reqwest::Client;
use reqwest::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use serde_json::json;

use crate::contract::{Contract, ContractError};
use crate::credential::CredentialError;
use crate::did_web::{DidWebError, document_url};
use crate::document::{DidDocument, DocumentError};
use crate::http::{DOCUMENT_BYTES, FetchError, HttpFailure, deliver, fetch, fetch_json, fetch_text};
use crate::jws::CompactJws;
use crate::link::Link;
use crate::linked_domain::{Configuration, LinkedDomain, LinkedDomainError, Unverified, configuration_url};
use crate::request::{IssuanceRequest, RequestError};
use crate::verify;

const LIBRARY_HEADER: &str = "x-ms-entra-verifiedid-wallet-library";
const LIBRARY: &str = "Development/1.0.0";
const PROFILE: &str = "JWT-interop-profile-0.0.1";

/// A wallet's side of the wire.
#[derive(Debug, Clone)]
pub struct Session {
    client: Client,
    locale: Option<String>,
}

/// A fetched and accepted request.
#[derive(Debug, Clone)]
pub struct OpenedRequest {
    /// What it asks for.
    pub request: IssuanceRequest,
    /// The issuer's document that verified it.
    pub document: DidDocument,
}

/// A fetched and accepted contract.
#[derive(Debug, Clone)]
pub struct OpenedContract {
    /// What it shows and demands.
    pub contract: Contract,
    /// The signed form, which a wallet keeps with the credential.
    pub token: String,
}

/// Why a DID gave no document.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Not a `did:web` with a usable address.
    #[error(transparent)]
    Did(#[from] DidWebError),
    /// The document could not be fetched.
    #[error("its document could not be fetched")]
    Fetch(#[from] FetchError),
    /// The document is one that wallets cannot read.
    #[error("its document is unusable")]
    Document(#[from] DocumentError),
}

/// Why a step of the issuance ended it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The request's address gave nothing.
    #[error("the request could not be fetched")]
    FetchRequest(#[source] FetchError),
    /// The request is not one that wallets accept.
    #[error("the request is not acceptable")]
    Request(#[source] RequestError),
    /// The issuer's DID could not be resolved.
    #[error("the issuer's DID could not be resolved")]
    Resolve(#[source] ResolveError),
    /// The did-configuration is of a shape that ends an issuance.
    #[error("the issuer's did-configuration is unusable")]
    LinkedDomain(#[source] LinkedDomainError),
    /// The contract's address gave nothing.
    #[error("the contract could not be fetched")]
    FetchContract(#[source] FetchError),
    /// The contract is not one that wallets accept.
    #[error("the contract is not acceptable")]
    Contract(#[source] ContractError),
    /// No credential was issued.
    #[error("the issuer did not issue the credential")]
    Issue(#[source] FetchError),
    /// The credential is not one that wallets accept.
    #[error("the credential is not acceptable")]
    Credential(#[source] CredentialError),
}

impl SessionError {
    /// The answer behind it, where one came with a status outside 2xx.
    #[must_use]
    pub fn http_failure(&self) -> Option<&HttpFailure> {
        match self {
            Self::FetchRequest(fetch) | Self::FetchContract(fetch) | Self::Issue(fetch) => {
                fetch.http_failure()
            }
            Self::Resolve(ResolveError::Fetch(fetch)) => fetch.http_failure(),
            Self::Resolve(ResolveError::Did(_) | ResolveError::Document(_))
            | Self::Request(_)
            | Self::LinkedDomain(_)
            | Self::Contract(_)
            | Self::Credential(_) => None,
        }
    }

    /// What the completion call says about it; `None` before the request is known, when no call can be made.
    #[must_use]
    pub fn details(&self) -> Option<Details> {
        match self {
            Self::FetchRequest(_) | Self::Request(_) => None,
            Self::Resolve(_) => Some(Details::Unspecified),
            Self::LinkedDomain(_) => Some(Details::LinkedDomain),
            Self::FetchContract(_) | Self::Contract(_) => Some(Details::FetchContract),
            Self::Issue(_) | Self::Credential(_) => Some(Details::IssuanceService),
        }
    }
}

/// `details` of a failed issuance (section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Details {
    /// The user said no.
    UserCanceled,
    /// The contract could not be fetched, decoded or validated.
    FetchContract,
    /// The issuance call failed, or its credential did.
    IssuanceService,
    /// The linked domain ended it; iOS only.
    LinkedDomain,
    /// Anything else.
    Unspecified,
}

impl Details {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::UserCanceled => "user_canceled",
            Self::FetchContract => "fetch_contract_error",
            Self::IssuanceService => "issuance_service_error",
            Self::LinkedDomain => "linked_domain_error",
            Self::Unspecified => "unspecified_error",
        }
    }
}

/// How an issuance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The credential is stored.
    Successful,
    /// It is not.
    Failed(Details),
}

impl Session {
    /// A session over `client`, which should neither follow redirects nor speak plain HTTP: [`crate::http::client`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, locale: None }
    }

    /// Asks for contracts in this language (`Accept-Language`). Real wallets send none of their own.
    #[must_use]
    pub fn with_locale(mut self, locale: Option<String>) -> Self {
        self.locale = locale;
        self
    }

    /// Fetches the bare text behind a link (section 1.2).
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_request(&self, link: &Link) -> Result<String, FetchError> {
        let call = self
            .client
            .get(link.request_uri.url().clone())
            .header("Prefer", PROFILE)
            .header(LIBRARY_HEADER, LIBRARY)
            // As the Android library does, even on GET.
            .header(CONTENT_TYPE, "text/plain");
        fetch_text(call).await
    }

    /// Fetches and reads the document of a `did:web`.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, did: &str) -> Result<DidDocument, ResolveError> {
        let bytes = fetch(self.client.get(document_url(did)?), DOCUMENT_BYTES).await?;
        Ok(DidDocument::parse(&bytes, did)?)
    }

    /// Step 1: fetches the request, resolves its signer and judges it. `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(&self, link: &Link, now: i64) -> Result<OpenedRequest, SessionError> {
        let body = self.fetch_request(link).await.map_err(SessionError::FetchRequest)?;
        let signer = CompactJws::parse(&body).map_err(|source| SessionError::Request(source.into()))?.kid.did;
        let document = self.resolve(&signer).await.map_err(SessionError::Resolve)?;
        let request = verify::request(&body, &document, now).map_err(SessionError::Request)?;
        Ok(OpenedRequest { request, document })
    }

    /// Step 2: what to show about the issuer's domain. `now` in seconds since 1970.
    ///
    /// # Errors
    /// Only a 2xx answer of the wrong shape, an origin without scheme, or a first entry whose signer cannot be resolved.
    pub async fn linked_domain(
        &self,
        document: &DidDocument,
        now: i64,
    ) -> Result<LinkedDomain, SessionError> {
        let Some(origin) = &document.linked_origin else { return Ok(LinkedDomain::NotDeclared) };
        let Some(url) = configuration_url(origin).map_err(SessionError::LinkedDomain)? else {
            return Ok(verify::verdict_on(origin, Err(Unverified::NotAnOrigin)));
        };
        let body = match fetch(self.client.get(url), DOCUMENT_BYTES).await {
            Ok(body) => body,
            // 204 is a success without the document: an empty body is fatal.
            Err(FetchError::Status(failure)) if failure.status == 204 => Vec::new(),
            Err(_) => return Ok(verify::verdict_on(origin, Err(Unverified::NotFetched))),
        };
        let configuration = Configuration::parse(&body).map_err(SessionError::LinkedDomain)?;
        if configuration.signer() != document.did && self.resolve(configuration.signer()).await.is_err() {
            return Err(SessionError::LinkedDomain(LinkedDomainError::Signer));
        }
        Ok(verify::verdict_on(origin, configuration.judge(document, origin, now)))
    }

    /// Fetches a signed contract (section 3.1).
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_contract(&self, request: &IssuanceRequest) -> Result<String, FetchError> {
        let mut call = self
            .client
            .get(request.manifest.url().clone())
            .header("x-ms-sign-contract", "true")
            .header(LIBRARY_HEADER, LIBRARY)
            .header(CONTENT_TYPE, "text/plain");
        if let Some(locale) = &self.locale {
            call = call.header(ACCEPT_LANGUAGE, locale);
        }
        Ok(verify::answer_member(&fetch_json(call).await?, "token")?)
    }

    /// Step 3: fetches the contract and judges it against the request. `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn contract(&self, opened: &OpenedRequest, now: i64) -> Result<OpenedContract, SessionError> {
        let token = self.fetch_contract(&opened.request).await.map_err(SessionError::FetchContract)?;
        let contract = verify::contract(&token, &opened.document, &opened.request, now)
            .map_err(SessionError::Contract)?;
        Ok(OpenedContract { contract, token })
    }

    /// Step 4: sends a signed proof ([`crate::proof`]) and hands out the credential as it came, not yet judged: that is
    /// [`verify::credential`].
    ///
    /// # Errors
    /// [`FetchError::Status`] carries the answer for a refusal.
    pub async fn issue(&self, contract: &Contract, proof: String) -> Result<String, FetchError> {
        let call = self
            .client
            .post(contract.credential_issuer.url().clone())
            .header(LIBRARY_HEADER, LIBRARY)
            .header(CONTENT_TYPE, "text/plain")
            .body(proof);
        Ok(verify::answer_member(&fetch_json(call).await?, "vc")?)
    }

    /// Step 5: reports the outcome (section 5). Sent once; a failure is the caller's to log only.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn complete(
        &self,
        request: &IssuanceRequest,
        completion: Completion,
    ) -> Result<(), FetchError> {
        let body = match completion {
            Completion::Successful => json!({"code": "issuance_successful", "state": request.state}),
            Completion::Failed(details) => {
                json!({"code": "issuance_failed", "state": request.state, "details": details.word()})
            }
        };
        let call =
            self.client.post(request.redirect_uri.url().clone()).header(LIBRARY_HEADER, LIBRARY).json(&body);
        deliver(call).await
    }
}
