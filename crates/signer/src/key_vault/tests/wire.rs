//! What goes over the wire, and how often.

use super::*;

#[tokio::test]
async fn a_signature_is_one_request_with_everything_in_it() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let done = vault.sign(ordinary(&clock)).await.unwrap();
    assert_eq!(done.key, key());
    assert_eq!(done.signature.len(), 64);
    let receipt = done.receipt.as_ref().unwrap();
    assert!(receipt.answered());
    assert_eq!(receipt.status, Some(200));
    assert_eq!(receipt.region.as_deref(), Some("westus2"));
    assert_eq!(receipt.service_version.as_deref(), Some("1.9.3347.1"));

    // Not even the first request of a client is repeated: no probe without token goes out.
    let requests = server.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.line(), format!("POST /keys/issuer/{VERSION}/sign?api-version=7.4 HTTP/1.1"));
    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("transfer-encoding"), None);
    let length: usize = request.header("content-length").unwrap().parse().unwrap();
    assert_eq!(length, request.body.len());
    let agent = format!("credenza/{} (a=0198c0de-0000-7000-8000-000000000001.3)", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), Some(agent.as_str()));
    let id: uuid::Uuid = request.header("x-ms-client-request-id").unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body, json!({"alg": "ES256", "value": URL_SAFE_NO_PAD.encode([7; 32])}));
}

#[tokio::test]
async fn connections_are_kept() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    for _ in 0..5 {
        vault.sign(ordinary(&clock)).await.unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
}

#[tokio::test]
async fn the_lengths_of_all_three_algorithms() {
    let algorithms = [
        (SignatureAlgorithm::Es256, "ES256", 64),
        (SignatureAlgorithm::Es256k, "ES256K", 64),
        (SignatureAlgorithm::Es384, "ES384", 96),
    ];
    for (algorithm, name, bytes) in algorithms {
        let server = Server::start(move |request| {
            assert!(request.body.contains(&format!(r#""alg":"{name}""#)));
            Reply::Send(signed(request, bytes))
        })
        .await;
        let clock = Pushed::new();
        let vault = open(&config(&server), clock.clone());
        let done = vault.sign(permit(&clock, algorithm, PATIENCE)).await.unwrap();
        assert_eq!(done.signature.len(), bytes);
    }
}

#[tokio::test]
async fn a_high_s_on_secp256k1_is_made_low() {
    let key = k256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
    let low: k256::ecdsa::Signature =
        k256::ecdsa::signature::hazmat::PrehashSigner::sign_prehash(&key, &[7; 32]).unwrap();
    let high = k256::ecdsa::Signature::from_scalars(low.r().to_bytes(), (-*low.s()).to_bytes()).unwrap();
    let value = URL_SAFE_NO_PAD.encode(high.to_bytes());
    let server = Server::start(move |request| {
        let kid = format!("https://{}/keys/issuer/{VERSION}", request.header("host").unwrap());
        Reply::Send(answer(200, &json!({"kid": kid, "value": value}).to_string()))
    })
    .await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let done = vault.sign(permit(&clock, SignatureAlgorithm::Es256k, PATIENCE)).await.unwrap();
    assert_ne!(high.to_bytes().as_slice(), done.signature.as_slice());
    assert_eq!(low.to_bytes().as_slice(), done.signature.as_slice());
}

#[tokio::test]
async fn a_deadline_that_passes_while_connecting_sends_no_byte() {
    let clock = Pushed::new();
    let pushed = clock.clone();
    // The clock jumps when the connection has been accepted: the permit is good when the call begins and not when the
    // connection is there. The waiting itself is not what stops it.
    let server = Server::start_with(
        |request| Reply::Send(signed(request, 64)),
        move || pushed.push(Duration::from_secs(60)),
    )
    .await;
    let vault = open(&config(&server), clock.clone());
    let error = vault.sign(ordinary(&clock)).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::PermitExpired), "{error:?}");
    assert!(!error.may_have_signed() && !error.answered());
    server.closed(1).await;
    assert_eq!((server.connections(), server.bytes()), (1, 0), "the connection was made, and nothing sent");
}

#[tokio::test]
async fn a_deadline_that_passes_on_a_kept_connection_sends_no_byte() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    vault.sign(ordinary(&clock)).await.unwrap();
    let before = server.bytes();
    let late = ordinary(&clock);
    clock.push(Duration::from_secs(60));
    let error = vault.sign(late).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::PermitExpired), "{error:?}");
    assert_eq!(server.bytes(), before);
    // The gate alone, without the check at the beginning of the call.
    let parameters = parameters(SignatureAlgorithm::Es256, &Digest::Sha256([7; 32])).unwrap();
    let gate = Gate::new(clock.clone(), clock.now().plus(Duration::from_millis(500)));
    let exchange = Exchange::new(None, gate, Allowance::Once);
    let options =
        KeyClientSignOptions { key_version: Some(VERSION.into()), method_options: method_options(&exchange) };
    let call = vault.client.sign("issuer", parameters.try_into().unwrap(), Some(options));
    clock.push(Duration::from_secs(60));
    let error = vault.call(&exchange, call).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::PermitExpired), "{error:?}");
    assert_eq!(server.bytes(), before);
}

