//! Owns who may call: bearer tokens, what is known of their holders, roles. Tokens are never verified, stored or logged.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::resource_id;
use crate::clock::Moment;
use crate::failure::{Failure, FailureKind, ForbiddenCode};
use crate::locked;
use crate::members::from_base64url;
use crate::operation::{Operation, PERMISSIONS};
use crate::profile::Profile;
use crate::random::guid;

/// What a token, or all tokens of an application, may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The token itself, or the `appid` in it.
    pub token: String,
    /// Permissions, in the words of access policies.
    pub allow: Vec<String>,
    /// Names of keys; without it, all.
    pub keys: Option<Vec<String>>,
}

impl Role {
    /// The first permission that does not exist.
    pub fn unknown_permission(&self) -> Option<&str> {
        self.allow.iter().map(String::as_str).find(|asked| !PERMISSIONS.contains(asked))
    }
}

/// How callers are told apart.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// The only good token, besides those with a role.
    pub token: Option<String>,
    /// Who may do what; a token without a role may do everything.
    pub roles: Vec<Role>,
    /// JWTs whose `exp` is over are refused.
    pub check_expiry: bool,
    /// JWTs for another audience or of another tenant are refused.
    pub check_audience: bool,
    /// Of the challenge, and of issued tokens.
    pub tenant: String,
    /// Where the challenge sends for tokens; `None`: to the simulator itself.
    pub login_origin: Option<String>,
    /// Id and secret of those who get tokens; empty: everybody.
    pub clients: Vec<(String, String)>,
    /// Seconds for which issued tokens are good.
    pub token_lifetime_seconds: u32,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            token: None,
            roles: Vec::new(),
            check_expiry: false,
            check_audience: false,
            tenant: "00000000-0000-0000-0000-000000000001".to_owned(),
            login_origin: None,
            clients: Vec::new(),
            token_lifetime_seconds: 3_600,
        }
    }
}

/// What the log says about a caller, in the log's member order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    pub oid: String,
    pub appid: String,
    pub appidacr: &'static str,
    pub idtyp: &'static str,
    #[serde(skip)]
    pub issuer: String,
}

/// A caller with a good token.
#[derive(Debug, Clone)]
pub struct Identity {
    pub claims: Claims,
    role: Option<Role>,
}

/// Who may call.
#[derive(Debug)]
pub struct Access {
    config: AccessConfig,
    roles: Mutex<BTreeMap<String, Role>>,
}

/// The claims of something that looks like a JWT.
fn payload(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&from_base64url(payload)?).ok().filter(Value::is_object)
}

/// An id that stands for a text without giving it away.
pub fn stands_for(text: &str) -> String {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    guid(bytes)
}

fn unauthorized(message: &str) -> Failure {
    Failure::new(FailureKind::Unauthorized, message)
}

/// The refusal of a token that is for something else.
pub fn wrong_audience(profile: Profile) -> Failure {
    let wanted = profile.audiences().join(" or ");
    unauthorized(&format!("AKV10022: the token's audience must be {wanted}."))
}

impl Access {
    pub fn new(config: AccessConfig) -> Self {
        let roles = config.roles.iter().map(|role| (role.token.clone(), role.clone())).collect();
        Self { config, roles: Mutex::new(roles) }
    }

    pub fn config(&self) -> &AccessConfig {
        &self.config
    }

    pub fn set_role(&self, role: Role) {
        locked(&self.roles).insert(role.token.clone(), role);
    }

    pub fn clear_roles(&self) {
        locked(&self.roles).clear();
    }

