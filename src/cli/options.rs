//! What may be typed. What it means is another type: [`crate::config::Resolved`].

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  idshift check moves.csv                       what is wrong with the file; no network
  idshift plan moves.csv --profile plume        what would change; nothing is written
  idshift apply --run 20261120-223015-k3f9      carry out that plan, and only that
  idshift apply samples/plume/moves.csv --sandbox --yes   try it on a local stand-in

Every option is also read from the environment (--base-url from IDSHIFT_BASE_URL) and from idshift.toml
(base_url). The token is never an option: IDSHIFT_TOKEN, token_file, token_command or oauth2.

Exit codes: 0 all is so; 1 some lines failed, see failures.csv; 2 nothing was written; 3 differences found;
4 stopped by a guard or an outage, `resume` goes on; 5 another run holds the target; 130, 143 interrupted.";

/// Changes customer identifiers in bulk, safely, one call at a time.
#[derive(Debug, Parser)]
#[command(name = "idshift", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read and plan a file offline: bad lines, duplicates, contradictions, chains, swaps
    ///
    /// Nothing is sent anywhere. Example: idshift check moves.csv --format json | jq '.counts'
    Check(CheckOptions),
    /// Look every customer up and say line by line what would change
    ///
    /// Nothing is written. Example: idshift plan moves.csv --profile plume
    Plan(PlanOptions),
    /// Plan a file and carry it out; or carry out a plan that was looked at before
    ///
    /// Example: idshift apply moves.csv --profile plume --canary 5 --max-failures 2%
    Apply(ApplyOptions),
    /// Go on with an interrupted or stopped run
    ///
    /// Example: idshift resume 20261120-2230
    Resume(ResumeOptions),
    /// Read every customer that a run touched again, and compare
    ///
    /// Exit code 3 where something differs. Example: idshift verify
    Verify(RunOptions),
    /// Put back what a run changed, where nobody changed it since
    ///
    /// The way back is itself a run, with reports, and can be undone. Example: idshift undo --yes
    Undo(UndoOptions),
    /// For every night: write only what has drifted, and stop if too much has
    ///
    /// Example: idshift reconcile customers.csv --profile plume --max-changes 5% --incremental --yes
    Reconcile(ReconcileOptions),
    /// Draw a run's reports again
    ///
    /// Example: idshift report 20261120-2230
    Report(ReportOptions),
    /// List the runs
    ///
    /// Example: idshift runs --format json
    Runs(RunsOptions),
    /// A local stand-in of the systems, with faults on request
    ///
    /// Example: idshift sandbox --customers 1000 --fault 'patch:500-after:every=3'
    Sandbox(SandboxOptions),
    /// Check the configuration: reachable, authorised, clock, limits
    ///
    /// Example: idshift doctor --profile plume
    Doctor(DoctorOptions),
    /// Write a commented idshift.toml to begin with
    Init,
    /// Show every setting, and where it comes from
    Config(ConfigOptions),
    /// Shell completions. Example: idshift completions bash > /`etc/bash_completion.d/idshift`
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The manual page. Example: idshift man | man -l -
    Man,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    Auto,
    Bar,
    Plain,
    None,
}

/// What all commands share: how to speak.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Speech {
    /// How results are printed
    #[arg(long, value_enum, default_value = "human", env = "IDSHIFT_FORMAT")]
    pub(super) format: Format,
    /// The same as --format json
    #[arg(long)]
    pub(super) json: bool,
    /// No progress and no hints; errors are always said
    #[arg(long, short, env = "IDSHIFT_QUIET", value_parser = clap::builder::FalseyValueParser::new())]
    pub(super) quiet: bool,
    /// Say more: each line that failed, and why
    #[arg(long, short, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Colours
    #[arg(long, value_enum, default_value = "auto", env = "IDSHIFT_COLOR")]
    pub(super) color: Colour,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto", env = "IDSHIFT_PROGRESS")]
    pub(super) progress: ProgressMode,
}

