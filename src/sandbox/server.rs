//! The server: accepts connections, applies faults, answers, and keeps a log.

use super::faults::{Class, Fault, What, page, spoil};
use super::http::{Connection, Request, Response};
use super::world::World;
use super::{Kind, Options, adobe, cloudcockpit, plume, token};
use serde_json::json;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Maximum number of requests in the log.
const LOGGED: usize = 1_000_000;

/// Why a stand-in cannot start.
#[derive(Debug, thiserror::Error)]
#[error("port {port} on 127.0.0.1 cannot be opened for listening: {source}")]
pub struct SandboxError {
    port: u16,
    source: std::io::Error,
}

/// A request that the stand-in received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was received, since the start of the stand-in.
    pub at: Duration,
    /// The kind of call.
    pub class: Class,
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The body of a write.
    pub body: String,
    /// The status of the answer; 0: no answer.
    pub status: u16,
    /// Whether the request changed something.
    pub applied: bool,
    /// The header that identifies the call.
    pub request_id: Option<String>,
    /// The header that identifies the intent.
    pub correlation_id: Option<String>,
}

struct Shared {
    options: Options,
    world: Arc<Mutex<World>>,
    faults: Mutex<Vec<Fault>>,
    log: Mutex<Vec<Seen>>,
    began: Instant,
    /// The present windows of the firewall: begin and number of calls, by the client's address.
    windows: Mutex<HashMap<Option<IpAddr>, (Instant, u32)>>,
}

/// A running stand-in; it ends when this is dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    port: u16,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sandbox {
    /// Starts a stand-in on a thread of its own.
    pub fn start(options: Options) -> Result<Self, SandboxError> {
        let port = options.port;
        let failed = |source| SandboxError { port, source };
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let world = World {
            kind: Some(options.kind),
            ..World::default()
        };
        let shared = Arc::new(Shared {
            faults: Mutex::new(options.faults.clone()),
            options,
            world: Arc::new(Mutex::new(world)),
            log: Mutex::default(),
            began: Instant::now(),
            windows: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (serving, until) = (Arc::clone(&shared), stop.clone());
        let serve = move || runtime.block_on(serve(listener, serving, until));
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(serve)
            .map_err(failed)?;
        Ok(Self {
            shared,
            port,
            stop,
            thread: Some(thread),
        })
    }

    /// Returns the base URL of the stand-in.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the data of the stand-in.
    pub fn world(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.shared.world)
    }

    /// Returns all requests so far.
    pub fn log(&self) -> Vec<Seen> {
        lock(&self.shared.log).clone()
    }

    /// Removes all requests from the log.
    pub fn clear_log(&self) {
        lock(&self.shared.log).clear();
    }

    /// Returns the faults that no call has met, in their notation.
    pub fn idle_faults(&self) -> Vec<String> {
        let faults = lock(&self.shared.faults);
        let idle = faults.iter().filter(|fault| fault.is_idle());
        idle.map(|fault| fault.text().to_owned()).collect()
    }

    /// Replaces the faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        *lock(&self.shared.faults) = faults;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // If the server failed, its clients have noticed it.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(talk(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    connections.shutdown().await;
}

async fn talk(stream: TcpStream, shared: Arc<Shared>) {
    // Otherwise the socket would add a latency of tens of milliseconds.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.request().await {
        if shared.one(&mut connection, request).await.is_none() {
            return;
        }
    }
}

impl Shared {
    /// Answers one request; `None`: the connection has ended.
    async fn one(&self, connection: &mut Connection, request: Request) -> Option<()> {
        let at = self.began.elapsed();
        if request.raw_path.starts_with("/__sandbox/") {
            let response = self.control(&request);
            return connection.send(&response.bytes()).await;
        }
        if !self.options.latency.is_zero() {
            tokio::time::sleep(self.options.latency).await;
        }
        let class = self.class(&request);
        let fault = lock(&self.faults).iter_mut().find_map(|fault| {
            fault
                .strikes(class, &request)
                .then_some((fault.what, fault.after))
        });
        match fault {
            None => {
                let response = self.answer(&request, class);
                self.note(at, class, &request, response.status, response.applied);
                connection.send(&response.bytes()).await
            }
            Some((what, after)) => {
                let right = after.then(|| self.answer(&request, class));
                let applied = right.as_ref().is_some_and(|right| right.applied);
                let status = strike(connection, what, right).await;
                self.note(at, class, &request, status.unwrap_or(0), applied);
                status.map(|_| ())
            }
        }
    }

    fn class(&self, request: &Request) -> Class {
        if request.raw_path == "/oauth2/token" {
            return Class::Token;
        }
        match self.options.kind {
            Kind::Plume => plume::class(request),
            Kind::Adobe => adobe::class(request),
            Kind::CloudCockpit => cloudcockpit::class(request),
        }
    }

