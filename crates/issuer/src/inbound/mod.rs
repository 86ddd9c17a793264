//! Inbound protection: who may call how often, and who may not call at all.
//!
//! Owns the decision, before anything that costs the vault or the database. Three questions, each asked as early as its
//! answer is known: [`Inbound::address`] before a body is read, [`Inbound::request`] before a request is looked up,
//! [`Inbound::caller`] before a request is made. Must not know HTTP. The stop list and the notes of refusals live with the
//! worker [`run`]. Why a stop is 403 and a limit 429: docs/adr/0018.

pub mod address;
pub mod quota;
pub mod refusals;
pub mod stops;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::{ContractId, RequestId, TransactionId};
use store::{StopKind, Store, StoreError, StoredRequest, Write};
use tokio_util::sync::CancellationToken;

use crate::Issuer;
use crate::usecase::create::Asker;
use address::{Origin, TrustedProxies};
use quota::{Kind, Limits, Quota};
use refusals::{Reason, Refusals, Source};
use stops::{StopSet, Stops};

/// Between two rounds of the worker: notes are written, counters tidied.
const ROUND: Duration = Duration::from_secs(1);

/// Rounds between two looks at the stop list in the database.
const STOP_ROUNDS: u32 = 3;

/// What an operator may set.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The quotas; a kind without one is not limited. Empty: nothing is.
    pub quotas: Vec<(Kind, Quota)>,
    /// Processes over which calls are spread evenly; each enforces its share.
    pub replicas: Option<NonZeroU32>,
    /// Whose forwarded headers count.
    pub proxies: TrustedProxies,
    /// What is stopped by configuration, besides what the database says.
    pub stopped: Vec<(StopKind, String)>,
}

/// A call that is refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A quota is used up.
    #[error("too many calls")]
    Limited {
        /// Which.
        kind: Kind,
        /// When the next call passes, if nobody takes its place.
        wait: Duration,
    },
    /// An operator has stopped this.
    #[error("stopped by the operator")]
    Stopped(StopKind),
}

impl Refused {
    /// Whole seconds after which a call may pass: rounded up, at least one. None when waiting does not help.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Limited { wait, .. } => {
                let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Some(whole.max(1))
            }
            Self::Stopped(_) => None,
        }
    }
}

/// Inbound protection of this process.
pub struct Inbound {
    limits: Option<Limits>,
    proxies: TrustedProxies,
    configured: Vec<(StopKind, String)>,
    stops: Stops,
    refusals: Refusals,
}

impl Inbound {
    /// Protection by a policy. What the database stops is known after [`Inbound::refresh`].
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let replicas = policy.replicas.unwrap_or(NonZeroU32::MIN);
        let shares: Vec<_> =
            policy.quotas.into_iter().map(|(kind, quota)| (kind, quota.share(replicas))).collect();
        let inbound = Self {
            limits: (!shares.is_empty()).then(|| Limits::new(&shares)),
            proxies: policy.proxies,
            configured: policy.stopped,
            stops: Stops::default(),
            refusals: Refusals::default(),
        };
        inbound.stops.replace(inbound.stop_set(&[]));
        inbound
    }

    /// Whose forwarded headers count.
    #[must_use]
    pub const fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Whether anything is limited: without quotas nobody has to find out addresses.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.limits.is_some()
    }

    /// Asks for a call from an address, before anything of it is read.
    ///
    /// # Errors
    /// When the address has used up its quota.
    pub fn address(&self, kind: Kind, address: IpAddr) -> Result<(), Refused> {
        let Some(limits) = &self.limits else { return Ok(()) };
        let origin = Origin::of(address);
        limits.take(kind, origin).map_err(|wait| {
            let source = Source::unnamed(Reason::Limited, kind.name());
            self.refusals.add(Source { address: Some(origin.to_string()), ..source }, None);
            Refused::Limited { kind, wait }
        })
    }

    /// Asks for a wallet's call about a request, before it is looked up.
    ///
    /// # Errors
    /// When the request's quota is used up.
    pub fn request(&self, request: RequestId) -> Result<(), Refused> {
        let Some(limits) = &self.limits else { return Ok(()) };
        limits.take(Kind::Request, request).map_err(|wait| {
            let source = Source::unnamed(Reason::Limited, Kind::Request.name());
            self.refusals.add(Source { request: Some(request), ..source }, None);
            Refused::Limited { kind: Kind::Request, wait }
        })
    }

    /// Asks for a front end that wants to make a request, once its token was accepted and before its fields are read.
    /// The narrowest quota is asked first: what a customer's flood is refused is not taken from its client's quota, so
    /// the client's other customers go on. `ours` says whether the tenant is served here; only then is it on record.
    ///
    /// # Errors
    /// When it is stopped, or a quota is used up.
    pub fn caller(
        &self,
        asker: &Asker,
        contract: Option<(ContractId, Option<&str>)>,
        transaction: TransactionId,
        ours: bool,
    ) -> Result<(), Refused> {
        let verdict = self.stopped(asker, contract).and_then(|()| self.within_quotas(asker));
        if let Err(refused) = &verdict
            && ours
        {
            self.refusals.add(source(*refused, asker, contract.map(|(id, _)| id)), Some(transaction));
        }
        verdict
    }

    fn stopped(&self, asker: &Asker, contract: Option<(ContractId, Option<&str>)>) -> Result<(), Refused> {
        match self.stops.now().stops(&asker.client, asker.customer.as_ref(), contract) {
            Some(kind) => Err(Refused::Stopped(kind)),
            None => Ok(()),
        }
    }

    fn within_quotas(&self, asker: &Asker) -> Result<(), Refused> {
        let Some(limits) = &self.limits else { return Ok(()) };
        let limited = |kind| move |wait| Refused::Limited { kind, wait };
        let (tenant, client) = (asker.tenant, &asker.client);
        if let Some(customer) = &asker.customer {
            limits.take(Kind::Customer, (tenant, client, customer)).map_err(limited(Kind::Customer))?;
        }
        limits.take(Kind::Client, (tenant, client)).map_err(limited(Kind::Client))?;
        limits.take(Kind::Tenant, tenant).map_err(limited(Kind::Tenant))
    }

    /// Asks before something is signed for a request that was made earlier: a stop also ends what waits for its wallet.
    ///
    /// # Errors
    /// When its client, customer or contract is stopped.
    pub fn signature(&self, request: &StoredRequest, contract: Option<&str>) -> Result<(), Refused> {
        let stops = self.stops.now();
        if stops.is_empty() {
            return Ok(());
        }
        let contract = Some((request.contract, contract));
        let Some(kind) = stops.stops(&request.client, request.customer.as_ref(), contract) else {
            return Ok(());
        };
        let asker = Asker {
            client: request.client.clone(),
            tenant: request.tenant,
            customer: request.customer.clone(),
        };
        let refused = Refused::Stopped(kind);
        self.refusals.add(source(refused, &asker, Some(request.contract)), Some(request.transaction));
        Err(refused)
    }

    /// Reads the stop list again.
    ///
    /// # Errors
    /// When the database fails; the list in use stays.
    pub async fn refresh(&self, store: &Store, tenant: domain::TenantId) -> Result<(), StoreError> {
        let rows = store.stops(tenant).await?;
        let rows: Vec<_> = rows.into_iter().map(|row| (row.kind, row.name)).collect();
        if self.stops.replace(self.stop_set(&rows)) {
            tracing::warn!(
                from_database = rows.len(),
                from_configuration = self.configured.len(),
                "the stop list has changed"
            );
        }
        Ok(())
    }

    fn stop_set(&self, rows: &[(StopKind, String)]) -> StopSet {
        StopSet::new(self.configured.iter().chain(rows).map(|(kind, name)| (*kind, name.as_str())))
    }
}

