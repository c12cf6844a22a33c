use crate::domain::{AccountId, CustomerId, LocationId, ServiceId};
use crate::http::{Rate, Settings as Http, Token};
use crate::moment::Moment;
use crate::system::{
    Bulk, Customer, Key, Sending, Settings, System, SystemKind, Wanted, WriteOp, WriteValue,
    Written,
};
use secrecy::SecretString;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The responses to reads, and to writes.
#[derive(Default)]
struct Said {
    read: Vec<u8>,
    write: Vec<u8>,
}

struct Bench {
    said: Arc<Mutex<Said>>,
    runtime: Mutex<tokio::runtime::Runtime>,
    systems: Vec<System>,
}

/// Statuses after which the client never waits.
const STATUSES: [u16; 8] = [200, 200, 200, 204, 201, 404, 409, 422];

/// A complete Adobe customer, as the client reads it before each write.
const ADOBE: &str = r#"{"customerId":"C-1","externalReferenceId":"A-1","resellerId":"R-1","status":"1000","companyProfile":{"companyName":"x","contacts":[]}}"#;

fn serve(listener: &TcpListener, said: &Arc<Mutex<Said>>) {
    for stream in listener.incoming().flatten() {
        let said = Arc::clone(said);
        std::thread::spawn(move || talk(stream, &said));
    }
}

