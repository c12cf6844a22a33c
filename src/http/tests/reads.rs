//! Reads: repeated where that may help, and not for longer.

use super::server::{Act, Fault, Server, json, ok, with};
use super::*;
use crate::http::machine_quota::InMemory;
use crate::limits::CallReservations;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;

/// Each of these faults is temporary: the next attempt is answered.
#[tokio::test]
async fn temporary_faults_of_reads_are_retried() {
    let faults: [(&str, Fault); 13] = [
        ("408", || json(408, "")),
        ("425", || json(425, "")),
        ("500", || json(500, "{}")),
        ("502", || json(502, "")),
        ("503", || json(503, "")),
        ("504", || json(504, "")),
        ("reset", || Act::RawThenReset(String::new())),
        ("closed", || Act::RawThenClose(String::new())),
        ("half a head", || {
            Act::RawThenReset("HTTP/1.1 200 X\r\nCont".to_owned())
        }),
        ("half a body", || {
            Act::RawThenClose("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{\"a".to_owned())
        }),
        ("half a 404", || {
            Act::RawThenClose("HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\n{\"a".to_owned())
        }),
        ("empty 200", || json(200, "")),
        ("truncated JSON", || json(200, "{\"a\":")),
    ];
    for (name, fault) in faults {
        let server = Server::start(move |seen| if seen.number == 0 { fault() } else { ok() }).await;
        let status = client(settings(&server)).read(&get("7"), parse).await;
        assert_eq!(status, Ok(200), "{name}");
        assert_eq!(server.count(), 2, "{name}");
    }
}

