use crate::support::{Done, Place, finish};
use crate::tls::{Authority, Tls, authority};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

/// Returns the settings of a server that accepts only clients with a certificate of this authority.
fn demanding(
    servers: &Authority,
    clients: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2090, 12, 31);
    let certificate = params.signed_by(&key, servers).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_protocol_versions(versions)
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(vec![certificate.der().clone()], key);
    Arc::new(config.unwrap())
}

/// Returns the certificate and the key of a client, in PEM: valid until the end of this year.
fn client(authority: &Authority, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 12, 31);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A stand-in behind a server that demands client certificates, and the files of a client with a certificate.
struct Guarded {
    place: Place,
    server: Tls,
    servers: Authority,
    clients: Authority,
}

impl Guarded {
    fn new(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let (place, servers, clients) = (Place::plume(), authority(), authority());
        place.moves(5);
        place.file("company.pem", &servers.pem());
        let server = Tls::before(&place, demanding(&servers, &clients, versions));
        let guarded = Self {
            place,
            server,
            servers,
            clients,
        };
        guarded.write(&client(&guarded.clients, 2090));
        guarded
    }

    fn write(&self, (certificate, key): &(String, String)) {
        use std::os::unix::fs::PermissionsExt;
        self.place.file("client.pem", certificate);
        self.place.file("key.pem", key);
        let key = self.place.path().join("key.pem");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let url = self.server.base_url();
        let with = ["--base-url", &url, "--ca-cert", "company.pem"];
        self.place.run(&[arguments, &with[..]].concat())
    }

    fn with(&self, arguments: &[&str]) -> Done {
        let both = ["--client-cert", "client.pem", "--client-key", "key.pem"];
        self.run(&[arguments, &both[..]].concat())
    }
}

const APPLY: [&str; 3] = ["apply", "moves.csv", "--yes"];

#[test]
fn client_certificate_is_sent_and_a_client_without_one_is_refused() {
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let guarded = Guarded::new(versions);
        let refused = guarded.run(&APPLY).expect(2);
        assert!(refused.err.contains("client_cert"), "{}", refused.err);
        assert!(guarded.place.sandbox.log().is_empty());
        let done = guarded.with(&APPLY).expect(0);
        assert!(!done.err.contains("others may read"), "{}", done.err);
        assert_eq!(guarded.place.patches(), 5);
        // The run keeps the names of the files, so the commands that continue it use them.
        let verify = ["verify", "--base-url", &guarded.server.base_url()];
        guarded.place.run(&verify).expect(0);
    }
}

#[test]
fn one_file_in_a_profile_may_hold_certificate_and_key() {
    let guarded = Guarded::new(&[&version::TLS13]);
    let (certificate, key) = client(&guarded.clients, 2090);
    guarded
        .place
        .file("both.pem", &format!("{key}{certificate}"));
    guarded.place.file(
        "idshift.toml",
        "[profiles.p]\nclient_cert = \"both.pem\"\nclient_key = \"both.pem\"\n",
    );
    let done = guarded.run(&[&APPLY[..], &["--profile", "p"]].concat());
    // A key that others may read causes a warning.
    assert!(done.err.contains("others may read the secret in both.pem"));
    done.expect(0);
}

