//! The stop list: clients, customers and contracts whose issuances an operator has ended.
//!
//! Owns what is stopped and the question whether a caller is. Rows come from the configuration and from the database,
//! which is read again every few seconds. Must not read either itself.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use domain::{ClientId, ContractId, CustomerId};
use store::StopKind;

/// What is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopSet {
    clients: HashSet<String>,
    customers: HashSet<String>,
    /// Names and ids.
    contracts: HashSet<String>,
}

impl StopSet {
    /// A set of these.
    pub fn new<'a>(stops: impl IntoIterator<Item = (StopKind, &'a str)>) -> Self {
        let mut set = Self::default();
        for (kind, name) in stops {
            let of_kind = match kind {
                StopKind::Client => &mut set.clients,
                StopKind::Customer => &mut set.customers,
                StopKind::Contract => &mut set.contracts,
            };
            of_kind.insert(name.to_owned());
        }
        set
    }

    /// Whether anything is stopped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.customers.is_empty() && self.contracts.is_empty()
    }

    /// What stops this caller, if anything does. A contract is known by its id and by its current name.
    #[must_use]
    pub fn stops(
        &self,
        client: &ClientId,
        customer: Option<&CustomerId>,
        contract: Option<(ContractId, Option<&str>)>,
    ) -> Option<StopKind> {
        if self.clients.contains(client.as_str()) {
            return Some(StopKind::Client);
        }
        if customer.is_some_and(|customer| self.customers.contains(customer.as_str())) {
            return Some(StopKind::Customer);
        }
        let (id, name) = contract.filter(|_| !self.contracts.is_empty())?;
        let stopped = name.is_some_and(|name| self.contracts.contains(name))
            || self.contracts.contains(&id.to_string());
        stopped.then_some(StopKind::Contract)
    }
}

/// The set in use; readers never wait for a refresh.
#[derive(Debug, Default)]
pub struct Stops(RwLock<Arc<StopSet>>);

impl Stops {
    /// The set of now.
    #[must_use]
    pub fn now(&self) -> Arc<StopSet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another set in use; says whether it differs.
    pub fn replace(&self, set: StopSet) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differs = **current != set;
        if differs {
            *current = Arc::new(set);
        }
        differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4c1f7a52-6f0e-4b8e-9a3d-2f5d0f6b7c01";

    fn stopped(stops: &[(StopKind, &str)], client: &str, customer: Option<&str>) -> Option<StopKind> {
        let customer = customer.map(CustomerId::new);
        let contract = Some((ID.parse().unwrap(), Some("StudentCard")));
        StopSet::new(stops.iter().copied()).stops(&ClientId::new(client), customer.as_ref(), contract)
    }

    #[test]
    fn each_kind_stops_its_own_and_nobody_else() {
        let client = [(StopKind::Client, "a")];
        assert_eq!(stopped(&client, "a", None), Some(StopKind::Client));
        assert_eq!(stopped(&client, "b", Some("a")), None);
        let customer = [(StopKind::Customer, "acme")];
        assert_eq!(stopped(&customer, "a", Some("acme")), Some(StopKind::Customer));
        assert_eq!(stopped(&customer, "acme", Some("Acme")), None, "names are compared exactly");
        assert_eq!(stopped(&customer, "a", None), None);
        for name in ["StudentCard", ID] {
            assert_eq!(stopped(&[(StopKind::Contract, name)], "a", None), Some(StopKind::Contract));
        }
        assert_eq!(stopped(&[(StopKind::Contract, "Other")], "a", None), None);
        assert_eq!(stopped(&[], "a", Some("acme")), None);
    }

    #[test]
    fn a_set_is_replaced_as_a_whole() {
        let stops = Stops::default();
        assert!(stops.now().is_empty());
        assert!(stops.replace(StopSet::new([(StopKind::Client, "a")])));
        assert!(!stops.replace(StopSet::new([(StopKind::Client, "a")])));
        assert!(stops.replace(StopSet::default()));
        assert!(stops.now().is_empty());
    }
}
