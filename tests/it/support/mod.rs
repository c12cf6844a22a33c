mod front;
/// A real PostgreSQL, shared with the tests of the ledger.
#[cfg(test)]
#[path = "../../../src/ledger/postgres/tests/server.rs"]
pub(crate) mod postgres;
mod schemas;
mod screen;
mod serving;

pub(crate) use front::{Asked, Front, good_answer};
pub(crate) use schemas::{schemas, validate, validate_document};
pub(crate) use screen::{OnResize, Screen};
pub(crate) use serving::Serving;

use idshift::sandbox::{Class, Kind, Options, PlumeCustomer, PlumeLocation, Sandbox, Seen, World};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

/// A command of the tests that takes longer than this is considered to hang.
const PATIENCE: Duration = Duration::from_secs(100);

/// The result of a command.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Returns the document on standard output, after a check against its schema.
    pub(crate) fn json(&self) -> serde_json::Value {
        let document = serde_json::from_str(&self.out)
            .unwrap_or_else(|why| panic!("{why}: {}\n{}", self.out, self.err));
        validate_document(&document);
        document
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }
}

/// A folder and a stand-in for one test.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sandbox: Sandbox,
    /// The address of the database that keeps the runs; `None`: the runs are kept in the folder.
    pub(crate) ledger: Option<String>,
}

impl Place {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            sandbox: Sandbox::start(options).unwrap(),
            ledger: None,
        }
    }

    pub(crate) fn plume() -> Self {
        Self::new(Options::default())
    }

    /// Makes an Adobe with customers `P0`, `P1` …, each with two contacts, and a file `moves.csv` that renames each of
    /// them: `REF-7` becomes `NEW-7`.
    pub(crate) fn adobe(customers: usize) -> Self {
        let place = Self::new(Options {
            kind: Kind::Adobe,
            ..Options::default()
        });
        place.with_world(|mut world| {
            (0..customers)
                .for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 2));
        });
        let mut text = String::from("accountId,newAccountId\n");
        (0..customers).for_each(|n| writeln!(text, "REF-{n},NEW-{n}").unwrap());
        place.file("moves.csv", &text);
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn with_world<T>(&self, work: impl FnOnce(MutexGuard<'_, World>) -> T) -> T {
        work(self.sandbox.world().lock().unwrap())
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path().join(name), text).unwrap();
        name.to_owned()
    }

    /// Makes a pipe. Nothing writes into it.
    pub(crate) fn pipe(&self, name: &str) -> String {
        let made = Command::new("mkfifo").arg(self.path().join(name)).status();
        assert!(made.unwrap().success());
        name.to_owned()
    }

    /// Makes this many customers, and a file that renames each of them: `A-000007` becomes `B-000007`.
    pub(crate) fn moves(&self, customers: u32) -> String {
        self.with_world(|mut world| (0..customers).for_each(|n| world.add_plume(customer(n))));
        let mut text = String::from("accountId,newAccountId\n");
        (0..customers).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
        self.file("moves.csv", &text)
    }

    /// Makes two customers, and a file in which they swap their account IDs.
    pub(crate) fn with_a_swap() -> (Self, String) {
        let place = Self::plume();
        place.with_world(|mut world| {
            world.add_plume(named("C-1", "A-1", &["L-1"]));
            world.add_plume(named("C-2", "A-2", &["L-2"]));
        });
        let file = place.file("swap.csv", "accountId,newAccountId\nA-1,A-2\nA-2,A-1\n");
        (place, file)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idshift"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("IDSHIFT_TOKEN", "canary-token-0123456789")
            .env("IDSHIFT_BASE_URL", self.sandbox.base_url())
            .env("IDSHIFT_SYSTEM", "plume")
            .env("IDSHIFT_RATE", "unlimited")
            .env("IDSHIFT_TIMEOUT", "2s")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(ledger) = &self.ledger {
            command.env("IDSHIFT_LEDGER", ledger);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        finish(self.command(arguments).spawn().unwrap())
    }

    /// Runs a command with these settings in the environment, such as `("SYSTEM", "adobe")`.
    pub(crate) fn run_with(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Done {
        let mut command = self.command(arguments);
        for (name, value) in settings {
            command.env(format!("IDSHIFT_{name}"), value);
        }
        finish(command.spawn().unwrap())
    }

    pub(crate) fn newest(&self) -> PathBuf {
        let runs = std::fs::read_dir(self.path().join("idshift-runs")).unwrap();
        let mut runs: Vec<PathBuf> = runs
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.join(if self.ledger.is_some() {
                    "input.csv"
                } else {
                    "ledger.db"
                })
                .exists()
            })
            .collect();
        runs.sort();
        runs.pop().unwrap()
    }

    pub(crate) fn newest_id(&self) -> String {
        self.newest()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Returns the rows of a report, by column.
    pub(crate) fn rows(&self, report: &str) -> Vec<HashMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.newest().join(report)).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// Returns `status/reason` of each line, in the order of the report.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let rows = self.rows("results.csv");
        rows.iter()
            .map(|row| format!("{}/{}", row["idshift_status"], row["idshift_reason"]))
            .collect()
    }

    pub(crate) fn account_of(&self, id: &str) -> String {
        self.with_world(|world| world.plume[id].account_id.to_string())
    }

    /// Returns the service ID of the first location of a customer.
    pub(crate) fn service_of(&self, id: &str) -> String {
        let service = self.with_world(|world| world.plume[id].locations[0].service_id.clone());
        service.unwrap().to_string()
    }

    pub(crate) fn patches(&self) -> usize {
        self.sandbox
            .log()
            .iter()
            .filter(|seen| seen.method == "PATCH")
            .count()
    }

    /// Checks that no write took effect twice, and that none was sent again without a read of its customer in between.
    ///
    /// Not for files that are applied twice on purpose, as by the undo of an undo.
    pub(crate) fn judge_writes(&self) {
        let mut log = self.sandbox.log();
        // A call that hangs is logged at its end, so the log is sorted by the time of arrival.
        log.sort_by_key(|seen| seen.at);
        judge(&log);
    }
}