impl Speech {
    pub(super) fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

/// Which system, and how it is spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "System")]
pub(super) struct Target {
    /// Which system: plume, adobe or cloudcockpit
    #[arg(long)]
    system: Option<String>,
    /// Where its API is, such as <https://api.example.com>
    #[arg(long)]
    base_url: Option<String>,
    /// The profile of idshift.toml
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// The configuration file [default: ./idshift.toml, then the user's]
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    /// Where runs are kept [default: idshift-runs]
    #[arg(long)]
    runs_dir: Option<String>,
    /// The most calls: 6/s, 300/m or unlimited [default: the system's]
    #[arg(long)]
    rate: Option<String>,
    /// The most calls that only look, where they have a limit of their own
    #[arg(long)]
    find_rate: Option<String>,
    /// The most calls that write, where they have a limit of their own
    #[arg(long)]
    write_rate: Option<String>,
    /// The most calls in any window: 2000/5m or unlimited [default: the system's]
    #[arg(long)]
    quota: Option<String>,
    /// Units under way at once: a number, or auto
    #[arg(long)]
    concurrency: Option<String>,
    /// The longest that one call may take [default: 30s]
    #[arg(long)]
    timeout: Option<String>,
    /// How often a failed call is repeated [default: 5]
    #[arg(long)]
    retries: Option<String>,
    /// How long an outage is waited out before the run stops [default: 15m]
    #[arg(long)]
    give_up_after: Option<String>,
    /// How customers are found: auto, bulk or each
    #[arg(long)]
    lookup: Option<String>,
    /// How old a look-up may be when it is written upon [default: 10m]
    #[arg(long)]
    max_age: Option<String>,
    /// Adobe: whose customers are listed; `CloudCockpit`: whose relationship (or own)
    #[arg(long, alias = "reseller-id")]
    reseller: Option<String>,
    /// `CloudCockpit`: the portal's domain
    #[arg(long)]
    tenant: Option<String>,
    /// The only partner or reseller whose customers may be written
    #[arg(long)]
    tenant_fence: Option<String>,
    /// Adobe: full or reference
    #[arg(long)]
    send: Option<String>,
    /// Adobe: every contact of a written customer may get a welcome e-mail
    #[arg(long)]
    accept_welcome_emails: bool,
    /// Certificates (PEM) to trust beside the operating system's
    #[arg(long, alias = "ca-file")]
    ca_cert: Option<String>,
    /// Allow unencrypted calls to other machines
    #[arg(long)]
    allow_http: bool,
}

impl Target {
    /// What was typed, by the key that it means.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("system", &self.system),
            ("base_url", &self.base_url),
            ("runs_dir", &self.runs_dir),
            ("rate", &self.rate),
            ("find_rate", &self.find_rate),
            ("write_rate", &self.write_rate),
            ("quota", &self.quota),
            ("concurrency", &self.concurrency),
            ("timeout", &self.timeout),
            ("retries", &self.retries),
            ("give_up_after", &self.give_up_after),
            ("lookup", &self.lookup),
            ("max_age", &self.max_age),
            ("reseller_id", &self.reseller),
            ("tenant", &self.tenant),
            ("tenant_fence", &self.tenant_fence),
            ("send", &self.send),
            ("ca_cert", &self.ca_cert),
        ];
        let flags = [
            ("accept_welcome_emails", self.accept_welcome_emails),
            ("allow_http", self.allow_http),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)));
        let flags = flags
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(key, _)| (key, "true".to_owned()));
        texts.chain(flags).collect()
    }
}

/// A stand-in inside of the process.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub(super) struct Inside {
    /// Start a stand-in of the system and work on that
    #[arg(long)]
    pub(super) sandbox: bool,
    /// A fault of the stand-in, such as patch:500-after:every=3; may be given several times
    #[arg(long, requires = "sandbox", value_name = "FAULT")]
    pub(super) sandbox_fault: Vec<String>,
    /// How long the stand-in takes to answer
    #[arg(long, requires = "sandbox", value_name = "DURATION")]
    pub(super) sandbox_latency: Option<String>,
}