    fn answer(&self, request: &Request, class: Class) -> Response {
        let mut world = lock(&self.world);
        if class == Class::Token {
            return token::answer(&mut world.tokens, request, &self.options);
        }
        if self.is_blocked(request.peer) {
            return page(403);
        }
        let good = token::is_good(&mut world.tokens, request, &self.options);
        match self.options.kind {
            Kind::Plume if !good => {
                let body = json!({"error": {"statusCode": 401, "name": "Error", "message": "Authorization Required"}});
                Response::json(401, &body)
            }
            Kind::Plume => plume::answer(&mut world, request, &self.options),
            Kind::Adobe => adobe::answer(&mut world, request, good),
            Kind::CloudCockpit if !good => Response::empty(401),
            Kind::CloudCockpit => cloudcockpit::answer(&mut world, request),
        }
    }

    /// Counts a call for the firewall: it allows a number of calls from one address in a window, and blocks further
    /// ones until the next window begins.
    fn is_blocked(&self, peer: Option<IpAddr>) -> bool {
        let Some((calls, window)) = self.options.firewall else {
            return false;
        };
        let mut windows = lock(&self.windows);
        let counted = windows.entry(peer).or_insert_with(|| (Instant::now(), 0));
        if counted.0.elapsed() >= window {
            *counted = (Instant::now(), 0);
        }
        counted.1 += 1;
        counted.1 > calls
    }

    fn note(&self, at: Duration, class: Class, request: &Request, status: u16, applied: bool) {
        if !self.options.log {
            return;
        }
        let mut log = lock(&self.log);
        if log.len() < LOGGED {
            log.push(Seen {
                at,
                class,
                peer: request.peer,
                method: request.method.clone(),
                path: request.raw_path.clone(),
                body: String::from_utf8_lossy(&request.body).into_owned(),
                status,
                applied,
                request_id: request.header("x-request-id").map(str::to_owned),
                correlation_id: request.header("x-correlation-id").map(str::to_owned),
            });
        }
    }

    /// Answers a request of a test in another process.
    fn control(&self, request: &Request) -> Response {
        match (request.method.as_str(), request.raw_path.as_str()) {
            ("GET", "/__sandbox/state") => Response::json(200, &lock(&self.world).state()),
            ("GET", "/__sandbox/log") => {
                let lines: Vec<serde_json::Value> = lock(&self.log)
                    .iter()
                    .map(|seen| {
                        json!({"at_us": u64::try_from(seen.at.as_micros()).unwrap_or(0), "method": seen.method,
                            "path": seen.path, "class": format!("{:?}", seen.class), "status": seen.status,
                            "applied": seen.applied, "body": seen.body})
                    })
                    .collect();
                Response::json(200, &lines.into())
            }
            ("POST", "/__sandbox/faults") => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let faults: Result<Vec<Fault>, _> = text
                    .lines()
                    .filter(|line| !line.trim().is_empty())
                    .map(|line| line.trim().parse())
                    .collect();
                match faults {
                    Ok(faults) => {
                        *lock(&self.faults) = faults;
                        Response::empty(204)
                    }
                    Err(why) => Response::text(400, "text/plain", &why.to_string()),
                }
            }
            _ => Response::empty(404),
        }
    }
}

/// Carries out a fault; returns the status that was sent, `None` if the connection has ended.
async fn strike(connection: &mut Connection, what: What, right: Option<Response>) -> Option<u16> {
    let send = |response: Response| (response.status, response.bytes());
    let (status, bytes) = match what {
        What::Status(status) => send(Response::json(
            status,
            &json!({"error": {"statusCode": status, "name": "Error", "message": "a fault"}}),
        )),
        What::RetryAfter(status, seconds) => {
            let mut response = Response::json(
                status,
                &json!({"error": {"statusCode": status, "name": "Error"}}),
            );
            response.headers.push(("retry-after", seconds.to_string()));
            send(response)
        }
        What::RetryAfterDate => {
            let mut response =
                Response::json(429, &json!({"error": {"statusCode": 429, "name": "Error"}}));
            let date = std::time::SystemTime::now() + Duration::from_secs(2);
            response
                .headers
                .push(("retry-after", httpdate::fmt_http_date(date)));
            send(response)
        }
        What::Firewall => send(page(403)),
        What::Redirect => {
            let mut response = Response::empty(307);
            response
                .headers
                .push(("location", "http://127.0.0.1:9/elsewhere".to_owned()));
            send(response)
        }
        What::Reset => {
            // Discarding unsent data at the close is what sends a reset.
            let _ = connection.stream.set_zero_linger();
            return None;
        }
        What::Close => return None,
        What::Hang(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            return None;
        }
        What::Truncated => {
            let bytes = right?.bytes();
            connection
                .send(&bytes[..bytes.len().saturating_sub(5)])
                .await?;
            return None;
        }
        What::Drip => {
            for byte in right?.bytes() {
                connection.send(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            return Some(200);
        }
        What::Html
        | What::Empty
        | What::Braces
        | What::WrongId
        | What::OldValue
        | What::Huge
        | What::Deep => send(spoil(what, right?)),
    };
    connection.send(&bytes).await?;
    Some(status)
}
