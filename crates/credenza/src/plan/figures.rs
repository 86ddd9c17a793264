//! The figures of a plan as they are printed: title, value with unit, source.

use serde_json::{Value, json};

use super::facts::{self, Source};
use super::needs::{KeyType, Needs, Rollout};
use super::span::Span;

/// One figure.
pub struct Figure {
    /// Its name in JSON.
    pub id: &'static str,
    /// Its name in the table.
    pub title: &'static str,
    /// The number, for programs.
    pub value: Value,
    /// Its unit.
    pub unit: &'static str,
    /// The number, for people.
    pub text: String,
    /// Where it comes from.
    pub source: Source,
}

/// All of them, in the order in which they are read.
pub fn of(rollout: &Rollout, needs: &Needs) -> Vec<Figure> {
    let count = |id, title, unit, value: u128, source| Figure {
        id,
        title,
        value: number(value),
        unit,
        text: grouped(value),
        source,
    };
    let rate = |id, title, unit, milli: u128, source| Figure {
        id,
        title,
        value: json!(thousandths(milli).parse::<f64>().unwrap_or_default()),
        unit,
        text: format!("{} /s", thousandths(milli)),
        source,
    };
    let time = |id, title, millis: u128, source| Figure {
        id,
        title,
        value: json!(thousandths(millis).parse::<f64>().unwrap_or_default()),
        unit: "seconds",
        text: length(millis),
        source,
    };
    let data = |id, title, bytes: u128, source| Figure {
        id,
        title,
        value: number(bytes),
        unit: "bytes",
        text: volume(bytes),
        source,
    };
    let money = |id, title, micro: u128, source| Figure {
        id,
        title,
        value: json!(dollars(micro).replace(',', "").parse::<f64>().unwrap_or_default()),
        unit: "US dollars",
        text: format!("$ {}", dollars(micro)),
        source,
    };
    let database = if needs.postgres { "PostgreSQL" } else { "SQLite" };
    let key_price = match rollout.key_type {
        KeyType::Hsm => facts::KEY_PRICE,
        KeyType::Software => "software keys have no monthly price",
    };
    vec![
        count("requests", "Requests to create", "requests", needs.requests, facts::ARITHMETIC),
        count("signatures", "Signatures", "signatures", needs.signatures, facts::ARITHMETIC),
        count("vaults", "Vaults", "vaults", needs.vaults, facts::LIMIT),
        count("vaults_needed", "Vaults, at least", "vaults", needs.vaults_needed, facts::LIMIT),
        count("subscriptions", "Subscriptions", "subscriptions", needs.subscriptions, facts::SUBSCRIPTION),
        time("time_at_limit", "Time at the limit", needs.time_at_limit_millis, facts::EFFICIENCY),
        rate(
            "average_rate",
            "Issuances, average",
            "issuances per second",
            needs.average_milli_rate,
            facts::ARITHMETIC,
        ),
        rate(
            "peak_rate",
            "Issuances, peak",
            "issuances per second",
            needs.peak_milli_rate,
            facts::EFFICIENCY,
        ),
        count(
            "requests_per_minute",
            "Requests per minute, average",
            "requests per minute",
            needs.requests_per_minute,
            facts::ARITHMETIC,
        ),
        count("replicas", "Replicas", "processes", needs.replicas, facts::REPLICA),
        count("replicas_needed", "Replicas, at least", "processes", needs.replicas_needed, facts::REPLICA),
        Figure {
            id: "database",
            title: "Database",
            value: json!(database),
            unit: "",
            text: database.to_owned(),
            source: "one process: SQLite will do; several share a PostgreSQL",
        },
        rate(
            "most_commits",
            "Changes to commit, at most",
            "changes per second",
            needs.most_milli_commits,
            facts::COMMITS,
        ),
        count("rows", "Database growth, rows", "rows", needs.rows, facts::DATABASE),
        data("bytes", "Database growth", needs.bytes, facts::DATABASE),
        data("vault_log", "Vault's audit log", needs.log_bytes, facts::LOG),
        data(
            "vault_log_per_day",
            "The same per day at the limit",
            needs.log_bytes_per_day_at_limit,
            facts::LOG,
        ),
        money("signing_cost", "Signatures' price", needs.signing_micro_usd, facts::PRICE),
        money("key_cost", "Keys' price, for the rollout", needs.keys_micro_usd, key_price),
        count(
            "published_keys",
            "Keys in the DID document, at most",
            "keys",
            needs.most_published,
            facts::KEYS,
        ),
        rate(
            "renewal_rate",
            "Renewals later on, average",
            "issuances per second",
            needs.renewal_milli_rate,
            "each credential again when its validity ends",
        ),
        count(
            "entra_signatures",
            "Microsoft's service: signatures",
            "signatures",
            needs.entra_signatures,
            facts::ENTRA,
        ),
        count(
            "entra_vaults",
            "Microsoft's service: vaults, at least",
            "vaults",
            needs.entra_vaults,
            facts::ENTRA,
        ),
        time(
            "entra_time_at_limit",
            "Microsoft's service: time at the limit",
            needs.entra_time_millis,
            "the same number of vaults, their limit used to the full",
        ),
        money(
            "entra_signing_cost",
            "Microsoft's service: signatures' price",
            needs.entra_micro_usd,
            facts::PRICE,
        ),
    ]
}

/// JSON numbers are safe up to 2⁵³; larger ones are text.
fn number(value: u128) -> Value {
    u64::try_from(value)
        .ok()
        .filter(|value| *value < 1 << 53)
        .map_or_else(|| json!(value.to_string()), |n| json!(n))
}

/// `1,234,567`.
pub fn grouped(value: u128) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.345`, without zeros at the end.
fn thousandths(milli: u128) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A length of time; below an hour to the millisecond, above to the minute: nobody plans closer.
pub fn length(millis: u128) -> String {
    let rounded = if millis >= 3_600_000 { millis.div_ceil(60_000) * 60_000 } else { millis };
    match u64::try_from(rounded).ok().and_then(|millis| Span::from_millis(millis).ok()) {
        Some(span) => span.to_string(),
        None if millis == 0 => "0s".to_owned(),
        None => format!("over {} years", Span::LONGEST_YEARS),
    }
}

/// Decimal units, one decimal.
fn volume(bytes: u128) -> String {
    let units = [("PB", 15), ("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)];
    for (unit, power) in units {
        let size = 10_u128.pow(power);
        if bytes >= size {
            let tenths = (bytes * 10).div_ceil(size);
            return format!("{}.{} {unit}", grouped(tenths / 10), tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// Dollars and cents, rounded up.
pub fn dollars(micro: u128) -> String {
    let cents = micro.div_ceil(10_000);
    format!("{}.{:02}", grouped(cents / 100), cents % 100)
}
