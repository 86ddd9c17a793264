//! Owns the way of a request from its arrival to its answer: who, which vault, which limit, which fault, what is recorded.
//! Nothing here waits: the answer says how long whoever sends it has to.

mod headers;
mod perform;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Bytes;

use crate::answer::{Answer, HTML};
use crate::audit::{Attempt, Feed};
use crate::clock::{Moment, SimClock};
use crate::failure::{Failure, FailureKind, ForbiddenCode};
use crate::fault::{Faults, Instead, Struck, Target, Transport};
use crate::hardware::Hardware;
use crate::identity::{Access, Identity, wrong_audience};
use crate::locked;
use crate::login::{self, LoginRoute};
use crate::members::Members;
use crate::meter::{Category, Pool, Throttle};
use crate::operation::Operation;
use crate::profile::Profile;
use crate::random::{Random, guid, unpredictable};
use crate::route::{Query, Route, shows_platform};
use crate::sim::SimConfig;
use crate::vault::Vault;
use crate::vault::key::View;

/// Vaults that hosts nobody configured may bring to life.
const MOST_VAULTS: usize = 64;

/// A request whose head and body are there.
#[derive(Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub host: String,
    /// The vault of the listener.
    pub vault_here: Arc<str>,
    pub authorization: Option<String>,
    pub client_request_id: Option<String>,
    pub user_agent: String,
    pub body: Bytes,
    pub address: IpAddr,
    pub tls: &'static str,
    /// The first on its connection.
    pub first: bool,
}

/// What becomes of it.
#[derive(Debug)]
pub struct Outcome {
    pub answer: Answer,
    pub wait: Duration,
    pub transport: Transport,
}

/// What several requests change.
#[derive(Debug)]
pub struct State {
    pub vaults: BTreeMap<String, Vault>,
    pub throttle: Throttle,
    pub hardware: Hardware,
    pub random: Random,
    /// Operations by status.
    pub by_status: BTreeMap<u16, u64>,
}

/// The simulator without its sockets.
#[derive(Debug)]
pub struct World {
    pub config: SimConfig,
    pub clock: SimClock,
    pub state: Mutex<State>,
    pub faults: Mutex<Faults>,
    pub access: Access,
    pub feed: Feed,
    pub connections: AtomicU64,
    pub token_requests: AtomicU64,
}

/// What is found out about a request on its way.
struct Progress {
    profile: Profile,
    route: Result<Route, Failure>,
    api_version: Option<&'static str>,
    identity: Option<Identity>,
    /// The caller may do what he asks for.
    authorized: bool,
    /// How long the hardware lets him wait for his turn.
    queued: Duration,
    /// The meters hold it.
    counted: bool,
    struck: Struck,
    key_type: Option<&'static str>,
}

impl World {
    pub fn new(config: SimConfig, feed: Feed) -> Self {
        let mut random = Random::new(config.seed);
        let throttle = Throttle::new(config.throttle.clone(), &mut random);
        let vaults = config.vaults.iter().map(|name| (name.to_ascii_lowercase(), Vault::default())).collect();
        Self {
            clock: config.clock.clone(),
            state: Mutex::new(State {
                vaults,
                throttle,
                hardware: Hardware::new(config.hsm_partitions),
                random,
                by_status: BTreeMap::new(),
            }),
            faults: Mutex::new(Faults::new(config.clock.clone())),
            access: Access::new(config.access.clone()),
            feed,
            connections: AtomicU64::new(0),
            token_requests: AtomicU64::new(0),
            config,
        }
    }

    /// The vault that a Host header names; `here` where it names none.
    pub fn vault_of(&self, host: &str, here: &str) -> String {
        let host = host.to_ascii_lowercase();
        let name = if host.starts_with('[') { "" } else { host.split(':').next().unwrap_or_default() };
        if name.is_empty() || name == "localhost" || name.parse::<IpAddr>().is_ok() {
            return here.to_owned();
        }
        name.split('.').next().unwrap_or_default().to_owned()
    }

    /// Serves a request.
    pub fn serve(&self, asked: &Asked) -> Outcome {
        let origin = format!("https://{}", asked.host);
        if let Some(route) = LoginRoute::parse(&asked.method, &asked.path) {
            return Outcome {
                answer: self.log_in(route, asked, &origin),
                wait: Duration::ZERO,
                transport: Transport::Whole,
            };
        }
        if asked.path == "/" || asked.path.is_empty() {
            let answer = Answer::text(403, HTML, "<html><body><h1>403 Forbidden</h1></body></html>");
            return Outcome { answer, wait: Duration::ZERO, transport: Transport::Whole };
        }
        self.serve_vault(asked, &origin)
    }

    fn log_in(&self, route: LoginRoute<'_>, asked: &Asked, origin: &str) -> Answer {
        match route {
            LoginRoute::Configuration { tenant } => login::configuration(origin, tenant),
            LoginRoute::Instances => login::instances(origin, &self.access.config().tenant),
            LoginRoute::Token { tenant } => {
                self.token_requests.fetch_add(1, Ordering::Relaxed);
                let failing = locked(&self.faults).strike_token_endpoint();
                failing.map_or_else(
                    || login::token(self.access.config(), tenant, &asked.body, self.clock.now()),
                    login::failing,
                )
            }
        }
    }