#[tokio::test]
async fn final_answers_are_not_retried() {
    for status in [204_u16, 400, 401, 403, 404, 409, 422] {
        let server = Server::start(move |_| json(status, "{}")).await;
        let got = client(settings(&server))
            .read(&get("7"), |reply| Ok(reply.status))
            .await;
        assert_eq!(got, Ok(status));
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn read_fails_with_the_last_error_when_retries_run_out() {
    let server = Server::start(|_| json(500, "")).await;
    let mut settings = settings(&server);
    settings.retries = 2;
    let why = client(settings).read(&get("7"), parse).await.unwrap_err();
    assert_eq!(why.kind, CallErrorKind::Status(500));
    assert_eq!((why.status, why.attempts), (Some(500), 3));
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_429_holds_all_workers_and_costs_no_retry() {
    let server = Server::start(|seen| match seen.number {
        0..8 => with(429, "Retry-After: 1\r\n", ""),
        _ => ok(),
    })
    .await;
    let mut settings = settings(&server);
    settings.retries = 0;
    let client = client(settings);
    let call = get("7");
    let reads = (0..8).map(|_| client.read(&call, parse));
    let all = futures_util::future::join_all(reads).await;
    assert!(all.iter().all(|status| *status == Ok(200)), "{all:?}");
    let seen = server.seen();
    let gap = seen[8].at - seen[7].at;
    assert!(gap >= Duration::from_secs(1), "{gap:?}");
    assert_eq!(client.counters().throttled, 8);
}

#[tokio::test]
async fn retry_after_date_uses_the_server_clock() {
    let server = Server::start(|seen| {
        let dates =
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n";
        if seen.number == 0 {
            with(503, dates, "")
        } else {
            ok()
        }
    })
    .await;
    let start = Instant::now();
    let mut settings = settings(&server);
    settings.retries = 0;
    assert_eq!(client(settings).read(&get("7"), parse).await, Ok(200));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn wait_longer_than_give_up_after_fails_all_calls() {
    let server = Server::start(|_| with(429, "Retry-After: 99999\r\n", "")).await;
    let client = client(settings(&server));
    for _ in 0..2 {
        let why = client.read(&get("7"), parse).await.unwrap_err();
        assert_eq!(why.kind, CallErrorKind::GaveUp);
    }
    assert!(
        matches!(write(&client, &patch("7")).await, Sent::NotSent(why) if why.kind == CallErrorKind::GaveUp)
    );
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn firewall_block_holds_all_calls_and_is_probed() {
    let block = || with(403, "Content-Type: text/html\r\n", "<html>blocked</html>");
    let server = Server::start(move |seen| if seen.number == 0 { block() } else { ok() }).await;
    let client = client(settings(&server));
    let health = client.health();
    let call = get("7");
    let (status, ()) = tokio::join!(client.read(&call, parse), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(matches!(&*health.borrow(), Health::Held { why, .. } if why.contains("firewall")));
    });
    assert_eq!(status, Ok(200));
    let seen = server.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(5));
    assert_eq!(*client.health().borrow(), Health::Flowing);
}

#[tokio::test]
async fn redirects_are_not_followed_and_only_the_host_is_named() {
    let other = Server::start(|_| ok()).await;
    let location = format!("Location: {}customers/secret-id\r\n", other.url());
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let server = Server::start(move |_| with(status, &location, "")).await;
        let mut settings = settings(&server);
        settings.retries = 0;
        let why = client(settings).read(&get("7"), parse).await.unwrap_err();
        assert_eq!(why.kind, CallErrorKind::WrongAddress);
        assert_eq!(server.count(), 1, "{why}");
        assert!(
            why.text.contains("127.0.0.1") && !why.text.contains("secret-id"),
            "{why}"
        );
    }
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn hanging_slow_and_endless_answers_are_aborted() {
    for (act, kind) in [
        ((|| Act::Hang) as Fault, CallErrorKind::Timeout),
        (|| Act::Drip, CallErrorKind::Timeout),
        (|| Act::Endless, CallErrorKind::Unreadable),
    ] {
        let server = Server::start(move |_| act()).await;
        let mut settings = settings(&server);
        settings.retries = 0;
        settings.timeout = Duration::from_millis(700);
        let start = Instant::now();
        let why = client(settings).read(&get("7"), parse).await.unwrap_err();
        assert_eq!(why.kind, kind);
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_until_the_server_is_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::on(listener, |_| ok());
    let settings = settings(&server);
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let client = client(settings);
    let call = get("7");
    let (status, server) = tokio::join!(client.read(&call, parse), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Server::on(TcpListener::bind(address).await.unwrap(), |_| ok())
    });
    assert_eq!(status, Ok(200));
    assert_eq!(server.count(), 1);
    assert!(client.counters().retried >= 1);
}

#[tokio::test]
async fn unavailable_system_opens_the_breaker_without_failing_calls() {
    let server = Server::start(|seen| {
        if seen.number < 14 {
            json(502, "")
        } else {
            ok()
        }
    })
    .await;
    let mut settings = settings(&server);
    settings.retries = 1;
    let client = client(settings);
    let call = get("7");
    let all = futures_util::future::join_all((0..12).map(|_| client.read(&call, parse))).await;
    assert!(all.iter().all(|status| *status == Ok(200)), "{all:?}");
    let seen = server.seen();
    assert!(
        seen[14].at - seen[13].at >= Duration::from_secs(2),
        "probes are spaced"
    );
}

#[tokio::test]
async fn permanent_failure_of_one_customer_affects_no_other_customer() {
    let server = Server::start(|seen| {
        if seen.line.contains("bad") {
            json(500, "")
        } else {
            ok()
        }
    })
    .await;
    let mut settings = settings(&server);
    settings.retries = 3;
    let client = client(settings);
    assert_eq!(client.read(&get("good"), parse).await, Ok(200));
    let call = get("bad");
    let all = futures_util::future::join_all((0..12).map(|_| client.read(&call, parse))).await;
    for result in all {
        assert_eq!(result.unwrap_err().kind, CallErrorKind::Status(500));
    }
    assert_eq!(client.read(&get("good"), parse).await, Ok(200));
}

#[tokio::test]
async fn stopping_ends_back_offs() {
    let server = Server::start(|_| json(500, "")).await;
    let stop = CancellationToken::new();
    let client = Client::new(settings(&server), character(), stop.clone()).unwrap();
    stop.cancel();
    let why = client.read(&get("7"), parse).await.unwrap_err();
    assert_eq!((why.kind, why.attempts), (CallErrorKind::Cancelled, 1));
}

#[tokio::test]
async fn each_attempt_has_ids_of_its_own_and_the_token() {
    let server = Server::start(|seen| {
        if seen.number == 0 {
            json(500, "")
        } else {
            ok()
        }
    })
    .await;
    let mut call = get("a/b c");
    call.query = vec![("exactMatch", "true".to_owned())];
    client(settings(&server)).read(&call, parse).await.unwrap();
    let seen = server.seen();
    for request in &seen {
        assert_eq!(
            request.line,
            "GET /root/api/customers/a%2Fb%20c?exactMatch=true"
        );
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {SECRET}"))
        );
        assert_eq!(request.header("x-api-key"), Some("key"));
        assert_eq!(request.header("accept"), Some("application/json"));
    }
    for name in ["x-request-id", "x-correlation-id"] {
        assert!(seen[0].header(name).is_some());
        assert_ne!(seen[0].header(name), seen[1].header(name));
    }
}

#[tokio::test]
async fn error_and_debug_texts_contain_no_ids_and_no_token() {
    let server = Server::start(|_| Act::RawThenReset(String::new())).await;
    let mut set = settings(&server);
    set.retries = 0;
    assert!(!format!("{set:?}").contains(SECRET));
    let client = client(set);
    assert!(!format!("{client:?}").contains(SECRET));
    let why = client.read(&get("private-id"), parse).await.unwrap_err();
    assert!(
        !why.text.contains("private-id") && !why.text.contains("http"),
        "{why}"
    );
}

#[tokio::test]
async fn unusable_settings_are_refused_before_any_call() {
    let server = Server::start(|_| ok()).await;
    let refused = |change: fn(&mut Settings)| {
        let mut settings = settings(&server);
        change(&mut settings);
        let error = Client::new(settings, character(), CancellationToken::new());
        error.unwrap_err().to_string()
    };
    let text = refused(|s| s.base_url = "http://example.com".to_owned());
    assert!(text.contains("--allow-http"), "{text}");
    for url in [
        "https://u:hidden@h/",
        "https://h/?a=hidden",
        "ftp://h",
        "h",
        "",
    ] {
        let mut settings = settings(&server);
        settings.base_url = url.to_owned();
        let error = Client::new(settings, character(), CancellationToken::new()).unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    let text = refused(|s| s.token = Token::given("canary\nHost: x"));
    assert!(
        text.contains("line break") && !text.contains("canary"),
        "{text}"
    );
    let text = refused(|s| s.ca_cert = Some("/nonexistent.pem".into()));
    assert!(text.contains("/nonexistent.pem"), "{text}");
    let text = refused(|s| s.token = Token::Kept(SecretSource::File("/nonexistent".into())));
    assert!(text.contains("/nonexistent"), "{text}");
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn the_quota_holds_across_clients_on_one_target() {
    let server = Server::start(|_| ok()).await;
    let shared: Arc<dyn CallReservations> = Arc::new(InMemory::default());
    let limited = || {
        let mut settings = settings(&server);
        settings.quota = Some("10/2s".parse().unwrap());
        settings.call_reservations = Some(Arc::clone(&shared));
        client(settings)
    };
    let first = limited();
    for _ in 0..10 {
        assert_eq!(first.read(&get("7"), parse).await, Ok(200));
    }
    // Like `kill -9`: nothing is cleaned up.
    std::mem::forget(first);
    let second = limited();
    let health = second.health();
    let call = get("7");
    let (status, ()) = tokio::join!(second.read(&call, parse), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(matches!(&*health.borrow(), Health::Held { why, .. } if why.contains("quota")));
    });
    assert_eq!(status, Ok(200));
    let seen = server.seen();
    assert!(seen[10].at - seen[0].at >= Duration::from_secs(2));
}

/// A tentative call may fail for reasons of its own. Its result says nothing about the system, neither that it works
/// nor that it fails, especially when an outage is probed.
#[tokio::test]
async fn tentative_calls_do_not_affect_outage_detection() {
    let server = Server::start(|seen| {
        if seen.number == 0 {
            ok()
        } else {
            json(500, "")
        }
    })
    .await;
    let mut set = settings(&server);
    set.retries = 0;
    let client = client(set);
    assert_eq!(
        client.read(&get("bulk").tentatively(), parse).await,
        Ok(200)
    );
    for n in 0..9 {
        client.read(&get(&n.to_string()), parse).await.unwrap_err();
    }
    client
        .read(&get("bulk").tentatively(), parse)
        .await
        .unwrap_err();
    assert!(!client.gate.is_held());
    // The tenth failure that counts holds all calls. After a second the first call that ever succeeded is repeated as
    // the probe, and its failure counts as a failure of the system.
    let tenth = get("tenth");
    let waited = tokio::time::timeout(Duration::from_millis(1800), client.read(&tenth, parse));
    assert!(waited.await.is_err(), "still held");
    assert!(client.gate.is_held());
    let seen = server.seen();
    assert_eq!(
        seen.len(),
        13,
        "one good, nine bad, a bulk one, the tenth, the probe"
    );
    assert!(seen[11].line.contains("tenth") && seen[12].line.contains("bulk"));
}
