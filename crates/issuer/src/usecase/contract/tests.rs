//! What wallets and front ends get while a version is stored, signed and made current, and after a crash in between.

use std::collections::BTreeMap;

use actix_web::ResponseError as _;
use domain::ClientId;

use super::*;
use crate::http::error::ApiError;
use crate::sealed::Registration;
use crate::usecase::create::{Asker, CreateError, Wanted};
use crate::usecase::site::{Replica, Site};

const EMPLOYEE: &str = include_str!("../../../../../config/contracts/verified-employee.json");
const LANGUAGES: [&str; 2] = ["en", "de"];

/// The employee contract; each title is another version.
fn employee(title: &str) -> String {
    assert!(EMPLOYEE.contains("Verified employee"));
    EMPLOYEE.replace("Verified employee", title)
}

fn id() -> ContractId {
    Contract::parse(EMPLOYEE).unwrap().id().unwrap()
}

async fn fetch(replica: &Replica, language: &str) -> Result<String, FetchError> {
    replica.issuer.fetch_contract(id(), Some(language), None).await.map(|(token, _)| token)
}

async fn fetch_all(replica: &Replica) -> Vec<String> {
    let mut found = Vec::new();
    for language in LANGUAGES {
        found.push(fetch(replica, language).await.unwrap());
    }
    found
}

fn asker() -> Asker {
    Asker {
        client: ClientId::new("web"),
        tenant: crate::usecase::site::TENANT.parse().unwrap(),
        customer: None,
    }
}

async fn create(replica: &Replica) -> Result<RequestId, CreateError> {
    let issuer = &replica.issuer;
    let claims = ["given_name", "family_name", "employee_id"].map(|name| (name.to_owned(), "x".to_owned()));
    let wanted = Wanted {
        authority: issuer.own_authority().unwrap().authority.did.to_string(),
        manifest: issuer.urls.manifest(id()),
        claims: BTreeMap::from(claims),
        pin: None,
        expiration: None,
        registration: Registration {
            client_name: "Front end".to_owned(),
            logo_url: None,
            terms_of_service_url: None,
            purpose: None,
        },
        callback: None,
    };
    let transaction = TransactionId::new(Uuid::now_v7());
    issuer.create(&asker(), transaction, wanted).await.map(|created| created.request)
}

fn row(authority: AuthorityId, version: i64, text: &str) -> ContractRow {
    ContractRow {
        id: id(),
        authority,
        name: Contract::parse(text).unwrap().name().to_owned(),
        status: "Enabled".to_owned(),
        version,
        document: text.to_owned(),
        applied_at: domain::Timestamp::from_millis(0),
    }
}

/// What a crash right after the version was stored leaves behind.
async fn store_only(replica: &Replica, authority: AuthorityId, version: i64, text: &str) {
    let issuer = &replica.issuer;
    let stored =
        issuer.store.insert_contract_version(issuer.settings.tenant, &row(authority, version, text)).await;
    assert!(stored.unwrap());
    issuer.reload().await.unwrap();
}

#[tokio::test]
async fn the_version_before_is_served_until_the_new_one_is_signed_in_every_language() {
    let site = Site::new();
    let replica = site.replica().await;
    let authority = replica.authority().await;
    let first = replica.issuer.apply_contract(authority, &employee("One")).await.unwrap();
    assert_eq!(first, Applied { id: id(), version: 1, changed: true });
    let before = fetch_all(&replica).await;
    let signatures = replica.gate.asked();

    for signed in 0..LANGUAGES.len() {
        replica.gate.allow(1);
        if signed == 0 {
            replica.gate.allow(0);
            let issuer = Arc::clone(&replica.issuer);
            tokio::spawn(async move { issuer.apply_contract(authority, &employee("Two")).await });
        }
        replica.gate.until_asked(signatures + signed + 1).await;
        replica.issuer.reload().await.unwrap();
        assert_eq!(fetch_all(&replica).await, before, "{signed} of two languages are signed");
        assert_eq!(fetch_all(&site.replica().await).await, before, "on every replica");
        create(&replica).await.unwrap();
    }
    replica.gate.allow(100);
    let again = replica.issuer.apply_contract(authority, &employee("Two")).await.unwrap();
    assert_eq!(again.version, 2);
    let after = fetch_all(&replica).await;
    assert!(after.iter().zip(&before).all(|(new, old)| new != old));
    assert_eq!(replica.gate.asked(), signatures + 2, "each language once");
}

#[tokio::test]
async fn a_first_version_that_is_not_signed_is_not_ready_and_not_unknown() {
    let site = Site::new();
    let replica = site.replica().await;
    let authority = replica.authority().await;
    store_only(&replica, authority, 1, EMPLOYEE).await;
    let error = fetch(&replica, "en").await.unwrap_err();
    assert!(matches!(error, FetchError::NotSigned), "{error:?}");
    assert_eq!(ApiError::from(error).status_code(), 503);
    assert!(matches!(create(&replica).await, Err(CreateError::NotReady)));
    let unknown = ContractId::new(Uuid::nil());
    let error = replica.issuer.fetch_contract(unknown, None, None).await.unwrap_err();
    assert_eq!(ApiError::from(error).status_code(), 404);
}

