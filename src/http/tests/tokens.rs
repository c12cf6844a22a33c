//! Tokens: renewed once for all calls, not once for each customer whose call is refused.

use super::server::{Act, Seen, Server, json, ok};
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A server with a token endpoint: token `t<n>` is valid for `lasts` calls. Calls for customers `foreign…` always get a
/// 401.
async fn issuing(lasts: usize, life: &'static str) -> Server {
    let issued = AtomicUsize::new(0);
    let used = AtomicUsize::new(0);
    Server::start(move |seen: &Seen| {
        if seen.line.contains("/token") {
            let n = issued.fetch_add(1, Ordering::SeqCst) + 1;
            used.store(0, Ordering::SeqCst);
            return json(
                200,
                &format!("{{\"access_token\":\"t{n}\",\"token_type\":\"Bearer\"{life}}}"),
            );
        }
        let good = format!("Bearer t{}", issued.load(Ordering::SeqCst));
        let right = seen.header("authorization") == Some(&good);
        if !right || used.fetch_add(1, Ordering::SeqCst) >= lasts || seen.line.contains("foreign") {
            json(401, "{}")
        } else {
            ok()
        }
    })
    .await
}

fn with_endpoint(server: &Server) -> Settings {
    let mut settings = settings(server);
    settings.token = Token::OAuth2(OAuth2 {
        token_url: format!("{}token", server.url()),
        client_auth: ClientAuth::Basic {
            client_id: "id".to_owned(),
        },
        secret: SecretSource::Given(SecretString::from(SECRET)),
        scope: Some("partnerId:7 role:admin".to_owned()),
        extra: vec![("audience".to_owned(), "x".to_owned())],
    });
    settings
}

fn requests(server: &Server, part: &str) -> Vec<Seen> {
    let mut seen = server.seen();
    seen.retain(|seen| seen.line.contains(part));
    seen
}

