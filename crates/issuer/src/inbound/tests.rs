//! The order of the questions, and what a refusal says about its caller.

use domain::audit::Event;
use domain::{ClientId, CustomerId, TenantId, Timestamp};
use uuid::Uuid;

use super::*;

fn tenant() -> TenantId {
    "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap()
}

fn asker(client: &str, customer: Option<&str>) -> Asker {
    Asker { client: ClientId::new(client), tenant: tenant(), customer: customer.map(CustomerId::new) }
}

fn transaction() -> TransactionId {
    TransactionId::new(Uuid::now_v7())
}

fn per_hour_or_so(kind: Kind, burst: u32) -> (Kind, Quota) {
    (kind, Quota { per_minute: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() })
}

fn inbound(quotas: &[(Kind, Quota)], stopped: &[(StopKind, &str)]) -> Inbound {
    let stopped = stopped.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
    Inbound::new(Policy { quotas: quotas.to_vec(), stopped, ..Policy::default() })
}

fn ask(inbound: &Inbound, client: &str, customer: Option<&str>) -> Result<(), Refused> {
    inbound.caller(&asker(client, customer), None, transaction(), true)
}

fn kind_of(result: Result<(), Refused>) -> Option<Kind> {
    match result {
        Err(Refused::Limited { kind, .. }) => Some(kind),
        _ => None,
    }
}

fn notes(inbound: &Inbound) -> Vec<Event> {
    inbound.refusals.flush(tenant(), Timestamp::from_millis(0))
}

#[test]
fn a_customers_flood_leaves_its_client_and_the_others_alone() {
    let quotas =
        [per_hour_or_so(Kind::Customer, 2), per_hour_or_so(Kind::Client, 5), per_hour_or_so(Kind::Tenant, 8)];
    let inbound = inbound(&quotas, &[]);
    for n in 0..100 {
        assert_eq!(ask(&inbound, "a", Some("loud")).is_ok(), n < 2);
    }
    assert!(ask(&inbound, "a", Some("other")).is_ok());
    assert!(ask(&inbound, "b", Some("loud")).is_ok(), "another client's customer of the same name");
    assert!(ask(&inbound, "a", None).is_ok());
    assert!(ask(&inbound, "a", None).is_ok());
    assert_eq!(kind_of(ask(&inbound, "a", None)), Some(Kind::Client));
    assert!(ask(&inbound, "b", None).is_ok());
    assert!(ask(&inbound, "b", None).is_ok());
    assert_eq!(kind_of(ask(&inbound, "c", None)), Some(Kind::Tenant));
}

#[test]
fn what_is_stopped_is_refused_without_using_a_quota_and_nobody_else_is() {
    let stops = [(StopKind::Client, "bad"), (StopKind::Customer, "evil")];
    let inbound = inbound(&[per_hour_or_so(Kind::Tenant, 2)], &stops);
    for _ in 0..10 {
        assert_eq!(ask(&inbound, "bad", None), Err(Refused::Stopped(StopKind::Client)));
        assert_eq!(ask(&inbound, "good", Some("evil")), Err(Refused::Stopped(StopKind::Customer)));
    }
    assert!(ask(&inbound, "good", Some("kind")).is_ok());
    assert!(ask(&inbound, "good", None).is_ok());
    assert_eq!(kind_of(ask(&inbound, "good", None)), Some(Kind::Tenant));
}

#[test]
fn without_quotas_nothing_is_limited() {
    let inbound = inbound(&[], &[]);
    assert!(!inbound.is_limited());
    for _ in 0..10_000 {
        assert!(ask(&inbound, "a", Some("b")).is_ok());
        assert!(inbound.address(Kind::Address, IpAddr::from([192, 0, 2, 1])).is_ok());
    }
}

#[test]
fn notes_name_the_source_and_strangers_leave_none() {
    let quotas = [per_hour_or_so(Kind::Customer, 1), per_hour_or_so(Kind::Address, 1)];
    let inbound = inbound(&quotas, &[(StopKind::Contract, "StudentCard")]);
    let contract: ContractId = "8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02".parse().unwrap();
    for _ in 0..3 {
        let named = Some((contract, Some("StudentCard")));
        inbound.caller(&asker("a", Some("x")), named, transaction(), true).ok();
    }
    for _ in 0..4 {
        ask(&inbound, "a", Some("loud")).ok();
        inbound.address(Kind::Address, "2001:db8::1".parse().unwrap()).ok();
    }
    inbound.caller(&asker("a", Some("loud")), None, transaction(), false).ok();
    let mut notes: Vec<String> = notes(&inbound)
        .iter()
        .map(|event| {
            let subject = &event.subject;
            let detail = |name| format!("{:?}", event.details.get(name));
            assert_eq!(event.details.get("count"), Some(&3.into()));
            format!(
                "{} {:?} {:?} {} {}",
                detail("by"),
                subject.client,
                subject.customer,
                subject.contract == Some(contract),
                detail("address")
            )
        })
        .collect();
    notes.sort();
    assert_eq!(
        notes,
        [
            "Some(Text(\"address\")) None None false Some(Text(\"2001:db8::/64\"))",
            "Some(Text(\"contract\")) Some(a) None true None",
            "Some(Text(\"customer\")) Some(a) Some(loud) false None",
        ]
    );
}

#[test]
fn waiting_times_are_whole_seconds_rounded_up() {
    for (millis, secs) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
        let refused = Refused::Limited { kind: Kind::Client, wait: Duration::from_millis(millis) };
        assert_eq!(refused.retry_after_secs(), Some(secs), "{millis}");
    }
    assert_eq!(Refused::Stopped(StopKind::Client).retry_after_secs(), None);
}
