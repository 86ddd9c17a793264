//! Places among the calls in flight: so many in all, so many to one host, and for each host so many that wait for one.
//!
//! A host that is slow or busy must leave room for the others and must not be held against its callbacks: those that find
//! no place in time are turned away and come again. Must not know what is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

/// Calls in flight.
const IN_FLIGHT: usize = 256;

/// Calls in flight to one host.
pub(super) const PER_HOST: usize = 32;

/// Callbacks that wait for a place at one host.
pub(super) const WAITING_PER_HOST: usize = 96;

/// How long one waits. With the call itself it has to end before the claim does.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// Shortest and longest time after which one that was turned away comes again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// The hosts with calls or with somebody who waits.
pub(super) struct Hosts {
    calls: Arc<Semaphore>,
    rooms: Mutex<HashMap<String, Room>>,
}

struct Room {
    places: Arc<Semaphore>,
    /// Calling or waiting.
    inside: usize,
    /// Since when somebody has been turned away, and nobody found a free place at once.
    crowded_since: Option<Instant>,
}

/// A presence in a room; ended when it is dropped.
struct Visit {
    hosts: Arc<Hosts>,
    host: String,
}

/// A place among the calls; given back when it is dropped.
pub(super) struct Place {
    _call: OwnedSemaphorePermit,
    _here: OwnedSemaphorePermit,
    _visit: Visit,
}

/// No place in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TurnedAway {
    /// When to come again. It grows while the host stays crowded, so that a long queue in the database is not carried to
    /// and fro for nothing.
    pub(super) pause: Duration,
}

impl Hosts {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { calls: Arc::new(Semaphore::new(IN_FLIGHT)), rooms: Mutex::default() })
    }

    /// A place among the calls to the URL's host, waited for.
    pub(super) async fn enter(self: &Arc<Self>, url: &Url) -> Result<Place, TurnedAway> {
        let host =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        let (visit, places) = self.visit(&host)?;
        let waiting = async {
            let here = match Arc::clone(&places).try_acquire_owned() {
                Ok(here) => {
                    self.relax(&host);
                    here
                }
                Err(_none_free) => places.acquire_owned().await.ok()?,
            };
            Some((here, Arc::clone(&self.calls).acquire_owned().await.ok()?))
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Some((here, call))) => Ok(Place { _call: call, _here: here, _visit: visit }),
            Ok(None) | Err(_) => {
                Err(self.rooms().get_mut(&host).map_or(TurnedAway { pause: PAUSES.0 }, Room::turn_away))
            }
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visit(self: &Arc<Self>, host: &str) -> Result<(Visit, Arc<Semaphore>), TurnedAway> {
        let mut rooms = self.rooms();
        let room = rooms.entry(host.to_owned()).or_insert_with(|| Room {
            places: Arc::new(Semaphore::new(PER_HOST)),
            inside: 0,
            crowded_since: None,
        });
        if room.inside >= PER_HOST + WAITING_PER_HOST {
            return Err(room.turn_away());
        }
        room.inside += 1;
        Ok((Visit { hosts: Arc::clone(self), host: host.to_owned() }, Arc::clone(&room.places)))
    }

    fn relax(&self, host: &str) {
        if let Some(room) = self.rooms().get_mut(host) {
            room.crowded_since = None;
        }
    }
}

impl Room {
    fn turn_away(&mut self) -> TurnedAway {
        let since = *self.crowded_since.get_or_insert_with(Instant::now);
        TurnedAway { pause: since.elapsed().clamp(PAUSES.0, PAUSES.1) }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut rooms = self.hosts.rooms();
        if let Some(room) = rooms.get_mut(&self.host) {
            room.inside = room.inside.saturating_sub(1);
            if room.inside == 0 {
                rooms.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: usize) -> Url {
        Url::parse(&format!("https://host-{host}.example/cb")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_host_has_so_many_places_and_the_next_in_line_gets_a_free_one() {
        let hosts = Hosts::new();
        let mut places = Vec::new();
        for _ in 0..PER_HOST {
            places.push(hosts.enter(&url(0)).await.unwrap());
        }
        let waiting = tokio::spawn({
            let hosts = Arc::clone(&hosts);
            async move { hosts.enter(&url(0)).await.is_ok() }
        });
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!waiting.is_finished());
        places.pop();
        assert!(waiting.await.unwrap());
        hosts.enter(&url(1)).await.expect("others are not in its way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_to_a_host_that_answers_is_not_turned_away() {
        let hosts = Hosts::new();
        let calls = (0..PER_HOST + WAITING_PER_HOST).map(|_| async {
            let _place = hosts.enter(&url(0)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        });
        futures_util::future::join_all(calls).await;
        assert!(hosts.rooms().is_empty(), "nothing is kept of a host without calls");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_in_time_comes_again_and_less_eagerly_while_it_stays_crowded() {
        let hosts = Hosts::new();
        let mut places = Vec::new();
        for _ in 0..PER_HOST {
            places.push(hosts.enter(&url(0)).await.unwrap());
        }
        let begun = Instant::now();
        let busy = url(0);
        let in_line = (0..WAITING_PER_HOST).map(|_| hosts.enter(&busy));
        for turned_away in futures_util::future::join_all(in_line).await {
            assert_eq!(turned_away.err(), Some(TurnedAway { pause: PAUSES.0 }));
        }
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let later = hosts.enter(&url(0)).await.err().unwrap();
        assert_eq!(later.pause.as_secs(), 5);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(hosts.enter(&url(0)).await.err(), Some(TurnedAway { pause: PAUSES.1 }));
        places.pop();
        drop(hosts.enter(&url(0)).await.unwrap());
        let place = hosts.enter(&url(0)).await.unwrap();
        assert_eq!(hosts.enter(&url(0)).await.err(), Some(TurnedAway { pause: PAUSES.0 }), "it relaxed");
        drop(place);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_holds_a_bounded_number_of_claims() {
        let hosts = Hosts::new();
        let crowd: Vec<_> = (0..PER_HOST + WAITING_PER_HOST)
            .map(|_| {
                let hosts = Arc::clone(&hosts);
                tokio::spawn(async move {
                    let place = hosts.enter(&url(0)).await;
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    drop(place);
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        assert_eq!(hosts.enter(&url(0)).await.err(), Some(TurnedAway { pause: PAUSES.0 }));
        assert!(begun.elapsed() < Duration::from_millis(1), "at once");
        for waiting in crowd {
            waiting.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_calls_together_are_limited() {
        let hosts = Hosts::new();
        let mut places = Vec::new();
        for call in 0..IN_FLIGHT {
            places.push(hosts.enter(&url(call / PER_HOST)).await.unwrap());
        }
        assert!(hosts.enter(&url(IN_FLIGHT)).await.is_err());
        places.pop();
        assert!(hosts.enter(&url(IN_FLIGHT)).await.is_ok());
    }
}
