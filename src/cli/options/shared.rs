//! Options that several commands have. A field is named as its key in `idshift.toml`, where it has one.
//!
//! `-h` is to fit a screen: what is seldom needed is shown by `--help` only.

use crate::config::{ConfigError, Values};
use crate::run::{Output, Reading, SandboxRequest, TypedSettings};
use crate::ui;
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ProgressMode {
    Auto,
    Plain,
    Json,
    None,
}

/// What all commands share: how to speak.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputArgs {
    /// How results are printed: human or json
    ///
    /// Standard output then carries JSON and nothing else. Example: --format json
    #[arg(long, value_enum, hide_possible_values = true)]
    pub(in crate::cli) format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(in crate::cli) json: bool,
    /// No progress and no hints; errors are always said
    #[arg(long, short)]
    pub(in crate::cli) quiet: bool,
    /// Say more: each line that failed, and why
    #[arg(long, short, action = ArgAction::Count)]
    pub(in crate::cli) verbose: u8,
    /// Colours: auto, always or never
    ///
    /// By default as the terminal has it, and as `NO_COLOR` and `CLICOLOR_FORCE` say. Example: --color never
    #[arg(long, value_enum, hide_possible_values = true, hide_short_help = true)]
    pub(in crate::cli) color: Option<Colour>,
    /// How progress is shown: auto, plain, json or none
    ///
    /// By default two lines on a terminal, else a plain line now and then. `json` writes one object a second and one
    /// for each event to standard error (docs/json.md). Example: --progress json
    #[arg(long, value_enum, hide_possible_values = true, hide_short_help = true)]
    pub(in crate::cli) progress: Option<ProgressMode>,
}

impl OutputArgs {
    pub(in crate::cli) fn is_json(&self) -> bool {
        self.json || self.format == Some(Format::Json)
    }

    /// What is printed, and how.
    pub(in crate::cli) fn output(&self) -> Output {
        let progress = match self.progress {
            _ if self.quiet => ui::Mode::None,
            None | Some(ProgressMode::Auto) => ui::Mode::Auto,
            Some(ProgressMode::Plain) => ui::Mode::Plain,
            Some(ProgressMode::Json) => ui::Mode::Json,
            Some(ProgressMode::None) => ui::Mode::None,
        };
        Output {
            json: self.is_json(),
            quiet: self.quiet,
            verbose: self.verbose > 0,
            progress,
        }
    }

    /// Takes what was not typed from what else was said.
    pub(in crate::cli) fn complete(&mut self, values: &Values) -> Result<(), ConfigError> {
        fn of<T: ValueEnum>(values: &Values, name: &'static str) -> Result<Option<T>, ConfigError> {
            let text = values.choice(name)?;
            // The table of keys and the options have the same words; a test sees to it.
            Ok(text.and_then(|text| T::from_str(&text, false).ok()))
        }
        // First, so that whatever else is wrong is said as asked for.
        self.format = self.format.or(of(values, "format")?);
        self.color = self.color.or(of(values, "color")?);
        self.progress = self.progress.or(of(values, "progress")?);
        self.quiet |= values.truth("quiet")?;
        if self.verbose == 0 {
            let said = values.number("verbose")?.unwrap_or(0);
            self.verbose = u8::try_from(said).unwrap_or(u8::MAX);
        }
        Ok(())
    }
}

/// Where settings and runs are.
#[derive(Debug, Args)]
#[command(next_help_heading = "System")]
pub(in crate::cli) struct PlaceArgs {
    /// The profile of idshift.toml
    ///
    /// Example: --profile plume
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The configuration file [default: ./idshift.toml, then the user's, then /etc/idshift's]
    ///
    /// The first that exists counts; files are not merged. Example: --config night.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where runs are kept [default: idshift-runs]
    ///
    /// Example: --runs-dir /var/lib/idshift/runs
    #[arg(long, value_name = "FOLDER")]
    runs_dir: Option<String>,
}

impl PlaceArgs {
    /// What was typed.
    pub(in crate::cli) fn typed(&self) -> TypedSettings {
        let runs_dir = self.runs_dir.iter();
        TypedSettings {
            given: runs_dir.map(|value| ("runs_dir", value.clone())).collect(),
            profile: self.profile.clone(),
            config: self.config.clone(),
        }
    }
}

