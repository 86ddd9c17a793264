//! Owns the fault switches: what can go wrong, for whom and for how long. What a fault does is done by who serves the request.

mod spec;

use std::time::Duration;

use serde::Serialize;

use crate::clock::{Moment, SimClock};
use crate::failure::{ConflictCode, ForbiddenCode};
use crate::operation::Operation;
pub use spec::{BadFault, FaultSpec};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// 429; with seconds, `Retry-After` too. No meter counts it.
    Throttled(Option<u32>),
    /// 500.
    InternalError,
    /// 502 with a proxy's HTML; nothing was done.
    BadGateway,
    /// 504 with a proxy's HTML; nothing was done.
    GatewayTimeout,
    /// 503; with seconds, `Retry-After` too.
    Unavailable(Option<u32>),
    /// 403 with an inner code.
    Forbidden(ForbiddenCode),
    /// 409.
    Conflict(Option<ConflictCode>),
    /// 401 with the challenge; `claims`: because of a continuous-access event.
    TokenExpired {
        /// Whether the challenge asks for claims.
        claims: bool,
    },
    /// 401 `AKV10046`: the service cannot resolve the token's signing key.
    SigningKeyUnknown,
    /// 401 `AKV10022`: the token is for another audience.
    WrongAudience,
    /// 401 `AKV10032`: the token is of another tenant.
    WrongTenant,
    /// The token endpoint answers with this status.
    TokenEndpoint(u16),
    /// The answer comes later.
    Delay(Duration),
    /// TCP reset before anything was done.
    ResetBefore,
    /// TCP reset after the operation was done and logged.
    ResetAfter,
    /// Half of the body, then the end of the connection.
    TruncatedBody,
    /// A signature that is not base64url.
    BadBase64,
    /// A signature by another key of the same curve.
    OtherKey,
    /// A signature with one bit flipped.
    WrongSignature,
    /// As if the key were disabled.
    DisabledKey,
    /// As if the key were soft-deleted.
    DeletedKey,
    /// The service's clock is off by milliseconds.
    ClockSkew(i64),
    /// The body trickles for so long.
    SlowBody(Duration),
    /// TLS handshakes wait.
    TlsDelay(Duration),
}

impl FaultKind {
    /// Its name in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::InternalError => "internal_error",
            Self::BadGateway => "bad_gateway",
            Self::GatewayTimeout => "gateway_timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Forbidden(_) => "forbidden",
            Self::Conflict(_) => "conflict",
            Self::TokenExpired { .. } => "token_expired",
            Self::SigningKeyUnknown => "signing_key_unknown",
            Self::WrongAudience => "wrong_audience",
            Self::WrongTenant => "wrong_tenant",
            Self::TokenEndpoint(_) => "token_endpoint",
            Self::Delay(_) => "delay",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::TruncatedBody => "truncated_body",
            Self::BadBase64 => "bad_base64",
            Self::OtherKey => "other_key",
            Self::WrongSignature => "wrong_signature",
            Self::DisabledKey => "disabled_key",
            Self::DeletedKey => "deleted_key",
            Self::ClockSkew(_) => "clock_skew",
            Self::SlowBody(_) => "slow_body",
            Self::TlsDelay(_) => "tls_delay",
        }
    }
}

/// Instead of what the operation would answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    Throttled(Option<u32>),
    InternalError,
    BadGateway,
    GatewayTimeout,
    Unavailable(Option<u32>),
    Forbidden(ForbiddenCode),
    Conflict(Option<ConflictCode>),
    TokenExpired { claims: bool },
    SigningKeyUnknown,
    WrongAudience,
    WrongTenant,
    Reset,
    NotFound,
}

/// What happens to a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    BadBase64,
    OtherKey,
    FlippedBit,
}

/// What happens to a finished answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    #[default]
    Whole,
    Slow(Duration),
    Cut,
    Reset,
}

/// Everything that befalls one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Struck {
    pub instead: Option<Instead>,
    pub tamper: Option<Tamper>,
    pub transport: Transport,
    pub delay: Duration,
    pub disabled: bool,
    pub skew_millis: i64,
}

/// Whom a fault could befall.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub operation: Option<Operation>,
    pub vault: &'a str,
    pub key: Option<&'a str>,
}

/// Names a fault that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

#[derive(Debug)]
struct Active {
    id: FaultId,
    spec: FaultSpec,
    left: Option<u32>,
    until: Option<Moment>,
    hits: u64,
}

/// A fault as the admin API lists it.
#[derive(Debug, Serialize)]
pub struct Listed {
    id: FaultId,
    fault: &'static str,
    hits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u32>,
}

/// The faults that are on, in the order in which they were set.
#[derive(Debug)]
pub struct Faults {
    clock: SimClock,
    last: u64,
    active: Vec<Active>,
}

fn is_named(operation: Operation, name: &str) -> bool {
    name.eq_ignore_ascii_case(operation.log_name()) || name.eq_ignore_ascii_case(operation.permission())
}

