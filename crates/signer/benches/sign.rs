//! How long the software back end takes to sign, and the keyring to seal and open a row.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use domain::{BootClock, IntentId, SignatureAlgorithm};
use signer::software::MemoryRows;
use signer::{Binding, Keyring, PermitTerms, SignerConfig, SoftwareBackend, SystemBootClock};

/// About the size of a request's claims.
const CLAIMS_BYTES: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    signing(&mut criterion)?;
    sealing(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn signing(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let keyring = Arc::new(Keyring::generate()?.0);
    let backend = runtime.block_on(SoftwareBackend::open(
        "software",
        "tenant",
        keyring,
        Arc::new(MemoryRows::default()),
    ))?;
    let signers = signer::build(SignerConfig::new().software(backend))?;
    let backend = signers.backend("software").ok_or("the back end is not there")?;
    let intent: IntentId = "0198c0de-0000-7000-8000-000000000001".parse()?;

    let clock = SystemBootClock::new();

    let mut group = criterion.benchmark_group("sign");
    group.throughput(Throughput::Elements(1));
    for algorithm in [SignatureAlgorithm::Es256, SignatureAlgorithm::Es256k] {
        let slot = format!("bench-{algorithm}");
        let key = runtime.block_on(backend.admin.create_key(&slot, algorithm))?.key;
        group.bench_function(algorithm.jose_name(), |bencher| {
            bencher.iter(|| {
                let permit = signers.mint.mint(PermitTerms {
                    intent,
                    attempt: 1,
                    key: key.clone(),
                    algorithm,
                    digest: [7; 32].into(),
                    deadline: clock.now().plus(Duration::from_secs(3)),
                });
                black_box(runtime.block_on(backend.signer.sign(permit)).is_ok())
            });
        });
    }
    group.finish();
    Ok(())
}

fn sealing(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (keyring, _text) = Keyring::generate()?;
    let binding = Binding {
        tenant: "a5f1c9d2-0000-4000-8000-00000000abcd",
        kind: "claims",
        row: "3f1c9d2a-0000-4000-8000-00000000abcd",
    };
    let claims = vec![b'x'; CLAIMS_BYTES];
    let sealed = keyring.seal(&binding, &claims)?;

    let mut group = criterion.benchmark_group("keyring");
    group.bench_function("seal", |bencher| {
        bencher.iter(|| black_box(keyring.seal(&binding, black_box(&claims)).is_ok()));
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| black_box(keyring.open(&binding, black_box(&sealed)).is_ok()));
    });
    group.finish();
    Ok(())
}
