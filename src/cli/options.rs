//! The command line, as clap structs. [`crate::config::Resolved`] holds what the settings mean.

mod candidates;
mod control;
mod evidence;
mod import;
mod log;
mod runs;
mod sandbox_args;
mod settings_args;

pub(super) use control::{ControlOptions, RateOptions, StatusOptions};
pub(super) use evidence::EvidenceOptions;
pub(super) use import::ImportOptions;
pub(super) use log::LogOptions;
pub(super) use runs::{ForgetOptions, PruneOptions, RunsCommand, RunsOptions, ShowOptions};
pub(super) use sandbox_args::SandboxArgs;
pub(super) use settings_args::{Console, SettingsArgs};

use candidates::{plans, profiles, runs};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  idshift apply samples/plume/moves.csv --sandbox --yes   on a local stand-in
  idshift plan moves.csv --profile plume                  what would change
  idshift apply --run 20261120-223015-k3f9                carry out that plan
";

const MORE: &str = "\
Settings: --base-url is also IDSHIFT_BASE_URL, and base_url in idshift.toml. The command line overrides the \
environment, the environment the profile, the profile the top of the file; `idshift config` shows the values \
in force. The token is never an option: IDSHIFT_TOKEN, or token_file, token_command or oauth2 in a profile.";

/// Changes customer identifiers in bulk, safely, one call at a time.
#[derive(Debug, Parser)]
#[command(
    name = "idshift",
    version,
    before_help = EXAMPLES,
    after_help = MORE,
    after_long_help = format!("{MORE}\n\nExit codes:\n{}", crate::run::exit_codes()),
    arg_required_else_help = true,
    max_term_width = 80
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Options {
    /// Reads the command line.
    pub(super) fn read() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        Self::from_arg_matches(&matches)
    }
}

/// Returns the whole command line for clap.
pub(super) fn command() -> clap::Command {
    let whole = Options::command().mut_subcommands(|command| command.mut_args(with_example));
    let names: Vec<String> = whole
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    let names = move || names.iter().map(CompletionCandidate::new).collect();
    whole.mut_subcommand("man", |man| {
        man.mut_arg("command", |arg| arg.add(ArgValueCandidates::new(names)))
    })
}

/// Moves the example into a paragraph of its own, so that it is not broken at a line end.
fn with_example(arg: clap::Arg) -> clap::Arg {
    match arg.get_long_help() {
        Some(help) => {
            let help = help.to_string().replace(". Example: ", ".\n\nExample: ");
            arg.long_help(help)
        }
        None => arg,
    }
}

