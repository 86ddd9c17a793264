//! Owns the description of a fault, in Rust and in the admin API's JSON.

use std::time::Duration;

use serde::Deserialize;

use super::FaultKind;
use crate::failure::{ConflictCode, ForbiddenCode};

/// A fault to set: what, for whom, for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultSpec {
    pub(super) kind: FaultKind,
    pub(super) operation: Option<String>,
    pub(super) vault: Option<String>,
    pub(super) key: Option<String>,
    pub(super) count: Option<u32>,
    pub(super) lasts: Option<Duration>,
}

impl FaultSpec {
    /// A fault that befalls everybody until it is cleared.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, operation: None, vault: None, key: None, count: None, lasts: None }
    }

    /// Only this operation, by its name in the log or its permission: `KeySign` or `sign`.
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only this vault.
    #[must_use]
    pub fn in_vault(mut self, vault: &str) -> Self {
        self.vault = Some(vault.to_owned());
        self
    }

    /// Only this key.
    #[must_use]
    pub fn of_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Only so often.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Only so long, by the simulator's clock.
    #[must_use]
    pub fn lasting(mut self, span: Duration) -> Self {
        self.lasts = Some(span);
        self
    }
}

/// Why a fault cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum BadFault {
    /// Not the JSON of a fault.
    #[error("not the JSON of a fault: {0}")]
    Json(#[from] serde_json::Error),
    /// The fault takes no such inner code.
    #[error("this fault takes no inner code `{0}`")]
    InnerCode(String),
    /// No HTTP error status.
    #[error("{0} is no status between 400 and 599")]
    Status(u16),
    /// A length of time below zero.
    #[error("only clock_skew takes negative milliseconds")]
    Negative,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Throttled,
    InternalError,
    BadGateway,
    GatewayTimeout,
    Unavailable,
    Forbidden,
    Conflict,
    TokenExpired,
    SigningKeyUnknown,
    WrongAudience,
    WrongTenant,
    TokenEndpoint,
    Delay,
    ResetBefore,
    ResetAfter,
    TruncatedBody,
    BadBase64,
    OtherKey,
    WrongSignature,
    DisabledKey,
    DeletedKey,
    ClockSkew,
    SlowBody,
    TlsDelay,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    fault: Name,
    operation: Option<String>,
    vault: Option<String>,
    key: Option<String>,
    count: Option<u32>,
    for_ms: Option<u64>,
    inner: Option<String>,
    retry_after: Option<u32>,
    claims: Option<bool>,
    status: Option<u16>,
    ms: Option<i64>,
}

impl Wire {
    fn span(&self, default_ms: i64) -> Result<Duration, BadFault> {
        let millis = u64::try_from(self.ms.unwrap_or(default_ms)).map_err(|_negative| BadFault::Negative)?;
        Ok(Duration::from_millis(millis))
    }

    fn inner<T: for<'de> Deserialize<'de>>(&self) -> Result<Option<T>, BadFault> {
        let Some(text) = self.inner.as_deref() else { return Ok(None) };
        serde_json::from_value(text.into()).map(Some).map_err(|_unknown| BadFault::InnerCode(text.to_owned()))
    }

    fn kind(&self) -> Result<FaultKind, BadFault> {
        Ok(match self.fault {
            Name::Throttled => FaultKind::Throttled(self.retry_after),
            Name::InternalError => FaultKind::InternalError,
            Name::BadGateway => FaultKind::BadGateway,
            Name::GatewayTimeout => FaultKind::GatewayTimeout,
            Name::WrongAudience => FaultKind::WrongAudience,
            Name::WrongTenant => FaultKind::WrongTenant,
            Name::Unavailable => FaultKind::Unavailable(self.retry_after),
            Name::Forbidden => FaultKind::Forbidden(self.inner()?.unwrap_or(ForbiddenCode::ForbiddenByRbac)),
            Name::Conflict => FaultKind::Conflict(self.inner::<ConflictCode>()?),
            Name::TokenExpired => FaultKind::TokenExpired { claims: self.claims.unwrap_or(false) },
            Name::SigningKeyUnknown => FaultKind::SigningKeyUnknown,
            Name::TokenEndpoint => match self.status.unwrap_or(503) {
                status @ 400..=599 => FaultKind::TokenEndpoint(status),
                status => return Err(BadFault::Status(status)),
            },
            Name::Delay => FaultKind::Delay(self.span(10_000)?),
            Name::ResetBefore => FaultKind::ResetBefore,
            Name::ResetAfter => FaultKind::ResetAfter,
            Name::TruncatedBody => FaultKind::TruncatedBody,
            Name::BadBase64 => FaultKind::BadBase64,
            Name::OtherKey => FaultKind::OtherKey,
            Name::WrongSignature => FaultKind::WrongSignature,
            Name::DisabledKey => FaultKind::DisabledKey,
            Name::DeletedKey => FaultKind::DeletedKey,
            Name::ClockSkew => FaultKind::ClockSkew(self.ms.unwrap_or(300_000)),
            Name::SlowBody => FaultKind::SlowBody(self.span(3_000)?),
            Name::TlsDelay => FaultKind::TlsDelay(self.span(3_000)?),
        })
    }
}

impl FaultSpec {
    /// Reads the admin API's JSON.
    ///
    /// # Errors
    /// [`BadFault`], also for members that no fault has.
    pub fn parse(json: &[u8]) -> Result<Self, BadFault> {
        let wire: Wire = serde_json::from_slice(json)?;
        let kind = wire.kind()?;
        Ok(Self {
            kind,
            operation: wire.operation,
            vault: wire.vault,
            key: wire.key,
            count: wire.count,
            lasts: wire.for_ms.map(Duration::from_millis),
        })
    }
}
