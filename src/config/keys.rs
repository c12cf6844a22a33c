//! Every setting there is, once.

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text; also numbers, in a file.
    Text,
    /// `true` or `false`.
    Truth,
    /// A list of words: a program and its arguments.
    Words,
    /// One of these texts.
    Choice(&'static [&'static str]),
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file; in capitals after `IDSHIFT_`, in the environment; with dashes, on the command line, where it is
    /// an option.
    pub name: &'static str,
    /// What a value looks like.
    pub shape: Shape,
    /// What it means; only the schema says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the schema is made by a test"))]
    pub help: &'static str,
}

const fn text(name: &'static str, help: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Text,
        help,
    }
}

const fn choice(name: &'static str, choices: &'static [&'static str], help: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Choice(choices),
        help,
    }
}

const fn truth(name: &'static str, help: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Truth,
        help,
    }
}

/// All settings, in the order in which `idshift config` shows them.
pub const KEYS: &[Key] = &[
    choice(
        "system",
        &["plume", "adobe", "cloudcockpit"],
        "Which system: plume, adobe or cloudcockpit",
    ),
    text(
        "base_url",
        "Where its API is, such as https://api.example.com",
    ),
    text("runs_dir", "Where runs are kept; default idshift-runs"),
    text(
        "rate",
        "The most calls: 6/s, 300/m or unlimited; each system has its default",
    ),
    text(
        "find_rate",
        "The most calls that only look, where they have a limit of their own",
    ),
    text(
        "write_rate",
        "The most calls that write, where they have a limit of their own",
    ),
    text(
        "quota",
        "The most calls in any window: 2000/5m or unlimited",
    ),
    text("concurrency", "Units under way at once: a number, or auto"),
    text("timeout", "The longest that one call may take; default 30s"),
    text("retries", "How often a failed call is repeated; default 5"),
    text(
        "give_up_after",
        "How long an outage is waited out; default 15m",
    ),
    choice(
        "lookup",
        &["auto", "bulk", "each"],
        "How customers are found: auto, bulk or each",
    ),
    text(
        "max_age",
        "How old a look-up may be when a write is based on it; default 10m",
    ),
    text(
        "accept",
        "Codes of problems that are accepted, such as quoted_lines,cut_off",
    ),
    text(
        "carry",
        "Columns that are carried through, though their names are nearly known ones; a comma between two",
    ),
    text(
        "skip_rows",
        "How many lines above the header are passed over; default 0",
    ),
    text(
        "reseller_id",
        "Adobe: whose customers are listed; CloudCockpit: whose relationship (or own)",
    ),
    text("api_key", "Adobe: the integration's key"),
    text("api_key_env", "The environment variable that holds the key"),
    text("tenant", "CloudCockpit: the portal's domain"),
    text(
        "tenant_fence",
        "The only partner or reseller whose customers may be written",
    ),
    choice(
        "send",
        &["full", "reference"],
        "Adobe: full (the documented way) or reference (the reference alone)",
    ),
    truth(
        "accept_welcome_emails",
        "Adobe: every contact may get a welcome e-mail",
    ),
    text(
        "ca_cert",
        "A file of certificates (PEM) to trust beside the operating system's",
    ),
    truth("allow_http", "Allow unencrypted calls to other machines"),
    choice("http", &["auto", "1"], "auto, or 1 for HTTP/1.1 only"),
    text(
        "token_file",
        "A file that holds the token; read again when the token is refused",
    ),
    Key {
        name: "token_command",
        shape: Shape::Words,
        help: "A program that prints the token; run again when the token is refused",
    },
];

/// How the program speaks. These are no part of a run: `resume` speaks as it is told anew.
pub const SPEECH: &[Key] = &[
    choice(
        "format",
        &["human", "json"],
        "How results are printed: human or json",
    ),
    truth("yes", "Do not ask before a write"),
    truth("quiet", "No progress and no hints"),
    text("verbose", "How much more is said: a number"),
    choice(
        "color",
        &["auto", "always", "never"],
        "Colours: auto, always or never",
    ),
    choice(
        "progress",
        &["auto", "plain", "json", "none"],
        "How progress is shown: auto, plain, json or none",
    ),
];

/// All settings of a file's top level or of a profile.
pub(super) fn settings() -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().chain(SPEECH)
}

/// The keys of `[profiles.NAME.oauth2]`.
pub(super) const OAUTH2: &[Key] = &[
    text("token_url", "Where tokens are given out"),
    text("client_id", "The client's ID"),
    text(
        "client_secret_env",
        "The environment variable that holds the client's secret",
    ),
    text(
        "client_secret_file",
        "The file that holds the client's secret",
    ),
    text(
        "basic_header_env",
        "The environment variable that holds the whole Authorization header",
    ),
    text("scope", "What is asked for"),
    text("audience", "Whom the token is for"),
];

/// The keys of `[map]` and `[profiles.NAME.map]`: the columns that count.
pub(super) const MAP: &[Key] = &[
    text("accountId", "The column that holds the current account ID"),
    text("newAccountId", "The column that holds the new account ID"),
    text("customerId", "The column that holds the system's own ID"),
    text("locationId", "The column that holds the location's ID"),
    text("serviceId", "The column that holds the new service ID"),
    text("profile", "The column that holds the profile"),
    text("resellerId", "The column that holds the reseller's ID"),
];

/// The key of this name.
pub(super) fn key(name: &str) -> Option<&'static Key> {
    settings().find(|key| key.name == name)
}

impl Key {
    /// Its name in the environment.
    pub fn variable(&self) -> String {
        format!("IDSHIFT_{}", self.name.to_uppercase())
    }
}
