//! `[signing]`: which back ends sign what.
//!
//! Owns these members and the rules between them and the vaults.

use anyhow::ensure;
use issuer::placement::Placement;
use serde::Deserialize;

use super::vault::VaultSection;
use crate::wiring::SOFTWARE;

/// Which back ends sign: `software` or names of vaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigningSection {
    /// Where everything is signed that the other members do not name.
    pub backend: Option<Places>,
    /// Where request objects are signed.
    pub request_backend: Option<Places>,
    /// Where credentials, contracts and the domain linkage are signed.
    pub credential_backend: Option<Places>,
}

/// One back end, or several with the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Places {
    /// One.
    One(String),
    /// Several: work goes to the first that has room.
    Several(Vec<String>),
}

impl Places {
    fn names(&self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name.clone()],
            Self::Several(names) => names.clone(),
        }
    }
}

impl SigningSection {
    /// Where keys are made and which of them signs what. Without vaults everything is signed with software keys.
    pub fn placement(&self) -> Placement {
        let of = |places: &Option<Places>| places.as_ref().map(Places::names);
        let usual = of(&self.backend).unwrap_or_else(|| vec![SOFTWARE.to_owned()]);
        Placement {
            requests: of(&self.request_backend).unwrap_or_else(|| usual.clone()),
            credentials: of(&self.credential_backend).unwrap_or(usual),
        }
    }

    /// The rules between these members and the vaults.
    pub fn check(&self, vaults: &[VaultSection]) -> anyhow::Result<()> {
        let members = [
            ("backend", &self.backend),
            ("request_backend", &self.request_backend),
            ("credential_backend", &self.credential_backend),
        ];
        for (member, places) in members {
            let Some(names) = places.as_ref().map(Places::names) else { continue };
            ensure!(!names.is_empty(), "signing.{member} names no back end: name one, or remove it");
            for (index, name) in names.iter().enumerate() {
                ensure!(
                    name == SOFTWARE || vaults.iter().any(|vault| vault.name == *name),
                    "signing.{member} is `{name}`, and there is no vault of this name: it has to be `{SOFTWARE}` or one \
                     of {}",
                    known(vaults)
                );
                ensure!(
                    !names.iter().take(index).any(|earlier| earlier == name),
                    "signing.{member} names `{name}` twice"
                );
            }
        }
        let everything =
            self.backend.is_some() || (self.request_backend.is_some() && self.credential_backend.is_some());
        ensure!(
            vaults.is_empty() || everything,
            "there are vaults, and signing.backend does not say whether keys are made in one of them: name one of {}, \
             or say `{SOFTWARE}`",
            known(vaults)
        );
        Ok(())
    }
}

fn known(vaults: &[VaultSection]) -> String {
    if vaults.is_empty() {
        return "the [[vault]] sections, of which there are none".to_owned();
    }
    vaults.iter().map(|vault| format!("`{}`", vault.name)).collect::<Vec<_>>().join(", ")
}
