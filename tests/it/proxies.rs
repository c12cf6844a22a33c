use crate::support::{Done, Place, Serving, finish};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A SOCKS5 proxy (RFC 1928, RFC 1929) that connects all clients to a stand-in, and records their destinations.
struct Socks {
    serving: Serving,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    /// Starts the proxy. `login`: the user and password that it requires. `reply`: its answer to a request; 0 connects
    /// the client.
    fn before(place: &Place, login: Option<(&'static str, &'static str)>, reply: u8) -> Self {
        let to = place.sandbox.base_url().replace("http://", "");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let serving = Serving::start(move |mut outer| {
            let (to, noted) = (to.clone(), Arc::clone(&noted));
            async move {
                // The connection ends when the client disconnects.
                let Some(destination) = greet(&mut outer, login).await else {
                    return;
                };
                noted.lock().unwrap().push(destination);
                let answer = [5, reply, 0, 1, 127, 0, 0, 1, 0, 80];
                if outer.write_all(&answer).await.is_err() || reply != 0 {
                    return;
                }
                if let Ok(mut inner) = TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                }
            }
        });
        Self { serving, asked }
    }

    fn address(&self, scheme: &str) -> String {
        self.serving.https().replace("https", scheme)
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

/// Handles the greeting, the login and the request; returns the destination as `host:port`.
async fn greet(stream: &mut TcpStream, login: Option<(&str, &str)>) -> Option<String> {
    let head: [u8; 2] = read(stream).await?;
    let mut methods = vec![0; usize::from(head[1])];
    stream.read_exact(&mut methods).await.ok()?;
    let method = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        stream.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    stream.write_all(&[5, method]).await.ok()?;
    if let Some((user, password)) = login {
        let _: [u8; 1] = read(stream).await?;
        let given = (text(stream).await?, text(stream).await?);
        let is_right = given == (user.to_owned(), password.to_owned());
        stream.write_all(&[1, u8::from(!is_right)]).await.ok()?;
        if !is_right {
            return None;
        }
    }
    let request: [u8; 4] = read(stream).await?;
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(read::<4>(stream).await?).to_string(),
        3 => text(stream).await?,
        _ => return None,
    };
    let port = u16::from_be_bytes(read(stream).await?);
    Some(format!("{host}:{port}"))
}

async fn read<const N: usize>(stream: &mut TcpStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn text(stream: &mut TcpStream) -> Option<String> {
    let [length]: [u8; 1] = read(stream).await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}

/// Tokens come from `sso.test`, the API is `crm.test`; neither name exists.
fn run(place: &Place, variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    place.file(
        "idshift.toml",
        "[profiles.p]\nallow_http = true\n[profiles.p.oauth2]\nclient_id = \"c\"\nclient_secret_env = \"SECRET\"\n\
         token_url = \"http://sso.test/oauth2/token\"\n",
    );
    let mut command = place.command(arguments);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env("SECRET", "s")
        .env("IDSHIFT_PROFILE", "p")
        .env("IDSHIFT_BASE_URL", "http://crm.test:8080");
    for (name, value) in variables {
        command.env(name, value);
    }
    finish(command.spawn().unwrap())
}

#[test]
fn calls_and_token_requests_use_a_socks5h_proxy() {
    let place = Place::plume();
    let file = place.moves(5);
    for login in [None, Some(("user", "p@ss"))] {
        let socks = Socks::before(&place, login, 0);
        let mut address = socks.address("socks5h");
        if login.is_some() {
            address = address.replace("//", "//user:p%40ss@");
        }
        let arguments = ["plan", &file, "--give-up-after", "2s"];
        let done = run(&place, &[("ALL_PROXY", &address)], &arguments).expect(0);
        assert!(!format!("{}{}", done.out, done.err).contains("p%40ss"));
        assert_eq!(socks.asked(), ["crm.test:8080", "sso.test:80"]);
    }
    let socks = Socks::before(&place, None, 0);
    let proxy = [("ALL_PROXY", &*socks.address("socks5h"))];
    run(&place, &proxy, &["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.patches(), 5);
}

/// With `socks5` this machine resolves names, so the proxy gets addresses.
#[test]
fn socks5_proxy_gets_addresses_instead_of_host_names() {
    let place = Place::plume();
    let file = place.moves(2);
    let socks = Socks::before(&place, None, 0);
    let mut command = place.command(&["apply", &file, "--yes", "--allow-http"]);
    command
        .env("HTTP_PROXY", socks.address("socks5"))
        .env("IDSHIFT_BASE_URL", "http://203.0.113.7");
    finish(command.spawn().unwrap()).expect(0);
    assert_eq!(socks.asked(), ["203.0.113.7:80"]);
    // A name that this machine cannot resolve is a mistyped address, as without a proxy.
    let proxy = [("ALL_PROXY", &*socks.address("socks5"))];
    let done = run(&place, &proxy, &["doctor"]).expect(2);
    assert!(
        done.out.contains("`crm.test:8080` cannot be found"),
        "{}",
        done.out
    );
}

#[test]
fn doctor_reports_a_socks_proxy_that_refuses() {
    let place = Place::plume();
    place.moves(2);
    let arguments = ["doctor", "--give-up-after", "1s", "--timeout", "1s"];
    let wanted = Some(("user", "right"));
    for (login, user, reply, words) in [
        (wanted, "user:wrong@", 0, "user and the password"),
        (wanted, "", 0, "SOCKS proxy"),
        (None, "", 2, "SOCKS proxy"),
    ] {
        let socks = Socks::before(&place, login, reply);
        let address = socks.address("socks5h").replace("//", &format!("//{user}"));
        let done = run(&place, &[("ALL_PROXY", &address)], &arguments).expect(2);
        assert!(done.out.contains(words), "{user}: {}{}", done.out, done.err);
        assert!(!done.out.contains("wrong"), "{}", done.out);
    }
    assert!(place.sandbox.log().is_empty());
}

#[test]
fn doctor_reports_which_proxy_is_used_for_each_host() {
    let place = Place::plume();
    place.moves(2);
    let socks = Socks::before(&place, None, 0);
    let address = socks.address("socks5h");
    let said = |variables: &[(&str, &str)]| {
        let quick = ["doctor", "--give-up-after", "1s", "--timeout", "1s"];
        run(&place, variables, &quick).out
    };
    let both = said(&[("ALL_PROXY", &address)]);
    for host in ["crm.test", "sso.test"] {
        let words = format!("calls to {host} go through {address} (ALL_PROXY)");
        assert!(both.contains(&words), "{both}");
    }
    let one = said(&[
        ("ALL_PROXY", &address.replace("//", "//user:hunter2@")),
        ("NO_PROXY", "localhost,.test"),
    ]);
    let words = "calls to sso.test go through no proxy: NO_PROXY names it (.test)";
    assert!(one.contains(words) && !one.contains("hunter2"), "{one}");
    let odd = said(&[("HTTPS_PROXY", &address), ("http_proxy", "gopher://x")]);
    assert!(odd.contains("http_proxy names no proxy"), "{odd}");
    assert!(!said(&[]).contains("proxy  "));
}
