//! A wallet that calls again where slots are scarce.

use std::collections::BTreeMap;

use domain::{ClientId, KeyRef};
use signer::budget::{Budget, Cost, Limit, Meter, Operations, Scope};
use uuid::Uuid;

use super::*;
use crate::sealed::Registration;
use crate::usecase::create::{Asker, Wanted};
use crate::usecase::site::{Replica, Site, TENANT};

const EMPLOYEE: &str = include_str!("../../../../../config/contracts/verified-employee.json");

/// One signature in ten seconds.
struct One([Meter; 1]);

impl One {
    fn budget() -> Arc<dyn Budget> {
        let window = Duration::from_secs(10);
        let limit = Limit { operations: Operations::Sign, amount: 1, window, scope: Scope::Vault };
        Arc::new(Self([Meter::vault("a.vault.azure.net", &[limit])]))
    }
}

impl Budget for One {
    fn meters(&self) -> &[Meter] {
        &self.0
    }

    fn cost(&self, _key: &KeyRef, operations: Operations) -> Cost {
        Cost::one(operations)
    }
}

/// A replica with slots for everything, one that has used up its only one, and a request.
async fn scarce(site: &Site) -> (Replica, Replica, RequestId) {
    let rich = site.replica().await;
    let authority = rich.authority().await;
    let applied = rich.issuer.apply_contract(authority, EMPLOYEE).await.unwrap();
    let claims = ["given_name", "family_name", "employee_id"].map(|name| (name.to_owned(), "x".to_owned()));
    let wanted = Wanted {
        authority: rich.issuer.own_authority().unwrap().authority.did.to_string(),
        manifest: rich.issuer.urls.manifest(applied.id),
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
    let asker = Asker { client: ClientId::new("web"), tenant: TENANT.parse().unwrap(), customer: None };
    let created = rich.issuer.create(&asker, TransactionId::new(Uuid::now_v7()), wanted).await.unwrap();
    let poor = site.replica_within(One::budget()).await;
    poor.issuer.reload().await.unwrap();
    let key = poor.issuer.own_authority().unwrap().active.clone().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let taken = poor.issuer.signing.slots().take(&key.key.key, &[Operations::Sign], until).await.unwrap();
    drop(taken);
    (rich, poor, created.request)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_comes_again_gets_what_the_first_one_signs_without_a_slot() {
    let site = Site::new();
    let (rich, poor, request) = scarce(&site).await;
    let asked = rich.gate.asked();
    rich.gate.allow(0);
    let issuer = Arc::clone(&rich.issuer);
    let first = tokio::spawn(async move { issuer.retrieve(request).await.unwrap().object });
    rich.gate.until_asked(asked + 1).await;
    let began = Instant::now();
    let issuer = Arc::clone(&poor.issuer);
    let again = tokio::spawn(async move { issuer.retrieve(request).await.unwrap().object });
    tokio::time::sleep(Duration::from_millis(200)).await;
    rich.gate.allow(1);
    assert_eq!(first.await.unwrap(), again.await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(poor.gate.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_got_no_slot_in_time_gives_what_was_signed_meanwhile() {
    let site = Site::new();
    let (rich, poor, request) = scarce(&site).await;
    let issuer = Arc::clone(&poor.issuer);
    let began = Instant::now();
    let late = tokio::spawn(async move { issuer.retrieve(request).await });
    // It has looked, found nothing begun, and waits for its slot.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let object = rich.issuer.retrieve(request).await.unwrap().object;
    assert_eq!(late.await.unwrap().unwrap().object, object);
    assert!(began.elapsed() > Duration::from_secs(9), "it waited all the time: {:?}", began.elapsed());
    assert_eq!(poor.gate.asked(), 0);
}