#[tokio::test]
async fn one_of_two_languages_is_not_ready() {
    let site = Site::new();
    let replica = site.replica().await;
    let authority = replica.authority().await;
    store_only(&replica, authority, 1, EMPLOYEE).await;
    // As a release before this order of steps left it: current, and half signed.
    let issuer = &replica.issuer;
    let snapshot = issuer.directory.snapshot();
    let entry = snapshot.pending().next().unwrap();
    issuer.make_current(entry).await.unwrap();
    let own = issuer.own_authority().unwrap();
    let display = entry.contract.default_display();
    let key = own.active.as_ref().unwrap();
    issuer.sign_contract(entry, display, &own.authority.did, key).await.unwrap();
    issuer.reload().await.unwrap();
    assert!(!issuer.directory.snapshot().contract(id()).unwrap().is_signed());
    fetch(&replica, "en").await.unwrap();
    assert!(matches!(fetch(&replica, "de").await, Err(FetchError::NotSigned)));
    assert!(matches!(create(&replica).await, Err(CreateError::NotReady)));
    issuer.finish_documents().await.unwrap();
    fetch_all(&replica).await;
    create(&replica).await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_is_finished_by_the_next_start_or_by_applying_again() {
    let site = Site::new();
    let replica = site.replica().await;
    let authority = replica.authority().await;
    replica.issuer.apply_contract(authority, &employee("One")).await.unwrap();
    let current = async |replica: &Replica| {
        let rows = replica.issuer.store.contracts(replica.issuer.settings.tenant).await.unwrap();
        rows[0].version
    };

    store_only(&replica, authority, 2, &employee("Two")).await;
    assert_eq!(current(&replica).await, 1);
    let next = site.replica().await;
    next.issuer.finish_documents().await.unwrap();
    assert_eq!(current(&next).await, 2);
    fetch_all(&next).await;

    store_only(&next, authority, 3, &employee("Three")).await;
    let applied = next.issuer.apply_contract(authority, &employee("Three")).await.unwrap();
    assert_eq!(applied, Applied { id: id(), version: 3, changed: true });
    let applied = next.issuer.apply_contract(authority, &employee("Three")).await.unwrap();
    assert_eq!(applied, Applied { id: id(), version: 3, changed: false });
    assert_eq!(current(&next).await, 3);
    let signatures = next.gate.asked();
    next.issuer.finish_documents().await.unwrap();
    assert_eq!(next.gate.asked(), signatures, "nothing is missing any more");
}

#[tokio::test]
async fn going_back_overrides_a_version_that_was_not_signed() {
    let site = Site::new();
    let replica = site.replica().await;
    let authority = replica.authority().await;
    replica.issuer.apply_contract(authority, &employee("One")).await.unwrap();
    store_only(&replica, authority, 2, &employee("Two")).await;
    let applied = replica.issuer.apply_contract(authority, &employee("One")).await.unwrap();
    assert_eq!(applied, Applied { id: id(), version: 3, changed: true });
    replica.issuer.finish_documents().await.unwrap();
    let snapshot = replica.issuer.directory.snapshot();
    assert_eq!(snapshot.contract(id()).unwrap().row.document, employee("One"));
}

#[tokio::test]
async fn the_status_in_the_list_is_the_documents_and_a_disabled_contract_has_no_manifest() {
    let site = Site::new();
    let replica = site.replica().await;
    let authority = replica.authority().await;
    let disabled = EMPLOYEE.replace("\"Enabled\"", "\"Disabled\"");
    assert_ne!(disabled, EMPLOYEE);
    let status = async || {
        let rows = replica.issuer.store.contracts(replica.issuer.settings.tenant).await.unwrap();
        rows[0].status.clone()
    };
    replica.issuer.apply_contract(authority, &disabled).await.unwrap();
    assert_eq!(status().await, "Disabled");
    assert!(matches!(fetch(&replica, "en").await, Err(FetchError::NoContract)));
    replica.issuer.apply_contract(authority, EMPLOYEE).await.unwrap();
    assert_eq!(status().await, "Enabled");
    fetch_all(&replica).await;
}

#[tokio::test]
async fn the_ledger_notes_once_which_version_a_wallet_got() {
    let site = Site::new();
    let replica = site.replica().await;
    let issuer = &replica.issuer;
    let authority = replica.authority().await;
    issuer.apply_contract(authority, &employee("One")).await.unwrap();
    let request = create(&replica).await.unwrap();
    let transaction = issuer.retrieve(request).await.map_err(|failed| failed.error).unwrap().transaction;
    issuer.apply_contract(authority, &employee("Two")).await.unwrap();
    for _ in 0..5 {
        let (_, found) = issuer.fetch_contract(id(), Some("de"), Some(request)).await.unwrap();
        assert_eq!(found, Some(transaction));
    }
    // Notes are not waited for; whatever is submitted after them is committed after them.
    issuer.committer().note(Write::Note(Box::new(Event::new(
        &Subject {
            tenant: issuer.settings.tenant,
            transaction,
            authority: None,
            contract: None,
            client: None,
            customer: None,
        },
        EventKind::AdminChange,
        issuer.clock.now(),
    ))));
    let trail = async || issuer.store.trail(issuer.settings.tenant, transaction).await.unwrap();
    while trail().await.iter().all(|event| event.kind != EventKind::AdminChange.name()) {
        tokio::task::yield_now().await;
    }
    let trail = trail().await;
    let fetched: Vec<_> =
        trail.iter().filter(|event| event.kind == EventKind::ContractFetched.name()).collect();
    assert_eq!(fetched.len(), 1, "the call is anonymous: it must not grow the ledger");
    assert!(fetched[0].body.contains("\"contract_version\":2"), "{}", fetched[0].body);
}
