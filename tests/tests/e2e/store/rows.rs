//! Requests, intents and outcomes as the issuer writes them, and the ways to the states that tests begin in.

use domain::audit::{Event, EventKind, Subject};
use domain::key::{EcPoint, KeyState, SigningKey};
use domain::{
    AuthorityId, ClientId, ContractId, CustomerId, IntentId, KeyId, KeyRef, RequestId, SignatureAlgorithm,
    TenantId, TransactionId,
};
use store::{
    Answer, CallbackRow, CredentialOutcome, Effect, NewRequest, OpenIntent, Outcome, Reattempt, Report,
    RequestChange, StoredRequest, Write, Written,
};
use uuid::Uuid;

use super::fixture::Fixture;

/// How long a request lives, in milliseconds.
pub const LIFE: i64 = 300_000;

/// How long an attempt may take, in milliseconds.
pub const PATIENCE: i64 = 3_000;

pub fn tenant() -> TenantId {
    TenantId::new(Uuid::from_u128(0x7e))
}

pub fn authority() -> AuthorityId {
    AuthorityId::new(Uuid::from_u128(0xa0))
}

pub fn contract() -> ContractId {
    ContractId::new(Uuid::from_u128(0xc0))
}

pub fn key_id() -> KeyId {
    KeyId::new("key-1")
}

/// A request's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    pub request: RequestId,
    pub transaction: TransactionId,
}

impl Ids {
    pub fn fresh() -> Self {
        Self { request: RequestId::new(Uuid::new_v4()), transaction: TransactionId::new(Uuid::now_v7()) }
    }

    pub fn subject(self) -> Subject {
        Subject {
            tenant: tenant(),
            transaction: self.transaction,
            authority: Some(authority()),
            contract: Some(contract()),
            client: Some(ClientId::new("web")),
            customer: None,
        }
    }
}

pub fn news(status: &'static str) -> Option<CallbackRow> {
    Some(CallbackRow { status, payload: format!("sealed {status}") })
}

pub fn signing_key(id: &str) -> SigningKey {
    SigningKey {
        authority: authority(),
        id: KeyId::new(id),
        key: KeyRef { backend: "software".into(), name: format!("slot-{id}"), version: "v1".into() },
        algorithm: SignatureAlgorithm::Es256,
        public: EcPoint::new(&[7; 32], &[255; 32]).unwrap(),
        state: KeyState::Prepared,
        prepared_at: domain::Timestamp::from_millis(1),
    }
}

impl Fixture {
    fn event(&self, ids: Ids, kind: EventKind) -> Event {
        Event::new(&ids.subject(), kind, self.now())
    }

    pub fn request(&self, ids: Ids) -> NewRequest {
        NewRequest {
            tenant: tenant(),
            id: ids.request,
            transaction: ids.transaction,
            authority: authority(),
            contract: contract(),
            contract_version: 3,
            client: ClientId::new("web"),
            customer: Some(CustomerId::new("customer 1")),
            protocol: "entra",
            created_at: self.now(),
            expires_at: self.now().plus_millis(LIFE),
            payload: "sealed claims".into(),
            callback: Some("sealed callback".into()),
            pin_hash: Some("keyed hash".into()),
            meters: Vec::new(),
            event: self.event(ids, EventKind::RequestCreated),
        }
    }

    /// An intent to sign the request object.
    pub fn object_intent(&self, ids: Ids) -> OpenIntent {
        OpenIntent {
            tenant: tenant(),
            id: IntentId::new(Uuid::now_v7()),
            transaction: ids.transaction,
            subject: format!("request_object/{}", ids.request),
            purpose: "request_object",
            request: Some(ids.request),
            ordinal: 0,
            change: RequestChange::Retrieve,
            authority: authority(),
            key_id: key_id(),
            key: signing_key("key-1").key,
            algorithm: SignatureAlgorithm::Es256,
            digest: "00ff".repeat(16),
            input: "sealed input".into(),
            status: None,
            created_at: self.now(),
            patience_ms: PATIENCE,
            needs: Vec::new(),
            requested_at: None,
            replaces: None,
            event: self.event(ids, EventKind::SigningIntent),
        }
    }

