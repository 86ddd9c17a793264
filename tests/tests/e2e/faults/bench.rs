//! A service on a simulated vault, and what a test does with the two: break one, use the other, compare their records.

use std::any::Any;
use std::time::{Duration, Instant};

use credenza_tests::database::Database;
use credenza_tests::process::{Answer, Credenza, Options, REQUEST_SCOPE, client_trusting};
use credenza_tests::reconciliation::Reconciliation;
use serde_json::Value;
use vault_sim::{Arrival, FaultKind, FaultSpec, SimConfig};
use wallet::holder::{Holder, HolderKind};
use wallet::session::Session;

use crate::issuance::errors::assert_code;
use crate::issuance::fixture::{Created, Service, send};
use crate::issuance::flow::Flow;
use crate::vault::site::{SECRET, Setting, Simulator, Site, text};

/// Wallets wait for so long.
const WALLETS_WAIT: Duration = Duration::from_secs(10);
/// From the end of a fault to the first credential.
const SOON: Duration = Duration::from_secs(5);
/// Until everything under way has been recorded.
const SETTLES: Duration = Duration::from_secs(15);

/// A client whose tokens come from the simulator's endpoint.
const CLIENT: &str = "{ kind = \"client_secret\", tenant_id = \"00000000-0000-0000-0000-000000000001\", \
                      client_id = \"11111111-2222-3333-4444-555555555555\", secret_env = \"SIGNER_TOKEN\" }";

/// A service on a simulated vault.
pub struct Bench {
    pub simulator: Simulator,
    pub service: Service,
    database: Database,
    /// The process and its files: they end with this.
    _alive: Box<dyn Any + Send + Sync>,
}

/// A wallet that has seen its contract and not yet sent its proof.
pub struct Scanned {
    flow: Flow,
    holder: Holder,
}

impl Bench {
    /// `credenza dev --vault …` with a static token.
    pub async fn dev() -> Self {
        let simulator = Simulator::start();
        let (url, ca) = (simulator.sim.url(), simulator.ca_file());
        let extra_args =
            ["--vault", &url, "--vault-ca", &ca, "--vault-token", "any"].map(str::to_owned).to_vec();
        let credenza = Credenza::start(Options { extra_args, ..Options::default() }).await;
        let service = Service::of(&credenza).await;
        let database = Database::Sqlite(service.data_dir.join("credenza.db"));
        Self { simulator, service, database, _alive: Box::new(credenza) }
    }

    /// `credenza serve` with a vault that has these members besides the usual ones.
    pub async fn serve(config: SimConfig, more: &str) -> Self {
        Self::serve_as(Simulator::with(config), None, more).await
    }

    /// `credenza serve` with a client that fetches its tokens from the simulator.
    pub async fn serve_with_tokens() -> Self {
        let simulator = Simulator::start();
        let more = format!("authority_host = \"{}\"\n", simulator.sim.url());
        Self::serve_as(simulator, Some(CLIENT), &more).await
    }

