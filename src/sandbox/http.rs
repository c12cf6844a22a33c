//! The part of HTTP/1.1 that the stand-ins need.

use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A complete request.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path as it was sent.
    pub(super) raw_path: String,
    /// Its segments, decoded once.
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The client's address.
    pub(super) peer: Option<IpAddr>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    pub(super) fn path(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the request changed something.
    pub(super) applied: bool,
}

impl Response {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            applied: false,
        }
    }

    pub(super) fn text(status: u16, content_type: &'static str, body: &str) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            applied: false,
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::text(status, "", "")
    }

    pub(super) fn applied(mut self) -> Self {
        self.applied = true;
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let now = std::time::SystemTime::now();
        head.push_str(&format!("date: {}\r\n", httpdate::fmt_http_date(now)));
        if !self.content_type.is_empty() {
            head.push_str(&format!("content-type: {}\r\n", self.content_type));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if self.status != 204 {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// A connection, and the bytes that were read and not used yet.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    peer: Option<IpAddr>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            peer: stream.peer_addr().ok().map(|peer| peer.ip()),
            stream,
            buffer: Vec::with_capacity(4096),
        }
    }

    /// Returns the next request; `None`: the client has ended the connection.
    pub(super) async fn request(&mut self) -> Option<Request> {
        loop {
            match parse(&self.buffer) {
                Ok(Some((mut request, head, length))) => {
                    while self.buffer.len() < head + length {
                        self.more().await?;
                    }
                    request.peer = self.peer;
                    request.body = self.buffer[head..head + length].to_vec();
                    self.buffer.drain(..head + length);
                    return Some(request);
                }
                Ok(None) => self.more().await?,
                // It may be TLS: waiting for the rest would never end.
                Err(_) => {
                    self.send(&Response::empty(400).bytes()).await?;
                    return None;
                }
            }
        }
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0 && self.buffer.len() < (1 << 22)).then_some(())
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()
    }
}

/// Parses a request's head; returns it with the length of head and body. `None`: the head is not complete yet.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize, usize)>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(bytes)? else {
        return Ok(None);
    };
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_ascii_lowercase(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let request = Request {
        method: parsed.method.unwrap_or("").to_owned(),
        raw_path: path.to_owned(),
        segments: path
            .trim_start_matches('/')
            .split('/')
            .map(decode)
            .collect(),
        query: pairs(query),
        headers,
        body: Vec::new(),
        peer: None,
    };
    Ok(Some((request, head, length)))
}

/// Parses and decodes `a=b&c=d`.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// Percent-decodes once.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