    /// An intent to sign the credential for `holder`, whose proof has this `jti`.
    pub fn credential_intent(&self, ids: Ids, holder: &str, jti: &str) -> OpenIntent {
        OpenIntent {
            subject: format!("credential/{}/0", ids.request),
            purpose: "credential",
            change: RequestChange::Issue {
                holder: holder.to_owned(),
                jti: jti.to_owned(),
                jti_expires_at: self.now().plus_millis(60_000),
                reserved_until: self.now().plus_seconds(86_400),
            },
            status: Some((Uuid::from_u128(0x11), self.next())),
            ..self.object_intent(ids)
        }
    }

    /// An intent that belongs to no request.
    pub fn document_intent(&self, subject: &str) -> OpenIntent {
        OpenIntent {
            subject: subject.to_owned(),
            purpose: "contract",
            request: None,
            change: RequestChange::None,
            ..self.object_intent(Ids::fresh())
        }
    }

    pub fn reattempt(&self, ids: Ids, intent: IntentId, after: i64) -> Reattempt {
        Reattempt {
            tenant: tenant(),
            intent,
            request: Some(ids.request),
            after,
            started_at: self.now(),
            patience_ms: PATIENCE,
            needs: Vec::new(),
            event: self.event(ids, EventKind::SigningIntent),
        }
    }

    fn outcome(&self, ids: Ids, intent: IntentId, attempt: i64, effect: Option<Effect>) -> Outcome {
        Outcome {
            tenant: tenant(),
            intent,
            attempt,
            request: Some(ids.request),
            outcome: if effect.is_some() { "signed" } else { "throttled" },
            provider_request_id: Some("exchange 1".into()),
            status: Some(if effect.is_some() { 200 } else { 429 }),
            latency_us: 1234,
            finished_at: self.now(),
            effect,
            slots: Vec::new(),
            answer: Answer::Given,
            event: self.event(ids, EventKind::SigningOutcome).with("attempt", attempt),
        }
    }

    pub fn failed(&self, ids: Ids, intent: IntentId, attempt: i64) -> Outcome {
        self.outcome(ids, intent, attempt, None)
    }

    pub fn object(&self, ids: Ids, intent: IntentId, attempt: i64) -> Outcome {
        let effect = Effect::RequestObject {
            object: "signed object".into(),
            callback: news("request_retrieved"),
            event: self.event(ids, EventKind::RequestRetrieved),
        };
        self.outcome(ids, intent, attempt, Some(effect))
    }

    /// The credential that an intent of [`Fixture::credential_intent`] led to.
    pub fn credential(&self, ids: Ids, intent: &OpenIntent, attempt: i64) -> Outcome {
        let (status_list, status_index) = intent.status.expect("credentials have a status");
        let RequestChange::Issue { holder, .. } = &intent.change else { panic!("not a credential's intent") };
        let effect = Effect::Credential(Box::new(CredentialOutcome {
            tenant: tenant(),
            transaction: ids.transaction,
            ordinal: 0,
            request: ids.request,
            credential_id: format!("urn:pic:{}", intent.id.as_uuid().simple()),
            authority: authority(),
            contract: contract(),
            contract_version: 3,
            format: "jwt_vc",
            key_id: intent.key_id.clone(),
            holder: holder.clone(),
            index_hash: Some("index".into()),
            index_hash_lower: None,
            status_list,
            status_index,
            issued_at: self.now(),
            expires_at: self.now().plus_seconds(86_400),
            credential: "sealed credential".into(),
            event: self.event(ids, EventKind::CredentialIssued),
        }));
        self.outcome(ids, intent.id, attempt, Some(effect))
    }

    pub fn report(&self, ids: Ids, status: &'static str, limit: i64) -> Report {
        Report {
            tenant: tenant(),
            request: ids.request,
            transaction: ids.transaction,
            at: self.now(),
            limit,
            callback: news(status),
            event: self.event(ids, EventKind::WalletReported).with("code", status),
            ended_event: Some(self.event(ids, EventKind::RequestFailed)),
        }
    }

    pub async fn created(&self) -> Ids {
        self.active_key().await;
        let ids = Ids::fresh();
        assert_eq!(self.write(Write::Create(Box::new(self.request(ids)))).await, Written::Done);
        ids
    }

