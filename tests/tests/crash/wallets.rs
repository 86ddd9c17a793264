//! Wallets and a front end that never give up: every call is repeated until it is answered, as people press "try again".
//! Owns what they saw; judging it is the tests' business.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use credenza_tests::process::{Answer, Credenza, Ready};
use serde_json::{Map, Value, json};
use wallet::clock::system_now;
use wallet::credential::Expected;
use wallet::holder::{Holder, HolderKind};
use wallet::http::FetchError;
use wallet::proof::{ProofInput, build};
use wallet::session::{Completion, OpenedContract, OpenedRequest, ResolveError, Session, SessionError};
use wallet::{link, pin, verify};

const PIN: &str = "4711";

/// Between two tries; a restart takes about a second.
const PAUSE: Duration = Duration::from_millis(40);

/// What became of one request that was accepted.
#[derive(Debug, Clone, Default)]
pub struct Issuance {
    /// `requestId`.
    pub request: String,
    /// The request objects that the wallet was given.
    pub objects: Vec<String>,
    /// The credentials that the wallet was given.
    pub credentials: Vec<String>,
    /// The completion was taken.
    pub finished: bool,
    /// From the answer to the front end to the end.
    pub took: Duration,
}

/// Where front ends and wallets find the service.
pub struct Place {
    /// The origins, the authority and the contract.
    pub ready: Ready,
    /// The front end's client.
    pub client: reqwest::Client,
    /// The base URL for front ends, without a slash at the end.
    pub base: String,
    /// The front end's access token.
    pub token: String,
    /// Where callbacks go, if anywhere.
    pub callback: Option<String>,
    /// Whether requests may be refused because the vault's limit is used up.
    pub is_limited: bool,
}

/// What all of them share.
pub struct World {
    session: Session,
    front_end: reqwest::Client,
    create_url: String,
    token: String,
    authority: String,
    manifest: String,
    callback: Option<String>,
    is_limited: bool,
    closing: AtomicBool,
    /// Everything that was accepted, from the moment of its acceptance.
    journal: Mutex<Vec<Issuance>>,
}

impl World {
    /// Against this server, with callbacks to `callback`.
    pub async fn new(credenza: &Credenza, callback: String) -> Arc<Self> {
        Self::at(Place {
            ready: credenza.ready().clone(),
            client: credenza.client(),
            base: credenza.base_http(),
            token: credenza.token().await,
            callback: Some(callback),
            is_limited: false,
        })
    }

    /// At this place, with connections of its own.
    pub fn at(place: Place) -> Arc<Self> {
        let ready = place.ready;
        let ca = ready.ca_file.as_ref().map(|file| std::fs::read(file).expect("the CA's certificate"));
        let client = wallet::http::client(ca.as_deref()).expect("a wallet's client");
        Arc::new(Self {
            session: Session::new(client),
            front_end: place.client,
            create_url: place.base + "/v1.0/verifiableCredentials/createIssuanceRequest",
            token: place.token,
            authority: ready.authority_did.clone().expect("an authority"),
            manifest: ready.manifest_url.clone().expect("a manifest"),
            callback: place.callback,
            is_limited: place.is_limited,
            closing: AtomicBool::new(false),
            journal: Mutex::new(Vec::new()),
        })
    }

    /// No new requests from now on; what was accepted is finished.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Everything that was accepted.
    pub fn journal(&self) -> Vec<Issuance> {
        self.journal.lock().expect("not poisoned").clone()
    }