/// Which system, and how it is spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "System")]
pub(in crate::cli) struct TargetArgs {
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
    /// Which system: plume, adobe or cloudcockpit
    ///
    /// A real target needs it, here, in the environment or in a profile. With --sandbox alone the stand-in is Plume.
    /// Example: --system adobe
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// Where its API is
    #[arg(
        long,
        value_name = "URL",
        // In a comment for rustdoc an address would have to stand in angle brackets, which would be shown.
        long_help = "Where its API is\n\nhttps only, but for this machine. Example: --base-url https://api.example.com"
    )]
    base_url: Option<String>,
    /// The most calls: 6/s, 300/m or unlimited [default: the system's]
    ///
    /// A rate above the system's documented quota replaces that quota, with a warning. Example: --rate 300/m
    #[arg(long, value_name = "CALLS/TIME")]
    rate: Option<String>,
    /// The most calls in any window: 2000/5m or unlimited [default: the system's]
    ///
    /// Calls of earlier runs on the same target count. Example: --quota 2000/5m
    #[arg(long, value_name = "CALLS/TIME")]
    quota: Option<String>,
    /// The most calls that only look, where they have a limit of their own
    ///
    /// Example: --find-rate 20/s
    #[arg(long, value_name = "CALLS/TIME", hide_short_help = true)]
    find_rate: Option<String>,
    /// The most calls that write, where they have a limit of their own
    ///
    /// Example: --write-rate 5/s
    #[arg(long, value_name = "CALLS/TIME", hide_short_help = true)]
    write_rate: Option<String>,
    /// Units under way at once: a number, or auto [default: auto]
    ///
    /// `auto` takes as many as rate and latency need. Example: --concurrency 8
    #[arg(long, value_name = "N", hide_short_help = true)]
    concurrency: Option<String>,
    /// The longest that one call may take [default: 30s]
    ///
    /// Example: --timeout 1m30s
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    timeout: Option<String>,
    /// How often a failed call is repeated [default: 5]
    ///
    /// A write is only repeated where it certainly had no effect. Example: --retries 3
    #[arg(long, value_name = "N", hide_short_help = true)]
    retries: Option<String>,
    /// How long an outage is waited out before the run stops [default: 15m]
    ///
    /// The run then ends with exit code 4, and `resume` goes on. Example: --give-up-after 1h
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    give_up_after: Option<String>,
    /// How customers are found: auto, bulk or each [default: auto]
    ///
    /// `bulk` asks for many at once, `each` for one at a time. Example: --lookup each
    #[arg(long, value_name = "HOW", hide_short_help = true)]
    lookup: Option<String>,
    /// How old a look-up may be when a write is based on it [default: 10m]
    ///
    /// Older, and the customer is read again before its write. Example: --max-age 2m
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    max_age: Option<String>,
    /// Adobe: whose customers are listed; CloudCockpit: whose relationship (or own)
    ///
    /// Example: --reseller 5556667778
    #[arg(
        id = "reseller_id",
        long = "reseller",
        alias = "reseller-id",
        value_name = "ID"
    )]
    reseller: Option<String>,
    /// CloudCockpit: the portal's domain
    ///
    /// Example: --tenant portal.example.com
    #[arg(long, value_name = "DOMAIN", hide_short_help = true)]
    tenant: Option<String>,
    /// The only partner or reseller whose customers may be written
    ///
    /// A customer outside of it is `forbidden`. Example: --tenant-fence 5c0ffee
    #[arg(long, value_name = "ID", hide_short_help = true)]
    tenant_fence: Option<String>,
    /// Adobe: full or reference [default: full]
    ///
    /// `full` is the documented way; `reference` sends the reference alone, so no contact gets an e-mail.
    /// Example: --send reference
    #[arg(long, value_name = "HOW", hide_short_help = true)]
    send: Option<String>,
    /// Adobe: every contact of a written customer may get a welcome e-mail
    ///
    /// Not needed with --send reference, which sends no contacts.
    #[arg(long)]
    accept_welcome_emails: bool,
    /// Certificates (PEM) to trust beside the operating system's
    ///
    /// Example: --ca-cert /etc/ssl/company.pem
    #[arg(long, alias = "ca-file", value_name = "FILE", hide_short_help = true)]
    ca_cert: Option<String>,
    /// Allow unencrypted calls to other machines
    #[arg(long, hide_short_help = true)]
    allow_http: bool,
}

