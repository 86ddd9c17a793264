//! Owns sockets: accepting, TLS, HTTP/1.1, and ending a connection badly on purpose.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ProtocolVersion;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, AnswerBody};
use crate::fault::Transport;
use crate::locked;
use crate::service::{Asked, World};

/// The longest body that is read.
const LONGEST_BODY: usize = 1 << 20;
/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// One connection, as its requests see it.
struct Connection {
    world: Arc<World>,
    vault: Arc<str>,
    peer: SocketAddr,
    tls: &'static str,
    used: AtomicBool,
    /// Asks for a TCP reset.
    reset: Notify,
}

fn text(headers: &HeaderMap, name: impl hyper::header::AsHeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

async fn respond(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
        return Ok(Answer::empty(413).into_response(Transport::Whole));
    };
    let host = text(&head.headers, HOST).or_else(|| head.uri.authority().map(ToString::to_string));
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        host: host.unwrap_or_default(),
        vault_here: Arc::clone(&connection.vault),
        authorization: text(&head.headers, AUTHORIZATION),
        client_request_id: text(&head.headers, "x-ms-client-request-id"),
        user_agent: text(&head.headers, USER_AGENT).unwrap_or_default(),
        body: body.to_bytes(),
        address: connection.peer.ip(),
        tls: connection.tls,
        first: !connection.used.swap(true, Ordering::Relaxed),
    };
    let outcome = connection.world.serve(&asked);
    if !outcome.wait.is_zero() {
        tokio::time::sleep(outcome.wait).await;
    }
    if outcome.transport == Transport::Reset {
        connection.reset.notify_one();
        // The connection goes away under this request.
        return std::future::pending().await;
    }
    Ok(outcome.answer.into_response(outcome.transport))
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    vault: Arc<str>,
    world: Arc<World>,
    acceptor: TlsAcceptor,
    stop: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    world.connections.fetch_add(1, Ordering::Relaxed);
    let delay = locked(&world.faults).strike_handshake();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let tls = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS1_2",
        _ => "TLS1_3",
    };
    let connection =
        Arc::new(Connection { world, vault, peer, tls, used: AtomicBool::new(false), reset: Notify::new() });
    let per_request = Arc::clone(&connection);
    let service = service_fn(move |request| respond(Arc::clone(&per_request), request));
    let mut serving =
        http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut serving => return ended.map_err(io::Error::other),
            () = connection.reset.notified() => {
                let stream = serving.into_parts().io.into_inner();
                // Closing with nothing to linger for sends RST; no close_notify is sent either.
                return stream.get_ref().0.set_zero_linger();
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
        }
    }
}

/// Accepts until stopped. Hosts that name no vault mean `vault`.
pub async fn run(
    listener: TcpListener,
    vault: Arc<str>,
    world: Arc<World>,
    acceptor: TlsAcceptor,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (world, acceptor, stop) = (Arc::clone(&world), acceptor.clone(), stop.clone());
                let vault = Arc::clone(&vault);
                tasks.spawn(async move {
                    // A client that went away or did not trust us; the client knows.
                    drop(serve(stream, peer, vault, world, acceptor, stop).await);
                });
            }
            // Out of file descriptors, most likely: some will come back.
            Err(_busy) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Serves plain HTTP requests that `answer` answers at once, for the control port.
pub async fn run_plain<F>(listener: TcpListener, answer: F, stop: CancellationToken, tasks: TaskTracker)
where
    F: Fn(&str, &str, Option<&str>, Bytes) -> Answer + Clone + Send + Sync + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (answer, stop) = (answer.clone(), stop.clone());
        tasks.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let answer = match Limited::new(body, LONGEST_BODY).collect().await {
                        Ok(body) => {
                            answer(head.method.as_str(), head.uri.path(), head.uri.query(), body.to_bytes())
                        }
                        Err(_cut) => Answer::empty(413),
                    };
                    Ok::<_, Infallible>(answer.into_response(Transport::Whole))
                }
            });
            let mut serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                ended = &mut serving => drop(ended),
                () = stop.cancelled() => {
                    Pin::new(&mut serving).graceful_shutdown();
                    drop(serving.await);
                }
            }
        });
    }
}