/// Returns the key, encrypted with a passphrase.
fn encrypted(place: &Place, key: &str) -> String {
    place.file("plain.pem", key);
    let openssl = std::process::Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:x", "-in", "plain.pem"])
        .current_dir(place.path())
        .output();
    openssl.map_or_else(
        // If openssl is not installed, the heading is enough.
        |_| {
            let label = "ENCRYPTED PRIVATE KEY";
            format!("-----BEGIN {label}-----\nMA==\n-----END {label}-----\n")
        },
        |output| String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn invalid_certificate_files_are_reported_before_the_first_call() {
    let guarded = Guarded::new(&[&version::TLS13]);
    let (place, own) = (&guarded.place, client(&guarded.clients, 2090));
    let another = client(&guarded.clients, 2090);
    let chain = format!("{}{}", guarded.clients.pem(), own.0);
    let encrypted = encrypted(place, &own.1);
    for (certificate, key, file, words) in [
        (
            &own.1,
            &own.1,
            "client.pem",
            "a private key and no certificate",
        ),
        (
            &own.0,
            &own.0,
            "key.pem",
            "a certificate and no private key",
        ),
        (
            &own.0,
            &another.1,
            "key.pem",
            "does not belong to the certificate in client.pem",
        ),
        (
            &chain,
            &own.1,
            "key.pem",
            "belongs to certificate 2 in client.pem",
        ),
        (&own.0, &encrypted, "key.pem", "it is encrypted"),
        (
            &"nothing".to_owned(),
            &own.1,
            "client.pem",
            "no certificate in PEM",
        ),
        (
            &own.0,
            &"nothing".to_owned(),
            "key.pem",
            "no private key in PEM",
        ),
        (
            &"0\u{1}\u{2}".to_owned(),
            &own.1,
            "client.pem",
            "not PEM but DER",
        ),
        (
            &own.0.replace("-----END", "----END"),
            &own.1,
            "client.pem",
            "PEM is damaged",
        ),
    ] {
        guarded.write(&(certificate.clone(), key.clone()));
        let done = guarded.with(&APPLY);
        let said = [done.out, done.err].concat();
        assert_eq!(done.code, 2, "{words}: {said}");
        assert!(
            said.contains(words) && said.contains(file),
            "{words}: {said}"
        );
    }
    assert!(place.sandbox.log().is_empty());
}

#[test]
fn missing_certificate_or_key_is_reported() {
    let guarded = Guarded::new(&[&version::TLS13]);
    std::fs::remove_file(guarded.place.path().join("key.pem")).unwrap();
    let done = guarded.with(&APPLY).expect(2);
    assert!(
        done.err
            .contains("key.pem cannot be used: it cannot be read"),
        "{}",
        done.err
    );
    for (given, missing) in [
        ("--client-cert", "client_key"),
        ("--client-key", "client_cert"),
    ] {
        let done = guarded.run(&[&APPLY[..], &[given, "client.pem"]].concat());
        let words = format!("{missing} is missing");
        assert!(done.err.contains(&words), "{}", done.err);
        done.expect(2);
    }
    assert!(guarded.place.sandbox.log().is_empty());
}

#[test]
fn expired_certificate_is_reported_by_doctor_and_by_apply() {
    let guarded = Guarded::new(&[&version::TLS13]);
    let good = guarded.with(&["doctor"]);
    assert!(
        good.out.contains("client.pem is valid until 2090-12-31"),
        "{}",
        good.out
    );
    good.expect(0);
    guarded.write(&client(&guarded.clients, 2021));
    let done = guarded.with(&["doctor"]).expect(2);
    assert!(
        done.out.contains("client.pem expired on 2021-12-31"),
        "{}",
        done.out
    );
    let done = guarded.with(&APPLY).expect(2);
    let warned = "the client certificate in client.pem has expired";
    assert!(done.err.contains(warned), "{}", done.err);
    assert!(done.err.contains("the server says that"), "{}", done.err);
    // This certificate is from an authority that the server does not know.
    guarded.write(&client(&authority(), 2090));
    let done = guarded.with(&APPLY).expect(2);
    assert!(done.err.contains("client certificate"), "{}", done.err);
    assert_eq!(guarded.place.patches(), 0);
}

/// The server begins to refuse the certificate during the run: no line fails because of it.
#[test]
fn a_certificate_that_is_refused_during_a_run_stops_it_and_resume_finishes() {
    let guarded = Guarded::new(&[&version::TLS13]);
    let place = &guarded.place;
    place.moves(300);
    let url = guarded.server.base_url();
    let mut command =
        place.command(&[&APPLY[..], &["--rate", "100/s", "--base-url", &url]].concat());
    command.args(["--client-cert", "client.pem", "--client-key", "key.pem"]);
    command.args(["--ca-cert", "company.pem"]);
    let child = command.spawn().unwrap();
    while place.patches() < 30 {
        std::thread::yield_now();
    }
    let good = Arc::clone(&*guarded.server.shows.lock().unwrap());
    *guarded.server.shows.lock().unwrap() =
        demanding(&guarded.servers, &authority(), &[&version::TLS13]);
    place
        .sandbox
        .set_faults(vec!["patch:close-after:every=5".parse().unwrap()]);
    let done = finish(child).expect(4);
    let said = [done.out, done.err].concat();
    assert!(said.contains("client certificate"), "{said}");
    let verdicts = place.verdicts();
    assert!(
        verdicts.iter().all(|one| !one.starts_with("failed")),
        "{verdicts:?}"
    );
    place.sandbox.set_faults(Vec::new());
    *guarded.server.shows.lock().unwrap() = good;
    place.run(&["resume", "--base-url", &url]).expect(0);
    place.judge_writes();
    assert_eq!(place.patches(), 300);
}
