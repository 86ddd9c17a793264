//! One vault: the way to it, its challenge and clock, what our identities may do there, and its keys.
//!
//! Changes nothing and signs nothing: what is asked for does not exist, and the refusal tells whether it would have been
//! permitted. Each question takes its slot from the budget, because vaults count questions like signatures.

use std::time::{Duration, Instant};

use domain::key::SigningKey;
use domain::{Clock as _, KeyRef, Timestamp};
use issuer::signing::SigningError;
use issuer::signing::slots::CallError;
use signer::budget::Operations;
use signer::key_vault::probe::{Challenge, Operation, Permission};
use signer::key_vault::{KeyDescription, KeyVaultBackend, Protection as Found};
use signer::{Denial, SignErrorKind, Unreachability};

use super::database::with_causes;
use super::judge::{self, KeyFacts};
use super::network::{self, Blocked};
use super::report::Report;
use super::slots::{DoctorSlots, Unasked};
use crate::clock::SystemClock;
use crate::config::vault::Protection;
use crate::vaults::{self, Opened, Vault};

/// How many reads the latency is taken from.
const READS: usize = 5;

/// A signature has 3 s with everything; a vault in the same region answers in some tens of milliseconds.
const SLOW: Duration = Duration::from_millis(500);

/// The answer of the vault's clock is a whole second.
const DATE_INEXACT_MS: i64 = 500;

/// What is looked at.
pub struct Subject<'a> {
    /// The vault as it is configured.
    pub vault: &'a Vault,
    /// The same, opened.
    pub opened: &'a Opened,
    /// Our keys in it that are in use or will be.
    pub keys: Vec<&'a SigningKey>,
    /// Where slots come from.
    pub slots: &'a DoctorSlots,
}