impl Active {
    fn meets(&self, target: Target<'_>) -> bool {
        let spec = &self.spec;
        let same = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| is.is_some_and(|is| is.eq_ignore_ascii_case(wanted)))
        };
        let operation = spec
            .operation
            .as_deref()
            .is_none_or(|wanted| target.operation.is_some_and(|operation| is_named(operation, wanted)));
        operation && same(&spec.vault, Some(target.vault)) && same(&spec.key, target.key)
    }

    /// Lets the fault happen once; whether it may.
    fn hit(&mut self) -> bool {
        match &mut self.left {
            Some(0) => return false,
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        self.hits = self.hits.saturating_add(1);
        true
    }
}

impl Struck {
    /// What this kind does to a request on which it is tried; `false` when it cannot touch it.
    fn take(&mut self, kind: FaultKind, operation: Option<Operation>) -> bool {
        let signs = operation == Some(Operation::Sign);
        let free = self.instead.is_none();
        match kind {
            FaultKind::ClockSkew(millis) => {
                self.skew_millis = self.skew_millis.saturating_add(millis);
                return true;
            }
            FaultKind::Delay(by) => {
                self.delay = self.delay.saturating_add(by);
                return true;
            }
            FaultKind::SlowBody(span) => return self.send(Transport::Slow(span)),
            FaultKind::TruncatedBody => return self.send(Transport::Cut),
            FaultKind::ResetAfter => return free && self.send(Transport::Reset),
            FaultKind::BadBase64 => return free && signs && self.change(Tamper::BadBase64),
            FaultKind::OtherKey => return free && signs && self.change(Tamper::OtherKey),
            FaultKind::WrongSignature => return free && signs && self.change(Tamper::FlippedBit),
            FaultKind::DisabledKey => {
                let touches = free && signs && !self.disabled;
                self.disabled |= touches;
                return touches;
            }
            FaultKind::TokenEndpoint(_) | FaultKind::TlsDelay(_) => return false,
            _ => {}
        }
        let instead = match kind {
            FaultKind::Throttled(after) => Instead::Throttled(after),
            FaultKind::BadGateway => Instead::BadGateway,
            FaultKind::GatewayTimeout => Instead::GatewayTimeout,
            FaultKind::WrongAudience => Instead::WrongAudience,
            FaultKind::WrongTenant => Instead::WrongTenant,
            FaultKind::Unavailable(after) => Instead::Unavailable(after),
            FaultKind::Forbidden(inner) => Instead::Forbidden(inner),
            FaultKind::Conflict(inner) => Instead::Conflict(inner),
            FaultKind::TokenExpired { claims } => Instead::TokenExpired { claims },
            FaultKind::SigningKeyUnknown => Instead::SigningKeyUnknown,
            FaultKind::ResetBefore => Instead::Reset,
            FaultKind::DeletedKey => Instead::NotFound,
            _ => Instead::InternalError,
        };
        if free {
            self.instead = Some(instead);
        }
        free
    }

    fn send(&mut self, transport: Transport) -> bool {
        let free = self.transport == Transport::Whole;
        if free {
            self.transport = transport;
        }
        free
    }

    fn change(&mut self, tamper: Tamper) -> bool {
        let free = self.tamper.is_none();
        if free {
            self.tamper = Some(tamper);
        }
        free
    }
}

impl Faults {
    pub fn new(clock: SimClock) -> Self {
        Self { clock, last: 0, active: Vec::new() }
    }

    pub fn set(&mut self, spec: FaultSpec) -> FaultId {
        self.last = self.last.saturating_add(1);
        let id = FaultId(self.last);
        let until = spec.lasts.map(|span| self.clock.now().plus(span));
        self.active.push(Active { id, left: spec.count, until, spec, hits: 0 });
        id
    }

    pub fn clear(&mut self) {
        self.active.clear();
    }

    /// Ends one; whether it was there.
    pub fn end(&mut self, id: FaultId) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.id != id);
        self.active.len() < before
    }

    pub fn list(&self) -> Vec<Listed> {
        let listed = |active: &Active| Listed {
            id: active.id,
            fault: active.spec.kind.name(),
            hits: active.hits,
            left: active.left,
        };
        self.active.iter().map(listed).collect()
    }

    fn forget_the_old(&mut self) {
        let now = self.clock.now();
        self.active.retain(|active| active.until.is_none_or(|until| now < until));
    }

    /// What befalls a request. Counts it for those faults that touch it.
    pub fn strike(&mut self, target: Target<'_>) -> Struck {
        self.forget_the_old();
        let mut struck = Struck::default();
        for active in self.active.iter_mut().filter(|active| active.meets(target)) {
            if active.left == Some(0) {
                continue;
            }
            if struck.take(active.spec.kind, target.operation) {
                active.hit();
            }
        }
        struck
    }

    /// The status with which the token endpoint fails.
    pub fn strike_token_endpoint(&mut self) -> Option<u16> {
        self.forget_the_old();
        self.active.iter_mut().find_map(|active| match active.spec.kind {
            FaultKind::TokenEndpoint(status) => active.hit().then_some(status),
            _ => None,
        })
    }

    /// How long a TLS handshake waits.
    pub fn strike_handshake(&mut self) -> Duration {
        self.forget_the_old();
        let delays = self.active.iter_mut().filter_map(|active| match active.spec.kind {
            FaultKind::TlsDelay(span) => active.hit().then_some(span),
            _ => None,
        });
        delays.sum()
    }
}

#[cfg(test)]
mod tests;