    fn serve_vault(&self, asked: &Asked, origin: &str) -> Outcome {
        let vault = self.vault_of(&asked.host, &asked.vault_here);
        let query = Query::parse(asked.query.as_deref().unwrap_or_default());
        let request_id = guid(unpredictable());
        let profile = self.config.profile_of(&vault);
        let mut progress = Progress {
            profile,
            route: Route::parse(&asked.method, &asked.path),
            api_version: None,
            identity: None,
            authorized: false,
            queued: Duration::ZERO,
            counted: false,
            struck: Struck::default(),
            key_type: None,
        };
        let mut state = locked(&self.state);
        // Under the lock, so that arrivals are judged in the order of their times.
        let arrived = self.clock.now();
        let wait = self.latency(&mut state.random, asked.first);
        let draw = if profile.is_hsm() { state.random.next() } else { 0 };
        let judged = self.judge(&mut state, asked, &vault, &query, &mut progress, origin, arrived);
        let now = arrived.skewed(progress.struck.skew_millis);
        let result = match judged {
            Ok(route) => self.perform(state, &route, &query, asked, &vault, origin, now, &progress),
            Err(failure) => {
                drop(state);
                Err(failure)
            }
        };
        let result = result.map_err(|failure| profile.told(failure, &request_id));
        let reset = progress.struck.instead == Some(Instead::Reset);
        let mut answer = result.as_ref().map_or_else(Answer::failure, Clone::clone);
        profile.dress(&mut answer, draw);
        let wait = wait.saturating_add(progress.queued).saturating_add(progress.struck.delay);
        headers::add(&mut answer, asked, &request_id, &progress, wait, now);
        let transport = if reset { Transport::Reset } else { progress.struck.transport };
        let status = if reset { 0 } else { answer.status };
        *locked(&self.state).by_status.entry(status).or_default() += 1;
        let description = result.err().map(|failure| failure.message).unwrap_or_default();
        self.record(
            asked,
            progress,
            Finished { arrived, now, vault, request_id, status, description, wait, origin },
        );
        Outcome { answer, wait, transport }
    }

    fn latency(&self, random: &mut Random, first: bool) -> Duration {
        let config = &self.config.latency;
        let first = if first { config.first_request } else { Duration::ZERO };
        if config.median.is_zero() { first } else { first.saturating_add(random.latency(config.median)) }
    }

    /// Everything that can end a request before its operation is looked at.
    #[expect(clippy::too_many_arguments, reason = "the steps share the request's parts")]
    fn judge(
        &self,
        state: &mut State,
        asked: &Asked,
        vault: &str,
        query: &Query,
        progress: &mut Progress,
        origin: &str,
        arrived: Moment,
    ) -> Result<Route, Failure> {
        let profile = progress.profile;
        let challenged = |failure: Failure, more: &str| Failure {
            challenge: Some(format!("{}{more}", self.access.challenge(origin, profile))),
            ..failure
        };
        let identity = self
            .access
            .authenticate(asked.authorization.as_deref(), profile, arrived)
            .map_err(|failure| challenged(failure, ""))?;
        let identity = &*progress.identity.insert(identity);
        if !state.vaults.contains_key(vault) {
            if state.vaults.len() >= MOST_VAULTS {
                return Err(Failure::new(FailureKind::NotFound, "There are too many vaults."));
            }
            state.vaults.insert(vault.to_owned(), Vault::default());
        }
        let route = progress.route.as_ref().ok();
        let key = route.and_then(|route| route.name.as_deref());
        let operation = route.map(|route| route.operation);
        progress.struck = locked(&self.faults).strike(Target { operation, vault, key });
        let denial = operation.and_then(|operation| identity.authorize(operation, key, vault, profile).err());
        progress.authorized = operation.is_some() && denial.is_none();
        let unauthorized = |message: &str| Failure::new(FailureKind::Unauthorized, message);
        match progress.struck.instead {
            Some(Instead::TokenExpired { claims }) => {
                // {"access_token":{"nbf":{"essential":true}}}
                let more = r#", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==""#;
                let failure = unauthorized("The bearer token has expired.");
                return Err(challenged(failure, if claims { more } else { "" }));
            }
            Some(Instead::SigningKeyUnknown) => {
                let message = "AKV10046: the signing key of the token cannot be resolved.";
                return Err(challenged(unauthorized(message), ""));
            }
            Some(Instead::WrongAudience) => return Err(challenged(wrong_audience(profile), "")),
            Some(Instead::WrongTenant) => return Err(challenged(self.access.wrong_tenant(), "")),
            Some(Instead::Throttled(after)) => return Err(Failure::throttled(after)),
            _ => {}
        }
        let route = progress.route.clone()?;
        progress.api_version = Some(query.api_version()?);
        let (key, version) = (route.name.as_deref(), route.version.as_deref());
        let named = state.vaults.get(vault).zip(key);
        progress.key_type = named.and_then(|(vault, key)| vault.type_name(key, version));
        if profile.is_hsm() {
            let curve = named.and_then(|(vault, key)| vault.curve(key, version));
            if denial.is_none() {
                progress.queued = state.hardware.arrive(vault, route.operation, curve, arrived);
            }
        } else {
            let (category, pool) = charge(state, vault, &route, asked);
            if !state.throttle.arrive(vault, category, pool, arrived) {
                return Err(Failure::throttled(state.throttle.retry_after()));
            }
            progress.counted = true;
        }
        if let Some(Instead::Forbidden(inner)) = progress.struck.instead {
            progress.authorized &= !inner.is_about_the_caller();
        }
        let failure = match progress.struck.instead {
            None => return denial.map_or(Ok(route), Err),
            Some(Instead::Forbidden(ForbiddenCode::ForbiddenByRbac)) => {
                identity.denied(route.operation, key, vault, profile)
            }
            Some(Instead::Forbidden(inner)) => Failure::forbidden(inner, "Refused on purpose."),
            Some(Instead::Conflict(inner)) => Failure::conflict(inner, "A conflict on purpose."),
            Some(Instead::NotFound) => {
                Failure::key_not_found(&format!("{origin}/keys/{}", key.unwrap_or_default()))
            }
            Some(Instead::BadGateway) => Failure::new(FailureKind::BadGateway, "A proxy's 502 on purpose."),
            Some(Instead::GatewayTimeout) => {
                Failure::new(FailureKind::GatewayTimeout, "A proxy's 504 on purpose.")
            }
            Some(Instead::Unavailable(retry_after)) => {
                let failure = Failure::new(FailureKind::ServiceUnavailable, "Unavailable on purpose.");
                Failure { retry_after, ..failure }
            }
            Some(_) => Failure::new(FailureKind::InternalError, "An error on purpose."),
        };
        Err(failure)
    }

