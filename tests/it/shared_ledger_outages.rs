//! Servers of PostgreSQL that are lost, full or cannot be reached while a run is in progress.

use crate::shared_ledger::{Machine, apply_slowly, database, shared, until, with_standby};
use crate::support::postgres::{ADMIN, Server};
use crate::support::{Done, Place, finish};
use idshift::sandbox::Options;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Lines of a run.
const LINES: u32 = 60;

fn slow() -> Options {
    Options {
        latency: Duration::from_millis(100),
        ..Options::default()
    }
}

/// Makes a place with its runs in this ledger.
fn at(ledger: String) -> Place {
    Place {
        ledger: Some(ledger),
        ..Place::new(slow())
    }
}

fn all_changed(place: &Place, lines: u32) {
    for n in 0..lines {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
    place.judge_writes();
}

/// Checks that no customer was sent more writes than intents are on record for it.
fn each_patch_has_its_intent(server: &Server, place: &Place, database: &str) {
    let noted = server.psql(database, "SELECT customer_id FROM idshift.writes");
    let log = place.sandbox.log();
    let patches = log.iter().filter(|seen| seen.method == "PATCH");
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in patches {
        let customer = seen.path.rsplit('/').next().unwrap();
        *sent.entry(customer).or_default() += 1;
    }
    assert!(sent.len() > 2, "{sent:?}");
    for (customer, patches) in sent {
        let intents = noted.lines().filter(|its| *its == customer).count();
        assert!(
            patches <= intents,
            "{customer}: {patches} PATCHes, {intents} intents"
        );
    }
}

fn stopped(done: Done) -> Done {
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(done.err.contains("resume"), "{}", done.err);
    done
}

#[test]
#[ignore = "takes a second server; .ci/nightly runs it"]
fn run_continues_on_the_promoted_standby_and_loses_no_commit() {
    let Some((primary, standby, database, address)) = with_standby() else {
        return;
    };
    let place = at(address);
    let child = apply_slowly(&place, LINES, &[]);
    // Everything that a query shows was acknowledged.
    let record = "SELECT write_id || ' ' || correlation_id FROM idshift.writes UNION ALL \
                  SELECT line || ' ' || status FROM idshift.outcomes WHERE status = 'changed'";
    let before = primary.psql(&database, record);
    primary.signal("KILL");
    standby.promote();
    let after = standby.psql(&database, record);
    let after: BTreeSet<&str> = after.lines().collect();
    assert!(before.lines().count() > 2, "{before}");
    for row in before.lines() {
        assert!(after.contains(row), "missing: {row}");
    }
    finish(child).expect(0);
    all_changed(&place, LINES);
    each_patch_has_its_intent(&standby, &place, &database);
    let elsewhere = Machine::new(&place, "elsewhere");
    elsewhere.run(&["verify", &place.newest_id()]).expect(0);
}

/// What the proxy does with the bytes.
const PASS: u8 = 0;
pub(crate) const CUT: u8 = 1;
const SILENT: u8 = 2;
const SLOW: u8 = 3;

/// A proxy between the program and the server.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) mode: Arc<AtomicU8>,
    pub(crate) cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// Starts the proxy. In the mode `CUT` it cuts the connection after the server has answered a message that contains
    /// `part`.
    pub(crate) fn start(server: u16, part: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            mode: Arc::new(AtomicU8::new(PASS)),
            cuts: Arc::default(),
        };
        let (mode, cuts) = (Arc::clone(&proxy.mode), Arc::clone(&proxy.cuts));
        // The thread ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                between(client, server, part, (&mode, &cuts));
            }
        });
        proxy
    }
}

/// Forwards a connection in both directions, each in its own thread.
fn between(
    client: TcpStream,
    server: TcpStream,
    part: &'static [u8],
    (mode, cuts): (&Arc<AtomicU8>, &Arc<AtomicU32>),
) {
    let ends = Arc::new(Mutex::new(false));
    let (up, down) = (
        (client.try_clone().unwrap(), server.try_clone().unwrap()),
        (server, client),
    );
    let (to_cut, its_mode) = (Arc::clone(&ends), Arc::clone(mode));
    thread::spawn(move || {
        carry(up, |bytes| {
            let is_cut = its_mode.load(Ordering::SeqCst) == CUT;
            if is_cut && bytes.windows(part.len()).any(|window| window == part) {
                *to_cut.lock().unwrap() = true;
            }
            its_mode.load(Ordering::SeqCst) != SILENT
        });
    });
    let (mode, cuts) = (Arc::clone(mode), Arc::clone(cuts));
    thread::spawn(move || {
        let ends_of = down.1.try_clone().unwrap();
        carry(down, |_| {
            if *ends.lock().unwrap() {
                // The server has answered, but the program does not get the answer.
                cuts.fetch_add(1, Ordering::SeqCst);
                mode.store(PASS, Ordering::SeqCst);
                let _ = ends_of.shutdown(Shutdown::Both);
                return false;
            }
            if mode.load(Ordering::SeqCst) == SLOW {
                thread::park_timeout(Duration::from_millis(120));
            }
            mode.load(Ordering::SeqCst) != SILENT
        });
    });
}

