//! The documented error body, checked member by member.

use credenza_tests::process::Answer;

/// Outer code and message by status (Entra Verified ID, error codes).
const OUTER: [(u16, &str, &str); 10] = [
    (400, "badRequest", "The request is invalid."),
    (401, "unauthorized", "The requested resource requires authentication"),
    (403, "forbidden", "Missing permissions to fulfill this request."),
    (404, "notFound", "The requested resource doesn't exist."),
    (405, "methodNotAllowed", "The requested method isn't allowed on the requested resource."),
    (409, "conflict", "The server can't fulfill the request due to a server conflict."),
    (413, "payloadTooLarge", "The payload is too large."),
    (415, "unsupportedMediaType", "The specified media type is unsupported."),
    (429, "tooManyRequests", "Too many requests, try again later."),
    (503, "serviceUnavailable", "The server is temporarily unavailable, please try again later."),
];

/// Asserts status and the whole shape of the body; returns the inner message.
#[track_caller]
pub fn assert_error(answer: &Answer, status: u16, inner: &str, target: Option<&str>) -> String {
    let message = assert_code(answer, status, inner);
    assert_eq!(answer.json()["error"]["innererror"]["target"].as_str(), target, "{}", answer.text());
    message
}

/// The same where the target does not matter.
#[track_caller]
pub fn assert_code(answer: &Answer, status: u16, inner: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_members(&body, &["date", "error", "mscv", "requestId"]);
    let id = body["requestId"].as_str().expect("requestId is text");
    assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
    let date = body["date"].as_str().expect("date is text");
    assert!(date.len() == 29 && date.ends_with(" GMT") && date.as_bytes()[3] == b',', "{date}");
    assert!(!body["mscv"].as_str().expect("mscv is text").is_empty());
    let error = &body["error"];
    assert_members(error, &["code", "innererror", "message"]);
    let (_, code, message) = OUTER.iter().find(|(known, ..)| *known == status).expect("a known status");
    assert_eq!((error["code"].as_str(), error["message"].as_str()), (Some(*code), Some(*message)));
    let inner_error = &error["innererror"];
    if inner_error.get("target").is_some() {
        assert_members(inner_error, &["code", "message", "target"]);
    } else {
        assert_members(inner_error, &["code", "message"]);
    }
    assert_eq!(inner_error["code"].as_str(), Some(inner), "{body}");
    let message = inner_error["message"].as_str().expect("a message");
    assert!(!message.is_empty());
    message.to_owned()
}

/// Asserts the names of an object's members.
#[track_caller]
pub fn assert_members(object: &serde_json::Value, names: &[&str]) {
    let mut found: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, names, "{object}");
}
