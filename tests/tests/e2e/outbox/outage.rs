//! The database goes away while many changes wait for their commit: all are refused soon, and it goes on afterwards.

use std::time::{Duration, Instant};

use credenza_tests::postgres::{Durability, Server};
use credenza_tests::process::{Credenza, Options};

use crate::issuance::fixture::{SOON, Service};

#[tokio::test]
async fn a_crowd_of_changes_does_not_wedge_the_process() {
    let server = Server::start(Durability::Fast);
    let credenza =
        Credenza::start(Options { database_url: Some(server.database().url), ..Options::default() }).await;
    let service = Service::of(&credenza).await;
    service.created(&service.employee()).await;
    server.crash();
    let begun = Instant::now();
    let body = service.employee();
    let answers = futures_util::future::join_all((0..64).map(|_| service.create(&body))).await;
    for answer in &answers {
        assert!(matches!(answer.status, 500 | 503), "{}", answer.text());
    }
    // One transaction each would be more than five minutes.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    server.start_again();
    let until = Instant::now() + SOON;
    while service.create(&body).await.status != 201 {
        assert!(Instant::now() < until, "it does not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