    /// One person after the other, until [`World::close`].
    pub async fn serve_people(self: Arc<Self>) {
        let mut turn = 0;
        while !self.closing.load(Ordering::Relaxed) {
            turn += 1;
            let Some((index, link)) = self.create(usize::is_multiple_of(turn, 2)).await else { continue };
            self.finish(index, &link, turn).await;
        }
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Issuance)) {
        change(&mut self.journal.lock().expect("not poisoned")[index]);
    }

    /// Asks for a request. Without an answer nobody knows whether there is one; then there is no link either.
    async fn create(&self, with_pin: bool) -> Option<(usize, String)> {
        let mut body = json!({
            "authority": self.authority,
            "registration": {"clientName": "Crash test"},
            "type": "any",
            "manifest": self.manifest,
            "claims": {"given_name": "Ada", "family_name": "Lovelace", "programme": "Mathematics", "student_number": "1815"},
        });
        if let Some(url) = &self.callback {
            body["callback"] = json!({"url": url, "state": "crash", "headers": {"api-key": "front-end"}});
        }
        if with_pin {
            body["pin"] = json!({"value": PIN, "length": PIN.len()});
        }
        let call = self.front_end.post(&self.create_url).bearer_auth(&self.token).json(&body);
        let Ok(response) = call.send().await else {
            tokio::time::sleep(PAUSE).await;
            return None;
        };
        let status = response.status().as_u16();
        // The connection may end in the middle of the answer.
        let body = response.bytes().await.ok()?;
        let answer = Answer { status, headers: Default::default(), body: body.to_vec() };
        if self.is_limited && status == 429 {
            tokio::time::sleep(PAUSE).await;
            return None;
        }
        assert_eq!(status, 201, "{}", answer.text());
        let (answer, mut journal) = (answer.json(), self.journal.lock().expect("not poisoned"));
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        journal.push(Issuance { request: text("requestId"), ..Issuance::default() });
        Some((journal.len() - 1, text("url")))
    }

    async fn finish(&self, index: usize, link: &str, turn: usize) {
        let accepted = Instant::now();
        let kind = HolderKind::ALL[turn % HolderKind::ALL.len()];
        let holder = Holder::generate(kind).expect("a holder");
        let parsed = link::parse(link).expect("a link that wallets open");
        let opened = persist(|| self.session.open(&parsed, system_now())).await;
        let again = persist(|| async {
            self.session.fetch_request(&parsed).await.map_err(SessionError::FetchRequest)
        })
        .await;
        let first = persist(|| async {
            self.session.fetch_request(&parsed).await.map_err(SessionError::FetchRequest)
        })
        .await;
        self.note(index, |issuance| issuance.objects.extend([first, again]));
        let contract = persist(|| self.session.contract(&opened, system_now())).await;

        let credential = if turn.is_multiple_of(3) {
            self.ask_twice_at_once(&holder, &opened, &contract).await
        } else {
            persist(|| self.issue(&holder, &opened, &contract)).await
        };
        self.judge(&credential, &opened, &holder);
        self.note(index, |issuance| issuance.credentials.push(credential));
        if turn.is_multiple_of(4) {
            // Before it says that it stored the credential, a wallet may ask for it again.
            let again = persist(|| self.issue(&holder, &opened, &contract)).await;
            self.note(index, |issuance| issuance.credentials.push(again));
            let thief = Holder::generate(HolderKind::JwkP256).expect("a holder");
            let stolen = self.issue(&thief, &opened, &contract).await;
            assert!(stolen.is_err(), "another holder got the credential: {stolen:?}");
        }
        persist(|| async {
            self.session.complete(&opened.request, Completion::Successful).await.map_err(SessionError::Issue)
        })
        .await;
        self.note(index, |issuance| {
            issuance.finished = true;
            issuance.took = accepted.elapsed();
        });
    }

    /// An impatient person: two proofs of one holder under way at a time.
    async fn ask_twice_at_once(
        &self,
        holder: &Holder,
        opened: &OpenedRequest,
        contract: &OpenedContract,
    ) -> String {
        let (one, other) = tokio::join!(
            persist(|| self.issue(holder, opened, contract)),
            persist(|| self.issue(holder, opened, contract))
        );
        assert_eq!(one, other, "one holder got two credentials");
        one
    }

    /// One proof, with a new `jti` as wallets do.
    async fn issue(
        &self,
        holder: &Holder,
        opened: &OpenedRequest,
        contract: &OpenedContract,
    ) -> Result<String, SessionError> {
        let mut input = ProofInput::new(holder, &opened.request, &contract.contract, system_now());
        if let Some(wanted) = &opened.request.pin {
            input.pin = Some(pin::answer(wanted, PIN).expect("a PIN of the right form"));
        }
        let proof = holder.sign_jws(&Map::new(), &build(&input)).expect("a proof");
        self.session.issue(&contract.contract, proof).await.map_err(SessionError::Issue)
    }

    fn judge(&self, credential: &str, opened: &OpenedRequest, holder: &Holder) {
        let expected = Expected {
            issuer: &self.authority,
            holder: Some(holder.did()),
            types: &opened.request.types,
            now: system_now(),
        };
        let credential = verify::credential(credential, &opened.document, &expected);
        let credential =
            credential.unwrap_or_else(|error| panic!("a credential that wallets refuse: {error}"));
        assert_eq!(credential.claims.get("givenName"), Some(&Value::from("Ada")));
    }
}

/// Repeats a step until it succeeds.
///
/// # Panics
/// When it is refused for another reason than a server that is gone or busy.
async fn persist<T, F: Future<Output = Result<T, SessionError>>>(mut step: impl FnMut() -> F) -> T {
    loop {
        match step().await {
            Ok(done) => return done,
            Err(error) if may_pass(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => panic!("an accepted request cannot be finished: {error:?}"),
        }
    }
}

/// No answer, half an answer, or "try again".
fn may_pass(error: &SessionError) -> bool {
    let fetch = match error {
        SessionError::FetchRequest(fetch)
        | SessionError::FetchContract(fetch)
        | SessionError::Issue(fetch) => fetch,
        SessionError::Resolve(ResolveError::Fetch(fetch)) => fetch,
        _ => return false,
    };
    match fetch {
        FetchError::Network(_) => true,
        FetchError::Status(failure) => failure.status == 503,
        _ => false,
    }
}