#[tokio::test]
async fn all_workers_share_one_token_and_its_request_follows_oauth2() {
    let server = issuing(usize::MAX, ",\"expires_in\":3600").await;
    let client = client(with_endpoint(&server));
    let call = get("7");
    let all = futures_util::future::join_all((0..20).map(|_| client.read(&call, parse))).await;
    assert!(all.iter().all(|status| *status == Ok(200)));
    let asked = requests(&server, "/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "POST /root/token");
    // base64 of `id:canary-5b1f0c`
    assert_eq!(
        asked[0].header("authorization"),
        Some("Basic aWQ6Y2FuYXJ5LTViMWYwYw==")
    );
    assert_eq!(
        asked[0].body,
        "grant_type=client_credentials&scope=partnerId%3A7+role%3Aadmin&audience=x"
    );
}

/// RFC 6749, section 2.3.1: before ID and secret are put into a Basic header, both are encoded as in a form.
#[tokio::test]
async fn client_credentials_are_encoded_in_the_form_or_the_header() {
    let client_id = "a:b c".to_owned();
    let form = "grant_type=client_credentials&scope=partnerId%3A7+role%3Aadmin";
    let secret = "\u{fc}%+~";
    let cases = [
        (
            ClientAuth::Form {
                client_id: client_id.clone(),
            },
            secret,
            None,
            "&client_id=a%3Ab+c&client_secret=%C3%BC%25%2B%7E",
        ),
        (
            ClientAuth::Basic { client_id },
            secret,
            // base64 of `a%3Ab+c:%C3%BC%25%2B%7E`
            Some("Basic YSUzQWIrYzolQzMlQkMlMjUlMkIlN0U="),
            "",
        ),
        (ClientAuth::Header, "basic eDp5\n", Some("Basic eDp5"), ""),
        (ClientAuth::Header, "eDp5", Some("Basic eDp5"), ""),
    ];
    for (client_auth, secret, authorization, fields) in cases {
        let server = issuing(usize::MAX, "").await;
        let mut settings = with_endpoint(&server);
        let Token::OAuth2(endpoint) = &mut settings.token else {
            panic!("a token endpoint")
        };
        endpoint.client_auth = client_auth;
        endpoint.secret = SecretSource::Given(SecretString::from(secret));
        assert_eq!(client(settings).read(&get("7"), parse).await, Ok(200));
        let asked = &requests(&server, "/token")[0];
        assert_eq!(asked.header("authorization"), authorization);
        assert_eq!(asked.header("accept"), Some("application/json"));
        assert_eq!(
            asked.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
        assert_eq!(asked.body, format!("{form}{fields}&audience=x"));
    }
}

#[tokio::test]
async fn token_expired_after_100_calls_is_renewed_once_and_no_call_fails() {
    let server = issuing(100, ",\"expires_in\":3600").await;
    let client = client(with_endpoint(&server));
    let calls: Vec<_> = (0..10).map(|n| get(&n.to_string())).collect();
    for _ in 0..50 {
        let reads = calls.iter().map(|call| client.read(call, parse));
        let all = futures_util::future::join_all(reads).await;
        assert!(all.iter().all(|status| *status == Ok(200)), "{all:?}");
    }
    let asked = requests(&server, "/token").len();
    assert!((5..=7).contains(&asked), "{asked}");
    assert_eq!(
        client.counters().token_renewals,
        u64::try_from(asked).unwrap() - 1
    );
}

#[tokio::test]
async fn unauthorized_customers_do_not_each_cause_a_token_renewal() {
    let server = issuing(usize::MAX, ",\"expires_in\":3600").await;
    let client = client(with_endpoint(&server));
    for n in 0..100 {
        assert_eq!(client.read(&get(&format!("{n}")), parse).await, Ok(200));
        assert_eq!(
            client.read(&get(&format!("foreign{n}")), parse).await,
            Ok(401)
        );
        let mut pending = client.pending_write(patch(&format!("foreign{n}")));
        let sent = loop {
            match attempt(&mut pending).await {
                Sent::Again(_) => {}
                sent => break sent,
            }
        };
        assert!(matches!(sent, Sent::Reply(reply) if reply.status == 401));
    }
    let asked = requests(&server, "/token").len();
    assert!(asked <= 3, "{asked}");
}

#[tokio::test]
async fn expired_token_is_renewed_despite_unauthorized_customers() {
    let server = issuing(60, ",\"expires_in\":3600").await;
    let client = client(with_endpoint(&server));
    for n in 0..100 {
        assert_eq!(client.read(&get(&format!("{n}")), parse).await, Ok(200));
        assert_eq!(
            client.read(&get(&format!("foreign{n}")), parse).await,
            Ok(401)
        );
    }
    let asked = requests(&server, "/token").len();
    assert!((4..=9).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_write_with_an_expired_token_is_sent_again_by_the_caller_only() {
    let server = issuing(1, ",\"expires_in\":3600").await;
    let client = client(with_endpoint(&server));
    assert_eq!(client.read(&get("7"), parse).await, Ok(200));
    let mut pending = client.pending_write(patch("7"));
    assert!(matches!(attempt(&mut pending).await, Sent::Again(why) if why.status == Some(401)));
    assert_eq!(requests(&server, "PATCH").len(), 1);
    assert!(matches!(attempt(&mut pending).await, Sent::Reply(reply) if reply.status == 200));
}

#[tokio::test]
async fn a_wrong_token_from_the_start_is_renewed_once_and_stays_unauthorized() {
    let server = issuing(0, ",\"expires_in\":3600").await;
    let client = client(with_endpoint(&server));
    for n in 0..20 {
        assert_eq!(client.read(&get(&n.to_string()), parse).await, Ok(401));
    }
    assert_eq!(requests(&server, "/token").len(), 2);
}

#[tokio::test]
async fn missing_or_invalid_token_lifetime_causes_no_extra_renewals() {
    for life in [
        "",
        ",\"expires_in\":0",
        ",\"expires_in\":-1",
        ",\"expires_in\":\"soon\"",
        ",\"expires_in\":null",
        ",\"expires_in\":1e300",
    ] {
        let server = issuing(usize::MAX, life).await;
        let client = client(with_endpoint(&server));
        for _ in 0..50 {
            assert_eq!(client.read(&get("7"), parse).await, Ok(200), "{life}");
        }
        assert_eq!(requests(&server, "/token").len(), 1, "{life}");
    }
}

#[tokio::test]
async fn refusal_by_token_endpoint_is_explained_and_not_retried() {
    for (answer, word) in [
        (
            "{\"error\":\"invalid_client\",\"error_description\":\"canary-5b1f0c\"}",
            "client ID",
        ),
        ("{\"error\":\"invalid_scope\"}", "scope"),
        ("<html>canary-5b1f0c</html>", "token URL"),
    ] {
        let server = Server::start(move |_| json(400, answer)).await;
        let client = client(with_endpoint(&server));
        for _ in 0..3 {
            let why = client.read(&get("7"), parse).await.unwrap_err();
            assert_eq!(why.kind, CallErrorKind::TokenRefused);
            assert!(
                why.text.contains(word) && !why.text.contains(SECRET),
                "{why}"
            );
        }
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_asked_again_by_one_worker() {
    let server = Server::start(|seen| match seen.number {
        0 => json(500, ""),
        1 => Act::RawThenReset(String::new()),
        2 => json(200, "{\"access_token\":\"t1\"}"),
        _ => ok(),
    })
    .await;
    let client = client(with_endpoint(&server));
    let call = get("7");
    let all = futures_util::future::join_all((0..10).map(|_| client.read(&call, parse))).await;
    assert!(all.iter().all(|status| *status == Ok(200)), "{all:?}");
    assert_eq!(requests(&server, "/token").len(), 3);
}

#[tokio::test]
async fn a_token_file_is_read_again_after_a_401() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "old\n").unwrap();
    let server = Server::start(|seen| {
        if seen.header("authorization") == Some("Bearer new") {
            ok()
        } else {
            json(401, "{}")
        }
    })
    .await;
    let mut settings = settings(&server);
    settings.token = Token::Kept(SecretSource::File(path.clone()));
    let client = client(settings);
    assert_eq!(
        client.read(&get("7"), parse).await,
        Ok(401),
        "the file is as it was"
    );
    std::fs::write(&path, "new\n").unwrap();
    assert_eq!(client.read(&get("7"), parse).await, Ok(200));
}

#[tokio::test]
async fn token_command_runs_once_for_all_workers() {
    let server = Server::start(|seen| {
        if seen.header("authorization") == Some("Bearer $(id);a") {
            json(401, "{}")
        } else {
            ok()
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("echo x >> {}; printf token", log.display());
    let mut settings = settings(&server);
    settings.token = Token::Kept(SecretSource::Command(vec![
        "sh".to_owned(),
        "-c".to_owned(),
        script,
    ]));
    let client = Arc::new(client(settings));
    let call = get("7");
    let all = futures_util::future::join_all((0..10).map(|_| client.read(&call, parse))).await;
    assert!(all.iter().all(|status| *status == Ok(200)), "{all:?}");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "x\n");
    assert_eq!(
        server.seen()[0].header("authorization"),
        Some("Bearer token")
    );
}

#[tokio::test]
async fn a_token_command_that_gives_the_same_token_is_not_run_for_each_401() {
    let server = Server::start(|seen| {
        if seen.line.contains("foreign") {
            json(401, "{}")
        } else {
            ok()
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("echo x >> {}; printf token", log.display());
    let mut settings = settings(&server);
    settings.token = Token::Kept(SecretSource::Command(vec![
        "sh".to_owned(),
        "-c".to_owned(),
        script,
    ]));
    let client = client(settings);
    assert_eq!(client.read(&get("7"), parse).await, Ok(200));
    for n in 0..50 {
        let id = format!("foreign{n}");
        assert_eq!(client.read(&get(&id), parse).await, Ok(401));
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn failing_token_command_is_reported_without_its_output() {
    let server = Server::start(|_| ok()).await;
    let mut settings = settings(&server);
    let script = format!("echo {SECRET}; echo {SECRET} >&2; exit 3");
    settings.token = Token::Kept(SecretSource::Command(vec![
        "sh".to_owned(),
        "-c".to_owned(),
        script,
    ]));
    let why = client(settings).read(&get("7"), parse).await.unwrap_err();
    assert_eq!(why.kind, CallErrorKind::TokenRefused);
    assert!(why.text.contains("`sh`") && why.text.contains('3'), "{why}");
    assert!(!why.text.contains(SECRET));
    assert_eq!(server.count(), 0);
}

/// A 401 to a token that cannot be renewed says nothing about the customer, unless other calls still succeed with the
/// token.
#[tokio::test]
async fn failed_renewal_fails_the_call_unless_the_token_still_works() {
    for is_dead in [true, false] {
        let dead = Arc::new(AtomicBool::new(false));
        let is_refused = Arc::clone(&dead);
        let server = Server::start(move |seen| {
            let refuses = is_refused.load(Ordering::Relaxed);
            if seen.line.contains("foreign") || (refuses && is_dead) {
                json(401, "{}")
            } else {
                ok()
            }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "token").unwrap();
        let mut settings = settings(&server);
        let script = format!("cat {}", token.display());
        let command = ["sh", "-c", &script].map(str::to_owned);
        settings.token = Token::Kept(SecretSource::Command(command.to_vec()));
        let client = client(settings);
        assert_eq!(client.read(&get("7"), parse).await, Ok(200));
        std::fs::remove_file(&token).unwrap();
        dead.store(true, Ordering::Relaxed);
        let answer = client.read(&get("foreign"), parse).await;
        if is_dead {
            assert_eq!(answer.unwrap_err().kind, CallErrorKind::TokenRefused);
        } else {
            assert_eq!(answer, Ok(401));
            assert_eq!(client.read(&get("8"), parse).await, Ok(200));
        }
    }
}
