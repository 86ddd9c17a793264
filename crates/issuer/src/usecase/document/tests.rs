//! Two replicas sign the same document, and one of them dies.

use credential::jws::Unsigned;
use domain::audit::{Event, EventKind};
use domain::{IntentId, TransactionId};
use serde_json::json;
use store::{OpenIntent, Write, Written};
use uuid::Uuid;

use super::*;
use crate::usecase::site::{Replica, Site};

const NAME: &str = "domain_linkage/test";

struct Case {
    replica: Replica,
    subject: Subject,
    key: std::sync::Arc<ActiveKey>,
    authority: domain::AuthorityId,
}

async fn case(site: &Site) -> Case {
    let replica = site.replica().await;
    let authority = replica.authority().await;
    let key = replica.issuer.own_authority().unwrap().active.clone().unwrap();
    let subject = Subject {
        tenant: replica.issuer.settings.tenant,
        transaction: TransactionId::new(Uuid::now_v7()),
        authority: Some(authority),
        contract: None,
        client: None,
        customer: None,
    };
    Case { replica, subject, key, authority }
}

impl Case {
    fn unsigned(&self, by: &str) -> Unsigned {
        Unsigned::new(self.key.key.algorithm, &self.key.kid, None, &json!({ "by": by })).unwrap()
    }

    /// Transaction 1 of a replica that is never heard of again.
    async fn open_and_die(&self, attempt_millis: i64) {
        let issuer = &self.replica.issuer;
        let (now, unsigned) = (issuer.clock.now(), self.unsigned("the dead"));
        let input = IntentInput { signing_input: unsigned.signing_input().to_owned(), credential: None };
        let tenant = issuer.settings.tenant;
        let open = OpenIntent {
            tenant,
            id: IntentId::new(Uuid::now_v7()),
            transaction: self.subject.transaction,
            subject: NAME.to_owned(),
            purpose: "domain_linkage",
            request: None,
            ordinal: 0,
            change: RequestChange::None,
            authority: self.authority,
            key_id: self.key.key.id.clone(),
            key: self.key.key.key.clone(),
            algorithm: self.key.key.algorithm,
            digest: String::new(),
            input: sealed::seal(&issuer.keyring, tenant, Kind::Intent, NAME, &input).unwrap(),
            status: None,
            created_at: now,
            patience_ms: attempt_millis,
            needs: Vec::new(),
            requested_at: None,
            replaces: None,
            event: Event::new(&self.subject, EventKind::SigningIntent, now),
        };
        let written = issuer.committer().submit(Write::Open(Box::new(open))).await.unwrap();
        assert_eq!(written, Written::Opened { attempt: 1 });
    }

    async fn sign(
        &self,
        unsigned: impl Fn() -> Result<Unsigned, JwsError>,
        patience: Duration,
    ) -> Result<(), DocumentError> {
        let document = Document {
            subject: &self.subject,
            name: NAME.to_owned(),
            purpose: "domain_linkage",
            key: &self.key,
        };
        let effect = |token: &str| Effect::DomainLinkage {
            authority: self.authority,
            origin: "https://test.example/".to_owned(),
            key_id: self.key.key.id.clone(),
            token: token.to_owned(),
        };
        let until = Instant::now() + patience;
        self.replica.issuer.sign_document_until(document, unsigned, effect, until).await
    }

    async fn signed(&self) -> Vec<String> {
        let store = &self.replica.issuer.store;
        let rows = store.domain_linkage(self.subject.tenant, self.authority, "https://test.example/").await;
        rows.unwrap().into_iter().map(|(_, token)| token).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_loses_to_a_replica_that_dies_signs_in_its_place() {
    let site = Site::new();
    let case = case(&site).await;
    // Between our look and our transaction 1 the other replica opens the intent; then it dies.
    let unsigned = || {
        let open = case.open_and_die(300);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open));
        Ok(case.unsigned("us"))
    };
    case.sign(unsigned, PATIENCE).await.unwrap();
    let signed = case.signed().await;
    assert_eq!(signed.len(), 1, "a success means that it is signed");
    let payload = case.unsigned("the dead").signing_input().to_owned();
    assert!(signed[0].starts_with(&payload), "with the bytes that were recorded first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_signed_is_not_signed_again() {
    let site = Site::new();
    let case = case(&site).await;
    case.sign(|| Ok(case.unsigned("first")), PATIENCE).await.unwrap();
    let asked = case.replica.gate.asked();
    case.sign(|| Ok(case.unsigned("second")), PATIENCE).await.unwrap();
    assert_eq!(case.replica.gate.asked(), asked);
    assert!(case.signed().await[0].starts_with(case.unsigned("first").signing_input()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_far_ahead_does_not_hold_the_caller() {
    let site = Site::new();
    let case = case(&site).await;
    // As after the clock stepped back by an hour.
    case.open_and_die(3_600_000).await;
    let started = Instant::now();
    let patience = ATTEMPT_DEADLINE + Duration::from_secs(1);
    let error = case.sign(|| Ok(case.unsigned("us")), patience).await.unwrap_err();
    assert!(matches!(error, DocumentError::Signing(SigningError::Lost)), "{error:?}");
    assert!(started.elapsed() < patience + Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(case.signed().await.is_empty());
}
