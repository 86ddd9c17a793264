//! What the kinds of failure mean for their callers.

use super::*;

fn of(kind: SignErrorKind) -> SignError {
    kind.into()
}

#[test]
fn a_named_pause_is_kept() {
    let after = Duration::from_secs(7);
    assert_eq!(of(SignErrorKind::Throttled { after }).retry(), Retry::After(after));
    assert_eq!(of(SignErrorKind::BudgetExhausted { after }).retry(), Retry::After(after));
}

#[test]
fn what_an_operator_has_to_mend_is_not_retried() {
    for kind in [
        SignErrorKind::Unauthenticated { fresh_token: true },
        SignErrorKind::Forbidden { by: Denial::Role },
        SignErrorKind::KeyNotFound,
        SignErrorKind::KeyDisabled,
        SignErrorKind::KeyOutsideValidity,
        SignErrorKind::WrongKey,
        SignErrorKind::InvalidRequest,
        SignErrorKind::Conflict { passes: false },
        SignErrorKind::NoToken { why: TokenProblem::Refused, source: "no".into() },
        SignErrorKind::Unreachable { why: Unreachability::Tls, source: "expired".into() },
    ] {
        let error = of(kind);
        assert_eq!(error.retry(), Retry::Never, "{error}");
    }
}

#[test]
fn what_passes_is_retried() {
    for kind in [
        SignErrorKind::Unauthenticated { fresh_token: false },
        SignErrorKind::Unavailable { may_have_signed: true, source: "reset".into() },
        SignErrorKind::Unreachable { why: Unreachability::Dns, source: "no name".into() },
        SignErrorKind::Unreachable { why: Unreachability::Refused, source: "refused".into() },
        SignErrorKind::NoToken { why: TokenProblem::Unavailable, source: "503".into() },
        SignErrorKind::Conflict { passes: true },
        SignErrorKind::TimedOut { may_have_signed: true },
    ] {
        let error = of(kind);
        assert!(matches!(error.retry(), Retry::After(_)), "{error}");
    }
}

#[test]
fn an_answer_that_cannot_be_used_may_still_be_a_signature() {
    assert!(of(SignErrorKind::BadResponse(InvalidResponse::SignatureLength)).may_have_signed());
    assert!(of(SignErrorKind::WrongKey).may_have_signed());
    assert!(of(SignErrorKind::TimedOut { may_have_signed: true }).may_have_signed());
    assert!(!of(SignErrorKind::TimedOut { may_have_signed: false }).may_have_signed());
    assert!(!of(SignErrorKind::PermitExpired).may_have_signed());
    assert!(!of(SignErrorKind::PermitSpent).may_have_signed());
}

#[test]
fn only_the_back_ends_own_answer_counts_as_one() {
    let kind = || SignErrorKind::Unavailable { may_have_signed: true, source: "502".into() };
    assert!(!of(kind()).answered());
    let gateway = SignError::answered_with(kind(), Receipt { status: Some(502), ..Receipt::default() });
    assert!(!gateway.answered());
    assert_eq!(gateway.receipt().unwrap().status, Some(502));
    let id = Some("62ddf3d4-0459-4a09-acc1-049e8a453606".to_owned());
    let vault = Receipt { provider_request_id: id, status: Some(503), ..Receipt::default() };
    assert!(SignError::answered_with(kind(), vault).answered());
}

#[test]
fn the_cause_is_in_the_source_chain_and_not_in_the_text() {
    let error =
        of(SignErrorKind::Unreachable { why: Unreachability::Tls, source: "expired yesterday".into() });
    assert!(!error.to_string().contains("yesterday"));
    assert_eq!(error.source().unwrap().to_string(), "expired yesterday");
}