/// A write that was sent before, and what is known about its effect.
#[derive(Clone, Copy)]
struct Sent {
    applied: bool,
    read_since: bool,
}

fn judge(log: &[Seen]) {
    let mut sent: HashMap<(&str, &str), Sent> = HashMap::new();
    for seen in log {
        if seen.method == "PATCH" {
            // The write was refused before it was processed, so it may be sent again unchanged.
            let refused = matches!(seen.status, 401 | 403 | 425 | 429) && !seen.applied;
            let key = (seen.path.as_str(), seen.body.as_str());
            if let Some(before) = sent.get(&key) {
                assert!(!before.applied, "took effect, and sent again: {seen:?}");
                assert!(before.read_since, "sent again without a read: {seen:?}");
            }
            if seen.applied {
                // The customer has changed, so earlier writes may be sent again.
                sent.retain(|(path, _), _| *path != seen.path);
            }
            if !refused {
                let applied = seen.applied;
                sent.insert(
                    key,
                    Sent {
                        applied,
                        read_since: false,
                    },
                );
            }
        } else {
            for ((path, _), sent) in &mut sent {
                let customer = path.split("/locations/").next().unwrap();
                let own = seen.path.strip_prefix(customer);
                // A look-up names account IDs, not customers, so it counts as a read of all customers.
                sent.read_since |= own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    || matches!(seen.class, Class::Search | Class::Bulk);
            }
        }
    }
}

#[test]
fn write_judge_rejects_only_unsafe_repeated_writes() {
    let seen = |method: &str, path: &str, status: u16, applied: bool| Seen {
        at: Duration::ZERO,
        class: if method == "PATCH" {
            Class::CustomerPatch
        } else {
            Class::Read
        },
        peer: None,
        method: method.to_owned(),
        path: path.to_owned(),
        body: String::new(),
        status,
        applied,
        request_id: None,
        correlation_id: None,
    };
    let condemned = |log: Vec<Seen>| std::panic::catch_unwind(|| judge(&log)).is_err();
    let write = |status, applied| seen("PATCH", "/c/1", status, applied);
    let (right, other) = (
        || seen("GET", "/c/1", 200, false),
        || seen("GET", "/c/11", 200, false),
    );
    assert!(condemned(vec![write(500, false), write(200, true)]));
    assert!(condemned(vec![
        write(500, false),
        other(),
        write(200, true)
    ]));
    assert!(condemned(vec![write(0, true), right(), write(200, true)]));
    assert!(!condemned(vec![
        write(500, false),
        right(),
        write(200, true)
    ]));
    assert!(!condemned(vec![write(429, false), write(200, true)]));
    let back = Seen {
        body: "back".to_owned(),
        ..write(200, true)
    };
    assert!(!condemned(vec![write(200, true), back, write(200, true)]));
    assert!(condemned(vec![write(200, true), right(), write(200, true)]));
}

