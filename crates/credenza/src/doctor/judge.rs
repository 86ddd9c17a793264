//! What the answers mean: clocks, challenges, the state of a key, who may do what.
//!
//! Pure: takes what was seen and adds to the report. Owns the thresholds and the cures. Must not ask anybody.

use domain::SignatureAlgorithm;
use signer::Denial;
use signer::key_vault::probe::{Challenge, Operation};

use super::report::Report;
use crate::config::vault::Protection;

/// A clock that differs by more is worth a look; by more than the second, tokens and signatures are refused.
const CLOCK_WARN_MS: i64 = 2_000;
const CLOCK_FAIL_MS: i64 = 60_000;

/// Vaults may grant a leeway at the edges of a key's life, and nobody says how much: within it nothing is signed.
const EDGE_SECS: i64 = 300;

/// A key that ends sooner wants a successor now: a new key has to be published before it signs.
const ENDS_SOON_SECS: i64 = 30 * 86_400;

/// Says what a difference between two clocks means; positive when theirs is ahead. `inexact_ms` is by how much the reading
/// may be wrong.
pub fn clock(report: &mut Report, area: &str, whose: &str, offset_ms: i64, inexact_ms: i64) {
    let by = |ms: i64| format!("{}.{:03} s", ms / 1_000, ms % 1_000);
    let certain = offset_ms.saturating_abs().saturating_sub(inexact_ms);
    let found = match offset_ms {
        0 => format!("{whose} agrees with ours"),
        ahead if ahead > 0 => format!("{whose} is {} ahead of ours (+-{})", by(ahead), by(inexact_ms)),
        behind => format!("{whose} is {} behind ours (+-{})", by(behind.saturating_abs()), by(inexact_ms)),
    };
    let cure = "set this machine's clock (chrony or systemd-timesyncd) and keep it so: tokens and keys have times from \
                which and until which they are good";
    if certain > CLOCK_FAIL_MS {
        report.fail(area, "clock", found, cure);
    } else if certain > CLOCK_WARN_MS {
        report.warn(area, "clock", found, cure);
    } else {
        report.ok(area, "clock", found);
    }
}

/// Says what a vault's answer to a call without a token means.
pub fn challenge(
    report: &mut Report,
    area: &str,
    host: &str,
    challenge: &Challenge,
    our_tenant: Option<&str>,
    verify_resource: bool,
) {
    let (Some(resource), Some(authorization)) = (&challenge.resource, &challenge.authorization) else {
        let status = challenge.status;
        let (found, cure) = if status == 403 {
            (
                "403 without a challenge".to_owned(),
                "the vault's firewall refuses this machine's address: allow it in the vault's network settings, or come \
                 through its private endpoint",
            )
        } else {
            (
                format!("{status} without a challenge; a vault answers 401 with one"),
                "what answers is no vault, or a proxy in between answers for it: check vault.url",
            )
        };
        report.fail(area, "challenge", found, cure);
        return;
    };
    let ours = &challenge.configured_resource;
    let tenant = authorization.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match our_tenant {
        _ if verify_resource && resource.trim_end_matches('/') != ours => report.fail(
            area,
            "challenge",
            format!("it wants tokens for {resource}, and {host} tells that they have to be for {ours}"),
            "a token for one service must not go to another: this is no vault, or one of another cloud under a foreign \
             name. Use the vault's own host name (privatelink names do not work)",
        ),
        Some(ours) if !ours.eq_ignore_ascii_case(tenant) => report.fail(
            area,
            "challenge",
            format!("the vault belongs to the tenant {tenant}, our identity is of {ours}"),
            "name the vault's tenant in the credential's tenant_id, with an application of that tenant: a vault trusts one \
             tenant only",
        ),
        _ if resource.ends_with('/') => report.warn(
            area,
            "challenge",
            format!("it wants tokens for {resource}, with a slash at the end"),
            "tokens for a name with a slash are refused (AKV10022): something rewrites the challenge",
        ),
        _ => report.ok(area, "challenge", format!("tokens for {resource} from tenant {tenant}")),
    }
}

/// A key as the vault describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Whether it is enabled.
    pub enabled: bool,
    /// From when it is good, in seconds since 1970.
    pub not_before: Option<i64>,
    /// Until when.
    pub expires: Option<i64>,
    /// What it may be used for.
    pub operations: Vec<String>,
    /// `EC` or `EC-HSM`.
    pub kty: String,
    /// Its curve.
    pub curve: Option<String>,
}