    async fn serve_as(simulator: Simulator, credential: Option<&str>, more: &str) -> Self {
        let site = Site::new();
        let (running, mut ready) = {
            let usual = Setting::one(&simulator);
            let credential = credential.unwrap_or(usual.credential);
            let setting = Setting { more, credential, key_admin: false, ..usual };
            let applied = site.apply(&setting);
            assert!(applied.status.success(), "{}", text(&applied));
            site.serve(&setting)
        };
        // Everything is on the one listener, with a certificate of the site's own.
        ready.ca_file = Some(site.path("cert.pem"));
        ready.http.clone_from(&ready.public_url);
        let client = client_trusting(ready.ca_file.as_deref());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "web"),
            ("client_secret", SECRET),
            ("scope", REQUEST_SCOPE),
        ];
        let token_url = ready.token_url.clone().expect("a token endpoint");
        let answer = send(client.post(token_url).form(&form)).await;
        let token = answer.json()["access_token"].as_str().expect("an access token").to_owned();
        let ca = std::fs::read(site.path("cert.pem")).expect("the site's certificate");
        let session = Session::new(wallet::http::client(Some(&ca)).expect("a wallet's client"));
        let database = Database::Sqlite(site.path("credenza.db"));
        let data_dir = site.path("");
        let service = Service { ready, data_dir, client, session, token };
        Self { simulator, service, database, _alive: Box::new((running, site)) }
    }

    /// A fault that meets all signatures until [`Self::mend`].
    pub fn break_signing(&self, fault: FaultKind) {
        self.simulator.sim.set_fault(FaultSpec::new(fault).on("KeySign"));
    }

    /// The end of all faults.
    pub fn mend(&self) -> Instant {
        self.simulator.sim.clear_faults();
        Instant::now()
    }

    /// The signatures that the vault was asked for, whatever came of it.
    pub fn asked(&self) -> Vec<Arrival> {
        self.simulator.sim.arrivals().into_iter().filter(|arrival| arrival.token.is_some()).collect()
    }

    /// A good body for `createIssuanceRequest`, that every installation here takes.
    pub fn body(&self) -> Value {
        self.service.student()
    }

    /// An accepted request. A vault that throttles may have the front end wait, in the documented way.
    pub async fn create(&self) -> Created {
        let until = Instant::now() + SOON;
        loop {
            let answer = self.service.create(&self.body()).await;
            if answer.status == 201 {
                return created(answer);
            }
            assert_overloaded(&answer);
            assert!(Instant::now() < until, "requests are refused for ever");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A wallet up to the moment in which it sends its proof.
    pub async fn scan(&self) -> Scanned {
        Scanned::of(self, self.create().await).await
    }

    /// A wallet fetches a request object; the answer, which came in the time that wallets wait.
    pub async fn fetch(&self, request: &Created) -> Answer {
        let link = wallet::link::parse(&request.link).expect("a link that wallets take");
        let asked = Instant::now();
        let answer = send(self.service.client.get(link.request_uri.url().clone())).await;
        assert!(asked.elapsed() < WALLETS_WAIT, "the wallet has gone after {:?}", asked.elapsed());
        answer
    }

    /// A whole issuance with a credential that verifies.
    pub async fn issue(&self) {
        self.scan().await.finish().await;
    }

    /// What front end and wallets see during a fault of signing: requests are taken (or refused in the documented way where
    /// the vault throttles), signatures are refused with a 503 that says when to come back, the documents are there.
    pub async fn assert_refused_meanwhile(&self, waiting: &Scanned) -> Created {
        let request = self.create().await;
        let (object, credential, document) =
            tokio::join!(self.fetch(&request), waiting.send(), self.service.get("/.well-known/did.json"),);
        assert_busy(&object);
        assert_busy(&credential);
        assert_eq!(document.status, 200, "documents outlive the vault: {}", document.text());
        request
    }

    /// The whole course: issue, break, look, mend, issue soon, finish what was refused, compare the records.
    /// Gives what was compared.
    pub async fn weather(&self, fault: FaultKind) -> Reconciliation {
        self.issue().await;
        let waiting = self.scan().await;
        let before = self.asked().len();
        self.break_signing(fault);
        let refused = self.assert_refused_meanwhile(&waiting).await;
        assert!(self.asked().len() >= before + 2, "{fault:?} met nobody");
        let mended = self.mend();
        self.recover(mended, &waiting, refused).await
    }

    /// After a fault: the first issuance is soon through, and what was refused is finished.
    pub async fn recover(&self, mended: Instant, waiting: &Scanned, refused: Created) -> Reconciliation {
        self.issue().await;
        assert!(mended.elapsed() < SOON, "the first issuance took {:?}", mended.elapsed());
        waiting.finish().await;
        Scanned::of(self, refused).await.finish().await;
        self.reconcile().await
    }

    /// The vault's log and the ledger, once they agree.
    ///
    /// # Panics
    /// When they do not within the time in which everything under way is recorded.
    pub async fn reconcile(&self) -> Reconciliation {
        let until = Instant::now() + SETTLES;
        loop {
            let found = Reconciliation::read(&self.simulator.sim.log(), &self.database);
            let faults = found.faults();
            if faults.is_empty() {
                assert!(found.seen() > 0, "nothing was compared");
                return found;
            }
            assert!(Instant::now() < until, "{faults:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Scanned {
    /// A wallet with this request, up to the moment in which it sends its proof.
    pub async fn of(bench: &Bench, request: Created) -> Self {
        let flow = Flow::scan(&bench.service, request).await;
        Self { flow, holder: Holder::generate(HolderKind::JwkP256).expect("a holder") }
    }

    /// Sends a proof, with a new `jti` as wallets do; the answer, which came in the time that wallets wait.
    pub async fn send(&self) -> Answer {
        let asked = Instant::now();
        let answer = self.flow.send(self.flow.proof(&self.holder)).await;
        assert!(asked.elapsed() < WALLETS_WAIT, "the wallet has gone after {:?}", asked.elapsed());
        answer
    }

    /// Sends a proof, verifies the credential under the issuer's document, and says so.
    pub async fn finish(&self) {
        drop(self.flow.receive(&self.holder).await);
        let completed = self.flow.complete().await;
        assert_eq!(completed.status, 202, "{}", completed.text());
    }
}

/// What an answer of 201 says.
pub fn created(answer: Answer) -> Created {
    let found = answer.json();
    let member = |name: &str| found[name].as_str().expect("a text").to_owned();
    Created {
        id: member("requestId"),
        link: member("url"),
        expiry: found["expiry"].as_i64().expect("an expiry"),
        transaction: answer.header(crate::issuance::fixture::TRANSACTION).expect("a transaction").to_owned(),
        answer,
    }
}

/// 503 in the documented body, with the time after which to try again.
pub fn assert_busy(answer: &Answer) {
    assert_code(answer, 503, "transientError");
    assert_pause(answer);
}

/// 429 in the documented body, with 1 to 5 s.
pub fn assert_overloaded(answer: &Answer) {
    assert_code(answer, 429, "transientError");
    assert_pause(answer);
}

fn assert_pause(answer: &Answer) {
    let pause: u64 = answer.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
    assert!((1..=5).contains(&pause), "{pause} s");
}