/// How the file is to be read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct Reading {
    /// A column that is called otherwise, such as `newAccountId=CRM_KEY`; may be given several times
    #[arg(long, value_name = "COLUMN=NAME")]
    pub(super) map: Vec<String>,
    /// The file's encoding, such as windows-1252 [default: UTF-8, or what its mark says]
    #[arg(long)]
    pub(super) encoding: Option<String>,
    /// The delimiter: comma, semicolon, tab, pipe or one character [default: found from the header]
    #[arg(long)]
    pub(super) delimiter: Option<String>,
    /// Leave invalid lines out instead of refusing the file; they are reported as failed
    #[arg(long)]
    pub(super) skip_invalid: bool,
    /// An empty new account ID removes the ID (`CloudCockpit`)
    #[arg(long)]
    pub(super) allow_clear: bool,
}

/// What stops a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Guards")]
pub(super) struct Guards {
    /// Stop when more lines than this have failed: 20 or 5% (of at least 100)
    #[arg(long, value_name = "N|%")]
    pub(super) max_failures: Option<String>,
    /// Write nothing if more lines than this would change: 20 or 5%
    #[arg(long, value_name = "N|%")]
    pub(super) max_changes: Option<String>,
    /// Carry out so many units, read them back, and go on only if all are right
    #[arg(long, value_name = "N")]
    pub(super) canary: Option<u64>,
    /// Begin nothing after this: a time of day (06:00) or a duration (4h)
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Do not ask
    #[arg(long, short, env = "IDSHIFT_YES", value_parser = clap::builder::FalseyValueParser::new())]
    pub(super) yes: bool,
    /// Never ask: without --yes, fail instead
    #[arg(long)]
    pub(super) no_input: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) reading: Reading,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    /// Exit with 3 where something would change
    #[arg(long)]
    pub(super) exit_code: bool,
    #[command(flatten)]
    pub(super) reading: Reading,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct ApplyOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    pub(super) file: Option<PathBuf>,
    /// Carry out this plan, which was looked at before
    #[arg(long, value_name = "ID")]
    pub(super) run: Option<String>,
    /// Only look, the same as `plan`
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) reading: Reading,
    #[command(flatten)]
    pub(super) guards: Guards,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct ResumeOptions {
    /// The run: its ID or the beginning of it [default: the newest that is unfinished]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) guards: Guards,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// The run: its ID or the beginning of it [default: the newest]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct UndoOptions {
    /// The run: its ID or the beginning of it [default: the newest]
    pub(super) run: Option<String>,
    #[command(flatten)]
    pub(super) guards: Guards,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct ReconcileOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(super) file: PathBuf,
    /// Leave out lines that are the same as in the last successful reconcile, but for a rotating share
    #[arg(long)]
    pub(super) incremental: bool,
    /// With --incremental: the share of unchanged lines that is looked at all the same
    #[arg(long, default_value = "1/7", value_name = "1/N")]
    pub(super) audit: String,
    #[command(flatten)]
    pub(super) reading: Reading,
    #[command(flatten)]
    pub(super) guards: Guards,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct ReportOptions {
    /// The run: its ID or the beginning of it [default: the newest]
    pub(super) run: Option<String>,
    /// Where runs are kept [default: idshift-runs]
    #[arg(long, env = "IDSHIFT_RUNS_DIR")]
    pub(super) runs_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct RunsOptions {
    /// Where runs are kept [default: idshift-runs]
    #[arg(long, env = "IDSHIFT_RUNS_DIR")]
    pub(super) runs_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct SandboxOptions {
    /// Which system it stands in for: plume, adobe or cloudcockpit
    #[arg(long, default_value = "plume")]
    pub(super) system: String,
    /// The port on 127.0.0.1; 0: a free one
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// How many customers it begins with
    #[arg(long, default_value_t = 1000)]
    pub(super) customers: u32,
    /// Begin with the customers of this file instead
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
    /// What the customers are made from
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// How long an answer takes
    #[arg(long, value_name = "DURATION")]
    pub(super) latency: Option<String>,
    /// A fault, such as patch:500-after:every=3; may be given several times
    #[arg(long)]
    pub(super) fault: Vec<String>,
    /// Plume: refuse to look many customers up at once
    #[arg(long)]
    pub(super) no_bulk: bool,
}

#[derive(Debug, Args)]
pub(super) struct DoctorOptions {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) inside: Inside,
    #[command(flatten)]
    pub(super) speech: Speech,
}

#[derive(Debug, Args)]
pub(super) struct ConfigOptions {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) speech: Speech,
}
