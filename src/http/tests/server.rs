//! A server that answers as a test tells it, and records each request with its time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What to do with a request.
pub(super) enum Act {
    /// Sends these bytes; the connection stays open.
    Raw(String),
    /// Sends these bytes, then closes the connection.
    RawThenClose(String),
    /// Sends these bytes, then resets the connection.
    RawThenReset(String),
    /// Sends nothing, forever.
    Hang,
    /// Sends a byte every 100 ms, forever.
    Drip,
    /// Sends an endless body.
    Endless,
}

/// What a server does wrong for one request.
pub(super) type Fault = fn() -> Act;

pub(super) fn ok() -> Act {
    json(200, "{\"a\":1}")
}

pub(super) fn json(status: u16, body: &str) -> Act {
    with(status, "Content-Type: application/json\r\n", body)
}

pub(super) fn with(status: u16, headers: &str, body: &str) -> Act {
    Act::Raw(format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A request that the server received.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    /// Number of the request, from 0.
    pub(super) number: usize,
    pub(super) line: String,
    headers: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

pub(super) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(handler: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, handler)
    }

    pub(super) fn on(
        listener: TcpListener,
        handler: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let handler: Handler = Arc::new(handler);
        let log = seen.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, handler.clone(), log.clone()));
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/root/", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn serve(mut stream: TcpStream, handler: Handler, log: Arc<Mutex<Vec<Seen>>>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(seen) = next(&mut stream, &mut buffer, &log).await {
        match handler(&seen) {
            Act::Raw(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::RawThenClose(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Act::RawThenReset(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                // Lets the bytes arrive before the reset.
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.set_zero_linger().unwrap();
                return;
            }
            Act::Hang => std::future::pending().await,
            Act::Drip => {
                let head = b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n";
                let _ = stream.write_all(head).await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Act::Endless => {
                let head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = stream.write_all(head).await;
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            }
        }
    }
}

async fn next(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    log: &Mutex<Vec<Seen>>,
) -> Option<Seen> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let (line, headers) = head.split_once("\r\n").unwrap();
            let mut seen = Seen {
                at: Instant::now(),
                number: 0,
                line: line.trim_end_matches(" HTTP/1.1").to_owned(),
                headers: headers.to_owned(),
                body: String::new(),
            };
            let length = seen
                .header("content-length")
                .map_or(0, |n| n.parse().unwrap());
            let whole = end + 4 + length;
            if buffer.len() >= whole {
                seen.body = String::from_utf8(buffer[end + 4..whole].to_vec()).unwrap();
                buffer.drain(..whole);
                let mut log = log.lock().unwrap();
                seen.number = log.len();
                log.push(seen.clone());
                return Some(seen);
            }
        }
        let read = stream.read_buf(buffer).await.ok()?;
        if read == 0 {
            return None;
        }
    }
}
