//! Writes: at most one request reaches the server, and a write with an unknown result is in doubt.

use super::server::{Act, Fault, Server, json, ok, with};
use super::*;
use tokio::net::TcpListener;

#[tokio::test]
async fn possibly_processed_write_is_in_doubt_and_not_sent_again() {
    let faults: [(&str, Fault, CallErrorKind); 14] = [
        ("408", || json(408, ""), CallErrorKind::Status(408)),
        ("500", || json(500, ""), CallErrorKind::Status(500)),
        ("502", || json(502, ""), CallErrorKind::Status(502)),
        ("503", || json(503, ""), CallErrorKind::Status(503)),
        (
            "503 with a wait",
            || with(503, "Retry-After: 1\r\n", ""),
            CallErrorKind::Status(503),
        ),
        ("504", || json(504, ""), CallErrorKind::Status(504)),
        (
            "302",
            || with(302, "Location: http://h/x\r\n", ""),
            CallErrorKind::NotTheApi(Stranger::Redirect),
        ),
        (
            "reset",
            || Act::RawThenReset(String::new()),
            CallErrorKind::Reset,
        ),
        (
            "closed",
            || Act::RawThenClose(String::new()),
            CallErrorKind::Reset,
        ),
        (
            "half a head",
            || Act::RawThenReset("HTTP/1.1 20".to_owned()),
            CallErrorKind::Reset,
        ),
        (
            "half a body",
            || Act::RawThenClose("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{".to_owned()),
            CallErrorKind::Reset,
        ),
        ("hang", || Act::Hang, CallErrorKind::Timeout),
        ("drip", || Act::Drip, CallErrorKind::Timeout),
        (
            "page",
            || with(200, "Content-Type: text/html\r\n", "<p>"),
            CallErrorKind::NotTheApi(Stranger::Page),
        ),
    ];
    for (name, fault, kind) in faults {
        let server = Server::start(move |_| fault()).await;
        let mut settings = settings(&server);
        settings.timeout = Duration::from_millis(600);
        match write(&client(settings), &patch("7")).await {
            Sent::InDoubt(why) => assert_eq!((why.kind, why.attempts), (kind, 1), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(server.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn unprocessed_write_may_be_sent_again_by_the_caller() {
    let faults: [Fault; 3] = [
        || with(429, "Retry-After: 0\r\n", ""),
        || json(425, ""),
        || with(403, "", "<html>blocked"),
    ];
    for fault in faults {
        let server = Server::start(move |_| fault()).await;
        let sent = write(&client(settings(&server)), &patch("7")).await;
        assert!(matches!(sent, Sent::Again(_)), "{sent:?}");
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn final_answers_are_returned_to_the_caller() {
    for status in [200_u16, 201, 204, 400, 403, 404, 409, 422] {
        let server = Server::start(move |_| json(status, "")).await;
        match write(&client(settings(&server)), &patch("7")).await {
            Sent::Reply(reply) => assert_eq!((reply.status, reply.attempts), (status, 1)),
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn unauthorized_write_returns_before_the_token_is_renewed() {
    let server = Server::start(|_| json(401, "")).await;
    let client = client(settings(&server));
    let mut pending = client.pending_write(patch("7"));
    let sent = attempt(&mut pending).await;
    assert!(
        matches!(&sent, Sent::Again(why) if why.status == Some(401)),
        "{sent:?}"
    );
    // The token cannot be renewed, so the answer is final.
    let sent = attempt(&mut pending).await;
    assert!(
        matches!(&sent, Sent::Reply(reply) if reply.status == 401),
        "{sent:?}"
    );
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_hold_that_begins_between_turn_and_sending_postpones_the_write() {
    let server = Server::start(|seen| match seen.number {
        0 => with(429, "Retry-After: 1\r\n", ""),
        _ => ok(),
    })
    .await;
    let client = client(settings(&server));
    let (mut first, mut second) = (
        client.pending_write(patch("7")),
        client.pending_write(patch("8")),
    );
    assert!(second.turn(Duration::ZERO).await.is_ok());
    assert!(matches!(attempt(&mut first).await, Sent::Again(why) if why.status == Some(429)));
    let sent = second.send("intent-2", &|| true).await;
    assert!(
        matches!(&sent, Sent::Again(why) if why.kind == CallErrorKind::Postponed),
        "{sent:?}"
    );
    assert_eq!(server.count(), 1);
    assert!(matches!(attempt(&mut second).await, Sent::Reply(_)));
}

#[tokio::test]
async fn a_refusal_holds_the_next_call() {
    let server = Server::start(|seen| match seen.number {
        0 => with(429, "Retry-After: 1\r\n", ""),
        _ => ok(),
    })
    .await;
    let client = client(settings(&server));
    assert!(matches!(write(&client, &patch("7")).await, Sent::Again(_)));
    assert!(matches!(write(&client, &patch("7")).await, Sent::Reply(_)));
    let seen = server.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn recorded_correlation_id_and_given_body_are_sent() {
    let server = Server::start(|_| ok()).await;
    let client = client(settings(&server));
    for _ in 0..2 {
        let sent = write(&client, &patch("7")).await;
        assert!(
            matches!(sent, Sent::Reply(reply) if reply.correlation.as_deref() == Some("intent-1"))
        );
    }
    let seen = server.seen();
    assert_eq!(seen[0].line, "PATCH /root/api/customers/7");
    assert_eq!(seen[0].body, "{\"accountId\":\"B\"}");
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert!(
        seen.iter()
            .all(|s| s.header("x-correlation-id") == Some("intent-1"))
    );
    assert_ne!(
        seen[0].header("x-request-id"),
        seen[1].header("x-request-id")
    );
}

#[tokio::test]
async fn failed_connection_is_retried_and_then_the_write_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::on(listener, |_| ok());
    let mut settings = settings(&server);
    settings.retries = 2;
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let client = client(settings);
    let mut pending = client.pending_write(patch("7"));
    for _ in 0..3 {
        let sent = attempt(&mut pending).await;
        assert!(
            matches!(&sent, Sent::Again(why) if why.status.is_none()),
            "{sent:?}"
        );
    }
    match attempt(&mut pending).await {
        Sent::NotSent(why) => {
            assert_eq!((why.kind, why.attempts), (CallErrorKind::Connect, 3));
            assert!(why.text.contains("refused"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answer_without_tls_fails_the_write_without_retry() {
    let server = Server::start(|_| ok()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&server);
    settings.base_url = format!("https://{}", listener.local_addr().unwrap());
    let client = client(settings);
    let call = patch("7");
    let (sent, ()) = tokio::join!(write(&client, &call), async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    assert!(
        matches!(&sent, Sent::NotSent(why) if why.kind == CallErrorKind::Tls),
        "{sent:?}"
    );
}
