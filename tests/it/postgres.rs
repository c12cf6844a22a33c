//! `doctor --ledger` on a real PostgreSQL: what can keep a ledger, and what is refused before anything is called.

use crate::support::postgres::{ADMIN, Server};
use crate::support::{Done, Place, finish};
use crate::tls::authority;
use rcgen::{CertificateParams, KeyPair};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Stdio};

fn doctor(place: &Place, address: &str) -> Done {
    place.run(&["doctor", "--ledger", address])
}

/// Checks that the address is refused with these words, and that no password is shown.
fn refused(place: &Place, address: &str, words: &str) {
    let done = doctor(place, address).expect(2);
    assert!(done.out.contains(words), "{address}: {}", done.out);
    let said = done.out + &done.err;
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn doctor_says_which_server_answers_and_whether_it_can_keep_a_ledger() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, database) = (Place::plume(), server.database());
    for address in [
        server.address(ADMIN, &database),
        server.tcp_address(ADMIN, &database),
    ] {
        let done = place
            .run(&["doctor", "--json", "--ledger", &address])
            .expect(0);
        let document = done.json();
        let all = document["findings"].as_array().unwrap();
        let of_ledger = all.iter().filter(|finding| finding["what"] == "ledger");
        let words: Vec<&str> = of_ledger
            .map(|finding| finding["words"].as_str().unwrap())
            .collect();
        let text = words.join("\n");
        for part in [
            database.as_str(),
            "PostgreSQL 1",
            "fsync on, full_page_writes on, synchronous_commit on",
            "no synchronous standby",
            "not there yet",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            !all.iter().any(|finding| finding["good"] == false),
            "{text}"
        );
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'idshift'";
    assert_eq!(
        server.psql(&database, schemas),
        "0",
        "a diagnosis changes nothing"
    );
    // The address may also be in the environment or in a profile.
    let file = format!(
        "[profiles.p]\nledger = \"{}\"\n",
        server.address(ADMIN, &database)
    );
    place.file("idshift.toml", &file);
    let of_profile = place.run(&["doctor", "--profile", "p"]).expect(0);
    let address = server.address(ADMIN, &database);
    let of_variable = place
        .run_with(&[("LEDGER", &address)], &["doctor"])
        .expect(0);
    for done in [of_profile, of_variable] {
        assert!(done.out.contains("not there yet"), "{}", done.out);
    }
}

#[test]
fn doctor_explains_why_a_database_is_unsuitable_and_how_to_fix_it() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, database) = (Place::plume(), server.database());
    let address = server.address(ADMIN, &database);
    refused(
        &place,
        "postgres://u:hunter2@db.example.com/d",
        "IDSHIFT_LEDGER_PASSWORD",
    );
    refused(&place, "mysql://u@h/d", "postgres://idshift@");
    refused(
        &place,
        "postgres://u@127.0.0.1:9/d",
        "no server listens there",
    );
    refused(
        &place,
        "postgres:///d?host=/nowhere",
        "no server listens in that folder",
    );
    refused(
        &place,
        &server.tcp_address(ADMIN, "nothing"),
        "CREATE DATABASE \"nothing\"",
    );
    refused(
        &place,
        &server.address("stranger", &database),
        "check the role stranger",
    );
    let several = format!(
        "postgres://{ADMIN}@127.0.0.1:9,127.0.0.1:{}/nothing",
        server.port
    );
    refused(&place, &several, "127.0.0.1:9: no server listens");
    // This server speaks another protocol.
    let http = place.sandbox.base_url().replace("http://", "postgres://u@") + "/d";
    refused(&place, &http, "is it a PostgreSQL server");
    let alter =
        |setting: &str| server.psql("postgres", &format!("ALTER DATABASE {database} {setting}"));
    alter("SET synchronous_commit = off");
    refused(&place, &address, "set synchronous_commit = on");
    alter("RESET synchronous_commit");
    alter("SET default_transaction_read_only = on");
    refused(&place, &address, "accepts no writes");
    alter("RESET default_transaction_read_only");
    server.psql(
        &database,
        "CREATE SCHEMA idshift; CREATE TABLE idshift.songs (n int)",
    );
    refused(&place, &address, "is not one of this program");
}