    pub async fn open(&self, intent: OpenIntent) -> Written {
        self.active_key().await;
        self.write(Write::Open(Box::new(intent))).await
    }

    pub async fn retrieved(&self) -> Ids {
        let ids = self.created().await;
        let intent = self.object_intent(ids);
        let id = intent.id;
        assert_eq!(self.open(intent).await, Written::Opened { attempt: 1 });
        assert_eq!(self.write(Write::Outcome(Box::new(self.object(ids, id, 1)))).await, Written::Done);
        ids
    }

    /// Opens the credential's intent of a request that is retrieved, for the holder `alice`.
    pub async fn signing(&self, ids: Ids) -> IntentId {
        let intent = self.credential_intent(ids, "alice", &ids.request.to_string());
        let id = intent.id;
        assert_eq!(self.open(intent).await, Written::Opened { attempt: 1 });
        id
    }

    pub async fn issued(&self) -> Ids {
        let ids = self.retrieved().await;
        let intent = self.credential_intent(ids, "alice", &ids.request.to_string());
        let outcome = self.credential(ids, &intent, 1);
        assert_eq!(self.open(intent).await, Written::Opened { attempt: 1 });
        assert_eq!(self.write(Write::Outcome(Box::new(outcome))).await, Written::Done);
        ids
    }

    /// Makes the key `key-1` and lets it sign, unless there is such a key. Without it no intent opens.
    pub async fn active_key(&self) {
        let key = signing_key("key-1");
        if !self.store.insert_signing_key(tenant(), &key).await.expect("stored") {
            return;
        }
        for state in [KeyState::Published, KeyState::Active] {
            self.advance_key(state).await;
        }
    }

    /// Retires `key-1`; `key-2` signs from now on.
    pub async fn rotate(&self) {
        self.advance_key(KeyState::Retired).await;
        self.activate("key-2").await;
    }

    /// Makes a key and lets it sign.
    pub async fn activate(&self, id: &str) {
        let key = signing_key(id);
        assert!(self.store.insert_signing_key(tenant(), &key).await.expect("stored"));
        for state in [KeyState::Published, KeyState::Active] {
            let event = self.event(Ids::fresh(), EventKind::KeyTransition);
            let moved = self
                .store
                .advance_signing_key(tenant(), authority(), &key.id, state, self.now(), &event)
                .await;
            assert!(moved.expect("the statement runs"), "{state:?}");
        }
    }

    /// A credential's intent under `key-2` that replaces another one.
    pub fn replacing(&self, ids: Ids, jti: &str, old: (IntentId, i64)) -> OpenIntent {
        let key = signing_key("key-2");
        OpenIntent {
            key_id: key.id,
            key: key.key,
            replaces: Some(old),
            ..self.credential_intent(ids, "alice", jti)
        }
    }

    pub async fn advance_key(&self, to: KeyState) {
        let event = self.event(Ids::fresh(), EventKind::KeyTransition);
        let moved =
            self.store.advance_signing_key(tenant(), authority(), &key_id(), to, self.now(), &event).await;
        assert!(moved.expect("the statement runs"), "{to:?}");
    }

    pub async fn stored(&self, ids: Ids) -> StoredRequest {
        self.store.request(tenant(), ids.request).await.expect("readable").expect("there")
    }

    /// The kinds of the events of a transaction, in their order.
    pub async fn trail(&self, ids: Ids) -> Vec<String> {
        let trail = self.store.trail(tenant(), ids.transaction).await.expect("readable");
        trail.into_iter().map(|event| event.kind).collect()
    }

    /// Number and state of an intent's attempts.
    pub fn attempts(&self, intent: IntentId) -> String {
        self.sql(&format!("SELECT n, state, outcome FROM attempt WHERE intent = '{intent}' ORDER BY n"))
    }

    pub fn intent_state(&self, intent: IntentId) -> String {
        self.sql(&format!("SELECT state, attempt, input FROM intent WHERE id = '{intent}'"))
    }

    /// The callbacks of a request: place, news, state, number of tries.
    pub fn callbacks(&self, ids: Ids) -> String {
        let request = ids.request;
        self.sql(&format!(
            "SELECT seq, status, state, attempts FROM outbox WHERE request = '{request}' ORDER BY seq"
        ))
    }
}
