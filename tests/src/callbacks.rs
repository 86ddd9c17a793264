//! A front end's callback endpoint: records what arrives and answers as a test wants, badly too.
//!
//! HTTP/1.1 by hand, one request per connection, because a test needs answers that no server library gives: none at all, a
//! cut connection, a body without end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Larger than any request that a test expects; what is longer is cut off.
const LONGEST_REQUEST: usize = 4 * 1024 * 1024;

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 200 with an empty body.
    Ok,
    /// This status with an empty body.
    Status(u16),
    /// This status, these header lines and this body.
    Full(u16, Vec<(String, String)>, String),
    /// 200 after this time.
    Late(Duration),
    /// Nothing, and the connection stays open.
    Never,
    /// 302 to this address.
    Redirect(String),
    /// 200 with a body of this many bytes.
    Huge(u64),
    /// The connection is closed without an answer.
    Drop,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When it had arrived completely.
    pub at: Instant,
}

impl Received {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }
}

#[derive(Debug)]
struct Script {
    next: VecDeque<Reply>,
    otherwise: Reply,
}

/// The endpoint. Stops when dropped.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    script: Arc<Mutex<Script>>,
    received: watch::Sender<Vec<Received>>,
    server: JoinHandle<()>,
}

impl Sink {
    /// Listens on a free loopback port and answers everything with [`Reply::Ok`].
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = listener.local_addr().expect("a bound socket").port();
        let script = Arc::new(Mutex::new(Script { next: VecDeque::new(), otherwise: Reply::Ok }));
        let received = watch::Sender::new(Vec::new());
        let server = tokio::spawn(serve(listener, Arc::clone(&script), received.clone()));
        Self { port, script, received, server }
    }

    /// The address of `path` (which begins with a slash).
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers the next unscripted request so; several calls queue up.
    ///
    /// # Panics
    /// Never, unless a test panicked inside this type.
    pub fn reply_next(&self, reply: Reply) {
        self.script.lock().expect("not poisoned").next.push_back(reply);
    }

    /// Answers all requests so, once the queue is empty.
    ///
    /// # Panics
    /// Never, unless a test panicked inside this type.
    pub fn reply_always(&self, reply: Reply) {
        self.script.lock().expect("not poisoned").otherwise = reply;
    }

    /// What arrived so far, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// Waits until `count` requests have arrived and returns all.
    ///
    /// # Panics
    /// When fewer have arrived after `limit`; the message lists them.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Vec<Received> {
        let mut changes = self.received.subscribe();
        let waiting = changes.wait_for(|received| received.len() >= count);
        if let Ok(received) = tokio::time::timeout(limit, waiting).await {
            return received.expect("the sender lives as long as the sink").clone();
        }
        panic!("waited {limit:?} for {count} requests, got {:#?}", self.received())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>, received: watch::Sender<Vec<Received>>) {
    // Held here, so that open connections end with the sink.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&script), received.clone()));
    }
}

async fn answer(mut stream: TcpStream, script: Arc<Mutex<Script>>, received: watch::Sender<Vec<Received>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    let reply = {
        let mut script = script.lock().expect("not poisoned");
        script.next.pop_front().unwrap_or_else(|| script.otherwise.clone())
    };
    received.send_modify(|all| all.push(request));
    // The other side may have gone; that is its right.
    write_reply(&mut stream, reply).await.ok();
}

async fn write_reply(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Ok => write_full(stream, 200, &[], "").await,
        Reply::Status(status) => write_full(stream, status, &[], "").await,
        Reply::Full(status, headers, body) => write_full(stream, status, &headers, &body).await,
        Reply::Late(time) => {
            tokio::time::sleep(time).await;
            write_full(stream, 200, &[], "").await
        }
        Reply::Never => std::future::pending().await,
        Reply::Redirect(to) => write_full(stream, 302, &[("location".to_owned(), to)], "").await,
        Reply::Huge(length) => {
            let head =
                format!("HTTP/1.1 200 Scripted\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            tokio::io::copy(&mut tokio::io::repeat(b'x').take(length), stream).await.map(drop)
        }
        Reply::Drop => Ok(()),
    }
}

async fn write_full(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> std::io::Result<()> {
    let mut text =
        format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// The request, or nothing when the connection ended before it was complete.
async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(position) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break position;
        }
        read_more(stream, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut body = bytes.split_off(head_end + 4);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let value_of =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    if value_of("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        body = loop {
            if let Some(whole) = unchunk(&body) {
                break whole;
            }
            read_more(stream, &mut body).await?;
        };
    } else {
        let length = value_of("content-length").map_or(Some(0), |value| value.parse::<usize>().ok())?;
        while body.len() < length {
            read_more(stream, &mut body).await?;
        }
        body.truncate(length);
    }
    Some(Received { method, path, headers, body, at: Instant::now() })
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(bytes).await.ok()?;
    (count > 0 && bytes.len() <= LONGEST_REQUEST).then_some(())
}

/// The content of a chunked body (RFC 9112 section 7.1), if it is complete.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line_end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests;
