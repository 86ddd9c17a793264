//! Which request a fault touches, and when it ends.

use super::*;

fn faults() -> (Faults, SimClock) {
    let clock = SimClock::frozen_at(1_800_000_000);
    (Faults::new(clock.clone()), clock)
}

const SIGN: Target<'_> = Target { operation: Some(Operation::Sign), vault: "a", key: Some("issuer") };

#[test]
fn a_fault_meets_only_those_it_names() {
    let (mut faults, _clock) = faults();
    let spec = FaultSpec::new(FaultKind::InternalError).on("KeySign").in_vault("A").of_key("ISSUER");
    faults.set(spec);
    assert_eq!(faults.strike(SIGN).instead, Some(Instead::InternalError));
    for other in [
        Target { operation: Some(Operation::Get), ..SIGN },
        Target { operation: None, ..SIGN },
        Target { vault: "b", ..SIGN },
        Target { key: Some("other"), ..SIGN },
        Target { key: None, ..SIGN },
    ] {
        assert_eq!(faults.strike(other), Struck::default(), "{other:?}");
    }
}

#[test]
fn a_fault_ends_by_count_by_time_or_by_hand() {
    let (mut faults, clock) = faults();
    faults.set(FaultSpec::new(FaultKind::Throttled(None)).times(2));
    let hits = (0..5).filter(|_| faults.strike(SIGN).instead.is_some()).count();
    assert_eq!(hits, 2);
    faults.set(FaultSpec::new(FaultKind::Unavailable(Some(1))).lasting(Duration::from_secs(5)));
    assert_eq!(faults.strike(SIGN).instead, Some(Instead::Unavailable(Some(1))));
    clock.advance(Duration::from_secs(5));
    assert_eq!(faults.strike(SIGN), Struck::default());
    let id = faults.set(FaultSpec::new(FaultKind::ResetBefore));
    assert!(faults.end(id));
    assert!(!faults.end(id));
    faults.set(FaultSpec::new(FaultKind::ResetBefore));
    faults.clear();
    assert_eq!(faults.strike(SIGN), Struck::default());
}

#[test]
fn faults_of_different_kinds_add_up_and_of_one_kind_the_first_wins() {
    let (mut faults, _clock) = faults();
    for kind in [
        FaultKind::Delay(Duration::from_secs(1)),
        FaultKind::Delay(Duration::from_secs(2)),
        FaultKind::WrongSignature,
        FaultKind::OtherKey,
        FaultKind::SlowBody(Duration::from_secs(3)),
        FaultKind::TruncatedBody,
        FaultKind::ClockSkew(-500),
    ] {
        faults.set(FaultSpec::new(kind));
    }
    let struck = faults.strike(SIGN);
    assert_eq!(struck.delay, Duration::from_secs(3));
    assert_eq!(struck.tamper, Some(Tamper::FlippedBit));
    assert_eq!(struck.transport, Transport::Slow(Duration::from_secs(3)));
    assert_eq!((struck.instead, struck.skew_millis), (None, -500));
    // A signature fault waits for a signature.
    let get = faults.strike(Target { operation: Some(Operation::Get), ..SIGN });
    assert_eq!(get.tamper, None);
}

#[test]
fn the_token_endpoint_and_handshakes_have_their_own() {
    let (mut faults, _clock) = faults();
    faults.set(FaultSpec::new(FaultKind::TokenEndpoint(500)).times(1));
    faults.set(FaultSpec::new(FaultKind::TlsDelay(Duration::from_secs(1))));
    assert_eq!(faults.strike(SIGN), Struck::default());
    assert_eq!(faults.strike_token_endpoint(), Some(500));
    assert_eq!(faults.strike_token_endpoint(), None);
    assert_eq!(faults.strike_handshake(), Duration::from_secs(1));
}

#[test]
fn the_json_names_every_fault_and_nothing_else() {
    for (json, kind) in [
        (r#"{"fault":"throttled"}"#, FaultKind::Throttled(None)),
        (r#"{"fault":"throttled","retry_after":3}"#, FaultKind::Throttled(Some(3))),
        (r#"{"fault":"internal_error"}"#, FaultKind::InternalError),
        (r#"{"fault":"unavailable"}"#, FaultKind::Unavailable(None)),
        (r#"{"fault":"forbidden"}"#, FaultKind::Forbidden(ForbiddenCode::ForbiddenByRbac)),
        (r#"{"fault":"forbidden","inner":"KeyExpired"}"#, FaultKind::Forbidden(ForbiddenCode::KeyExpired)),
        (
            r#"{"fault":"conflict","inner":"ObjectIsBeingDeleted"}"#,
            FaultKind::Conflict(Some(ConflictCode::ObjectIsBeingDeleted)),
        ),
        (r#"{"fault":"token_expired","claims":true}"#, FaultKind::TokenExpired { claims: true }),
        (r#"{"fault":"signing_key_unknown"}"#, FaultKind::SigningKeyUnknown),
        (r#"{"fault":"token_endpoint","status":500}"#, FaultKind::TokenEndpoint(500)),
        (r#"{"fault":"delay"}"#, FaultKind::Delay(Duration::from_secs(10))),
        (r#"{"fault":"reset_before"}"#, FaultKind::ResetBefore),
        (r#"{"fault":"reset_after"}"#, FaultKind::ResetAfter),
        (r#"{"fault":"truncated_body"}"#, FaultKind::TruncatedBody),
        (r#"{"fault":"bad_base64"}"#, FaultKind::BadBase64),
        (r#"{"fault":"other_key"}"#, FaultKind::OtherKey),
        (r#"{"fault":"wrong_signature"}"#, FaultKind::WrongSignature),
        (r#"{"fault":"disabled_key"}"#, FaultKind::DisabledKey),
        (r#"{"fault":"deleted_key"}"#, FaultKind::DeletedKey),
        (r#"{"fault":"clock_skew","ms":-1000}"#, FaultKind::ClockSkew(-1000)),
        (r#"{"fault":"slow_body","ms":5}"#, FaultKind::SlowBody(Duration::from_millis(5))),
        (r#"{"fault":"tls_delay","ms":5}"#, FaultKind::TlsDelay(Duration::from_millis(5))),
    ] {
        let spec = FaultSpec::parse(json.as_bytes()).expect(json);
        assert_eq!(spec.kind, kind);
        assert!(json.contains(kind.name()), "{json}");
    }
    for bad in [
        "",
        "[]",
        r#"{"fault":"earthquake"}"#,
        r#"{"fault":"delay","ms":-1}"#,
        r#"{"fault":"delay","for":5}"#,
        r#"{"fault":"forbidden","inner":"Because"}"#,
        r#"{"fault":"conflict","inner":"KeyDisabled"}"#,
        r#"{"fault":"token_endpoint","status":200}"#,
    ] {
        assert!(FaultSpec::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
