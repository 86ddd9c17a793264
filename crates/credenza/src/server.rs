//! Listeners, signals and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Service as _;
use actix_web::{App, HttpServer, ResponseError as _};
use anyhow::Context as _;
use issuer::http::{self, Service, TRANSACTION_HEADER};
use rustls::ServerConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::wiring::Running;

/// How long answers under way may take after a signal, in seconds: longer than any signing step.
const FINISH_SECS: u64 = 15;

/// Connections per worker; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

/// Where to listen.
pub struct Listeners {
    pub plain: Option<SocketAddr>,
    pub tls: Option<(SocketAddr, ServerConfig)>,
}

/// Serves until a signal comes, then finishes what is in flight. `ready` runs once the listeners accept.
pub async fn run(
    listeners: Listeners,
    service: Service,
    mut running: Running,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stopping = service.stopping.clone();
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut server = HttpServer::new(move || {
        let issuer = Arc::clone(&service.issuer);
        App::new()
            .wrap_fn(move |mut request, app| {
                http::path::canonical(&mut request);
                let started = Instant::now();
                let method = request.method().clone();
                let path = request.path().to_owned();
                // Before anything of it is read: a call too many costs no more than saying so.
                let answer = match http::door::admit(&issuer, &request) {
                    Ok(()) => Ok(app.call(request)),
                    Err(refused) => Err(request.into_response(refused.error_response())),
                };
                async move {
                    let answer = match answer {
                        Ok(called) => called.await?,
                        Err(refused) => refused,
                    };
                    let transaction =
                        answer.headers().get(TRANSACTION_HEADER).and_then(|id| id.to_str().ok());
                    tracing::info!(
                        method = method.as_str(),
                        // Without the query: it may name what is not for logs.
                        path,
                        status = answer.status().as_u16(),
                        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                        transaction_id = transaction,
                        "request"
                    );
                    Ok(answer)
                }
            })
            .configure(http::configure(&service))
    })
    .workers(workers)
    .max_connections(MAX_CONNECTIONS)
    .keep_alive(Duration::from_secs(75))
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(FINISH_SECS)
    .disable_signals();
    if let Some(address) = listeners.plain {
        server = server.bind(address).with_context(|| in_use(address, "--http"))?;
    }
    if let Some((address, config)) = listeners.tls {
        server = server.bind_rustls_0_23(address, config).with_context(|| in_use(address, "--https"))?;
    }
    let server = server.run();
    let handle = server.handle();
    let mut serving = tokio::spawn(server);
    running.start_workers();
    let mut signals = Signals::listen().context("listening for signals")?;
    ready()?;
    tokio::select! {
        ended = &mut serving => {
            ended?.context("the listeners ended")?;
        }
        () = signals.next() => {
            tracing::info!("stopping: what is in flight is finished first");
            stopping.cancel();
            tokio::select! {
                () = handle.stop(true) => {}
                () = signals.next() => anyhow::bail!("stopped at once by a second signal"),
            }
            serving.await?.context("the listeners did not end well")?;
        }
    }
    running.stop().await;
    Ok(())
}

fn in_use(address: SocketAddr, option: &str) -> String {
    format!("listening on {address} (is another process using it? {option} chooses another address in `dev`)")
}

/// The signals that end the process in order. Made before anybody is told that the process is ready: a signal that came
/// between would end it at once.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