impl Subject<'_> {
    fn area(&self) -> String {
        format!("vault {}", self.vault.name())
    }

    /// Makes all checks of this vault. Those that an earlier failure makes pointless are left out.
    pub async fn check(&self, report: &mut Report) {
        let area = self.area();
        if !self.reach(report, &area).await {
            return;
        }
        let mut asked = Vec::new();
        for key in &self.keys {
            let area = format!("key {}/{}", self.vault.name(), key.key.name);
            if !self.key(report, &area, key, &mut asked).await {
                return;
            }
        }
        if self.keys.is_empty() && !self.without_keys(report, &area).await {
            return;
        }
        self.latency(report, &area, asked).await;
        self.privileges(report, &area).await;
    }

    /// The way to the vault. Says whether it can be asked at all.
    async fn reach(&self, report: &mut Report, area: &str) -> bool {
        let url = &self.vault.config.vault_url;
        let stop = |report: &mut Report, step: &'static str, Blocked { found, cure }: Blocked| {
            report.fail(area, step, found, cure);
            false
        };
        let addresses = match network::resolve(url).await {
            Ok(addresses) => addresses,
            Err(blocked) => return stop(report, "dns", blocked),
        };
        let names: Vec<String> = addresses
            .iter()
            .map(|address| {
                let kind = if network::is_private(address.ip()) { " (private)" } else { "" };
                format!("{}{kind}", address.ip())
            })
            .collect();
        report.ok(area, "dns", names.join(", "));
        let started = Instant::now();
        match network::connect(&addresses, self.vault.config.timeouts.connect).await {
            Ok(address) => {
                report.ok(area, "tcp", format!("{address} in {} ms", started.elapsed().as_millis()))
            }
            Err(blocked) => return stop(report, "tcp", blocked),
        }
        if let Some(why) = self.slots.refused() {
            return unanswered(report, area, "questions", &Unasked::NoStore(why));
        }
        let host = url.host_str().unwrap_or_default();
        if let Err(error) = self.challenge().await {
            if let Some(SignErrorKind::Unreachable { why: Unreachability::Tls, source }) = kind(&error) {
                return stop(report, "tls", network::explain_tls(host, &**source));
            }
            return unanswered(report, area, "tls", &error);
        }
        report.ok(area, "tls", "the certificate is trusted");
        // Once more, on a connection that stands: only then the time of the answer says something about the clock.
        match self.challenge().await {
            Ok((challenge, received)) => {
                let verify = self.vault.config.verify_challenge_resource;
                judge::challenge(report, area, host, &challenge, self.vault.tenant.as_deref(), verify);
                match challenge.vault_time {
                    Some(time) => {
                        let half = i64::try_from(challenge.latency.as_millis() / 2).unwrap_or(i64::MAX);
                        let ours = received.plus_millis(-half);
                        let theirs = time.plus_millis(DATE_INEXACT_MS);
                        let offset = theirs.millis().saturating_sub(ours.millis());
                        judge::clock(report, area, "the vault's clock", offset, half + DATE_INEXACT_MS);
                    }
                    None => report.warn(
                        area,
                        "clock",
                        "the answer has no Date",
                        "what answers is no vault, or a proxy takes the header away",
                    ),
                }
                challenge.resource.is_some()
            }
            Err(error) => unanswered(report, area, "challenge", &error),
        }
    }

    /// One key: can it be read, is it the one that we know, can it sign, may we. Says whether to go on with this vault.
    async fn key(
        &self,
        report: &mut Report,
        area: &str,
        key: &SigningKey,
        asked: &mut Vec<Duration>,
    ) -> bool {
        let started = Instant::now();
        match self.describe(&key.key).await {
            Ok(description) => {
                asked.push(started.elapsed());
                report.ok(area, "get", format!("version {}", key.key.version));
                self.described(report, area, key, &description);
            }
            Err(error) => match kind(&error) {
                Some(SignErrorKind::Forbidden { by }) if !is_network(*by) => {
                    judge::missing(report, area, Operation::Get, SIGNER, *by);
                }
                Some(SignErrorKind::KeyNotFound) => report.fail(
                    area,
                    "get",
                    format!("the vault has no version {} of this key", key.key.version),
                    "the key was deleted (az keyvault key recover brings it back), or vault.url is another vault than the \
                     one in which it was made",
                ),
                Some(SignErrorKind::UnsupportedKey { found }) => report.fail(
                    area,
                    "state",
                    format!("the key is {found}"),
                    "a key's kind never changes: this is another key than the one that was made",
                ),
                _ => return unanswered(report, area, "get", &error),
            },
        }
        match self.permission(Operation::Sign, &key.key, &self.opened.signer).await {
            Ok(None) => report.ok(area, "sign", format!("{SIGNER} may sign with it")),
            Ok(Some(by)) => judge::missing(report, area, Operation::Sign, SIGNER, by),
            Err(error) => return unanswered(report, area, "sign", &error),
        }
        true
    }

    fn described(&self, report: &mut Report, area: &str, key: &SigningKey, found: &KeyDescription) {
        if found.public != key.public {
            report.fail(
                area,
                "public key",
                "its public half is not the one that is published",
                "nothing that it signs can be verified: the key was made again under the same name, or vault.url is another \
                 vault than the one in which it was made",
            );
        }
        let facts = KeyFacts {
            enabled: found.enabled,
            not_before: found.not_before.map(Timestamp::seconds),
            expires: found.expires.map(Timestamp::seconds),
            operations: found.operations.clone(),
            kty: match found.protection {
                Found::Hsm => "EC-HSM".to_owned(),
                Found::Software => "EC".to_owned(),
            },
            curve: Some(found.algorithm.vault_curve().to_owned()),
        };
        let protection: Protection = self.vault.protection;
        judge::key_state(report, area, &facts, key.algorithm, protection, SystemClock.now().seconds());
    }

    /// A vault in which there is no key of ours yet. Says whether to go on with it.
    async fn without_keys(&self, report: &mut Report, area: &str) -> bool {
        let nobody = self.nobody();
        for operation in [Operation::Get, Operation::Sign] {
            match self.permission(operation, &nobody, &self.opened.signer).await {
                Ok(None) => {
                    report.ok(area, operation.name(), format!("{SIGNER} may {} keys", verb(operation)))
                }
                Ok(Some(by)) => judge::missing(report, area, operation, SIGNER, by),
                Err(error) => return unanswered(report, area, operation.name(), &error),
            }
        }
        report.warn(
            area,
            "keys",
            "there is no key of ours in it yet",
            "the first start makes them in the vaults that [signing] names; run this again afterwards",
        );
        true
    }

    async fn latency(&self, report: &mut Report, area: &str, mut took: Vec<Duration>) {
        let key = self.keys.first().map_or_else(|| self.nobody(), |key| key.key.clone());
        while took.len() < READS {
            let started = Instant::now();
            if self.describe(&key).await.is_err_and(|error| !answered(&error)) {
                break;
            }
            took.push(started.elapsed());
        }
        took.sort_unstable();
        let Some(median) = took.get(took.len() / 2) else { return };
        let found = format!("{} ms, the median of {} reads", median.as_millis(), took.len());
        if *median > SLOW {
            report.warn(
                area,
                "latency",
                found,
                "a signature has 3 s: run close to the vault (the same region), and look for a proxy or a firewall in between",
            );
        } else {
            report.ok(area, "latency", found);
        }
    }

    /// What the identity that signs could do and should not, and whether the one that makes keys can.
    async fn privileges(&self, report: &mut Report, area: &str) {
        let key = self.keys.first().map_or_else(|| self.nobody(), |key| key.key.clone());
        let mut more = Vec::new();
        for operation in [Operation::Create, Operation::Update, Operation::Backup] {
            match self.permission(operation, &key, &self.opened.signer).await {
                Ok(None) => more.push(operation),
                Ok(Some(_)) => {}
                Err(error) => {
                    unanswered(report, area, "least privilege", &error);
                    return;
                }
            }
        }
        judge::excess(report, area, SIGNER, &more, self.vault.own_login);
        let who = if self.vault.key_admin.is_some() { "key_admin" } else { SIGNER };
        let may_create = match self.vault.key_admin {
            Some(_) => self.permission(Operation::Create, &key, &self.opened.admin).await,
            None if more.contains(&Operation::Create) => Ok(None),
            None => Ok(Some(Denial::Role)),
        };
        match may_create {
            Ok(None) => report.ok(area, "create", format!("{who} may make keys")),
            // Between rotations that is as it should be.
            Ok(Some(_)) if !self.keys.is_empty() => {
                report.ok(
                    area,
                    "create",
                    format!("{who} may make no keys, and needs none before the next rotation"),
                );
            }
            Ok(Some(by)) => judge::missing(report, area, Operation::Create, who, by),
            Err(error) => {
                unanswered(report, area, "create", &error);
            }
        }
    }

    /// A key that nobody has.
    fn nobody(&self) -> KeyRef {
        KeyRef {
            backend: self.vault.name().to_owned(),
            name: format!("credenza-doctor-{}", uuid::Uuid::new_v4()),
            version: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Whether an identity may do something: permitted, or who denied it.
    async fn permission(
        &self,
        operation: Operation,
        key: &KeyRef,
        face: &KeyVaultBackend,
    ) -> Result<Option<Denial>, Unasked> {
        let counts = match operation {
            Operation::Create => Operations::CreateKey,
            _ => Operations::Sign,
        };
        let question = async {
            match face.permission(operation, key).await {
                Permission::Permitted => Ok(None),
                Permission::Denied(by) => Ok(Some(by)),
                Permission::Unknown(error) => Err(error),
            }
        };
        self.slots.around(key, counts, question).await
    }

    /// What the vault wants of a caller without a token, and when it said so.
    async fn challenge(&self) -> Result<(Challenge, Timestamp), Unasked> {
        let question = async { Ok((self.opened.signer.challenge().await?, SystemClock.now())) };
        self.slots.around(&self.nobody(), Operations::Sign, question).await
    }

    async fn describe(&self, key: &KeyRef) -> Result<KeyDescription, Unasked> {
        self.slots.around(key, Operations::Sign, self.opened.signer.describe(key)).await
    }
}

const SIGNER: &str = "the identity that signs";

/// An answer that says nothing about what was asked. Always false, for callers that stop then.
fn unanswered(report: &mut Report, area: &str, check: &'static str, error: &Unasked) -> bool {
    if !matches!(error, Unasked::Call(CallError::Backend(_))) {
        let found = format!("not asked: its slots could not be taken ({})", with_causes(error));
        match error {
            Unasked::Call(CallError::Slots(SigningError::NoSlotInTime)) => {
                report.warn(area, check, found, "run this again when fewer credentials are issued");
            }
            Unasked::Call(_) => report.fail(area, check, found, "see the database's log"),
            Unasked::NoStore(_) => report.warn(
                area,
                check,
                found,
                "a vault counts questions like signatures: mend the database first (`credenza migrate` makes its tables and \
                 brings them up to date), or, while nothing else uses this vault, add --without-budget",
            ),
        }
        return false;
    }
    let cure =
        kind(error).and_then(vaults::cure).unwrap_or("try again; look at the vault's metrics and its log");
    report.fail(area, check, with_causes(error), cure);
    false
}

const fn kind(error: &Unasked) -> Option<&SignErrorKind> {
    match error {
        Unasked::Call(CallError::Backend(error)) => Some(error.kind()),
        Unasked::Call(CallError::Slots(_)) | Unasked::NoStore(_) => None,
    }
}

/// Whether the vault itself answered, with a refusal.
fn answered(error: &Unasked) -> bool {
    matches!(error, Unasked::Call(CallError::Backend(error)) if error.answered())
}

const fn is_network(by: Denial) -> bool {
    matches!(by, Denial::Firewall | Denial::Network)
}

const fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Get => "read",
        Operation::Sign => "sign with",
        Operation::List => "list",
        Operation::Create => "make",
        Operation::Update => "change",
        Operation::Backup => "back up",
    }
}
