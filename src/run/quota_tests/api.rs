//! A server on its own thread that records when each request arrived, and from which address.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

type Handler = Arc<dyn Fn(usize, IpAddr) -> Seen + Send + Sync>;
type Log = Arc<Mutex<Vec<(Instant, IpAddr)>>>;

/// An answer of the server.
pub(super) struct Seen(String);

impl Seen {
    pub(super) fn ok() -> Self {
        Self::with(200, "Content-Type: application/json\r\n", "{\"a\":1}")
    }

    pub(super) fn with(status: u16, headers: &str, body: &str) -> Self {
        Self(format!(
            "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

pub(super) struct Api {
    address: SocketAddr,
    log: Log,
    count: watch::Receiver<usize>,
    thread: Option<(oneshot::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Api {
    pub(super) fn start(answer: impl Fn(usize, IpAddr) -> Seen + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let (counted, count) = watch::channel(0);
        let (end, ended) = oneshot::channel::<()>();
        let (handler, own): (Handler, Log) = (Arc::new(answer), Arc::clone(&log));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut connections = JoinSet::new();
                let counted = Arc::new(counted);
                let accepting = async {
                    loop {
                        let (stream, peer) = listener.accept().await.unwrap();
                        let parts = (handler.clone(), own.clone(), counted.clone());
                        connections.spawn(serve(stream, peer.ip(), parts));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            log,
            count,
            thread: Some((end, thread)),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the times at which requests arrived.
    pub(super) fn arrivals(&self) -> Vec<Instant> {
        let log = self.log.lock().unwrap();
        log.iter().map(|(at, _)| *at).collect()
    }

    pub(super) fn arrivals_from(&self, address: IpAddr) -> Vec<Instant> {
        let log = self.log.lock().unwrap();
        let own = log.iter().filter(|(_, from)| *from == address);
        own.map(|(at, _)| *at).collect()
    }

    /// Waits until this number of requests has arrived.
    pub(super) async fn reached(&self, many: usize) {
        let mut count = self.count.clone();
        count.wait_for(|count| *count >= many).await.unwrap();
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    from: IpAddr,
    (handler, log, counted): (Handler, Log, Arc<watch::Sender<usize>>),
) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
        }
        if !buffer.ends_with(b"\r\n\r\n") {
            continue;
        }
        buffer.clear();
        let number = {
            let mut log = log.lock().unwrap();
            log.push((Instant::now(), from));
            log.len()
        };
        counted.send_replace(number);
        let Seen(answer) = handler(number - 1, from);
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Returns the largest number of arrivals within a window of this length.
pub(super) fn most_within(arrivals: &[Instant], window: Duration) -> usize {
    let within = |from: &Instant| {
        arrivals
            .iter()
            .filter(|at| *at >= from && **at < *from + window)
            .count()
    };
    arrivals.iter().map(within).max().unwrap_or(0)
}