/// Forwards bytes, if `may` allows it, until one end is closed.
fn carry((mut from, mut to): (TcpStream, TcpStream), mut may: impl FnMut(&[u8]) -> bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(many @ 1..) = from.read(&mut bytes) {
        if may(&bytes[..many]) && to.write_all(&bytes[..many]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn through(proxy: &Proxy, database: &str) -> Place {
    at(format!(
        "postgres://{ADMIN}@127.0.0.1:{}/{database}",
        proxy.port
    ))
}

#[test]
fn commit_with_a_lost_answer_is_recorded_once_and_the_run_continues() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    // These bytes are part of an intent.
    let proxy = Proxy::start(server.port, b"B-0000");
    let place = through(&proxy, &database);
    let mut child = apply_slowly(&place, LINES, &[]);
    let mut cuts = 0;
    while child.try_wait().unwrap().is_none() {
        cuts = proxy.cuts.load(Ordering::SeqCst);
        // Otherwise, on a busy machine, each repetition could meet the next cut.
        if cuts < 20 && proxy.mode.load(Ordering::SeqCst) == PASS {
            proxy.mode.store(CUT, Ordering::SeqCst);
        }
        thread::park_timeout(Duration::from_millis(300));
    }
    finish(child).expect(0);
    assert!(cuts >= 3, "{cuts} answers were lost");
    all_changed(&place, LINES);
    each_patch_has_its_intent(server, &place, &database);
    let sql = |sql: &str| server.psql(&database, &format!("SET search_path = idshift; {sql}"));
    let extra = "SELECT line, attempt, verdict, http_status, correlation_id FROM writes w WHERE 1 < \
                 (SELECT count(*) FROM writes x WHERE x.line = w.line) ORDER BY line, write_id";
    // A write that missed its turn because of the commit was not sent: its customer was read again, for another intent.
    let once = "SELECT count(*) - count(DISTINCT correlation_id) FROM writes";
    assert_eq!(sql(once), "0", "{}", sql(extra));
    let applied = "SELECT count(*) FROM writes WHERE verdict = 'applied'";
    assert_eq!(sql(applied), LINES.to_string(), "{}", sql(extra));
    let changed = "SELECT count(*) FROM outcomes WHERE status = 'changed'";
    assert_eq!(sql(changed), LINES.to_string());
    assert_eq!(place.patches(), LINES as usize);
}

/// A commit that takes longer than the wait for a turn, as with a standby far away, is begun that much earlier.
#[test]
fn run_on_a_slow_database_finishes() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    let proxy = Proxy::start(server.port, b"-");
    let place = through(&proxy, &database);
    let file = place.moves(LINES);
    proxy.mode.store(SLOW, Ordering::SeqCst);
    place
        .run(&["apply", &file, "--yes", "--rate", "30/s"])
        .expect(0);
    all_changed(&place, LINES);
    let unsent = "SELECT count(*) FROM idshift.writes WHERE http_status = 0";
    let unsent: u32 = server.psql(&database, unsent).parse().unwrap();
    assert!(unsent < LINES, "{unsent} intents were too late");
}

/// Only the database cannot be reached; the system can.
#[test]
fn process_without_its_database_stops_writing_and_resume_finishes() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    let proxy = Proxy::start(server.port, b"-");
    let place = through(&proxy, &database);
    let child = apply_slowly(&place, LINES, &["--give-up-after", "3s"]);
    proxy.mode.store(SILENT, Ordering::SeqCst);
    // Calls with a recorded intent are made; two seconds later none is under way.
    let cut = Instant::now();
    until("the calls under way are over", || {
        cut.elapsed() > Duration::from_secs(2)
    });
    let before = place.patches();
    let done = stopped(finish(child));
    assert_eq!(place.patches(), before, "after the cut: {}", done.err);
    assert!(before < LINES as usize, "it was cut too late");
    each_patch_has_its_intent(server, &place, &database);
    proxy.mode.store(PASS, Ordering::SeqCst);
    place.run(&["resume"]).expect(0);
    all_changed(&place, LINES);
}

