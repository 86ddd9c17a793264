//! How long inbound protection takes per call: the promise is under 2 µs for all checks of one `createIssuanceRequest`.

use std::hint::black_box;
use std::net::IpAddr;
use std::num::NonZeroU32;

use criterion::Criterion;
use domain::{ClientId, CustomerId, TransactionId};
use issuer::inbound::address::{ForwardedHeader, TrustedProxies};
use issuer::inbound::quota::{Kind, Quota};
use issuer::inbound::{Inbound, Policy};
use issuer::usecase::create::Asker;
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let many = NonZeroU32::MAX;
    let quotas = Kind::ALL.map(|kind| (kind, Quota { per_minute: many, burst: many })).to_vec();
    let proxies =
        TrustedProxies { networks: vec!["10.0.0.0/8".parse()?], header: ForwardedHeader::XForwardedFor };
    let stopped = vec![(store::StopKind::Client, "somebody else".to_owned())];
    let policy = Policy { quotas, proxies, stopped, replicas: None };
    let inbound = Inbound::new(policy);
    let address = IpAddr::from([192, 0, 2, 1]);
    let asker = Asker {
        client: ClientId::new("de500000-0000-4000-8000-0000000000c1"),
        tenant: "de500000-0000-4000-8000-000000000001".parse()?,
        customer: Some(CustomerId::new("Contoso Ltd")),
    };
    let contract = Some(("8d2b6e90-1c47-4f3a-b5d8-7e9a4c3f1d02".parse()?, Some("StudentCard")));
    let transaction = TransactionId::new(Uuid::now_v7());

    let mut group = criterion.benchmark_group("inbound");
    group.bench_function("address", |bencher| {
        bencher.iter(|| inbound.address(Kind::Address, black_box(address)));
    });
    group.bench_function("forwarded address", |bencher| {
        let line = [Some("198.51.100.7, 203.0.113.9, 10.1.2.3")];
        bencher.iter(|| inbound.proxies().caller(IpAddr::from([10, 0, 0, 1]), black_box(line).into_iter()));
    });
    group.bench_function("all checks of a create", |bencher| {
        bencher.iter(|| {
            inbound.address(Kind::FrontEndAddress, black_box(address)).is_ok()
                && inbound.caller(black_box(&asker), contract, transaction, true).is_ok()
        });
    });
    group.bench_function("a thousand addresses in turn", |bencher| {
        let mut next = 0_u32;
        bencher.iter(|| {
            next = (next + 1) % 1_000;
            inbound.address(Kind::Address, IpAddr::from(next.to_be_bytes()))
        });
    });
    group.finish();

    let none = NonZeroU32::MIN;
    let refusing = Inbound::new(Policy {
        quotas: vec![(Kind::Client, Quota { per_minute: none, burst: none })],
        ..Policy::default()
    });
    let mut group = criterion.benchmark_group("inbound, refused");
    group.bench_function("client", |bencher| {
        bencher.iter(|| refusing.caller(black_box(&asker), contract, transaction, true));
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
