//! Where callbacks go: the least HTTP server that answers 200, keeps connections open and counts what ended well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A body larger than this is no callback of ours.
const MOST: usize = 1 << 20;

/// Counts what comes.
pub struct Sink {
    pub url: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    all: AtomicU64,
    successes: AtomicU64,
}

impl Sink {
    /// Callbacks so far.
    pub fn count(&self) -> u64 {
        self.counts.all.load(Ordering::Relaxed)
    }

    /// Callbacks that told of an issuance's good end.
    pub fn successes(&self) -> u64 {
        self.counts.successes.load(Ordering::Relaxed)
    }
}

/// Listens on a free port.
pub async fn start() -> Sink {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/callback", listener.local_addr().expect("an address"));
    let counts = Arc::new(Counts::default());
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            // A receiver that hangs up is the sender's problem.
            tokio::spawn(async move { serve(stream, &counted).await.ok() });
        }
    });
    Sink { url, counts }
}

async fn serve(stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        if length > MOST {
            return Ok(());
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        counts.all.fetch_add(1, Ordering::Relaxed);
        if body.windows(b"issuance_successful".len()).any(|part| part == b"issuance_successful") {
            counts.successes.fetch_add(1, Ordering::Relaxed);
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}