#[expect(clippy::doc_markdown, reason = "examples are shown as they are typed")]
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read and plan a file offline: invalid lines, contradictions, chains, swaps
    ///
    /// Nothing is sent anywhere, and no credentials are needed.
    ///
    /// Example: idshift check moves.csv --format json | jq .counts
    Check(CheckOptions),
    /// Show what each column of a file probably means, with three values; save it for a profile
    ///
    /// The meaning is guessed from the words of the name and from the values. No run uses the guess: runs use what is
    /// saved with --save or given with --map. If several columns may have the same meaning, they are shown, and are not
    /// saved until --map decides.
    ///
    /// Example: idshift map export.csv --save plume
    Map(MapOptions),
    /// Look every customer up and say line by line what would change
    ///
    /// Nothing is written. `apply --run` can carry out the plan afterwards. If account IDs are not found, other
    /// spellings that exist are named, such as one with leading zeros.
    ///
    /// Example: idshift plan moves.csv --profile plume
    Plan(PlanOptions),
    /// Plan a file and carry it out; or carry out a plan that was reviewed before
    ///
    /// Example: idshift apply moves.csv --profile plume --canary 5 --max-failures 2%
    Apply(ApplyOptions),
    /// Continue an interrupted or stopped run
    ///
    /// It uses the options of the run unless they are given again. On a terminal it asks before it writes; elsewhere
    /// the consent to the run that it continues still applies.
    ///
    /// Example: idshift resume 20261120-2230
    Resume(RunOptions),
    /// Read every customer that a run touched again, and compare
    ///
    /// Exit code 3 if something differs.
    ///
    /// Example: idshift verify 20261120-2230
    Verify(RunOptions),
    /// Restore what a run changed, except what was changed again since
    ///
    /// The undo is itself a run, with reports, and can be undone.
    ///
    /// Example: idshift undo 20261120-2230 --yes
    Undo(RunOptions),
    /// Write only what differs from the file, and stop if too much differs; meant for a schedule
    ///
    /// Example: idshift reconcile all.csv --profile plume --max-changes 5% --yes
    Reconcile(ReconcileOptions),
    /// Join runs that other processes have begun on a shared ledger, and do a share of their lines
    ///
    /// It waits for a run of the target, works on it together with the others, and waits again. On SIGTERM it finishes
    /// its operations in progress and ends with exit code 0.
    ///
    /// Example: idshift worker --profile plume
    Worker(WorkerOptions),
    /// Draw a run's reports again
    ///
    /// Example: idshift report 20261120-2230
    Report(ReportOptions),
    /// List the runs
    ///
    /// Example: idshift runs --format json
    Runs(RunsOptions),
    /// Write everything that is on record about a run into one archive, or verify such an archive
    ///
    /// The archive (tar, zstd) holds input, plan, ledger, reports, configuration without secrets, versions, operator
    /// and host, and a manifest with the SHA-256 of each, chained. The last digest covers the whole archive: hand it
    /// over separately.
    ///
    /// Example: idshift evidence 20261120-2230 -o run.tar.zst
    Evidence(EvidenceOptions),
    /// Move runs that are kept in files to the database of --ledger
    ///
    /// The database then knows what they have done: no swap is made twice, and report, verify and undo work as before.
    /// Each run is moved completely or not at all, the earliest first. After that, it can be continued only in the
    /// database. If the command was interrupted, the same command continues.
    ///
    /// Example: idshift import idshift-runs --ledger postgres://idshift@db.example.com/idshift
    Import(ImportOptions),
    /// Show what is on record about one line of a run, or about the run itself
    ///
    /// It is read from the run's ledger, and from the log of its calls where the run kept one.
    ///
    /// Example: idshift log 20261120-2230 --line 51
    Log(LogOptions),
    /// Show the state of a run in progress, or how a run ended
    ///
    /// Example: idshift status --watch
    Status(StatusOptions),
    /// Hold all calls of a run in progress
    ///
    /// Example: idshift pause
    Pause(ControlOptions),
    /// Let a paused run continue
    ///
    /// Example: idshift unpause
    Unpause(ControlOptions),
    /// Change the rate of a run in progress
    ///
    /// Example: idshift rate 20261120-2230 10/s
    Rate(RateOptions),
    /// Let a run finish its operations in progress, and stop it
    ///
    /// It ends with exit code 4, and `resume` continues it.
    ///
    /// Example: idshift drain
    Drain(ControlOptions),
    /// A local stand-in of the systems, with faults on request
    ///
    /// Example: idshift sandbox --customers 1000 --fault 'patch:500-after:every=3'
    Sandbox(SandboxOptions),
    /// Check the configuration: reachable, authorised, clock, limits
    ///
    /// Example: idshift doctor --profile plume
    Doctor(DoctorOptions),
    /// Write a commented idshift.toml to begin with
    ///
    /// An existing file is not changed.
    ///
    /// Example: idshift init
    Init(InitOptions),
    /// Show every setting, and where it comes from
    ///
    /// Secrets are shown as `set`, with the place that they come from.
    ///
    /// Example: idshift config --profile plume
    Config(ConfigOptions),
    /// Print the completions of a shell: commands, options, values, profiles and runs
    ///
    /// The shell then asks the idshift on the PATH for completions. This changes nothing and reads no secret.
    ///
    /// Example: idshift completions bash > /etc/bash_completion.d/idshift
    #[command(verbatim_doc_comment)]
    Completions(CompletionsOptions),
    /// Print a manual page
    ///
    /// Example: idshift man apply | man -l -
    Man(ManOptions),
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    /// Exit with 3 if something would change
    #[arg(long)]
    pub(super) exit_code: bool,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) sandbox: SandboxArgs,
}