/// Says whether a key can sign now. `now` is in seconds since 1970.
pub fn key_state(
    report: &mut Report,
    area: &str,
    key: &KeyFacts,
    algorithm: SignatureAlgorithm,
    protection: Protection,
    now: i64,
) {
    let mut good = true;
    let mut fail = |report: &mut Report, found: String, cure: &str| {
        report.fail(area, "state", found, cure);
        good = false;
    };
    if !key.enabled {
        fail(
            report,
            "the key is disabled".into(),
            "enable this version: az keyvault key set-attributes --enabled true",
        );
    }
    match key.not_before {
        Some(from) if now < from.saturating_sub(EDGE_SECS) => fail(
            report,
            format!("the key is not valid before {}", date(from)),
            "wait until then, or move its activation date",
        ),
        Some(from) if now < from.saturating_add(EDGE_SECS) => fail(
            report,
            format!("the key has been valid since {} only, or will be in a moment", date(from)),
            "wait five minutes: the vault's clock may differ from ours",
        ),
        _ => {}
    }
    match key.expires {
        Some(until) if now >= until.saturating_sub(EDGE_SECS) => fail(
            report,
            format!("the key's validity ends or has ended at {}", date(until)),
            "move its expiration date, and rotate in time",
        ),
        Some(until) if now >= until.saturating_sub(ENDS_SOON_SECS) => report.warn(
            area,
            "state",
            format!("the key's validity ends at {}", date(until)),
            "prepare its successor now: it has to be published before it signs",
        ),
        _ => {}
    }
    if !key.operations.iter().any(|operation| operation == "sign") {
        fail(
            report,
            format!("the key may be used for {}, not for sign", key.operations.join(", ")),
            "permit it: az keyvault key set-attributes --ops sign verify",
        );
    }
    if key.curve.as_deref() != Some(algorithm.vault_curve()) {
        fail(
            report,
            format!(
                "the key's curve is {}, for {algorithm} it has to be {}",
                key.curve.as_deref().unwrap_or("unknown"),
                algorithm.vault_curve()
            ),
            "a key's curve never changes: this is another key than the one that was made",
        );
    }
    let in_hsm = key.kty == "EC-HSM";
    match (protection, in_hsm) {
        (Protection::Hsm, false) => report.warn(
            area,
            "state",
            format!("the key is software-protected ({}), and vault.kty is hsm", key.kty),
            "the next key will be in the HSM; until then the private key is protected by the service alone",
        ),
        (Protection::Software, true) => report.warn(
            area,
            "state",
            "the key is in the HSM, and vault.kty is software",
            "set kty = \"hsm\": the vault takes 2,000 signatures in 10 s from such keys, not 4,000",
        ),
        _ => {}
    }
    if good {
        let ends = key.expires.map_or_else(|| "no end".to_owned(), |until| format!("until {}", date(until)));
        let operations = key.operations.join(", ");
        report.ok(
            area,
            "state",
            format!("enabled, {}, {}, {operations}, {ends}", key.kty, algorithm.vault_curve()),
        );
    }
}

fn date(seconds: i64) -> String {
    domain::Timestamp::from_millis(seconds.saturating_mul(1_000)).to_rfc3339()
}

/// The role that grants an operation and nothing that it should not.
const fn role(operation: Operation) -> &'static str {
    match operation {
        Operation::Get | Operation::List | Operation::Sign => {
            "the custom role of infra/azure/signer-role.json"
        }
        Operation::Create | Operation::Update | Operation::Backup => "the role Key Vault Crypto Officer",
    }
}

/// Says what it means that an identity lacks something that it needs.
pub fn missing(report: &mut Report, area: &str, operation: Operation, who: &str, by: Denial) {
    let (name, action, role) = (operation.name(), operation.data_action(), role(operation));
    let (why, cure) = match by {
        Denial::Policy => (
            "the vault's access policy does not permit it",
            format!(
                "grant the key permission `{name}` in the vault's access policy, or change the vault to roles (RBAC) and \
                 give {role}"
            ),
        ),
        _ => (
            "no role permits it",
            format!(
                "give it {role} at the vault or the key: the data action {action} is missing. A new role counts after up \
                 to ten minutes"
            ),
        ),
    };
    report.fail(area, name, format!("{who} may not {name}: {why}"), cure);
}

/// Says what it means that the identity that signs could do more. `own_login` is a developer's own, who is no service.
pub fn excess(report: &mut Report, area: &str, who: &str, more: &[Operation], own_login: bool) {
    if more.is_empty() {
        report.ok(area, "least privilege", format!("{who} can neither create nor update nor back up keys"));
        return;
    }
    let names: Vec<&str> = more.iter().map(|operation| operation.name()).collect();
    let found = format!("{who} could also {} keys", names.join(", "));
    let cure = "take away roles such as Key Vault Crypto User or Officer (access policies: all but get and sign) and give \
                the custom role of infra/azure/signer-role.json: whoever takes over this process could otherwise replace, \
                disable or carry away the keys. Keys are made by key_admin, an identity of its own";
    if own_login {
        report.warn(area, "least privilege", found, cure);
    } else {
        report.fail(area, "least privilege", found, cure);
    }
}

#[cfg(test)]
mod tests;
