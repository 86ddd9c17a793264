//! The schema and its changes: numbered, append-only, embedded in the program, checked against what already ran.

use crate::engine::{Engine, Sql, sql};
use crate::{Store, StoreError, meter};

pub(crate) const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../migrations/0001_issuance.sql")),
    (2, include_str!("../migrations/0002_budget.sql")),
    (3, include_str!("../migrations/0003_stops.sql")),
];

/// Postgres' time in milliseconds, rounded down; on SQLite the same name is a function of this process. Tests replace
/// both. Version 2 rounds it down, version 1 rounded it.
const POSTGRES_NOW: &str = "CREATE OR REPLACE FUNCTION credenza_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS \
    $$ SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT) $$";

sql!(
    CREATE_JOURNAL,
    "CREATE TABLE IF NOT EXISTS schema_migration (version BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)"
);
sql!(APPLIED, "SELECT version, checksum FROM schema_migration ORDER BY version");
sql!(RECORD, "INSERT INTO schema_migration (version, checksum) VALUES ($1, $2)");
sql!(LOCK, "SELECT pg_advisory_xact_lock(7305804402554167393)");

/// FNV-1a: enough to see that a file was edited after it ran.
fn checksum(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

impl Store {
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        let postgres = matches!(self.engine, Engine::Postgres(_));
        self.engine
            .write("migrate", move |conn| {
                Box::pin(async move {
                    if postgres {
                        // Replicas that start together must not both create the tables.
                        conn.script(&LOCK).await?;
                    }
                    conn.script(&CREATE_JOURNAL).await?;
                    let mut applied = Vec::new();
                    for mut row in conn.rows(&APPLIED, &[]).await? {
                        applied.push((row.int()?, row.text()?));
                    }
                    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
                    if let Some((found, _)) = applied.last()
                        && *found > known
                    {
                        return Err(StoreError::SchemaTooNew { found: *found, known });
                    }
                    for (version, text) in MIGRATIONS {
                        let sum = checksum(text);
                        match applied.iter().find(|(done, _)| done == version) {
                            Some((_, done)) if *done == sum => {}
                            Some(_) => return Err(StoreError::MigrationChanged(*version)),
                            None => {
                                if postgres && *version <= 2 {
                                    conn.script(&Sql::new(POSTGRES_NOW)).await?;
                                }
                                conn.script(&Sql::new(text)).await?;
                                if postgres && *version == meter::TABLE_SINCE {
                                    conn.exec(&meter::REMEMBER_SERVER, &[]).await?;
                                }
                                conn.exec(&RECORD, &[(*version).into(), sum.into()]).await?;
                            }
                        }
                    }
                    Ok(())
                })
            })
            .await
    }
}
