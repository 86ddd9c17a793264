//! What a rollout needs: whole numbers in, whole numbers out.
//!
//! Owns the arithmetic, in integers wide enough for every argument that is taken. Must not print.

use super::facts;
use super::span::Span;

/// How a vault protects its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyType {
    /// In a hardware security module.
    Hsm,
    /// In software.
    Software,
}

/// What is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Credentials to issue.
    pub credentials: u64,
    /// The time for it.
    pub within: Span,
    /// Signatures at the vault per issuance.
    pub signatures_per_issuance: u32,
    /// Signatures that a vault allows in a window.
    pub limit: u64,
    pub window: Span,
    pub key_type: KeyType,
    /// How long credentials are valid.
    pub validity: Span,
    /// How long a key signs.
    pub rotation: Span,
    /// Requests whose code is scanned, in millionths.
    pub scan_share_ppm: u64,
    /// Wishes; what is needed where they are absent.
    pub replicas: Option<u64>,
    pub vaults: Option<u64>,
}

/// Keys in the DID document from some time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    pub after_millis: u128,
    pub keys: u128,
}

/// What it needs. Rates are in thousandths per second, money in millionths of a US dollar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    pub requests: u128,
    pub signatures: u128,
    pub vaults_needed: u128,
    pub vaults: u128,
    pub subscriptions: u128,
    pub time_at_limit_millis: u128,
    pub average_milli_rate: u128,
    pub peak_milli_rate: u128,
    pub requests_per_minute: u128,
    pub replicas_needed: u128,
    pub replicas: u128,
    pub postgres: bool,
    pub most_milli_commits: u128,
    pub rows: u128,
    pub bytes: u128,
    pub log_bytes: u128,
    pub log_bytes_per_day_at_limit: u128,
    pub signing_micro_usd: u128,
    pub keys_micro_usd: u128,
    pub published: Vec<Published>,
    pub most_published: u128,
    pub renewal_milli_rate: u128,
    pub entra_signatures: u128,
    pub entra_vaults: u128,
    pub entra_time_millis: u128,
    pub entra_micro_usd: u128,
}

/// Rows of the table of published keys.
const PUBLISHED_ROWS: u128 = 24;

const MONTH_MILLIS: u128 = 30 * 86_400_000;

impl Rollout {
    /// What it needs.
    pub fn needs(&self) -> Needs {
        let credentials = u128::from(self.credentials);
        let within = u128::from(self.within.millis());
        let window = u128::from(self.window.millis());
        let limit = u128::from(self.limit);
        let per_issuance = u128::from(self.signatures_per_issuance);
        let signatures = credentials * per_issuance;
        let requests = (credentials * 1_000_000).div_ceil(u128::from(self.scan_share_ppm).max(1));
        let unscanned = requests.saturating_sub(credentials);

        // One vault signs limit × efficiency in each window.
        let vault_windows = signatures * window * 100;
        let per_vault = limit * facts::EFFICIENCY_PERCENT;
        let vaults_needed = vault_windows.div_ceil((per_vault * within).max(1)).max(1);
        let vaults = self.vaults.map_or(vaults_needed, u128::from).max(1);
        let time_at_limit_millis = vault_windows.div_ceil((per_vault * vaults).max(1));
        // The rollout lasts as long as it may, or as the vaults let it.
        let lasts = within.max(time_at_limit_millis).max(1);
        let average_milli_rate = (credentials * 1_000_000).div_ceil(lasts);
        let peak_milli_rate = per_vault * vaults * 1_000_000 / (100 * window * per_issuance).max(1);

        let replicas_needed = average_milli_rate.div_ceil(facts::REPLICA_RATE * 1_000).max(1);
        let replicas = self.replicas.map_or(replicas_needed, u128::from).max(1);
        let changes = credentials * facts::ISSUANCE_CHANGES + unscanned * facts::UNSCANNED_CHANGES;

        let published = self.published(vaults);
        let months = lasts.div_ceil(MONTH_MILLIS);
        // While a rotation is younger than a month, both versions were used in the last 30 days.
        let rotations = lasts / u128::from(self.rotation.millis());
        Needs {
            requests,
            signatures,
            vaults_needed,
            vaults,
            subscriptions: vaults.div_ceil(facts::SUBSCRIPTION_FACTOR),
            time_at_limit_millis,
            average_milli_rate,
            peak_milli_rate,
            requests_per_minute: (requests * 60_000).div_ceil(lasts),
            replicas_needed,
            replicas,
            postgres: replicas > 1,
            most_milli_commits: (changes * 1_000_000).div_ceil(lasts),
            rows: credentials * facts::ISSUANCE_ROWS + unscanned * facts::UNSCANNED_ROWS,
            bytes: credentials * facts::ISSUANCE_BYTES + unscanned * facts::UNSCANNED_BYTES,
            log_bytes: signatures * facts::LOG_BYTES,
            log_bytes_per_day_at_limit: per_vault * vaults * 86_400_000 * facts::LOG_BYTES
                / (100 * window).max(1),
            signing_micro_usd: signatures * facts::SIGNATURE_MICRO_USD,
            keys_micro_usd: match self.key_type {
                KeyType::Hsm => hsm_keys_micro_usd(vaults) * (months + rotations),
                KeyType::Software => 0,
            },
            most_published: (1 + facts::STANDBY_KEYS + self.retired()) * vaults,
            published,
            renewal_milli_rate: (credentials * 1_000_000).div_ceil(u128::from(self.validity.millis())),
            entra_signatures: credentials * facts::ENTRA_SIGNATURES,
            entra_vaults: (credentials * facts::ENTRA_SIGNATURES * window)
                .div_ceil((limit * within).max(1))
                .max(1),
            entra_time_millis: (credentials * facts::ENTRA_SIGNATURES * window)
                .div_ceil((limit * vaults).max(1)),
            entra_micro_usd: credentials * facts::ENTRA_SIGNATURES * facts::SIGNATURE_MICRO_USD,
        }
    }

    /// Keys in the document after each rotation, until their number stays: key i signs from i·R to (i+1)·R and leaves
    /// when the last credential that it could have signed has ended.
    fn published(&self, vaults: u128) -> Vec<Published> {
        let rotation = u128::from(self.rotation.millis());
        (0..=self.retired().min(PUBLISHED_ROWS))
            .map(|turn| Published {
                after_millis: turn * rotation,
                keys: (1 + facts::STANDBY_KEYS + turn) * vaults,
            })
            .collect()
    }

    /// Keys of one vault that sign no more and still verify, in the long run.
    fn retired(&self) -> u128 {
        let kept = u128::from(self.validity.millis()) + facts::GRACE_MILLIS;
        kept.div_ceil(u128::from(self.rotation.millis()))
    }

    /// The shortest rotation with which the document holds no more keys than wallets read; none when even the longest
    /// would not help.
    pub fn shortest_rotation_millis(&self, vaults: u128) -> Option<u128> {
        let per_vault = facts::MOST_KEYS / vaults.max(1);
        let retired = per_vault.checked_sub(1 + facts::STANDBY_KEYS).filter(|retired| *retired > 0)?;
        Some((u128::from(self.validity.millis()) + facts::GRACE_MILLIS).div_ceil(retired))
    }
}

fn hsm_keys_micro_usd(keys: u128) -> u128 {
    let mut left = keys;
    let mut sum = 0;
    for (most, price) in facts::HSM_KEY_TIERS {
        let here = left.min(most);
        sum += here * price;
        left -= here;
    }
    sum
}

#[cfg(test)]
mod tests;
