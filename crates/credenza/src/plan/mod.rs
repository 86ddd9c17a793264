//! `credenza plan`: from the documented limits, what a rollout of N credentials in a given time needs.
//!
//! Owns the command. The figures are in `facts`, the arithmetic in `needs`, what is printed in `figures` and `advice`.
//! Reads neither configuration nor database: it is for the time before there is any.

mod advice;
mod facts;
mod figures;
mod needs;
pub mod span;
pub mod table;

use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::say;
use figures::Figure;
use needs::{KeyType, Rollout};
use span::Span;
use table::Table;

/// `credenza plan`.
#[derive(Args, Clone)]
pub struct PlanArgs {
    /// Credentials to issue.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    credentials: u64,
    /// The time for it, for example 8h or 30d.
    #[arg(long)]
    within: Span,
    /// Signatures at the vault per issuance: 2 on the Entra wire, 1 on OpenID4VCI.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    signatures_per_issuance: u32,
    /// Signatures that one vault allows in a window; default 2000 for HSM keys, 4000 for software keys.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    vault_limit: Option<u64>,
    /// That window.
    #[arg(long, default_value = "10s", value_parser = window)]
    window: Span,
    /// How the vault protects its keys.
    #[arg(long, value_enum, default_value = "hsm")]
    key_type: KeyType,
    /// How long a credential is valid.
    #[arg(long, default_value = "365d")]
    validity: Span,
    /// How long a key signs before the next one does.
    #[arg(long, default_value = "365d")]
    rotation: Span,
    /// Part of the codes that people scan: 0.7, or 70%.
    #[arg(long, default_value = "0.7")]
    scan_share: Share,
    /// Processes that you want to run; what is needed when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    replicas: Option<u64>,
    /// Vaults that you have; what is needed when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    vaults: Option<u64>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// A part of a whole, in millionths; more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(u64);

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "it has to be more than 0 and at most 1 (or 100%), with at most six decimals";
        let (text, digits) = match text.strip_suffix('%') {
            Some(percent) => (percent, 4_usize),
            None => (text, 6),
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || decimals.len() > digits || !all_digits(whole) || !all_digits(decimals) {
            return Err(WRONG);
        }
        let millionths: u64 = format!("{whole}{decimals:0<digits$}").parse().map_err(|_too_large| WRONG)?;
        if (1..=1_000_000).contains(&millionths) { Ok(Self(millionths)) } else { Err(WRONG) }
    }
}

/// A window is short: the arithmetic counts on it.
fn window(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: span::InvalidSpan| error.to_string())?;
    if span.millis() > 3_600_000 { Err("it has to be at most an hour".to_owned()) } else { Ok(span) }
}

impl PlanArgs {
    fn rollout(&self) -> Rollout {
        Rollout {
            credentials: self.credentials,
            within: self.within,
            signatures_per_issuance: self.signatures_per_issuance,
            limit: self.vault_limit.unwrap_or(match self.key_type {
                KeyType::Hsm => facts::HSM_LIMIT,
                KeyType::Software => facts::SOFTWARE_LIMIT,
            }),
            window: self.window,
            key_type: self.key_type,
            validity: self.validity,
            rotation: self.rotation,
            scan_share_ppm: self.scan_share.0,
            replicas: self.replicas,
            vaults: self.vaults,
        }
    }
}

/// Prints the plan.
pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let rollout = args.rollout();
    let needs = rollout.needs();
    let figures = figures::of(&rollout, &needs);
    let warnings = advice::of(&rollout, &needs);
    if args.json {
        say(&serde_json::to_string_pretty(&document(&rollout, &needs, &figures, &warnings))?)?;
    } else {
        say(&text(&rollout, &needs, &figures, &warnings))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn document(rollout: &Rollout, needs: &needs::Needs, figures: &[Figure], warnings: &[String]) -> Value {
    let number =
        |value: u128| u64::try_from(value).map_or_else(|_large| json!(value.to_string()), |n| json!(n));
    let members: Map<String, Value> = figures
        .iter()
        .map(|figure| {
            let value = json!({
                "value": figure.value.clone(),
                "unit": figure.unit,
                "text": figure.text,
                "source": figure.source,
            });
            (figure.id.to_owned(), value)
        })
        .collect();
    let published: Vec<Value> = needs
        .published
        .iter()
        .map(|row| json!({ "after_secs": number(row.after_millis / 1_000), "keys": number(row.keys) }))
        .collect();
    json!({
        "wish": {
            "credentials": rollout.credentials,
            "within_secs": rollout.within.duration().as_secs_f64(),
            "signatures_per_issuance": rollout.signatures_per_issuance,
            "vault_limit": rollout.limit,
            "window_secs": rollout.window.duration().as_secs_f64(),
            "key_type": match rollout.key_type { KeyType::Hsm => "hsm", KeyType::Software => "software" },
            "validity_secs": rollout.validity.duration().as_secs_f64(),
            "rotation_secs": rollout.rotation.duration().as_secs_f64(),
            "scan_share_millionths": rollout.scan_share_ppm,
            "replicas": rollout.replicas,
            "vaults": rollout.vaults,
        },
        "figures": members,
        "published_keys": published,
        "warnings": warnings,
    })
}

fn text(rollout: &Rollout, needs: &needs::Needs, figures: &[Figure], warnings: &[String]) -> String {
    let mut out = format!(
        "{} credentials within {}, {} signatures each, {} signatures per {} and vault\n\n",
        figures::grouped(u128::from(rollout.credentials)),
        rollout.within,
        rollout.signatures_per_issuance,
        figures::grouped(u128::from(rollout.limit)),
        rollout.window,
    );
    let mut table = Table::new(&["needed", "figure", "source"]);
    for figure in figures {
        table.row(vec![figure.title.to_owned(), figure.text.clone(), figure.source.to_owned()]);
    }
    out.push_str(&table.to_string());
    out.push_str("\n\nKeys in the DID document\n\n");
    let mut table = Table::new(&["after", "keys"]);
    for row in &needs.published {
        let after =
            if row.after_millis == 0 { "start".to_owned() } else { figures::length(row.after_millis) };
        table.row(vec![after, row.keys.to_string()]);
    }
    out.push_str(&table.to_string());
    for warning in warnings {
        out.push_str("\n\nWarning: ");
        out.push_str(warning);
    }
    out
}

#[cfg(test)]
mod tests;