fn talk(mut stream: TcpStream, said: &Mutex<Said>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(end)) = head.parse(&bytes) {
            let length: usize = head
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
                .unwrap_or(0);
            let is_read = head.method == Some("GET");
            if bytes.len() >= end + length {
                bytes.drain(..end + length);
                let answer = {
                    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    if is_read {
                        said.read.clone()
                    } else {
                        said.write.clone()
                    }
                };
                stream.write_all(&answer).ok()?;
                continue;
            }
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn answer(status: u16, html: bool, body: &[u8]) -> Vec<u8> {
    let kind = if html {
        "text/html"
    } else {
        "application/json"
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn bench() -> Option<&'static Bench> {
    static BENCH: OnceLock<Option<Bench>> = OnceLock::new();
    BENCH.get_or_init(make).as_ref()
}

fn make() -> Option<Bench> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    let base_url = format!("http://{}", listener.local_addr().ok()?);
    let said = Arc::new(Mutex::new(Said::default()));
    let says = Arc::clone(&said);
    std::thread::spawn(move || serve(&listener, &says));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let system = |kind| {
        let http = Http {
            base_url: base_url.clone(),
            allow_http: false,
            ca_cert: None,
            client_certificate: None,
            timeout: Duration::from_secs(20),
            retries: 0,
            give_up_after: Duration::from_secs(60),
            find_rate: Rate::Unlimited,
            write_rate: None,
            quota: None,
            egress: Vec::new(),
            call_reservations: None,
            shared_rate: None,
            max_connections: 4,
            http1_only: true,
            token: Token::given("t"),
        };
        let settings = Settings {
            reseller: None,
            api_key: Some(SecretString::from("k")),
            tenant: Some("portal.example".to_owned()),
            sending: Sending::Full,
            max_age: Duration::ZERO,
            expected_lookups: 1,
            calls_meanwhile: None,
        };
        System::prepare(kind, http, &settings, CancellationToken::new())
            .map(|(system, _)| system)
            .ok()
    };
    Some(Bench {
        said,
        systems: SystemKind::ALL
            .into_iter()
            .map(system)
            .collect::<Option<_>>()?,
        runtime: Mutex::new(runtime),
    })
}

/// Lets a system answer with these bytes: the first chooses system and call, the second the status, the rest is the body.
///
/// # Panics
///
/// If the client accepts a value that the answer does not have, or if a call does not end.
pub fn answers(bytes: &[u8]) {
    let [chosen, status, body @ ..] = bytes else {
        return;
    };
    let Some(bench) = bench() else {
        return;
    };
    let runtime = bench.runtime.lock().unwrap_or_else(PoisonError::into_inner);
    let system = &bench.systems[usize::from(chosen % 3)];
    let call = chosen / 3 % 6;
    let html = status & 0x80 != 0;
    let code = STATUSES[usize::from(status % 8)];
    let spoken = answer(code, html, body);
    // Adobe's customer is read before it is written.
    let read = if call >= 4 {
        answer(200, false, ADOBE.as_bytes())
    } else {
        spoken.clone()
    };
    say(
        bench,
        Said {
            read,
            write: spoken,
        },
    );
    let heard = runtime.block_on(async {
        system.forget().await;
        tokio::time::timeout(Duration::from_secs(15), ask(system, call, code, body)).await
    });
    assert!(heard.is_ok(), "it never came to an end");
    // A good answer in between ends all holds, so that the next call does not wait.
    say(
        bench,
        Said {
            read: answer(200, false, b"[]"),
            write: Vec::new(),
        },
    );
    let _ = runtime.block_on(system.probe());
}

fn say(bench: &Bench, said: Said) {
    *bench.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
}

async fn ask(system: &System, call: u8, status: u16, body: &[u8]) {
    // A field that the client does not read need not be valid text.
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_str(&text)
        .ok()
        .or_else(|| Some(words(&text)));
    let ids = (
        AccountId::new("A-1"),
        CustomerId::new("C-1"),
        LocationId::new("L-1"),
    );
    let (Ok(account), Ok(customer), Ok(location)) = ids else {
        return;
    };
    match call {
        0 => {
            for found in system.find(&account, None).await.unwrap_or_default() {
                assert!(is_said(said.as_ref(), &found, &account), "{found:?}");
            }
        }
        1 => {
            let keys = [
                Key::Account(account.clone()),
                Key::Customer(customer.clone()),
            ];
            let wanted = keys.map(|key| Wanted {
                key,
                reseller: None,
            });
            if let Ok(Bulk::Found(found, _)) = system.find_many(&wanted, true).await {
                assert_eq!(found.len(), 2);
                let (by_account, by_id) = (&found[0], &found[1]);
                assert!(
                    by_account
                        .iter()
                        .all(|one| is_said(said.as_ref(), one, &account)),
                    "{found:?}"
                );
                assert!(by_id.iter().all(|one| one.id == customer), "{found:?}");
            }
        }
        2 => {
            if let Ok(Some(found)) = system.read(&customer, None, true).await {
                assert_eq!(found.id, customer);
                if let Some(account) = &found.account {
                    assert!(
                        said_together(said.as_ref(), "C-1", account.as_str()),
                        "{found:?}"
                    );
                }
            }
        }
        3 => {
            let _ = system.locations(&customer).await;
            if let Ok(found) = system.location(&customer, &location).await {
                assert_eq!(found.id, location);
            }
        }
        4 => rename(system, &customer, &account, status, said.as_ref()).await,
        _ => place(system, &customer, &location, said.as_ref()).await,
    }
}

async fn rename(
    system: &System,
    customer: &CustomerId,
    before: &AccountId,
    status: u16,
    said: Option<&Value>,
) {
    let Ok(after) = AccountId::new("B-1") else {
        return;
    };
    let what = WriteValue::Account {
        before: Some(before),
        after: Some(&after),
    };
    let written = written(system, order(customer, what)).await;
    // The documentation of CloudCockpit gives the status 204, whose answer has no body.
    let empty = system.kind() == SystemKind::CloudCockpit && status == 204;
    let believed = matches!(written, Written::Applied { .. });
    assert!(
        !believed || empty || said_together(said, "C-1", "B-1"),
        "{written:?}"
    );
}

async fn place(
    system: &System,
    customer: &CustomerId,
    location: &LocationId,
    said: Option<&Value>,
) {
    let Ok(service) = ServiceId::new("S-1") else {
        return;
    };
    let what = WriteValue::Location {
        location,
        service: Some(&service),
        profile: None,
    };
    let written = written(system, order(customer, what)).await;
    let believed = matches!(written, Written::Applied { .. });
    assert!(
        !believed || said_together(said, "L-1", "S-1"),
        "{written:?}"
    );
}

/// One write from its preparation to its answer.
async fn written(system: &System, order: WriteOp<'_>) -> Written {
    let mut prepared = match system.prepare_write(order).await {
        Ok(prepared) => prepared,
        Err(unsent) => return unsent,
    };
    match prepared.turn(Duration::ZERO).await {
        Ok(()) => {
            let id = "11111111-1111-4111-8111-111111111111";
            prepared.send(id, &|| true).await
        }
        Err(unsent) => unsent,
    }
}

fn order<'a>(customer: &'a CustomerId, what: WriteValue<'a>) -> WriteOp<'a> {
    WriteOp {
        customer,
        reseller: None,
        what,
        send_deadline: Moment::now() + Duration::from_secs(600),
        slack: Duration::ZERO,
    }
}

/// Returns the pieces between the quotes as one object, for a body that this check cannot parse: a field that the client does
/// not read may have a number that is too large here.
fn words(text: &str) -> Value {
    let words = text.split('"').enumerate();
    Value::Object(
        words
            .map(|(n, word)| (n.to_string(), word.into()))
            .collect(),
    )
}

/// Whether the customer has the requested account ID, and the answer says so.
fn is_said(said: Option<&Value>, customer: &Customer, account: &AccountId) -> bool {
    customer.account.as_ref() == Some(account)
        && said_together(said, customer.id.as_str(), account.as_str())
}

/// Whether both are values of one object, anywhere in the answer.
fn said_together(said: Option<&Value>, a: &str, b: &str) -> bool {
    match said {
        Some(Value::Object(fields)) => {
            // Some installations write IDs as whole numbers.
            let is = |value: &Value, text: &str| match value {
                Value::Number(number) => number.to_string() == text,
                value => value.as_str() == Some(text),
            };
            let has = |text: &str| fields.values().any(|value| is(value, text));
            (has(a) && has(b))
                || fields
                    .values()
                    .any(|value| said_together(Some(value), a, b))
        }
        Some(Value::Array(items)) => items.iter().any(|item| said_together(Some(item), a, b)),
        _ => false,
    }
}
