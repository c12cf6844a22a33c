//! Processes: pins them to cores, and measures their time and memory.

use idshift::sandbox::{Options, PlumeCustomer, PlumeLocation, Sandbox};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const IDSHIFT: &str = env!("CARGO_BIN_EXE_idshift");
const CLIENT: &str = "0";
const SERVER: &str = "1";

/// Whether clients and stand-in can each have a core of their own.
static PINNED: LazyLock<bool> = LazyLock::new(|| {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
        && Command::new("taskset")
            .args(["-c", SERVER, "true"])
            .status()
            .is_ok_and(|status| status.success())
});

pub(crate) fn describe_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let pinned = if *PINNED {
        "clients pinned to one core, the stand-in to another"
    } else {
        "nothing pinned"
    };
    println!("{model}, {cores} cores, Linux {}; {pinned}.", kernel.trim());
}

fn on_core(core: &str, program: &str) -> Command {
    if *PINNED {
        let mut command = Command::new("taskset");
        command.args(["-c", core, program]);
        command
    } else {
        Command::new(program)
    }
}

/// Returns a command that runs on the clients' core.
pub(crate) fn client(program: &str) -> Command {
    on_core(CLIENT, program)
}

/// Returns the path of this program.
pub(crate) fn own() -> String {
    std::env::current_exe()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// Returns the account ID of customer `n`; the file changes it to `B-` with the same number.
pub(crate) fn account(n: u32) -> String {
    format!("A-{n:08}")
}

/// A stand-in of Plume in a process of its own.
pub(crate) struct StandIn {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) base: String,
    began: Instant,
}

impl StandIn {
    /// `options`: `log`, `bulk`, or a fault.
    pub(crate) fn start(lines: u32, options: &[&str]) -> Self {
        let mut child = on_core(SERVER, &own())
            .args(["stand-in", &lines.to_string()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut base = String::new();
        stdout.read_line(&mut base).unwrap();
        Self {
            stdin: child.stdin.take(),
            child,
            stdout,
            base: base.trim().to_owned(),
            began: Instant::now(),
        }
    }

    /// Ends the stand-in. Returns when each call arrived, in seconds since the stand-in began, and the status of its answer.
    pub(crate) fn end(mut self) -> Vec<(f64, u16)> {
        drop(self.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        let mut calls: Vec<(f64, u16)> = text
            .lines()
            .map(|line| {
                let (at, status) = line.split_once(' ').unwrap();
                (at.parse().unwrap(), status.parse().unwrap())
            })
            .collect();
        calls.sort_by(|a, b| a.0.total_cmp(&b.0));
        calls
    }

    /// Returns whether this customer has its new account ID.
    pub(crate) fn is_renamed(&mut self, customer: u32) -> bool {
        self.ask(&format!("renamed {customer}")) == "true"
    }

    /// Returns how many calls arrived since this was last called, and when the first of them arrived.
    pub(crate) fn take_calls(&mut self) -> (usize, Option<Instant>) {
        let answer = self.ask("calls");
        let (count, ago) = answer.split_once(' ').unwrap();
        let ago = ago.parse().ok().map(Duration::from_secs_f64);
        (
            count.parse().unwrap(),
            ago.and_then(|ago| Instant::now().checked_sub(ago)),
        )
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{question}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// Returns when the stand-in began, to compare its times with those of this process.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }
}

/// Runs as the `stand-in` process: serves and answers questions until standard input ends, then prints its log.
pub(crate) fn be_stand_in(lines: u32, options: &[&str]) {
    let begun = Instant::now();
    let faults = options
        .iter()
        .filter_map(|word| word.parse().ok())
        .collect();
    let sandbox = Sandbox::start(Options {
        bulk: options.contains(&"bulk"),
        log: options.contains(&"log"),
        faults,
        ..Options::default()
    })
    .unwrap();
    {
        let world = sandbox.world();
        let mut world = world.lock().unwrap();
        for n in 0..lines {
            world.add_plume(PlumeCustomer {
                id: format!("C-{n}").into(),
                account_id: account(n).into(),
                hidden: false,
                partner: "p".into(),
                locations: vec![PlumeLocation {
                    id: format!("L-{n}").into(),
                    service_id: None,
                    profile: "auto".into(),
                }],
            });
        }
    }
    println!("{}", sandbox.base_url());
    for question in std::io::stdin().lines() {
        let question = question.unwrap();
        if let Some(("renamed", customer)) = question.split_once(' ') {
            let world = sandbox.world();
            let world = world.lock().unwrap();
            let customer = &world.plume[format!("C-{customer}").as_str()];
            println!("{}", customer.account_id.starts_with("B-"));
            continue;
        }
        let seen = sandbox.log();
        sandbox.clear_log();
        let now = begun.elapsed().as_secs_f64();
        let ago = seen.iter().map(|seen| now - seen.at.as_secs_f64());
        let ago = ago.reduce(f64::max);
        let ago = ago.map_or_else(|| "never".to_owned(), |ago| ago.to_string());
        println!("{} {ago}", seen.len());
    }
    let mut text = String::new();
    for seen in sandbox.log() {
        writeln!(text, "{:.6} {}", seen.at.as_secs_f64(), seen.status).unwrap();
    }
    print!("{text}");
}

/// A finished process.
pub(crate) struct Done {
    pub(crate) took: Duration,
    /// The processor time of all its threads, in user and kernel mode.
    pub(crate) processor: Duration,
    pub(crate) peak_mib: f64,
    pub(crate) out: Vec<u8>,
}

/// Runs a process to its end. Its peak memory and its processor time are read from the kernel while it runs.
pub(crate) fn timed(command: &mut Command) -> Done {
    let begun = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut out = Vec::new();
        pipe.read_to_end(&mut out).unwrap();
        out
    });
    let mut pipe = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    });
    let (mut peak_kib, mut processor) = (0, Duration::ZERO);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // `taskset` replaces itself by the program, so the process number stays the same.
        let path = format!("/proc/{}/status", child.id());
        peak_kib = peak_kib.max(high_water(Path::new(&path)));
        processor = processor.max(processor_time(child.id()));
        #[expect(
            clippy::disallowed_methods,
            reason = "a sample of memory, not a condition"
        )]
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = begun.elapsed();
    let (out, errors) = (reader.join().unwrap(), errors.join().unwrap());
    assert!(status.success(), "{command:?}: {status}\n{errors}");
    Done {
        took,
        processor,
        peak_mib: peak_kib as f64 / 1024.0,
        out,
    }
}