impl TargetArgs {
    /// What was typed.
    pub(in crate::cli) fn typed(&self) -> TypedSettings {
        let texts = [
            ("system", &self.system),
            ("base_url", &self.base_url),
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
        let place = self.place.typed();
        TypedSettings {
            given: texts.chain(flags).chain(place.given).collect(),
            ..place
        }
    }
}

/// A stand-in inside of the process.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub(in crate::cli) struct SandboxArgs {
    /// Start a stand-in of the system and work on that; no credentials are needed
    #[arg(long)]
    sandbox: bool,
    /// A fault of the stand-in; may be given several times
    ///
    /// Example: --sandbox-fault patch:500-after:every=3
    #[arg(
        long,
        requires = "sandbox",
        value_name = "FAULT",
        hide_short_help = true
    )]
    sandbox_fault: Vec<String>,
    /// How long the stand-in takes to answer [default: 0s]
    ///
    /// Example: --sandbox-latency 80ms
    #[arg(
        long,
        requires = "sandbox",
        value_name = "DURATION",
        hide_short_help = true
    )]
    sandbox_latency: Option<String>,
    /// How many customers the stand-in has besides those of the file [default: 0]
    ///
    /// Example: --sandbox-customers 1000
    #[arg(long, requires = "sandbox", value_name = "N", hide_short_help = true)]
    sandbox_customers: Option<u32>,
}

impl SandboxArgs {
    /// What was typed.
    pub(in crate::cli) fn request(&self) -> SandboxRequest {
        SandboxRequest {
            sandbox: self.sandbox,
            faults: self.sandbox_fault.clone(),
            latency: self.sandbox_latency.clone(),
            customers: self.sandbox_customers.unwrap_or(0),
        }
    }
}

/// How the file is to be read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(in crate::cli) struct InputArgs {
    /// A column that is called otherwise; may be given several times
    ///
    /// In idshift.toml: a table `map` in a profile, which `idshift map FILE --save PROFILE` writes. Example: --map newAccountId=CrmKey
    #[arg(long, value_name = "COLUMN=NAME")]
    map: Vec<String>,
    /// The file's encoding [default: UTF-8, or what its mark says]
    ///
    /// Example: --encoding windows-1252
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    encoding: Option<String>,
    /// The delimiter [default: found from the header]
    ///
    /// comma, semicolon, tab, pipe or one character. Example: --delimiter semicolon
    #[arg(long, value_name = "CHARACTER", hide_short_help = true)]
    delimiter: Option<String>,
    /// Leave invalid lines out instead of refusing the file; they are reported as failed
    #[arg(long)]
    skip_invalid: bool,
    /// An empty new account ID removes the ID (CloudCockpit)
    #[arg(long, hide_short_help = true)]
    allow_clear: bool,
    /// Accept these problems of values, and blocking warnings, by their codes
    ///
    /// Messages name the codes. Example: --accept formula
    #[arg(long, value_name = "CODE,…")]
    accept: Option<String>,
    /// A column that is carried through, though its name is nearly a known one; may be given several times
    ///
    /// Example: --carry accountIds
    #[arg(long, value_name = "COLUMN", hide_short_help = true)]
    carry: Vec<String>,
    /// How many lines above the header are passed over [default: 0]
    ///
    /// Example: --skip-rows 2
    #[arg(long, value_name = "N", hide_short_help = true)]
    skip_rows: Option<u32>,
}

impl InputArgs {
    /// How the file is to be read.
    pub(in crate::cli) fn reading(&self) -> Reading {
        Reading {
            map: self.map.clone(),
            encoding: self.encoding.clone(),
            delimiter: self.delimiter.clone(),
            skip_invalid: self.skip_invalid,
            allow_clear: self.allow_clear,
            given: self.given(),
        }
    }

    /// What was typed, by the key that it means.
    fn given(&self) -> Vec<(&'static str, String)> {
        let accept = self.accept.iter().map(|codes| ("accept", codes.clone()));
        let carry = (!self.carry.is_empty()).then(|| ("carry", self.carry.join("\n")));
        let skip = self.skip_rows.map(|rows| ("skip_rows", rows.to_string()));
        accept.chain(carry).chain(skip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SPEECH, Shape};

    #[test]
    fn options_and_settings_know_the_same_words() {
        fn words<T: ValueEnum>() -> Vec<String> {
            let words = T::value_variants().iter().filter_map(T::to_possible_value);
            words.map(|word| word.get_name().to_owned()).collect()
        }
        for (name, words) in [
            ("format", words::<Format>()),
            ("color", words::<Colour>()),
            ("progress", words::<ProgressMode>()),
        ] {
            let key = SPEECH.iter().find(|key| key.name == name).unwrap();
            let Shape::Choice(choices) = key.shape else {
                panic!("{name} is a choice");
            };
            assert_eq!(choices, words);
        }
    }
}