#[derive(Debug, Args)]
pub(super) struct ApplyOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    pub(super) file: Option<PathBuf>,
    /// Carry out this plan, which was reviewed before
    #[arg(long, value_name = "ID", add = plans())]
    pub(super) run: Option<String>,
    /// Carry the plan out only if this is its digest (`plan_digest`), which a second person has approved
    ///
    /// Example: --run 20261120-2230 --digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    #[arg(long, value_name = "HEX", requires = "run", conflicts_with = "file", value_parser = digest)]
    pub(super) digest: Option<String>,
    /// Look every customer up and show what would change before the first write
    ///
    /// On a terminal this is the default. If the look-ups take two minutes or more, they are made during the writes.
    #[arg(long, conflicts_with_all = ["run", "dry_run"])]
    pub(super) plan_first: bool,
    /// Continue the run with this key if there is one; otherwise begin a run with this key
    ///
    /// For a job that may be started again. If the run has finished, the command says so, changes nothing and ends with
    /// the exit code of the run. Example: --key nightly-2026-11-27
    #[arg(long, value_name = "KEY", value_parser = key, conflicts_with_all = ["run", "dry_run"])]
    pub(super) key: Option<String>,
    /// Only look, the same as `plan`
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) sandbox: SandboxArgs,
}

/// Parses a SHA-256 in hexadecimal digits; returns it in lower case.
fn digest(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a digest has 64 hexadecimal digits; `plan` and `runs show` print it".to_owned())
    }
}

/// Parses the key of a job: 1 to 100 visible ASCII characters.
fn key(text: &str) -> Result<String, String> {
    if (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("a key has 1 to 100 letters, digits and signs, and no spaces".to_owned())
    }
}

/// What `resume`, `verify` and `undo` have.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// The run: its ID or the beginning of it [default: the newest that the command can act on]
    #[arg(add = runs())]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) sandbox: SandboxArgs,
}

#[derive(Debug, Args)]
pub(super) struct WorkerOptions {
    /// Work only on this run (its whole ID), and end when the run ends
    #[arg(add = runs())]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReconcileOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    /// Leave out lines that are unchanged since the last successful reconcile, except a rotating share
    #[arg(long)]
    pub(super) incremental: bool,
    /// With --incremental: the share of unchanged lines that is looked up nevertheless
    #[arg(long, default_value = "1/7", value_name = "1/N")]
    pub(super) audit: String,
    /// Continue the run with this key if there is one; otherwise begin a run with this key
    ///
    /// For a job that may be started again. If the run has finished, the command says so, changes nothing and ends with
    /// the exit code of the run. Example: --key nightly-2026-11-27
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(super) key: Option<String>,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) sandbox: SandboxArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReportOptions {
    /// The run: its ID or the beginning of it [default: the newest that was carried out]
    #[arg(add = runs())]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct MapOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    /// Write what the columns mean into this profile of idshift.toml
    ///
    /// The profile is created if it is missing. The rest of the file is not changed. Example: --save plume
    #[arg(long, value_name = "PROFILE", add = profiles())]
    pub(super) save: Option<String>,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = crate::sandbox::SYNTAX)]
pub(super) struct SandboxOptions {
    /// The system to stand in for: plume, adobe or cloudcockpit
    #[arg(long, default_value = "plume", value_parser = ["plume", "adobe", "cloudcockpit"])]
    pub(super) system: String,
    /// The port on 127.0.0.1; 0: a free one
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// How many customers it begins with; their account IDs are A-000001, A-000002, …
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(super) customers: u32,
    /// Begin with the customers of this file instead
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
    /// Seed for the generated customers
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// How long an answer takes
    #[arg(long, value_name = "DURATION")]
    pub(super) latency: Option<String>,
    /// A fault, such as patch:500-after:every=3; may be given several times
    #[arg(long, value_name = "FAULT")]
    pub(super) fault: Vec<String>,
    /// Plume: refuse bulk look-ups
    #[arg(long)]
    pub(super) no_bulk: bool,
}

#[derive(Debug, Args)]
pub(super) struct DoctorOptions {
    /// Print the SQL that makes the tables of --ledger, for an administrator, and do nothing else
    #[arg(long, hide = true)]
    pub(super) ledger_schema: bool,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) sandbox: SandboxArgs,
}

#[derive(Debug, Args)]
pub(super) struct ConfigOptions {
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct InitOptions {
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsOptions {
    /// Which shell
    pub(super) shell: clap_complete::Shell,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// The page of this command [default: the page of idshift itself]
    pub(super) command: Option<String>,
    /// Write the pages of all commands into this folder instead
    ///
    /// Example: --dir target/man
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub(super) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}
