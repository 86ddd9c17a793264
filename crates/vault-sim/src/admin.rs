//! Owns the control port's API. It changes and shows a simulator; it never signs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::answer::{Answer, JSON};
use crate::fault::{FaultId, FaultSpec};
use crate::identity::Role;
use crate::locked;
use crate::meter::{Category, Window};
use crate::service::World;

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is no such call")]
    NoSuchCall,
    #[error("there is no such fault")]
    NoSuchFault,
    #[error("there is no permission `{0}`")]
    Permission(String),
    #[error("there is no window `{0}`: sliding, fixed or off")]
    Window(String),
    #[error(transparent)]
    Fault(#[from] crate::fault::BadFault),
    #[error("not the JSON of this call: {0}")]
    Json(#[from] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignCall {
    vault: String,
    rate: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThrottleCall {
    window: Option<String>,
    limit: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockCall {
    advance_ms: u64,
}

/// Counters, and what the meters hold.
pub fn status(world: &World) -> Value {
    let now = world.clock.now();
    let mut state = locked(&world.state);
    let names: Vec<String> = state.vaults.keys().cloned().collect();
    let mut vaults = serde_json::Map::new();
    for name in names {
        let keys = state.vaults.get(&name).map_or(0, crate::vault::Vault::count);
        let other = state.throttle.fullness(&name, Category::Other, now);
        let create = state.throttle.fullness(&name, Category::Create, now);
        vaults.insert(name, json!({"keys": keys, "other_permille": other, "create_permille": create}));
    }
    let by_status: serde_json::Map<String, Value> =
        state.by_status.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
    drop(state);
    json!({
        "connections": world.connections.load(Ordering::Relaxed),
        "token_requests": world.token_requests.load(Ordering::Relaxed),
        "by_status": by_status,
        "vaults": vaults,
    })
}

fn after(query: Option<&str>) -> u64 {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let found = pairs.into_iter().find(|(name, _)| name == "after");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn lines<T: Serialize>(items: &[T]) -> Answer {
    let mut body = Vec::new();
    for item in items {
        body.extend(serde_json::to_vec(item).unwrap_or_default());
        body.push(b'\n');
    }
    Answer::text(200, "application/x-ndjson", body)
}

fn created(value: &impl Serialize) -> Answer {
    Answer { status: 201, ..Answer::json(value) }
}

fn call(
    world: &World,
    method: &str,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Answer, Refused> {
    let done = Ok(Answer::empty(204));
    match (method, path) {
        ("GET", "/health") => Ok(Answer::text(200, "text/plain", "ok\n")),
        ("GET", "/status") => Ok(Answer::json(&status(world))),
        ("GET", "/log") => {
            let rows = world.feed.rows(after(query));
            let body: Vec<u8> = rows.iter().flat_map(|row| row.row()).collect();
            Ok(Answer::text(200, "application/x-ndjson", body))
        }
        ("GET", "/arrivals") => Ok(lines(&world.feed.arrivals(after(query)))),
        ("DELETE", "/log") => {
            world.feed.clear();
            done
        }
        ("POST", "/flush") => {
            world.feed.flush();
            done
        }
        ("POST", "/faults") => {
            let id = locked(&world.faults).set(FaultSpec::parse(body)?);
            Ok(created(&json!({"id": id})))
        }
        ("GET", "/faults") => Ok(Answer::json(&locked(&world.faults).list())),
        ("DELETE", "/faults") => {
            locked(&world.faults).clear();
            done
        }
        ("DELETE", path) if path.starts_with("/faults/") => {
            let id = path.strip_prefix("/faults/").and_then(|id| id.parse().ok());
            let ended = id.is_some_and(|id| locked(&world.faults).end(FaultId(id)));
            if ended { done } else { Err(Refused::NoSuchFault) }
        }
        ("POST", "/roles") => {
            let role: Role = serde_json::from_slice(body)?;
            if let Some(permission) = role.unknown_permission() {
                return Err(Refused::Permission(permission.to_owned()));
            }
            world.access.set_role(role);
            done
        }
        ("DELETE", "/roles") => {
            world.access.clear_roles();
            done
        }
        ("POST", "/foreign") => {
            let ForeignCall { vault, rate } = serde_json::from_slice(body)?;
            let mut state = locked(&world.state);
            state.throttle.set_foreign(&vault.to_ascii_lowercase(), rate, world.clock.now());
            done
        }
        ("POST", "/throttle") => {
            let ThrottleCall { window, limit } = serde_json::from_slice(body)?;
            let window =
                window.map(|name| Window::by_name(&name).ok_or(Refused::Window(name))).transpose()?;
            locked(&world.state).throttle.change(window, limit);
            done
        }
        ("POST", "/clock") => {
            let ClockCall { advance_ms } = serde_json::from_slice(body)?;
            world.clock.advance(Duration::from_millis(advance_ms));
            done
        }
        _ => Err(Refused::NoSuchCall),
    }
}

/// Answers a call.
pub fn answer(world: &World, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Answer {
    call(world, method, path, query, body).unwrap_or_else(|refused| {
        let status = if matches!(refused, Refused::NoSuchCall | Refused::NoSuchFault) { 404 } else { 400 };
        Answer::text(status, JSON, json!({"error": refused.to_string()}).to_string())
    })
}
