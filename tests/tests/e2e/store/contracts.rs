//! Authorities, and contracts with their versions.

use domain::audit::{Event, EventKind};
use domain::{AuthorityId, ContractId, Did, TenantId};
use store::{Authority, ContractRow};
use uuid::Uuid;

use super::fixture::Fixture;
use super::on_both;
use super::rows::{Ids, authority, contract, tenant};

on_both!(
    an_authority_is_stored_once,
    a_did_has_one_authority,
    a_contract_grows_by_versions,
    a_version_is_applied_once,
    a_name_belongs_to_one_contract,
    a_contract_may_take_a_free_name,
    a_version_is_current_only_when_it_is_made_so,
    an_older_version_never_comes_back,
    the_status_is_the_current_versions,
);

fn row(f: &Fixture, id: ContractId, name: &str, version: i64) -> ContractRow {
    ContractRow {
        id,
        authority: authority(),
        name: name.to_owned(),
        status: "Enabled".to_owned(),
        version,
        document: format!("{{\"version\":{version}}}"),
        applied_at: f.now(),
    }
}

async fn insert(f: &Fixture, row: &ContractRow) -> bool {
    f.store.insert_contract_version(tenant(), row).await.expect("a refusal is no error")
}

async fn make_current(f: &Fixture, row: &ContractRow) -> bool {
    let event = Event::new(&Ids::fresh().subject(), EventKind::AdminChange, f.now());
    f.store.make_contract_current(tenant(), row, &event).await.expect("a refusal is no error")
}

async fn apply(f: &Fixture, row: &ContractRow) -> bool {
    insert(f, row).await && make_current(f, row).await
}

fn changes(f: &Fixture) -> String {
    f.sql("SELECT COUNT(*) FROM event WHERE kind = 'admin_change'")
}

async fn an_authority_is_stored_once(f: Fixture) {
    let make = |n: u128, did: &str| Authority {
        tenant: tenant(),
        id: AuthorityId::new(Uuid::from_u128(n)),
        name: format!("Authority {n}"),
        did: Did::new(did),
        origin: "https://issuer.example/".into(),
        created_at: f.now().plus_millis(-i64::try_from(n).unwrap()),
    };
    let (one, two) = (make(1, "did:web:one.example"), make(2, "did:web:two.example"));
    assert!(f.store.insert_authority(&one).await.unwrap());
    assert!(f.store.insert_authority(&two).await.unwrap());
    assert!(!f.store.insert_authority(&make(1, "did:web:three.example")).await.unwrap());
    assert_eq!(f.store.authorities(tenant()).await.unwrap(), [two, one], "oldest first");
    assert!(f.store.authorities(TenantId::new(Uuid::from_u128(9))).await.unwrap().is_empty());
}

async fn a_did_has_one_authority(f: Fixture) {
    let mut first = Authority {
        tenant: tenant(),
        id: AuthorityId::new(Uuid::from_u128(1)),
        name: "One".into(),
        did: Did::new("did:web:one.example"),
        origin: "https://one.example/".into(),
        created_at: f.now(),
    };
    assert!(f.store.insert_authority(&first).await.unwrap());
    first.id = AuthorityId::new(Uuid::from_u128(2));
    assert!(!f.store.insert_authority(&first).await.unwrap());
    first.tenant = TenantId::new(Uuid::from_u128(9));
    assert!(f.store.insert_authority(&first).await.unwrap(), "another tenant's DIDs are its own");
}

async fn a_contract_grows_by_versions(f: Fixture) {
    let first = row(&f, contract(), "Employee", 1);
    assert!(apply(&f, &first).await);
    f.pass(1_000);
    let second = row(&f, contract(), "Employee", 2);
    assert!(apply(&f, &second).await);
    assert_eq!(f.store.contracts(tenant()).await.unwrap(), std::slice::from_ref(&second));
    let version = |n| f.store.contract_version(tenant(), contract(), n);
    assert_eq!(version(1).await.unwrap(), Some(first), "requests that were made with it still find it");
    assert_eq!(version(2).await.unwrap(), Some(second));
    assert_eq!(version(3).await.unwrap(), None);
    assert_eq!(changes(&f), "2");
}