#[test]
fn doctor_checks_the_durability_settings_of_the_server() {
    let Some(server) = Server::start() else {
        return;
    };
    let (place, address) = (Place::plume(), server.address(ADMIN, "postgres"));
    server.set("full_page_writes", "off");
    let odd = doctor(&place, &address).expect(0);
    assert!(odd.out.contains("set full_page_writes = on"), "{}", odd.out);
    server.set("synchronous_standby_names", "ghost");
    let waits = doctor(&place, &address).expect(0);
    assert!(
        waits.out.contains("a commit waits for the standby (ghost)"),
        "{}",
        waits.out
    );
    server.set("fsync", "off");
    refused(&place, &address, "set fsync = on");
}

#[test]
fn ledger_password_comes_from_variable_file_or_command_and_is_not_shown() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, database) = (Place::plume(), server.database());
    let role = format!("asked_{database}");
    // The server asks members of this role for a password on the TCP port.
    server.psql(
        &database,
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; GRANT asked TO {role}"),
    );
    let address = server.tcp_address(&role, &database);
    refused(&place, &address, "asks for the password of role");
    let with = |settings: &[(&str, &str)]| {
        let all = [settings, &[("LEDGER", address.as_str())]].concat();
        let mut command = place.command(&["doctor"]);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        for (name, value) in all {
            command.env(format!("IDSHIFT_{name}"), value);
        }
        let done = finish(command.spawn().unwrap());
        let said = done.out.clone() + &done.err;
        assert!(!said.contains("hunter"), "{said}");
        done
    };
    // The role may connect, and may not make the tables.
    let is_in = |done: Done| {
        let done = done.expect(2);
        assert!(
            done.out.contains("idshift doctor --ledger-schema"),
            "{}",
            done.out
        );
    };
    is_in(with(&[("LEDGER_PASSWORD", "hunter2")]));
    let wrong = with(&[("LEDGER_PASSWORD", "hunter3")]).expect(2);
    assert!(
        wrong.out.contains("check the role") && wrong.out.contains("ledger_password_file"),
        "{}",
        wrong.out
    );
    place.file("secret", "hunter2\n");
    std::fs::set_permissions(
        place.path().join("secret"),
        PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    is_in(with(&[("LEDGER_PASSWORD_FILE", "secret")]));
    std::fs::set_permissions(
        place.path().join("secret"),
        PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let open = with(&[("LEDGER_PASSWORD_FILE", "secret")]).out;
    assert!(
        open.contains("others may read the secret in secret"),
        "{open}"
    );
    let missing = with(&[("LEDGER_PASSWORD_FILE", "missing")]).expect(2);
    assert!(
        missing
            .out
            .contains("the password file missing cannot be read"),
        "{}",
        missing.out
    );
    place.file(
        "idshift.toml",
        "ledger_password_command = [\"cat\", \"secret\"]\n",
    );
    is_in(with(&[]));
    place.file("idshift.toml", "ledger_password_command = [\"false\"]\n");
    let failed = with(&[]).expect(2);
    assert!(
        failed.out.contains("the password command `false` failed"),
        "{}",
        failed.out
    );
}

#[test]
fn server_certificate_and_host_name_are_verified() {
    let Some(server) = Server::start() else {
        return;
    };
    let (place, known) = (Place::plume(), authority());
    let pem = place.file("company.pem", &known.pem());
    let address = |host: &str| {
        format!(
            "postgres://{ADMIN}@{host}:{}/postgres?sslmode=verify-full",
            server.port
        )
    };
    let with_authority =
        |host: &str| place.run(&["doctor", "--ca-cert", &pem, "--ledger", &address(host)]);
    refused(&place, &address("localhost"), "does not speak TLS");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &known).unwrap();
    let data = server.folder().join("data");
    let owner = std::fs::metadata(&data).unwrap();
    for (name, text) in [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    server.set("ssl", "on");
    let good = with_authority("localhost").expect(0);
    assert!(good.out.contains(", by TLS"), "{}", good.out);
    refused(&place, &address("localhost"), "name it with --ca-cert");
    let other = with_authority("127.0.0.1").expect(2);
    assert!(
        other
            .out
            .contains("the certificate is for another host name"),
        "{}",
        other.out
    );
    // A connection within this machine uses no TLS without the parameter.
    let plain = doctor(&place, &server.tcp_address(ADMIN, "postgres")).expect(0);
    assert!(!plain.out.contains("by TLS"), "{}", plain.out);
    let garbage = place.file("garbage.pem", "none\n");
    let done = place
        .run(&[
            "doctor",
            "--ca-cert",
            &garbage,
            "--ledger",
            &address("localhost"),
        ])
        .expect(2);
    assert!(done.out.contains("garbage.pem"), "{}", done.out);
}

/// A real PgBouncer in front of the server; stopped when it is dropped.
struct Bouncer(Child, u16);

impl Bouncer {
    fn program() -> Option<&'static str> {
        let known = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        known.into_iter().find(|path| Path::new(path).exists())
    }

    fn start(server: &Server, program: &str, mode: &str, options: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let ini = server.folder().join(format!("bouncer-{port}.ini"));
        let host = server.folder().display();
        let text = format!(
            "[databases]\n* = host={host} port={} user={ADMIN}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n{options}\n",
            server.port
        );
        std::fs::write(&ini, &text).unwrap();
        std::fs::set_permissions(&ini, PermissionsExt::from_mode(0o644)).unwrap();
        let mut command = server.command(program);
        command
            .args(["-q".as_ref(), ini.as_os_str()])
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        let mut bouncer = Self(command.spawn().unwrap(), port);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert_eq!(bouncer.0.try_wait().unwrap(), None, "it has ended: {text}");
            std::thread::yield_now();
        }
        bouncer
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn pooler_without_session_mode_is_refused() {
    let Some(server) = Server::shared() else {
        return;
    };
    let Some(program) = Bouncer::program() else {
        println!("NOT RUN: PgBouncer is not installed");
        return;
    };
    let (place, database) = (Place::plume(), server.database());
    for (mode, more) in [
        ("transaction", ""),
        ("transaction", "server_round_robin = 1\nmin_pool_size = 2"),
        ("statement", ""),
    ] {
        let bouncer = Bouncer::start(server, program, mode, more);
        let address = format!("postgres://{ADMIN}@127.0.0.1:{}/{database}", bouncer.1);
        refused(&place, &address, "pool_mode = session");
    }
    let bouncer = Bouncer::start(server, program, "session", "");
    let address = format!("postgres://{ADMIN}@127.0.0.1:{}/{database}", bouncer.1);
    doctor(&place, &address).expect(0);
}

#[test]
fn the_sql_for_an_administrator_makes_the_tables() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, database) = (Place::plume(), server.database());
    let role = format!("worker_{database}");
    server.psql(&database, &format!("CREATE ROLE {role} LOGIN"));
    let address = server.address(&role, &database);
    refused(&place, &address, "idshift doctor --ledger-schema");
    let sql = place
        .run(&["doctor", "--ledger-schema", "--ledger", &address])
        .expect(0)
        .out;
    server.psql(&database, &sql);
    let done = doctor(&place, &address).expect(0);
    assert!(done.out.contains("its tables are there"), "{}", done.out);
    place
        .run(&["doctor", "--json", "--ledger-schema", "--ledger", &address])
        .expect(0)
        .json();
    let nowhere = place.run(&["doctor", "--ledger-schema"]).expect(2);
    assert!(nowhere.err.contains("--ledger"), "{}", nowhere.err);
}