/// Returns the processor time in `/proc`, which has hundredths of a second, after the name in brackets.
pub(crate) fn processor_time(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

pub(crate) fn high_water(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// A folder with a file of renames, and idshift run in it.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn with_renames(lines: u32) -> Self {
        let mut text = String::from("accountId,newAccountId\n");
        (0..lines).for_each(|n| writeln!(text, "{},B-{n:08}", account(n)).unwrap());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("moves.csv"), text).unwrap();
        Self { folder }
    }

    /// Runs `idshift apply` with the file, on the clients' core; also returns the run's summary.
    pub(crate) fn apply(&self, base: &str, arguments: &[&str]) -> (Done, serde_json::Value) {
        self.apply_as(client(IDSHIFT), base, arguments)
    }

    /// Does the same on all cores, as a user runs it.
    pub(crate) fn apply_freely(&self, base: &str, arguments: &[&str]) -> (Done, serde_json::Value) {
        self.apply_as(Command::new(IDSHIFT), base, arguments)
    }

    /// Runs `idshift undo` for the last run, on the clients' core; also returns its summary.
    pub(crate) fn undo(&self, base: &str) -> (Done, serde_json::Value) {
        let mut command = client(IDSHIFT);
        command.args(["undo", "--rate", "unlimited"]);
        self.carry_out(command, base)
    }

    /// The same with a program of the caller's.
    pub(crate) fn apply_as(
        &self,
        mut command: Command,
        base: &str,
        arguments: &[&str],
    ) -> (Done, serde_json::Value) {
        command.args(["apply", "moves.csv"]).args(arguments);
        self.carry_out(command, base)
    }

    fn carry_out(&self, mut command: Command, base: &str) -> (Done, serde_json::Value) {
        command
            .args(["--yes", "--json", "--quiet"])
            .args(["--system", "plume", "--base-url", base])
            .current_dir(self.folder.path())
            .env("IDSHIFT_TOKEN", "x")
            .env("XDG_STATE_HOME", self.folder.path());
        let done = timed(&mut command);
        let summary = serde_json::from_slice(&done.out).unwrap();
        (done, summary)
    }
}
