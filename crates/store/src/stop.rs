//! The stop list: which clients, customers and contracts an operator has stopped. Every change is in the ledger.

use std::fmt;
use std::str::FromStr;

use domain::audit::{Event, EventKind, Subject};
use domain::{TenantId, Timestamp, TransactionId};

use crate::engine::sql;
use crate::{Store, StoreError};

sql!(LIST, "SELECT kind, name, reason, created_at FROM stopped WHERE tenant = $1 ORDER BY kind, name");
sql!(
    ADD,
    "INSERT INTO stopped (tenant, kind, name, reason, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
);
sql!(REMOVE, "DELETE FROM stopped WHERE tenant = $1 AND kind = $2 AND name = $3");

/// What a stop names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StopKind {
    /// A front end, by its client id.
    Client,
    /// A customer of any front end, by its name.
    Customer,
    /// A contract, by its id or its name.
    Contract,
}

impl StopKind {
    /// The stored name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Customer => "customer",
            Self::Contract => "contract",
        }
    }
}

impl fmt::Display for StopKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StopKind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Client, Self::Customer, Self::Contract]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(StoreError::Corrupt("stopped.kind"))
    }
}

/// One stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What is stopped.
    pub kind: StopKind,
    /// Its name.
    pub name: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

impl Store {
    /// The tenant's stops.
    pub async fn stops(&self, tenant: TenantId) -> Result<Vec<Stop>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut rows = conn.rows(&LIST, &[tenant.to_string().into()]).await?;
                    rows.iter_mut()
                        .map(|row| {
                            Ok(Stop {
                                kind: row.text()?.parse()?,
                                name: row.text()?,
                                reason: row.opt_text()?,
                                created_at: Timestamp::from_millis(row.int()?),
                            })
                        })
                        .collect()
                })
            })
            .await
    }

    /// Adds a stop; says whether it is new. `transaction` names the change in the ledger.
    pub async fn add_stop(
        &self,
        tenant: TenantId,
        stop: &Stop,
        transaction: TransactionId,
    ) -> Result<bool, StoreError> {
        let stop = stop.clone();
        self.engine
            .write("add_stop", move |conn| {
                let stop = stop.clone();
                Box::pin(async move {
                    let mut event = change(tenant, transaction, "stop_added", stop.kind, &stop.name);
                    event.at = stop.created_at;
                    if let Some(reason) = &stop.reason {
                        event = event.with("why", reason.as_str());
                    }
                    let params = [
                        tenant.to_string().into(),
                        stop.kind.name().into(),
                        stop.name.into(),
                        stop.reason.into(),
                        stop.created_at.millis().into(),
                    ];
                    let new = conn.exec(&ADD, &params).await? == 1;
                    if new {
                        crate::ledger::append(conn, &[event]).await?;
                    }
                    Ok(new)
                })
            })
            .await
    }

    /// Removes a stop; says whether there was one.
    pub async fn remove_stop(
        &self,
        tenant: TenantId,
        kind: StopKind,
        name: &str,
        transaction: TransactionId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.engine
            .write("remove_stop", move |conn| {
                let name = name.clone();
                Box::pin(async move {
                    let mut event = change(tenant, transaction, "stop_removed", kind, &name);
                    event.at = at;
                    let params = [tenant.to_string().into(), kind.name().into(), name.into()];
                    let was = conn.exec(&REMOVE, &params).await? == 1;
                    if was {
                        crate::ledger::append(conn, &[event]).await?;
                    }
                    Ok(was)
                })
            })
            .await
    }
}

fn change(
    tenant: TenantId,
    transaction: TransactionId,
    change: &'static str,
    kind: StopKind,
    name: &str,
) -> Event {
    let subject =
        Subject { tenant, transaction, authority: None, contract: None, client: None, customer: None };
    Event::new(&subject, EventKind::AdminChange, Timestamp::from_millis(0))
        .with("change", change)
        .with("kind", kind.name())
        .with("name", name)
}
