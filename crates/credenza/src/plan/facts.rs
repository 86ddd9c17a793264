//! The figures that a plan rests on, each with where it comes from.
//!
//! Owns constants only. Documented ones are Microsoft's and may change: limits are arguments of `credenza plan` and
//! members of the configuration. Measured ones are ours; docs/planning.md says how to measure again.

/// A figure's origin, as it is printed beside it.
pub type Source = &'static str;

/// Share of a vault's limit that is used under sustained load, in percent.
pub const EFFICIENCY_PERCENT: u128 = 98;
pub const EFFICIENCY: Source = "98 % of the limit: what the budget uses (docs/planning.md, Efficiency)";

/// Transactions per vault and 10 s, by protection of an EC key.
pub const HSM_LIMIT: u64 = 2_000;
pub const SOFTWARE_LIMIT: u64 = 4_000;
pub const LIMIT: Source =
    "Azure Key Vault service limits: EC keys, all other transactions, per vault and region in 10 s";

/// A subscription's limit in vault limits, per region.
pub const SUBSCRIPTION_FACTOR: u128 = 5;
pub const SUBSCRIPTION: Source =
    "Azure Key Vault service limits: a subscription has five times a vault's limit per region";

/// Signatures of one issuance with Microsoft's service.
pub const ENTRA_SIGNATURES: u128 = 3;
pub const ENTRA: Source =
    "Entra Verified ID issuance planning: request, contract and credential are signed for each issuance";

/// Bytes of one row in the vault's audit log.
pub const LOG_BYTES: u128 = 1_900;
pub const LOG: Source = "about 1.9 KB per KeySign row, as users measured it in Log Analytics";

/// Millionths of a US dollar per signature: 0.15 per 10,000.
pub const SIGNATURE_MICRO_USD: u128 = 15;
pub const PRICE: Source =
    "list price in US dollars (East US), date unknown, check it: 0.15 per 10,000 operations";

/// Months' price of HSM key versions used in the last 30 days: how many at most, and millionths of a US dollar each.
pub const HSM_KEY_TIERS: [(u128, u128); 4] =
    [(250, 5_000_000), (1_250, 2_500_000), (2_500, 900_000), (u128::MAX, 400_000)];
pub const KEY_PRICE: Source = "list price in US dollars (East US), date unknown, check it: 5 per HSM key version used in the last 30 days, less beyond 250";

/// Rows and bytes that one completed Entra-wire issuance with callbacks leaves behind.
pub const ISSUANCE_ROWS: u128 = 20;
pub const ISSUANCE_BYTES: u128 = 20_000;
/// The same for a request that nobody scanned: its row and two of the ledger.
pub const UNSCANNED_ROWS: u128 = 3;
pub const UNSCANNED_BYTES: u128 = 2_000;
pub const DATABASE: Source = "measured on SQLite with the ledger on (docs/planning.md, Database)";

/// Changes that wait for a commit, per completed issuance: created, two for each of two signatures, contract fetched,
/// reported, two callbacks.
pub const ISSUANCE_CHANGES: u128 = 9;
pub const UNSCANNED_CHANGES: u128 = 2;
pub const COMMITS: Source = "changes of the issuance protocol; up to 128 of them share one commit, so this is the most (docs/adr/0003)";

/// Issuances per second that one process with two cores carries: half of what was measured, for peaks.
pub const REPLICA_RATE: u128 = 500;
pub const REPLICA: Source = "half of the issuances per second that two cores carried (docs/performance.md)";

/// Keys in the DID document: standby keys, days after a credential's end, and how many wallets of Microsoft's read.
pub const STANDBY_KEYS: u128 = 1;
pub const GRACE_MILLIS: u128 = 30 * 86_400_000;
pub const MOST_KEYS: u128 = 10;
pub const KEYS: Source = "1 active + 1 standby + ceil((validity + 30 d) / rotation) per vault: a key leaves after its last credential's end";

/// Requests per minute of one client where the configuration says nothing.
pub const CLIENT_PER_MINUTE: u128 = 6_000;
/// The same for the tenant.
pub const TENANT_PER_MINUTE: u128 = 12_000;
pub const ARITHMETIC: Source = "from the arguments";
