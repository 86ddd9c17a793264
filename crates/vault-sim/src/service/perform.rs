//! Owns the operations themselves: from a judged request to its answer. Limits, access and records are the caller's.

use std::sync::MutexGuard;

use serde_json::json;

use super::{Asked, Progress, State, World, view};
use crate::answer::Answer;
use crate::clock::Moment;
use crate::failure::{Failure, FailureKind};
use crate::fault::Tamper;
use crate::material::{Curve, Material};
use crate::members::{Members, base64url, both};
use crate::operation::Operation;
use crate::route::{Query, Route};
use crate::vault::key::KeyVersion;

/// The curve that the algorithm needs is the key's, and the digest has its length.
fn check_digest(kid: &str, found: Curve, algorithm: &str, digest: &[u8]) -> Result<(), Failure> {
    let Some(needed) = Curve::of_algorithm(algorithm) else {
        return Err(Failure::bad_parameter("Property alg has an unknown or unsupported value."));
    };
    if needed != found {
        let message = format!("Key {kid} is on curve {}; {algorithm} needs {}.", found.name(), needed.name());
        return Err(Failure::bad_parameter(message));
    }
    let (length, wanted) = (digest.len(), needed.digest_length());
    if length != wanted {
        let message = format!("The digest has {length} bytes; {algorithm} needs {wanted}.");
        return Err(Failure::bad_parameter(message));
    }
    Ok(())
}

fn refused_by_library() -> Failure {
    Failure::new(FailureKind::InternalError, "The signature could not be made.")
}

/// What a fault makes of a signature.
fn tampered(tamper: Option<Tamper>, material: &Material, digest: &[u8]) -> Result<String, Failure> {
    let sign = |material: &Material| material.sign(digest).map_err(|_refused| refused_by_library());
    match tamper {
        None => Ok(base64url(&sign(material)?)),
        Some(Tamper::OtherKey) => {
            let other = Material::generate(material.curve()).map_err(|_refused| refused_by_library())?;
            Ok(base64url(&sign(&other)?))
        }
        Some(Tamper::FlippedBit) => {
            let mut signature = sign(material)?;
            if let Some(byte) = signature.last_mut() {
                *byte ^= 1;
            }
            Ok(base64url(&signature))
        }
        Some(Tamper::BadBase64) => {
            let text = base64url(&sign(material)?);
            Ok(format!("{}*=+", text.get(3..).unwrap_or_default()))
        }
    }
}

impl World {
    /// Signs, without anybody waiting for it.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn sign(
        &self,
        state: MutexGuard<'_, State>,
        route: &Route,
        members: &Members,
        vault: &str,
        origin: &str,
        now: Moment,
        progress: &Progress,
    ) -> Result<Answer, Failure> {
        let (digest, algorithm) = both(members.bytes("value"), members.needed("alg"))?;
        let leeway = self.config.keys.leeway_seconds;
        let may = |key: &KeyVersion| key.may_sign(now, leeway, progress.struck.disabled);
        let name = route.name.as_deref().unwrap_or_default();
        let keys = state.vaults.get(vault).ok_or_else(refused_by_library)?;
        let key = keys.signing_key(name, route.version.as_deref(), origin, may)?;
        drop(state);
        check_digest(&key.kid, key.material.curve(), algorithm, &digest)?;
        let value = tampered(progress.struck.tamper, &key.material, &digest)?;
        let alg = progress.profile.is_hsm().then_some(algorithm);
        Ok(Answer::json(&Signed { alg, kid: &key.kid, value: &value }))
    }

    /// Does what the request asks for.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    pub(super) fn perform(
        &self,
        mut state: MutexGuard<'_, State>,
        route: &Route,
        query: &Query,
        asked: &Asked,
        vault: &str,
        origin: &str,
        now: Moment,
        progress: &Progress,
    ) -> Result<Answer, Failure> {
        let view = view(&self.config, origin, progress);
        let config = &self.config.keys;
        let keys = state.vaults.entry(vault.to_owned()).or_default();
        keys.settle(now, view);
        let members = Members::parse(&asked.body);
        let name = route.name.as_deref().unwrap_or_default();
        let version = route.version.as_deref();
        let answer = match route.operation {
            Operation::Sign => return self.sign(state, route, &members?, vault, origin, now, progress),
            Operation::Create => Answer::json(&keys.create(name, &members?, config, view, now)?),
            Operation::Import => Answer::json(&keys.import(name, &members?, config, view, now)?),
            Operation::Get => Answer::json(&keys.get(name, version, view)?),
            Operation::List => Answer::json(&keys.list(query, view)?),
            Operation::ListVersions => Answer::json(&keys.list_versions(name, query, view)?),
            Operation::Update => Answer::json(&keys.update(name, version, &members?, view, now)?),
            Operation::Delete => Answer::json(&keys.delete(name, config, view, now)?),
            Operation::GetDeleted => Answer::json(&keys.get_deleted(name, view, now)?),
            Operation::ListDeleted => Answer::json(&keys.list_deleted(query, view, now)?),
            Operation::Recover => Answer::json(&keys.recover(name, config, view, now)?),
            Operation::Purge => {
                keys.purge(name, config, view, now)?;
                Answer::empty(204)
            }
            Operation::Rotate => Answer::json(&keys.rotate(name, view, now)?),
            Operation::GetRotationPolicy => Answer::json(&keys.policy(name, origin)?),
            Operation::SetRotationPolicy => Answer::json(&keys.set_policy(name, &members?, view, now)?),
            Operation::Verify => {
                let members = members?;
                let bytes = both(members.bytes("digest"), members.bytes("value"));
                let ((digest, signature), algorithm) = both(bytes, members.needed("alg"))?;
                let key = keys.signing_key(name, version, origin, |key| key.permits("verify"))?;
                check_digest(&key.kid, key.material.curve(), algorithm, &digest)?;
                let value = key.material.verify(&digest, &signature);
                if view.profile.is_hsm() {
                    Answer::json(&json!({"alg": algorithm, "kid": key.kid, "value": value}))
                } else {
                    Answer::json(&json!({"value": value}))
                }
            }
            Operation::Backup => Answer::json(&keys.backup(name, view)?),
            Operation::Restore => Answer::json(&keys.restore(&members?, view, now)?),
            Operation::GetAttestation => {
                keys.get(name, version, view)?;
                return Err(Failure::bad_parameter("Attestation is not simulated."));
            }
        };
        Ok(answer)
    }
}

/// The answer of a signature, in the service's order.
#[derive(serde::Serialize)]
struct Signed<'a> {
    /// Only an HSM says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<&'a str>,
    kid: &'a str,
    value: &'a str,
}
