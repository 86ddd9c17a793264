//! What front ends are told: the callback messages of one request.
//!
//! Owns the body's shape: exactly `requestId`, `requestStatus`, `state` and, after an error, `error`. Receivers model
//! exactly these members.

use domain::RequestId;
use serde::Serialize;
use signer::Keyring;
use store::CallbackRow;

use crate::sealed::{self, CallbackTarget, Kind, Message, SealError};

/// A step that front ends hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A wallet fetched the request object.
    Retrieved,
    /// The wallet stored the credential.
    Successful,
    /// The wallet or the service gave up; the message says why.
    Failed(&'static str),
}

impl News {
    /// `requestStatus`.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Retrieved => "request_retrieved",
            Self::Successful => "issuance_successful",
            Self::Failed(_) => "issuance_error",
        }
    }
}

#[derive(Serialize)]
struct ErrorBody {
    code: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    request_id: RequestId,
    request_status: &'static str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// The outbox row for a step, if the front end wants to hear.
pub fn announce(
    keyring: &Keyring,
    tenant: domain::TenantId,
    request: RequestId,
    sealed_target: Option<&str>,
    news: News,
) -> Result<Option<CallbackRow>, SealError> {
    let Some(sealed_target) = sealed_target else { return Ok(None) };
    let row = request.to_string();
    let target: CallbackTarget = sealed::open(keyring, tenant, Kind::Callback, &row, sealed_target)?;
    let body = Body {
        request_id: request,
        request_status: news.status(),
        state: &target.state,
        error: match news {
            News::Failed(message) => Some(ErrorBody { code: "IssuanceFlowFailed", message }),
            News::Retrieved | News::Successful => None,
        },
    };
    let message = Message { url: target.url, headers: target.headers, body: serde_json::to_string(&body)? };
    let payload = sealed::seal(keyring, tenant, Kind::Message, &row, &message)?;
    Ok(Some(CallbackRow { status: news.status(), payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_documented_members_only() {
        let (keyring, _text) = Keyring::generate().unwrap();
        let tenant = "a5f1c9d2-0000-4000-8000-00000000abcd".parse().unwrap();
        let request: RequestId = "e4ef27ca-eb8c-4b63-823b-3b95140eac11".parse().unwrap();
        let target = CallbackTarget {
            url: "https://app.example/cb".into(),
            state: "s".into(),
            headers: [("api-key".to_owned(), "k".to_owned())].into(),
        };
        let sealed = sealed::seal(&keyring, tenant, Kind::Callback, &request.to_string(), &target).unwrap();
        let bodies: Vec<String> = [News::Retrieved, News::Successful, News::Failed("issuance_service_error")]
            .into_iter()
            .map(|news| {
                let row = announce(&keyring, tenant, request, Some(&sealed), news).unwrap().unwrap();
                assert_eq!(row.status, news.status());
                let message: Message =
                    sealed::open(&keyring, tenant, Kind::Message, &request.to_string(), &row.payload)
                        .unwrap();
                assert_eq!(message.headers, target.headers);
                message.body
            })
            .collect();
        assert_eq!(
            bodies,
            [
                r#"{"requestId":"e4ef27ca-eb8c-4b63-823b-3b95140eac11","requestStatus":"request_retrieved","state":"s"}"#,
                r#"{"requestId":"e4ef27ca-eb8c-4b63-823b-3b95140eac11","requestStatus":"issuance_successful","state":"s"}"#,
                r#"{"requestId":"e4ef27ca-eb8c-4b63-823b-3b95140eac11","requestStatus":"issuance_error","state":"s","error":{"code":"IssuanceFlowFailed","message":"issuance_service_error"}}"#,
            ]
        );
        assert!(announce(&keyring, tenant, request, None, News::Retrieved).unwrap().is_none());
    }
}