#[tokio::test]
async fn no_answer_until_the_deadline_may_be_a_signature() {
    let server = Server::start(|_request| Reply::Hang).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let begun = Instant::now();
    let within = Duration::from_millis(700);
    let error = vault.sign(permit(&clock, SignatureAlgorithm::Es256, within)).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::TimedOut { may_have_signed: true }), "{error:?}");
    assert!(begun.elapsed() >= Duration::from_millis(650) && begun.elapsed() < Duration::from_secs(2));
    // Giving up closes the connection, so that nothing can follow.
    server.closed(1).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_second_send_on_one_permit_is_refused_before_anything_goes_out() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let gate = Gate::new(clock.clone(), clock.now().plus(PATIENCE));
    let exchange = Exchange::new(Some("a.1".into()), gate, Allowance::Once);
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let parameters = parameters(SignatureAlgorithm::Es256, &Digest::Sha256([7; 32])).unwrap();
        let options = KeyClientSignOptions {
            key_version: Some(VERSION.into()),
            method_options: method_options(&exchange),
        };
        let call = vault.client.sign("issuer", parameters.try_into().unwrap(), Some(options));
        outcomes.push(vault.call(&exchange, call).await);
    }
    assert!(outcomes[0].is_ok());
    let error = outcomes[1].as_ref().err().unwrap();
    assert!(matches!(error.kind(), SignErrorKind::PermitSpent), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn references_that_cannot_be_are_not_sent() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let strange = [
        KeyRef { name: "../secrets/x".into(), ..key() },
        KeyRef { name: "a/b".into(), ..key() },
        KeyRef { name: String::new(), ..key() },
        KeyRef { version: "x/../../secrets".into(), ..key() },
        KeyRef { version: String::new(), ..key() },
        KeyRef { backend: "other".into(), ..key() },
    ];
    for reference in strange {
        let terms = PermitTerms {
            intent: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
            attempt: 1,
            key: reference.clone(),
            algorithm: SignatureAlgorithm::Es256,
            digest: [7; 32].into(),
            deadline: clock.now().plus(PATIENCE),
        };
        let error = vault.sign(PermitMint::new().mint(terms)).await.unwrap_err();
        assert!(matches!(error.kind(), SignErrorKind::KeyNotFound), "{reference}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_digest_of_another_length_is_not_sent() {
    let server = Server::start(|request| Reply::Send(signed(request, 64))).await;
    let clock = Pushed::new();
    let vault = open(&config(&server), clock.clone());
    let terms = PermitTerms {
        intent: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
        attempt: 1,
        key: key(),
        algorithm: SignatureAlgorithm::Es384,
        digest: [7; 32].into(),
        deadline: clock.now().plus(PATIENCE),
    };
    let error = vault.sign(PermitMint::new().mint(terms)).await.unwrap_err();
    assert!(matches!(error.kind(), SignErrorKind::InvalidRequest), "{error:?}");
    assert_eq!(server.connections(), 0);
}