async fn a_version_is_applied_once(f: Fixture) {
    assert!(!apply(&f, &row(&f, contract(), "Employee", 2)).await, "there is no first version");
    assert!(apply(&f, &row(&f, contract(), "Employee", 1)).await);
    assert!(apply(&f, &row(&f, contract(), "Employee", 2)).await);
    for version in [1, 2, 4] {
        let mut other = row(&f, contract(), "Employee", version);
        other.document = "{\"other\":true}".into();
        assert!(!apply(&f, &other).await, "{version}");
    }
    let current = f.store.contracts(tenant()).await.unwrap();
    assert_eq!((current[0].version, current[0].document.as_str()), (2, "{\"version\":2}"));
    assert_eq!(changes(&f), "2", "who loses leaves no event");
}

async fn a_name_belongs_to_one_contract(f: Fixture) {
    let other = ContractId::new(Uuid::from_u128(0xc1));
    assert!(apply(&f, &row(&f, contract(), "Employee", 1)).await);
    assert!(!apply(&f, &row(&f, other, "Employee", 1)).await);
    assert!(apply(&f, &row(&f, other, "Guest", 1)).await);
    assert!(!apply(&f, &row(&f, other, "Employee", 2)).await, "nor may it be taken later");
    let names: Vec<_> = f.store.contracts(tenant()).await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["Employee", "Guest"]);
    assert_eq!(changes(&f), "2");
}

async fn a_contract_may_take_a_free_name(f: Fixture) {
    assert!(apply(&f, &row(&f, contract(), "Employee", 1)).await);
    assert!(apply(&f, &row(&f, contract(), "Staff", 2)).await);
    let found = f.store.contracts(tenant()).await.unwrap();
    assert_eq!((found.len(), found[0].name.as_str()), (1, "Staff"));
    let other = ContractId::new(Uuid::from_u128(0xc1));
    assert!(apply(&f, &row(&f, other, "Employee", 1)).await, "the old name is free");
}

async fn a_version_is_current_only_when_it_is_made_so(f: Fixture) {
    let newest = async || -> Vec<(i64, i64)> {
        let newest = f.store.newest_contracts(tenant()).await.unwrap();
        newest.into_iter().map(|newest| (newest.row.version, newest.current)).collect()
    };
    let (first, second) = (row(&f, contract(), "Employee", 1), row(&f, contract(), "Employee", 2));
    assert!(!make_current(&f, &first).await, "it does not exist");
    assert!(insert(&f, &first).await);
    assert!(f.store.contracts(tenant()).await.unwrap().is_empty());
    assert_eq!((newest().await, changes(&f).as_str()), (vec![(1, 0)], "0"));
    assert!(make_current(&f, &first).await);
    assert!(!make_current(&f, &first).await, "it is");
    assert!(insert(&f, &second).await);
    assert_eq!(f.store.contracts(tenant()).await.unwrap(), [first], "until the second one is signed");
    assert_eq!((newest().await, changes(&f).as_str()), (vec![(2, 1)], "1"));
    assert!(make_current(&f, &second).await);
    assert_eq!((newest().await, changes(&f).as_str()), (vec![(2, 2)], "2"));
}

async fn an_older_version_never_comes_back(f: Fixture) {
    let versions: Vec<_> = (1..=3).map(|version| row(&f, contract(), "Employee", version)).collect();
    for version in &versions {
        assert!(insert(&f, version).await);
    }
    assert!(make_current(&f, &versions[2]).await, "a version that was never signed may be left out");
    for version in &versions {
        assert!(!make_current(&f, version).await, "{}", version.version);
    }
    assert_eq!(f.store.contracts(tenant()).await.unwrap()[0].version, 3);
}

async fn the_status_is_the_current_versions(f: Fixture) {
    let status = async || f.store.contracts(tenant()).await.unwrap()[0].status.clone();
    let mut first = row(&f, contract(), "Employee", 1);
    first.status = "Disabled".into();
    assert!(apply(&f, &first).await);
    assert_eq!(status().await, "Disabled");
    let second = row(&f, contract(), "Employee", 2);
    assert!(insert(&f, &second).await);
    assert_eq!(status().await, "Disabled");
    assert!(make_current(&f, &second).await);
    assert_eq!(status().await, "Enabled");
}
