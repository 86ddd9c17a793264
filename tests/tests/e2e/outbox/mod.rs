//! What goes on behind the answers, seen from outside: callbacks under load and after crashes, the sweeper, an orderly end, a
//! database that is gone.

mod claims;
mod crowding;
mod health;
mod kept;
mod outage;
mod stopping;
mod sweeping;

use credenza_tests::process::Credenza;
use rusqlite::Connection;

/// The database of an instance, to change what only time or a fault would change.
fn database(credenza: &Credenza) -> Connection {
    let connection = Connection::open(credenza.data_dir().join("credenza.db")).expect("it exists");
    connection.busy_timeout(std::time::Duration::from_secs(5)).expect("it can wait");
    connection
}