/// Who a refusal is about, as far as the quota or stop that refused it tells callers apart.
fn source(refused: Refused, asker: &Asker, contract: Option<ContractId>) -> Source {
    let client = Some(asker.client.clone());
    let customer = asker.customer.clone();
    match refused {
        Refused::Limited { kind, .. } => Source {
            client,
            customer: customer.filter(|_| kind == Kind::Customer),
            ..Source::unnamed(Reason::Limited, kind.name())
        },
        Refused::Stopped(kind) => Source {
            client,
            customer: customer.filter(|_| kind == StopKind::Customer),
            contract: contract.filter(|_| kind == StopKind::Contract),
            ..Source::unnamed(Reason::Stopped, kind.name())
        },
    }
}

impl Issuer {
    /// Asks inbound protection for a front end that wants to make a request. Every door that makes requests calls this
    /// first.
    ///
    /// # Errors
    /// When it is stopped, or a quota is used up.
    pub fn admit_caller(
        &self,
        asker: &Asker,
        contract: Option<ContractId>,
        transaction: TransactionId,
    ) -> Result<(), Refused> {
        let directory = self.directory.snapshot();
        let contract = contract.map(|id| (id, directory.contract(id).map(|entry| entry.contract.name())));
        self.inbound.caller(asker, contract, transaction, asker.tenant == self.settings.tenant)
    }

    /// Asks inbound protection before something is signed for a request.
    ///
    /// # Errors
    /// When its client, customer or contract is stopped.
    pub fn admit_signature(&self, request: &StoredRequest) -> Result<(), Refused> {
        let directory = self.directory.snapshot();
        let name = directory.contract(request.contract).map(|entry| entry.contract.name());
        self.inbound.signature(request, name)
    }
}

/// Writes notes, forgets who is gone and reads the stop list again, until `stop`.
pub async fn run(issuer: Arc<Issuer>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(ROUND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => {
                flush(&issuer);
                return;
            }
        }
        flush(&issuer);
        if let Some(limits) = &issuer.inbound.limits {
            limits.tidy();
        }
        round = round.wrapping_add(1);
        if round.is_multiple_of(STOP_ROUNDS)
            && let Err(error) = issuer.inbound.refresh(&issuer.store, issuer.settings.tenant).await
        {
            tracing::warn!(%error, "the stop list could not be read again, the old one stays in use");
        }
    }
}

fn flush(issuer: &Issuer) {
    for event in issuer.inbound.refusals.flush(issuer.settings.tenant, issuer.clock.now()) {
        issuer.committer().note(Write::Note(Box::new(event)));
    }
}

#[cfg(test)]
mod tests;