/// Runs a command to its end, and returns its peak memory in KiB.
pub(crate) fn watched(mut command: Command) -> (Done, u64) {
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        // The loop ends with the process: a zombie has no memory values.
        while let Some(peak) = std::fs::read_to_string(&status).ok().and_then(|text| {
            let value = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name))?;
                line.split_whitespace().nth(1)
            };
            let peak: u64 = value("VmHWM")?.parse().ok()?;
            // Until the child has its own name, it still has the memory of the test process that starts it.
            Some(if value("Name")? == "idshift" { peak } else { 0 })
        }) {
            most = most.max(peak);
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
        most
    });
    (finish(child), watch.join().unwrap())
}

/// Returns whether the process handles the signal with this number, by the mask that the kernel shows.
pub(crate) fn catches(pid: u32, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask & (1 << (signal - 1)) != 0
}

/// Waits for a command, but not for ever.
pub(crate) fn finish(mut child: Child) -> Done {
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        text
    });
    let watched = child.id();
    let over = std::sync::Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
    let seen = std::sync::Arc::clone(&over);
    let watch = std::thread::spawn(move || {
        let (flag, bell) = &*seen;
        let begun = Instant::now();
        let mut done = flag.lock().unwrap();
        while !*done && begun.elapsed() < PATIENCE {
            done = bell.wait_timeout(done, PATIENCE).unwrap().0;
        }
        if !*done {
            let _ = Command::new("kill")
                .args(["-9", &watched.to_string()])
                .status();
        }
    });
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    *over.0.lock().unwrap() = true;
    over.1.notify_all();
    watch.join().unwrap();
    Done {
        code: status.code().unwrap_or(-1),
        out: text,
        err: reading.join().unwrap(),
    }
}

/// Returns the command in its own name spaces, in which `mount` is run first; `None`: this is not allowed here.
pub(crate) fn in_a_namespace(place: &Place, idshift: &Command, mount: &str) -> Option<Command> {
    let may = Command::new("unshare").args(["-rm", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return None;
    }
    Some(begun_by(
        place,
        idshift,
        &["unshare", "-rm", "sh"],
        &format!("{mount} && exec \"$0\" \"$@\""),
    ))
}

/// Returns a shell that runs `script`, which has the command in `"$0" "$@"`.
pub(crate) fn begun_by(place: &Place, idshift: &Command, shell: &[&str], script: &str) -> Command {
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .args(["-c", script])
        .arg(idshift.get_program())
        .args(idshift.get_args())
        .current_dir(place.path())
        .env_clear()
        .envs(
            idshift
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Returns a customer `C-n` with account ID `A-n` and one location `L-n`.
pub(crate) fn customer(n: u32) -> PlumeCustomer {
    named(
        &format!("C-{n}"),
        &format!("A-{n:06}"),
        &[&format!("L-{n}")],
    )
}

pub(crate) fn named(id: &str, account: &str, locations: &[&str]) -> PlumeCustomer {
    let locations = locations.iter().map(|id| PlumeLocation {
        id: (*id).into(),
        service_id: Some("old".into()),
        profile: "auto".into(),
    });
    PlumeCustomer {
        id: id.into(),
        account_id: account.into(),
        hidden: false,
        partner: "partner".into(),
        locations: locations.collect(),
    }
}

/// Returns the library that gives a process another time; `None`: it is not installed.
pub(crate) fn clock_library() -> Option<&'static str> {
    [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
}
