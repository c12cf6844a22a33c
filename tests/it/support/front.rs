use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A whole request, as it was received.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    bytes: Vec<u8>,
}

/// A server in front of a stand-in that can do anything with each request.
pub(crate) struct Front {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Handles a request; `false` ends the connection.
type Deed = dyn Fn(&Asked, &mut TcpStream) -> bool + Send + Sync;

impl Front {
    pub(crate) fn new(
        deed: impl Fn(&Asked, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stop);
        let deed: Arc<Deed> = Arc::new(deed);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (deed, stream) = (Arc::clone(&deed), stream.unwrap());
                // The thread ends with its connection, which the client closes.
                std::thread::spawn(move || talk(stream, &*deed));
            }
        });
        Self {
            port,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().unwrap().join();
    }
}

fn talk(mut stream: TcpStream, deed: &Deed) {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut bytes = Vec::new();
    while let Some(asked) = request(&mut stream, &mut bytes) {
        if !deed(&asked, &mut stream) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Asked> {
    let mut chunk = [0; 16 << 10];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(end)) = head.parse(bytes) {
            let length = head
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
                .unwrap_or(0);
            let (method, path) = (
                head.method.unwrap().to_owned(),
                head.path.unwrap().to_owned(),
            );
            if bytes.len() >= end + length {
                let rest = bytes.split_off(end + length);
                let bytes = std::mem::replace(bytes, rest);
                return Some(Asked {
                    method,
                    path,
                    bytes,
                });
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

impl Asked {
    /// Makes a request in HTTP/1.1 from a request that arrived in another way.
    pub(crate) fn new(head: &http::request::Parts, body: &[u8]) -> Self {
        let (method, path) = (head.method.to_string(), head.uri.path_and_query().unwrap());
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &head.headers {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        if !head.headers.contains_key("content-length") {
            bytes.extend(format!("content-length: {}\r\n", body.len()).bytes());
        }
        bytes.extend([b"\r\n", body].concat());
        Self {
            method,
            path: path.to_string(),
            bytes,
        }
    }

    /// Returns the same request for another path.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        Self {
            bytes: text.replacen(&self.path, path, 1).into_bytes(),
            path: path.to_owned(),
            method: self.method.clone(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        head.parse(&self.bytes).unwrap();
        let mut headers = head.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8(header.value.to_vec()).unwrap())
    }

    pub(crate) fn body(&self) -> &[u8] {
        let head = self
            .bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n");
        &self.bytes[head.unwrap() + 4..]
    }

    /// Returns the answer of an honest server, byte for byte.
    pub(crate) fn honestly(&self, base_url: &str) -> Vec<u8> {
        let address = base_url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&self.bytes).unwrap();
        // The stand-in answers the request, and closes the connection when the client does.
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
}

/// Returns a successful answer with this body.
pub(crate) fn good_answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}
