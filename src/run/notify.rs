//! After a command: prunes older runs, and reports the end to a program of the operator, a health check, a webhook and a
//! file of metrics. A failure is a warning and never changes the result of the run.

use super::clock;
use super::connect::runtime;
use super::error::CommandError;
use super::exit_code::Exit;
use super::kept_run::KeptRun;
use super::prune;
use super::request::Request;
use super::saved_settings::SavedSettings;
use super::signals::{Listening, survive_state_signal};
use super::values::{catalog, values};
use crate::config::AfterRun;
use crate::http::Notice;
use crate::regular_file;
use crate::report::{FORMAT, Measured, run_status, tells_the_end, write_metrics};
use crate::ui;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the program may take.
const PROGRAM: Duration = Duration::from_secs(30);

/// The only environment variables that the program gets: none of them holds a secret.
const PASSED_ON: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LC_ALL", "TZ",
];

/// The only members of the summary that a webhook gets: no text in them holds a customer's ID.
const WITHOUT_IDS: [&str; 16] = [
    "format",
    "version",
    "exit_code",
    "run",
    "command",
    "system",
    "state",
    "started_at",
    "finished_at",
    "counts",
    "reasons",
    "calls",
    "pace",
    "cannot_undo",
    "plan_digest",
    "drift",
];

/// Whether a command is a job that monitoring waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandKind {
    /// It may write: its beginning and end are reported everywhere.
    Writes,
    /// It may write, and continues a run that may have written.
    Resumes,
    /// It only looks customers up: only metrics are written.
    Looks,
}

impl CommandKind {
    fn may_write(self) -> bool {
        match self {
            Self::Writes | Self::Resumes => true,
            Self::Looks => false,
        }
    }
}

/// Carries out a command, and reports its beginning and its end.
pub(crate) fn with_notifications(
    (command, kind): (&'static str, CommandKind),
    request: &Request,
    work: impl FnOnce() -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    survive_state_signal()?;
    let asked = notifications(request, None)?;
    // An address that cannot be called is an error before anything is done.
    if let Some(url) = &asked.webhook_url {
        notice("webhook_url", url, &asked)?;
    }
    if let Some(url) = &asked.healthcheck_url {
        let check = notice("healthcheck_url", url, &asked)?;
        if kind.may_write() {
            warn_of("healthcheck_url", wait(check.get(Some("start"))));
        }
    }
    let began_ms = clock::now_ms();
    let result = work();
    let run = request.run.get();
    let resumes = kind == CommandKind::Resumes;
    let result = result.map_err(|failure| failure.on_disk_of(run, resumes));
    let asked = match run {
        // A run that is continued has its profile on record.
        Some(dir) => notifications(request, Some(dir)).unwrap_or(asked),
        None => asked,
    };
    let end = End::of((command, kind), &result, run, began_ms);
    let cut = CancellationToken::new();
    // If the thread for signals cannot be started, the result of the run stands.
    let _listening = Listening::after_run(cut.clone(), end.exit as u8).ok();
    if let (Some(older_than), Some(dir)) = (asked.keep, run)
        && kind.may_write()
    {
        let pruned = catalog(&request.typed)
            .and_then(|(catalog, _)| prune::keep(dir, &catalog, older_than))
            .map_err(|failure| failure.message);
        warn_of("keep: older runs could not be pruned", pruned);
    }
    end.report_to(&asked, &cut);
    result
}

fn notifications(request: &Request, run: Option<&KeptRun>) -> Result<AfterRun, CommandError> {
    let mut of_run = BTreeMap::new();
    if let Some(dir) = run {
        let kept = SavedSettings::of(&dir.ledger()?)?;
        of_run.extend(kept.values.into_iter().filter(|(key, _)| key == "profile"));
    }
    Ok(AfterRun::of(&values(&request.typed, &of_run)?)?)
}

fn notice(what: &'static str, url: &str, asked: &AfterRun) -> Result<Notice, CommandError> {
    let ca_cert = asked.ca_cert.as_deref();
    Notice::new(what, url, ca_cert, asked.allow_http)
        .map_err(|why| CommandError::usage(why.to_string()))
}

fn wait<T>(sent: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = runtime().map_err(|failure| failure.message)?;
    runtime.block_on(sent)
}

/// Waits until the report is sent, or until a signal comes: the process must then end soon.
fn wait_unless(
    cut: &CancellationToken,
    sent: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let ended = wait(async { Ok(cut.run_until_cancelled(sent).await) })?;
    ended.unwrap_or_else(|| Err("not reported: a signal ended the command".to_owned()))
}

fn warn_of(what: &str, result: Result<(), String>) {
    if let Err(why) = result {
        ui::warning(&format!("{what}: {why}"));
    }
}

/// State and counts of a run without a summary, from its ledger.
fn on_record(run: &KeptRun) -> Result<(&'static str, BTreeMap<&'static str, u64>), CommandError> {
    let ledger = run.ledger()?;
    let state = run_status::state(&ledger.progress()?, &ledger);
    Ok((state.as_str(), run_status::counts(&ledger)?))
}

/// A program's group of processes, which is killed when this value is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        // If all processes of the group have ended, there is no group any more.
        let _ = self.0.map(|group| kill_process_group(group, Signal::KILL));
    }
}

