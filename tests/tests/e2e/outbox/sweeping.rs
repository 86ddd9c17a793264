//! The sweeper keeps up with more than one sweep's worth.

use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};

use super::database;
use crate::issuance::fixture::Service;

const OVER: usize = 2_200;

#[tokio::test]
async fn a_backlog_is_swept_at_once() {
    let mut credenza = Credenza::start(Options::default()).await;
    let service = Service::of(&credenza).await;
    let created = service.created(&service.employee()).await;
    assert!(credenza.stop().success(), "{}", credenza.log());
    let rows = database(&credenza);
    let mut columns = rows.prepare("SELECT name FROM pragma_table_info('request')").unwrap();
    let columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let copied: Vec<&str> = columns
        .iter()
        .map(|name| match name.as_str() {
            "id" | "transaction_id" => "printf('00000000-0000-4000-8000-%012d', n)",
            "expires_at" => "n",
            name => name,
        })
        .collect();
    let statement = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {OVER}) \
         INSERT INTO request ({}) SELECT {} FROM numbers, request WHERE id = '{}'",
        columns.join(", "),
        copied.join(", "),
        created.id
    );
    assert_eq!(rows.execute(&statement, []).unwrap(), OVER);

    let begun = Instant::now();
    let _credenza = credenza.start_again().await;
    let expired = || -> i64 {
        rows.query_row("SELECT count(*) FROM request WHERE state = 'expired'", [], |row| row.get(0)).unwrap()
    };
    // One sweep every five seconds would take over twenty.
    let limit = Duration::from_secs(15);
    while usize::try_from(expired()).unwrap() < OVER {
        assert!(begun.elapsed() < limit, "{} of {OVER} after {limit:?}", expired());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = "SELECT count(*) FROM event WHERE kind = 'request_expired'";
    let told: i64 = rows.query_row(told, [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(told).unwrap(), OVER);
}
