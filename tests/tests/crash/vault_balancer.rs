//! What stands in front of several replicas: hands each new connection to the next one that is there. Knows nothing of what
//! runs over it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// A load balancer of connections. Ends when dropped.
pub struct Balancer {
    address: SocketAddr,
    serving: JoinHandle<()>,
    cut: broadcast::Sender<()>,
}

impl Balancer {
    /// In front of these ports of this machine.
    pub async fn start(replicas: Vec<u16>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (cut, _) = broadcast::channel(1);
        let cutting = cut.clone();
        let serving = tokio::spawn(async move {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            while let Ok((client, _)) = listener.accept().await {
                let first = NEXT.fetch_add(1, Ordering::Relaxed);
                let (replicas, mut cut) = (replicas.clone(), cutting.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = join(client, replicas, first) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { address, serving, cut }
    }

    /// Cuts all connections, so that their clients are spread anew.
    pub fn cut(&self) {
        // An error says that there are none.
        self.cut.send(()).ok();
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Joins a client with the first replica, from `first` on, that takes the connection. Without one the client's is closed.
async fn join(mut client: TcpStream, replicas: Vec<u16>, first: usize) {
    for turn in 0..replicas.len() {
        let port = replicas[(first + turn) % replicas.len()];
        if let Ok(mut replica) = TcpStream::connect(("127.0.0.1", port)).await {
            // An error is a connection that broke; both ends see it.
            tokio::io::copy_bidirectional(&mut client, &mut replica).await.ok();
            return;
        }
    }
}
