use crate::support::{Asked, Place, Serving};
use crate::tls::{authority, shown};
use h2::Reason;
use h2::server::{Builder, SendResponse};
use http::{Method, Request, Response};
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

/// The fault of the third request of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// The stream is refused, which means that the request was not processed.
    Refused,
    /// The stream is reset, before or after the request took effect.
    Reset {
        after: bool,
    },
    /// The server announces that it takes no further streams, and finishes those that it has.
    GoAway,
    /// The server closes all streams immediately, before or after the request took effect.
    ThrowOut {
        after: bool,
    },
}

type Body = Cursor<Vec<u8>>;

/// A server that speaks only HTTP/2, and forwards requests to the stand-in behind it.
struct Http2 {
    serving: Serving,
    struck: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Server {
    behind: String,
    struck_kind: Method,
    fault: Fault,
    streams: u32,
    asked: Arc<AtomicUsize>,
    struck: Arc<AtomicUsize>,
}

impl Http2 {
    fn before(
        place: &Place,
        shows: &ServerConfig,
        kind: Method,
        fault: Fault,
        streams: u32,
    ) -> Self {
        let mut shows = shows.clone();
        shows.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(shows));
        let struck = Arc::new(AtomicUsize::new(0));
        let server = Server {
            behind: place.sandbox.base_url(),
            struck_kind: kind,
            fault,
            streams,
            asked: Arc::default(),
            struck: Arc::clone(&struck),
        };
        let serving = Serving::start(move |outer| {
            let connection = server.clone().connection(acceptor.clone(), outer);
            // A client may close the connection.
            async move { connection.await.unwrap_or_default() }
        });
        Self { serving, struck }
    }
}

impl Server {
    /// Serves a connection; `None`: the client or the server has closed it.
    async fn connection(self, acceptor: TlsAcceptor, outer: TcpStream) -> Option<()> {
        let outer = acceptor.accept(outer).await.ok()?;
        let mut connection = Builder::new()
            .max_concurrent_streams(self.streams)
            .handshake::<_, Body>(outer)
            .await
            .ok()?;
        let mut answers = JoinSet::new();
        let throw_out = CancellationToken::new();
        loop {
            tokio::select! {
                () = throw_out.cancelled() => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                asked = connection.accept() => {
                    let (request, respond) = asked?.ok()?;
                    let mine = *request.method() == self.struck_kind;
                    let nth = if mine { self.asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
                    let fault = if nth == 2 { self.fault } else { Fault::Nothing };
                    if fault != Fault::Nothing {
                        self.struck.fetch_add(1, Ordering::Relaxed);
                    }
                    if fault == Fault::GoAway {
                        connection.graceful_shutdown();
                    }
                    let behind = self.behind.clone();
                    answers.spawn(answer(request, respond, behind, fault, throw_out.clone()));
                }
            }
        }
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Body>,
    behind: String,
    fault: Fault,
    throw_out: CancellationToken,
) -> Option<()> {
    match fault {
        Fault::Refused => respond.send_reset(Reason::REFUSED_STREAM),
        Fault::Reset { after: false } => respond.send_reset(Reason::INTERNAL_ERROR),
        Fault::ThrowOut { after: false } => throw_out.cancel(),
        Fault::Nothing | Fault::GoAway | Fault::Reset { .. } | Fault::ThrowOut { .. } => {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(chunk) = body.data().await {
                let chunk = chunk.ok()?;
                body.flow_control().release_capacity(chunk.len()).ok()?;
                bytes.extend_from_slice(&chunk);
            }
            let asked = Asked::new(&head, &bytes);
            let honest = tokio::task::spawn_blocking(move || asked.honestly(&behind));
            let (status, text) = parsed(&honest.await.ok()?);
            match fault {
                Fault::Reset { .. } => respond.send_reset(Reason::INTERNAL_ERROR),
                Fault::ThrowOut { .. } => throw_out.cancel(),
                Fault::Nothing | Fault::GoAway | Fault::Refused => {
                    let head = Response::builder()
                        .status(status)
                        .header("content-type", "application/json");
                    let mut stream = respond.send_response(head.body(()).ok()?, false).ok()?;
                    stream.send_data(Cursor::new(text), true).ok()?;
                }
            }
        }
    }
    Some(())
}

/// Returns the status and the body of an answer in HTTP/1.1.
fn parsed(answer: &[u8]) -> (u16, Vec<u8>) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let end = head.parse(answer).unwrap().unwrap();
    (head.code.unwrap(), answer[end..].to_vec())
}

fn all_is_well(kind: &Method, fault: Fault, streams: u32, how: &[&str]) {
    let (place, authority) = (Place::plume(), authority());
    place.moves(12);
    let pem = place.file("company.pem", &authority.pem());
    let shows = shown(Some(&authority), "127.0.0.1", 2090);
    let server = Http2::before(&place, &shows, kind.clone(), fault, streams);
    let base_url = server.serving.https();
    let arguments = ["apply", "moves.csv", "--yes", "--base-url", &base_url];
    let done = place.run(&[&arguments, &["--ca-cert", &pem][..], how].concat());
    let what = format!("{kind} {fault:?}, {streams} streams");
    assert_eq!(done.code, 0, "{what}: {}{}", done.out, done.err);
    let well = place.verdicts().iter().all(|verdict| verdict == "changed/");
    assert!(well, "{what}: {:?}", place.verdicts());
    let struck = usize::from(fault != Fault::Nothing);
    assert_eq!(server.struck.load(Ordering::Relaxed), struck, "{what}");
    place.judge_writes();
    for n in 0..12 {
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            format!("B-{n:06}"),
            "{what}"
        );
    }
}

#[test]
fn http2_faults_make_no_line_fail_and_repeat_no_applied_write() {
    for fault in [
        Fault::Refused,
        Fault::Reset { after: false },
        Fault::Reset { after: true },
        Fault::GoAway,
        Fault::ThrowOut { after: false },
        Fault::ThrowOut { after: true },
    ] {
        for kind in [Method::GET, Method::PATCH] {
            all_is_well(&kind, fault, 100, &["--lookup", "each"]);
        }
    }
}

#[test]
fn run_succeeds_with_one_http2_stream_at_a_time() {
    all_is_well(&Method::PATCH, Fault::Nothing, 1, &["--concurrency", "8"]);
    all_is_well(
        &Method::PATCH,
        Fault::Reset { after: true },
        1,
        &["--concurrency", "8"],
    );
}