    /// The `WWW-Authenticate` of a 401.
    pub fn challenge(&self, origin: &str, profile: Profile) -> String {
        let login = self.config.login_origin.as_deref().unwrap_or(origin);
        let resource = profile.resource();
        format!(r#"Bearer authorization="{login}/{}", resource="{resource}""#, self.config.tenant)
    }

    /// Who sent this `Authorization`.
    ///
    /// # Errors
    /// 401, without its challenge.
    pub fn authenticate(
        &self,
        header: Option<&str>,
        profile: Profile,
        now: Moment,
    ) -> Result<Identity, Failure> {
        let token = header
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty());
        let Some(token) = token else {
            return Err(unauthorized("AKV10000: the request has no bearer token."));
        };
        let claims = payload(token);
        let text = |name: &str| Some(claims.as_ref()?.get(name)?.as_str()?.to_owned());
        let appid = text("appid").unwrap_or_else(|| stands_for(token));
        let roles = locked(&self.roles);
        let role = roles.get(token).or_else(|| roles.get(&appid)).cloned();
        drop(roles);
        if role.is_none() && self.config.token.as_deref().is_some_and(|good| good != token) {
            return Err(unauthorized("AKV10000: this bearer token is not good here."));
        }
        if let Some(claims) = claims.as_ref() {
            self.check(claims, profile, now)?;
        }
        let oid = text("oid").unwrap_or_else(|| stands_for(&format!("oid {appid}")));
        let issuer =
            text("iss").unwrap_or_else(|| format!("https://sts.windows.net/{}/", self.config.tenant));
        Ok(Identity { claims: Claims { oid, appid, appidacr: "2", idtyp: "app", issuer }, role })
    }

    fn check(&self, claims: &Value, profile: Profile, now: Moment) -> Result<(), Failure> {
        let over = claims.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp <= now.seconds());
        if self.config.check_expiry && over {
            return Err(unauthorized("The bearer token has expired."));
        }
        if !self.config.check_audience {
            return Ok(());
        }
        let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        if !profile.audiences().contains(&audience) {
            return Err(wrong_audience(profile));
        }
        let tenant = claims.get("tid").and_then(Value::as_str).unwrap_or(&self.config.tenant);
        if tenant != self.config.tenant {
            return Err(self.wrong_tenant());
        }
        Ok(())
    }

    /// The refusal of another tenant's token.
    pub fn wrong_tenant(&self) -> Failure {
        unauthorized(&format!("AKV10032: the token must be issued by tenant {}.", self.config.tenant))
    }
}

impl Identity {
    /// Whether the caller may do this.
    ///
    /// # Errors
    /// 403 `ForbiddenByRbac`; an HSM's has no inner code.
    pub fn authorize(
        &self,
        operation: Operation,
        key: Option<&str>,
        vault: &str,
        profile: Profile,
    ) -> Result<(), Failure> {
        let Some(role) = &self.role else { return Ok(()) };
        let of_key = role.keys.as_ref().is_none_or(|names| {
            key.is_some_and(|key| names.iter().any(|name| name.eq_ignore_ascii_case(key)))
        });
        if of_key && role.allow.iter().any(|allowed| allowed == operation.permission()) {
            return Ok(());
        }
        let denied = self.denied(operation, key, vault, profile);
        let kind = if profile.is_hsm() { FailureKind::Forbidden(None) } else { denied.kind };
        Err(Failure { kind, ..denied })
    }

    /// The body of a refusal by roles. The service names the same things, in other words.
    pub fn denied(&self, operation: Operation, key: Option<&str>, vault: &str, profile: Profile) -> Failure {
        let Claims { oid, appid, issuer, .. } = &self.claims;
        let action = operation.data_action(profile);
        let key = key.map(|key| format!("/keys/{}", key.to_ascii_lowercase()));
        if profile.is_hsm() {
            // Its roles are its own, on one of three scopes: /, /keys, /keys/{name}.
            let scope = key.as_deref().unwrap_or("/keys");
            let message = format!("No local role lets {oid} do {action} on scope {scope} of this HSM.");
            return Failure::forbidden(ForbiddenCode::ForbiddenByRbac, message);
        }
        let key = key.unwrap_or_default();
        let resource = resource_id(vault, profile).to_ascii_lowercase();
        let message = format!(
            "No role lets the caller do this. A role that was given minutes ago may not be seen yet.\r\n\
             Caller: appid={appid};oid={oid};iss={issuer}\r\nAction: '{action}'\r\n\
             Resource: '{resource}{key}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n\
             DecisionReason: 'DeniedWithNoValidRBAC'\r\nVault: {vault};location=westus2\r\n"
        );
        Failure::forbidden(ForbiddenCode::ForbiddenByRbac, message)
    }
}
