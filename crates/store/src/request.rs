//! Reading requests and their intents.

use domain::request::RequestState;
use domain::{
    AuthorityId, ClientId, ContractId, CustomerId, IntentId, KeyId, KeyRef, RequestId, SignatureAlgorithm,
    TenantId, Timestamp, TransactionId,
};
use uuid::Uuid;

use crate::engine::sql;
use crate::{Store, StoreError};

sql!(
    GET,
    "SELECT transaction_id, authority, contract, contract_version, client, customer, state, created_at, expires_at, \
     issued_at, (SELECT p.value FROM request_part p WHERE p.tenant = $1 AND p.request = $2 AND p.part = 'payload'), \
     (SELECT p.value FROM request_part p WHERE p.tenant = $1 AND p.request = $2 AND p.part = 'callback'), \
     (SELECT p.value FROM request_part p WHERE p.tenant = $1 AND p.request = $2 AND p.part = 'credential'), \
     (SELECT p.value FROM request_part p WHERE p.tenant = $1 AND p.request = $2 AND p.part = 'object'), pin_hash, pin_failures, holder \
     FROM request WHERE tenant = $1 AND id = $2"
);
sql!(
    INTENT,
    "SELECT id, transaction_id, state, authority, key_id, backend, key_name, key_version, algorithm, digest, input, \
     status_list, status_index, attempt, deadline, (SELECT COUNT(*) FROM attempt a WHERE a.tenant = intent.tenant \
     AND a.intent = intent.id AND a.n = intent.attempt AND a.state = 'open') FROM intent \
     WHERE tenant = $1 AND subject = $2 AND state <> 'void'"
);

sql!(JTI, "SELECT request FROM proof_jti WHERE tenant = $1 AND jti = $2");

/// A request as it is stored.
#[derive(Debug, Clone)]
pub struct StoredRequest {
    /// The owner.
    pub tenant: TenantId,
    /// Its id.
    pub id: RequestId,
    /// Its transaction.
    pub transaction: TransactionId,
    /// The issuing authority.
    pub authority: AuthorityId,
    /// The contract.
    pub contract: ContractId,
    /// The version that it was made with.
    pub contract_version: i64,
    /// The front end.
    pub client: ClientId,
    /// The customer on whose behalf it asked.
    pub customer: Option<CustomerId>,
    /// Where it is.
    pub state: RequestState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When its credential was issued.
    pub issued_at: Option<Timestamp>,
    /// Sealed claims and what else later steps need; gone when it ended.
    pub payload: Option<String>,
    /// Sealed callback.
    pub callback: Option<String>,
    /// Sealed credential.
    pub credential: Option<String>,
    /// The signed request object.
    pub object: Option<String>,
    /// Keyed hash of what the wallet has to send as PIN.
    pub pin_hash: Option<String>,
    /// Wrong PINs so far.
    pub pin_failures: i64,
    /// Thumbprint of the holder key that is bound.
    pub holder: Option<String>,
}

/// An intent as it is stored.
#[derive(Debug, Clone)]
pub struct StoredIntent {
    /// Its id.
    pub id: IntentId,
    /// Its transaction.
    pub transaction: TransactionId,
    /// Whether its signature was recorded; otherwise it is open.
    pub done: bool,
    /// The authority that signs.
    pub authority: AuthorityId,
    /// The key's fragment.
    pub key_id: KeyId,
    /// The key.
    pub key: KeyRef,
    /// The algorithm.
    pub algorithm: SignatureAlgorithm,
    /// SHA-256 of the signing input, lower-case hex.
    pub digest: String,
    /// Sealed signing input; gone when it is done.
    pub input: Option<String>,
    /// The credential's place in the status list.
    pub status: Option<(Uuid, i64)>,
    /// The latest attempt.
    pub attempt: i64,
    /// When the latest attempt is given up.
    pub deadline: Timestamp,
    /// Whether the latest attempt may still answer.
    pub attempt_open: bool,
}

impl Store {
    /// A request by its id.
    pub async fn request(
        &self,
        tenant: TenantId,
        id: RequestId,
    ) -> Result<Option<StoredRequest>, StoreError> {
        self.engine
            .read(move |conn| {
                Box::pin(async move {
                    let mut rows =
                        conn.rows(&GET, &[tenant.to_string().into(), id.to_string().into()]).await?;
                    let Some(row) = rows.first_mut() else { return Ok(None) };
                    Ok(Some(StoredRequest {
                        tenant,
                        id,
                        transaction: row.parsed("request.transaction_id")?,
                        authority: row.parsed("request.authority")?,
                        contract: row.parsed("request.contract")?,
                        contract_version: row.int()?,
                        client: ClientId::new(row.text()?),
                        customer: row.opt_text()?.map(CustomerId::new),
                        state: row.parsed("request.state")?,
                        created_at: Timestamp::from_millis(row.int()?),
                        expires_at: Timestamp::from_millis(row.int()?),
                        issued_at: row.opt_int()?.map(Timestamp::from_millis),
                        payload: row.opt_text()?,
                        callback: row.opt_text()?,
                        credential: row.opt_text()?,
                        object: row.opt_text()?,
                        pin_hash: row.opt_text()?,
                        pin_failures: row.int()?,
                        holder: row.opt_text()?,
                    }))
                })
            })
            .await
    }

    /// The request with which a proof's `jti` was seen.
    pub async fn request_of_jti(&self, tenant: TenantId, jti: &str) -> Result<Option<RequestId>, StoreError> {
        let jti = jti.to_owned();
        self.engine
            .read(move |conn| {
                let jti = jti.clone();
                Box::pin(async move {
                    let mut rows = conn.rows(&JTI, &[tenant.to_string().into(), jti.into()]).await?;
                    rows.first_mut().map(|row| row.parsed("proof_jti.request")).transpose()
                })
            })
            .await
    }

    /// The intent that is not void for a subject.
    pub async fn intent(&self, tenant: TenantId, subject: &str) -> Result<Option<StoredIntent>, StoreError> {
        let subject = subject.to_owned();
        self.engine
            .read(move |conn| {
                let subject = subject.clone();
                Box::pin(async move {
                    let mut rows = conn.rows(&INTENT, &[tenant.to_string().into(), subject.into()]).await?;
                    let Some(row) = rows.first_mut() else { return Ok(None) };
                    Ok(Some(StoredIntent {
                        id: row.parsed("intent.id")?,
                        transaction: row.parsed("intent.transaction_id")?,
                        done: row.text()? == "done",
                        authority: row.parsed("intent.authority")?,
                        key_id: KeyId::new(row.text()?),
                        key: KeyRef { backend: row.text()?, name: row.text()?, version: row.text()? },
                        algorithm: row.parsed("intent.algorithm")?,
                        digest: row.text()?,
                        input: row.opt_text()?,
                        status: match (row.opt_text()?, row.opt_int()?) {
                            (Some(list), Some(index)) => {
                                let list = list.parse();
                                Some((
                                    list.map_err(|_source| StoreError::Corrupt("intent.status_list"))?,
                                    index,
                                ))
                            }
                            _ => None,
                        },
                        attempt: row.int()?,
                        deadline: Timestamp::from_millis(row.int()?),
                        attempt_open: row.int()? > 0,
                    }))
                })
            })
            .await
    }
}