/// How a command ended.
struct End {
    command: &'static str,
    kind: CommandKind,
    exit: Exit,
    run: String,
    document: Value,
    began_ms: i64,
}

impl End {
    fn of(
        (command, kind): (&'static str, CommandKind),
        result: &Result<Exit, CommandError>,
        dir: Option<&KeptRun>,
        began_ms: i64,
    ) -> Self {
        let exit = match result {
            Ok(exit) => *exit,
            Err(failure) => failure.exit,
        };
        let run = dir.map_or_else(String::new, |dir| dir.run().to_string());
        let failure = result.as_ref().err();
        // An existing summary may be that of another process: after a failure, or if this process has left the run to others.
        let is_of_this_end = |dir: &&KeptRun| {
            let told = dir
                .ledger()
                .and_then(|ledger| tells_the_end(dir.path(), &ledger));
            failure.is_none() && told.unwrap_or(false)
        };
        let summary = dir.filter(is_of_this_end).and_then(|dir| {
            let text = regular_file::read(&dir.path().join("summary.json")).ok()?;
            serde_json::from_slice::<Value>(&text).ok()
        });
        let mut document = summary.unwrap_or_else(|| {
            let record = dir.and_then(|dir| on_record(dir).ok());
            let (state, counts) = record.unwrap_or(("failed", BTreeMap::new()));
            json!({
                "format": FORMAT,
                "version": env!("CARGO_PKG_VERSION"),
                "command": command,
                "run": run,
                "state": state,
                "counts": counts,
                "error": failure.map(|failure| &failure.message),
                "help": failure.and_then(|failure| failure.help.as_ref()),
            })
        });
        document["exit_code"] = (exit as u8).into();
        Self {
            command,
            kind,
            exit,
            run,
            document,
            began_ms,
        }
    }

    /// Reports the end of the command. After a signal, the remaining reports are skipped, so that the process can end.
    fn report_to(&self, asked: &AfterRun, cut: &CancellationToken) {
        if let Some(path) = &asked.metrics_file {
            let ended_at_ms = clock::now_ms();
            let measured = Measured {
                document: &self.document,
                command: self.command,
                exit_code: self.exit as u8,
                duration_ms: ended_at_ms - self.began_ms,
                ended_at_ms,
                may_succeed: self.kind.may_write(),
            };
            let written = write_metrics(path, &measured);
            let what = format!("metrics_file {}", path.display());
            warn_of(&what, written.map_err(|why| why.to_string()));
        }
        if !self.kind.may_write() {
            return;
        }
        if let Some(words) = &asked.on_finish {
            warn_of("on_finish", wait_unless(cut, self.run_program(words)));
        }
        if let Some(url) = &asked.webhook_url {
            warn_of("webhook_url", self.post(url, asked, cut));
        }
        if let Some(url) = &asked.healthcheck_url {
            let failed = self.exit != Exit::Success;
            let check = notice("healthcheck_url", url, asked).map_err(|failure| failure.message);
            let sent =
                check.and_then(|check| wait_unless(cut, check.get(failed.then_some("fail"))));
            warn_of("healthcheck_url", sent);
        }
    }

    fn post(&self, url: &str, asked: &AfterRun, cut: &CancellationToken) -> Result<(), String> {
        let mut body = serde_json::Map::new();
        for name in WITHOUT_IDS {
            if let Some(value) = self.document.get(name) {
                body.insert(name.to_owned(), value.clone());
            }
        }
        let hook = notice("webhook_url", url, asked).map_err(|failure| failure.message)?;
        wait_unless(cut, hook.post(Value::Object(body).to_string()))
    }

    /// Runs the program with the summary on its standard input. What it prints goes to standard error.
    async fn run_program(&self, words: &[String]) -> Result<(), String> {
        let (program, arguments) = words.split_first().ok_or("it names no program")?;
        let passed_on = PASSED_ON
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let stderr = std::io::stderr().as_fd().try_clone_to_owned();
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(passed_on)
            .env("IDSHIFT_RUN", &self.run)
            .env("IDSHIFT_EXIT_CODE", (self.exit as u8).to_string())
            .env(
                "IDSHIFT_STATE",
                self.document["state"].as_str().unwrap_or_default(),
            )
            .stdin(Stdio::piped())
            .stdout(stderr.map_or_else(|_| Stdio::null(), Stdio::from))
            // A process group of its own, so that the programs that it starts are killed with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|why| format!("`{program}` cannot be run: {why}"))?;
        // Kills the programs that it has started in the background, also if this future is dropped.
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let stdin = child.stdin.take();
        let text = format!("{:#}\n", self.document);
        let ended = timeout(PROGRAM, async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input closes it, which is not an error.
                let _ = stdin.write_all(text.as_bytes()).await;
            }
            child.wait().await
        });
        let ended = ended.await;
        drop(group);
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("`{program}` failed: {status}")),
            Ok(Err(why)) => Err(format!("`{program}` failed: {why}")),
            Err(_) => Err(format!(
                "`{program}` did not end within {} s and was killed",
                PROGRAM.as_secs()
            )),
        }
    }
}
