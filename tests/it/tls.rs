use crate::support::{Done, Front, Place, Serving, finish};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Returns the settings of a server with a certificate for this name, valid until the end of this year.
pub(crate) fn shown(authority: Option<&Authority>, name: &str, until: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 12, 31);
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority),
        None => params.self_signed(&key),
    };
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap().der().clone()], key);
    Arc::new(config.unwrap())
}

/// A TLS server that forwards the content of its connections to the stand-in.
pub(crate) struct Tls {
    serving: Serving,
    pub(crate) shows: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Tls {
    pub(crate) fn before(place: &Place, shows: Arc<ServerConfig>) -> Self {
        let to = place.sandbox.base_url().replace("http://", "");
        let shows = Arc::new(Mutex::new(shows));
        let showing = Arc::clone(&shows);
        let serving = Serving::start(move |outer| {
            let acceptor = TlsAcceptor::from(Arc::clone(&*showing.lock().unwrap()));
            let to = to.clone();
            async move {
                // If one side closes or refuses the connection, the other side sees it.
                let Ok(mut outer) = acceptor.accept(outer).await else {
                    return;
                };
                if let Ok(mut inner) = tokio::net::TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                }
            }
        });
        Self { serving, shows }
    }

    pub(crate) fn base_url(&self) -> String {
        self.serving.https()
    }
}

fn apply(place: &Place, base_url: &str, more: &[&str]) -> Done {
    let arguments = [
        &["apply", "moves.csv", "--yes", "--base-url", base_url],
        more,
    ]
    .concat();
    place.run(&arguments)
}

#[test]
fn private_ca_certificate_is_trusted_only_with_the_ca_cert_option() {
    let (place, authority) = (Place::plume(), authority());
    place.moves(5);
    let pem = place.file("company.pem", &authority.pem());
    let server = Tls::before(&place, shown(Some(&authority), "127.0.0.1", 2090));
    let refused = apply(&place, &server.base_url(), &[]).expect(2);
    let said = [refused.out, refused.err].concat();
    assert!(said.contains("--ca-cert"), "says what to do: {said}");
    assert!(place.sandbox.log().is_empty());
    apply(&place, &server.base_url(), &["--ca-cert", &pem]).expect(0);
    assert_eq!(place.patches(), 5);
}

#[test]
fn invalid_certificate_is_refused_before_anything_is_sent() {
    let (place, known) = (Place::plume(), authority());
    place.moves(5);
    let pem = place.file("company.pem", &known.pem());
    for (what, shows) in [
        ("made by itself", shown(None, "127.0.0.1", 2090)),
        ("another's name", shown(Some(&known), "other.example", 2090)),
        ("expired", shown(Some(&known), "127.0.0.1", 2021)),
        (
            "of a stranger",
            shown(Some(&authority()), "127.0.0.1", 2090),
        ),
    ] {
        let server = Tls::before(&place, shows);
        let done = apply(&place, &server.base_url(), &["--ca-cert", &pem]);
        let said = [done.out, done.err].concat();
        assert_eq!(done.code, 2, "{what}: {said}");
        assert!(said.contains("certificate"), "{what}: {said}");
    }
    // A server without TLS is refused, too, and there is no option that allows it.
    let plain = place.sandbox.base_url().replace("http://", "https://");
    let done = apply(&place, &plain, &[]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    for option in ["--insecure", "--no-verify", "-k"] {
        apply(&place, &plain, &[option]).expect(2);
    }
    assert!(place.sandbox.log().is_empty());
}

#[test]
fn error_names_an_invalid_certificate_file() {
    let place = Place::plume();
    place.moves(1);
    place.file("garbage.pem", "not a certificate\n");
    place.file("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    for file in ["garbage.pem", "key.pem", "not-there.pem", "."] {
        let done = apply(&place, "https://127.0.0.1:9", &["--ca-cert", file]).expect(2);
        assert!(done.err.contains(file), "{file}: {}", done.err);
    }
}

#[test]
fn certificate_that_becomes_invalid_stops_the_run_and_resume_finishes() {
    let (place, authority) = (Place::plume(), authority());
    place.moves(300);
    let pem = place.file("company.pem", &authority.pem());
    let good = shown(Some(&authority), "127.0.0.1", 2090);
    let server = Tls::before(&place, Arc::clone(&good));
    let mut command = place.command(&["apply", "moves.csv", "--yes", "--rate", "100/s"]);
    command.args(["--ca-cert", &pem, "--base-url", &server.base_url()]);
    let child = command.spawn().unwrap();
    while place.patches() < 30 {
        std::thread::yield_now();
    }
    *server.shows.lock().unwrap() = shown(Some(&authority), "127.0.0.1", 2021);
    // Open connections would stay valid, so this fault closes some of them.
    place
        .sandbox
        .set_faults(vec!["patch:close-after:every=5".parse().unwrap()]);
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!([done.out, done.err].concat().contains("certificate"));
    assert!(
        place
            .verdicts()
            .iter()
            .all(|verdict| !verdict.starts_with("failed")),
        "no line is to blame"
    );
    place.sandbox.set_faults(Vec::new());
    *server.shows.lock().unwrap() = good;
    place
        .run(&["resume", "--base-url", &server.base_url()])
        .expect(0);
    place.judge_writes();
    assert_eq!(place.patches(), 300);
}

#[test]
fn a_bad_certificate_ends_the_waits_of_all_units() {
    let (place, authority) = (Place::plume(), authority());
    place.moves(300);
    let pem = place.file("company.pem", &authority.pem());
    let server = Tls::before(&place, shown(Some(&authority), "127.0.0.1", 2090));
    let mut command = place.command(&["apply", "moves.csv", "--yes", "--rate", "50/s"]);
    command.args(["--ca-cert", &pem, "--base-url", &server.base_url()]);
    command.args(["--lookup", "each", "--concurrency", "60"]);
    let child = command.spawn().unwrap();
    while place.patches() < 30 {
        std::thread::yield_now();
    }
    // All connections are closed, so that all units wait for one probe.
    place.sandbox.set_faults(vec!["any:close".parse().unwrap()]);
    let calls = place.sandbox.log().len();
    while place.sandbox.log().len() < calls + 12 {
        std::thread::yield_now();
    }
    *server.shows.lock().unwrap() = shown(Some(&authority), "127.0.0.1", 2021);
    let begun = Instant::now();
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!([done.out, done.err].concat().contains("certificate"));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn calls_to_this_machine_never_go_through_a_proxy() {
    let place = Place::plume();
    place.moves(3);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let proxy = Front::new(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        false
    });
    let mut command = place.command(&["apply", "moves.csv", "--yes"]);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env(name, proxy.base_url());
    }
    assert_eq!(finish(command.spawn().unwrap()).code, 0);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // For another host the proxy is used and reported: it sees the host's name, never a token or an ID.
    let mut command = place.command(&[
        "doctor",
        "--base-url",
        "https://crm.invalid",
        "--timeout",
        "2s",
    ]);
    let done = finish(
        command
            .env("HTTPS_PROXY", proxy.base_url())
            .spawn()
            .unwrap(),
    );
    assert!(
        asked.load(Ordering::Relaxed) > 0,
        "{}{}",
        done.out,
        done.err
    );
    assert!(done.out.contains("HTTPS_PROXY"), "{}{}", done.out, done.err);
}