#[test]
fn connection_limit_of_the_database_stops_the_run_and_resume_finishes() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = server.database();
    server.psql(
        &database,
        &format!("CREATE ROLE few LOGIN; ALTER DATABASE {database} OWNER TO few"),
    );
    let place = at(server.tcp_address("few", &database));
    let child = apply_slowly(&place, LINES, &["--give-up-after", "3s"]);
    let allowed = |many: &str| {
        server.psql(
            "postgres",
            &format!("ALTER ROLE few CONNECTION LIMIT {many}"),
        );
    };
    allowed("0");
    server.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'few'",
    );
    let done = stopped(finish(child));
    assert!(done.err.contains("too many connections"), "{}", done.err);
    let next = "ALTER ROLE \"few\" CONNECTION LIMIT";
    assert!(done.err.contains(next), "{}", done.err);
    each_patch_has_its_intent(server, &place, &database);
    let before = place.patches();
    assert!(before < LINES as usize);
    let refused = place.run(&["resume"]).expect(2);
    assert!(
        refused.err.contains("too many connections"),
        "{}",
        refused.err
    );
    assert_eq!(place.patches(), before);
    allowed("-1");
    place.run(&["resume"]).expect(0);
    all_changed(&place, LINES);
}

/// Makes a database, `test_small`, in the folder of a server with little room.
pub(crate) fn small_database(server: &Server) {
    let folder = server.folder().join("small").display().to_string();
    for sql in [
        format!("COPY (SELECT 1) TO PROGRAM 'mkdir -p {folder}/tables'"),
        format!("CREATE TABLESPACE small LOCATION '{folder}/tables'"),
        "CREATE DATABASE test_small TABLESPACE small".to_owned(),
    ] {
        server.psql("postgres", &sql);
    }
}

/// Fills the room of that database, except this many KiB.
pub(crate) fn leave_room(server: &Server, kib: u64) {
    let filler = server.folder().join("small/filler").display().to_string();
    let fill = format!("cat /dev/zero > {filler}; truncate -s -{kib}K {filler}");
    server.psql("postgres", &format!("COPY (SELECT 1) TO PROGRAM '{fill}'"));
}

/// Frees that room.
pub(crate) fn make_room(server: &Server) {
    let filler = server.folder().join("small/filler").display().to_string();
    let sql = format!("COPY (SELECT 1) TO PROGRAM 'rm {filler}'");
    server.psql("postgres", &sql);
}

#[test]
fn full_database_stops_the_run_and_resume_finishes() {
    const MANY: u32 = 300;
    let Some(server) = Server::with_little_room("48m") else {
        return;
    };
    small_database(&server);
    let place = at(server.tcp_address(ADMIN, "test_small"));
    let child = apply_slowly(&place, MANY, &["--give-up-after", "3s"]);
    leave_room(&server, 0);
    let done = stopped(finish(child));
    assert!(done.err.contains("SQLSTATE 53100"), "{}", done.err);
    each_patch_has_its_intent(&server, &place, "test_small");
    let before = place.patches();
    assert!(before < MANY as usize, "there was room enough");
    make_room(&server);
    place.run(&["resume"]).expect(0);
    all_changed(&place, MANY);
}

/// The process is frozen for longer than its lease and the time in which a call may still arrive.
#[test]
fn frozen_process_writes_nothing_after_its_run_was_taken_over() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = shared(server, slow());
    let child = apply_slowly(&place, LINES, &[]);
    let signal = |name: &str| {
        let sent = Command::new("kill")
            .args([name, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let sql = |sql: &str| server.psql(database(&place), sql);
    // This is the view of another machine, after the process has been silent for some seconds.
    sql("UPDATE idshift.process SET machine = 'another'");
    until("silence", || {
        sql("SELECT bool_and(seen_at < clock_timestamp() - interval '4 s') FROM idshift.process")
            == "t"
    });
    let elsewhere = Machine::new(&place, "elsewhere");
    let taken = elsewhere.run(&["resume"]).expect(0);
    assert!(taken.err.contains("for some seconds"), "{}", taken.err);
    let before = place.patches();
    signal("-CONT");
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(done.err.contains("has taken it over"), "{}", done.err);
    assert_eq!(place.patches(), before, "it wrote after it was thawed");
    all_changed(&place, LINES);
    each_patch_has_its_intent(server, &place, database(&place));
}
