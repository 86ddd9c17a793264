//! The store's contract: one suite, run against SQLite and PostgreSQL. Time is the suite's own on both.
//!
//! Uses the crate directly: what two databases have to agree on cannot be seen from the wire. The suite looks at rows
//! with its own SQL where the crate has no way to read them.

mod batches;
mod contention;
mod contracts;
mod create;
mod doctor;
mod fixture;
mod intents;
mod ledger;
mod meters;
mod opening;
mod outbox;
mod outcomes;
mod reads;
mod reattempts;
mod replaced;
mod reports;
mod rows;
mod secrets;
mod status;
mod stops;
mod sweep;
mod texts;

/// Makes a test of each function, once per database.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::fixture::Fixture::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::fixture::Fixture::postgres().await).await;
            })+
        }
    };
}
use on_both;