    fn record(&self, asked: &Asked, progress: Progress, finished: Finished<'_>) {
        let Finished { arrived, now, vault, request_id, status, description, wait, origin } = finished;
        let route = progress.route.ok();
        let operation = match (&route, status) {
            (_, 401) => "Authentication",
            (Some(route), _) => route.operation.log_name(),
            (None, _) => "Unknown",
        };
        let key = route.and_then(|route| {
            let name = route.name?;
            Some(route.version.map_or_else(|| name.clone(), |version| format!("{name}/{version}")))
        });
        let from_client = asked.client_request_id.clone().filter(|_| self.config.log.correlation_from_client);
        let target = asked.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        self.feed.record(Attempt {
            arrived,
            logged_time: now,
            vault,
            profile: progress.profile,
            tenant: self.access.config().tenant.clone(),
            operation,
            api_version: progress.api_version,
            status,
            description,
            duration: wait,
            address: asked.address,
            correlation_id: from_client.unwrap_or_else(|| request_id.clone()),
            request_id,
            claims: progress.identity.map(|identity| identity.claims),
            authorized: progress.authorized && status != 401,
            key,
            key_type: progress.key_type,
            origin: origin.to_owned(),
            target: format!("{}{target}", asked.path),
            user_agent: asked.user_agent.clone(),
            tls: asked.tls,
            counted: progress.counted,
            logged: status != 0 && (status != 429 || self.config.log.throttled_rows),
        });
    }
}

/// What is known at the end of a request.
struct Finished<'a> {
    arrived: Moment,
    now: Moment,
    vault: String,
    request_id: String,
    status: u16,
    description: String,
    wait: Duration,
    origin: &'a str,
}

/// Which limit an operation counts under.
fn charge(state: &State, vault: &str, route: &Route, asked: &Asked) -> (Category, Pool) {
    let asked_type = |body: &Members| match body.text("kty") {
        Ok(Some("EC-HSM" | "RSA-HSM" | "oct-HSM")) => Pool::Hsm,
        _ => Pool::Software,
    };
    let body = || Members::parse(&asked.body).unwrap_or_default();
    let existing = || {
        let found = state.vaults.get(vault).zip(route.name.as_deref());
        found.map_or(Pool::None, |(vault, name)| vault.pool(name, route.version.as_deref()))
    };
    match route.operation {
        Operation::Create => (Category::Create, asked_type(&body())),
        Operation::Rotate => (Category::Create, existing()),
        Operation::Import => {
            let key = body().object("key").ok().flatten().unwrap_or_default();
            (Category::Other, asked_type(&key))
        }
        _ => (Category::Other, existing()),
    }
}

/// The view of a vault's keys that a request has.
fn view<'a>(config: &SimConfig, origin: &'a str, progress: &Progress) -> View<'a> {
    let platform = progress.api_version.is_some_and(shows_platform) && !progress.profile.is_hsm();
    View { origin, recovery: config.keys.recovery(), platform, profile: progress.profile }
}
