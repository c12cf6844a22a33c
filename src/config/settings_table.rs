//! The table of all settings: **where a new setting is added**.
//!
//! The options of the command line with their help, the environment variables, the keys of `idshift.toml`, its schema,
//! the manual pages, `idshift config` and what a run keeps are made from it. A new setting is a row here, and
//! `values.get("its_name")` (or `number`, `truth`, `choice`, `parsed`) in `resolved.rs` or where it is used.
//!
//! `-h` must fit on a screen: mark a setting that is rarely needed as `seldom`, and only `--help` shows it. To hide a
//! setting in the help of a command, leave that command out of `used_by`.

use super::setting::Default::{Described, Value};
use super::setting::Shape::{Choice, Columns, Count, List, Number, Text, Truth, Words};
use super::setting::{Common, Group, Kept, Setting, Sources};
use crate::ledger::DEFAULT_RUNS_DIR;

/// Names of commands, separated by spaces.
type Commands = &'static str;

/// Commands that read a file of changes.
const READING: Commands = "check plan apply reconcile";
/// [`READING`], and the command that looks at the columns of a file.
const MAPPING: Commands = "check plan apply reconcile map";
/// Commands that may change something.
const WRITING: Commands = "apply resume undo reconcile";
/// [`WRITING`], and the command that shows what would change.
const GUARDED: Commands = "plan apply resume undo reconcile";
/// [`GUARDED`], and the commands that verify a run or join one.
const RUNNING: Commands = "plan apply resume verify undo reconcile worker";
/// Commands that report their end.
const REPORTED: Commands = "plan apply resume undo reconcile";
/// Commands that call the system, or show what would be called.
const CALLING: Commands = "plan apply resume verify undo reconcile worker doctor config";
/// Commands that call the system, and the command that reads the log of their calls.
const LOGGING: Commands = "plan apply resume verify undo reconcile worker doctor log";
/// [`CALLING`], and the command that chooses among the runs of a target.
const ADDRESSED: Commands = "plan apply resume verify undo reconcile worker doctor config report";
/// [`ADDRESSED`], and the command that needs to know which system it is.
const TARGETING: Commands =
    "check plan apply resume verify undo reconcile worker doctor config report";
/// Commands that read or write runs, and those that show where they are kept.
const KEEPING: Commands = "plan apply resume verify undo reconcile worker doctor config report runs show prune import log evidence \
     status pause unpause rate drain";
/// Commands with settings.
pub(super) const ALL: Commands = "check plan apply resume verify undo reconcile worker doctor config report map runs show prune forget \
     import log evidence status pause unpause rate drain";

const SYSTEM: Common = Common {
    group: Group::System,
    kept: Kept::Yes,
    shared: true,
    used_by: CALLING,
};
const INPUT: Common = Common {
    group: Group::Input,
    kept: Kept::WithFile,
    shared: false,
    used_by: READING,
};
const GUARDS: Common = Common {
    group: Group::Guards,
    kept: Kept::AsGuard,
    shared: false,
    used_by: WRITING,
};
const OUTPUT: Common = Common {
    group: Group::Output,
    kept: Kept::No,
    shared: true,
    used_by: ALL,
};

/// All settings, in the order in which `idshift config` and each group of the help show them.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    SYSTEM.setting("profile", Text, "NAME", "The profile of idshift.toml")
        .example("plume")
        .sources(Sources::NotInFile)
        .kept(Kept::No)
        .used_by(ALL),
    SYSTEM.setting("config", Text, "FILE", "The configuration file")
        .more("By default the first of these that exists: ./idshift.toml, the user's file, the file in /etc/idshift. \
             Files are not merged.")
        .example("night.toml")
        .sources(Sources::NotInFile)
        .kept(Kept::No)
        .used_by(ALL),
    SYSTEM.setting("runs_dir", Text, "FOLDER", "The folder of the runs")
        .default(Value(DEFAULT_RUNS_DIR))
        .example("/var/lib/idshift/runs")
        .kept(Kept::No)
        .used_by(ALL),
    SYSTEM.setting("allow_group_write", Truth, "",
        "Allow run and state folders that other members of their group may write to")
        .more("Not needed where the group has no other member, as in a Kubernetes pod with fsGroup.")
        .kept(Kept::No)
        .seldom(true),
    SYSTEM.setting("system", Choice(&["plume", "adobe", "cloudcockpit"]), "NAME",
        "The system: plume, adobe or cloudcockpit")
        .more("A real target needs it. With --sandbox alone the stand-in is Plume.")
        .example("adobe")
        .used_by(TARGETING),
    SYSTEM.setting("base_url", Text, "URL", "The address of the system's API")
        .more("https only, except for this machine.")
        .example("https://api.example.com")
        .used_by(ADDRESSED),
    SYSTEM.setting("rate", Text, "CALLS/TIME", "Maximum rate of calls: 6/s, 300/m, unlimited")
        .default(Described("the system's"))
        .more("A rate above the system's documented quota replaces that quota, with a warning.")
        .example("300/m"),
    SYSTEM.setting("quota", Text, "CALLS/TIME",
        "Maximum number of calls in any window: 2000/5m or unlimited")
        .default(Described("the system's"))
        .more("Calls of earlier runs on the same target count.")
        .example("2000/5m"),
    SYSTEM.setting("egress", List, "ADDRESS",
        "A local address that calls are sent from (repeatable)")
        .more("Each address has its own quota; the rate applies to all of them together. The owner of the API decides \
             whether several addresses are allowed. A run does not store this setting. With a shared ledger, the value \
             can also be a name: processes that give the same name call from the same address and share its quota.")
        .example("10.0.0.1")
        .kept(Kept::No)
        .seldom(true),
    SYSTEM.setting("find_rate", Text, "CALLS/TIME",
        "Maximum rate of look-ups, if they have a limit of their own")
        .example("20/s")
        .seldom(true),
    SYSTEM.setting("write_rate", Text, "CALLS/TIME",
        "Maximum rate of writes, if they have a limit of their own")
        .example("5/s")
        .seldom(true),
    SYSTEM.setting("concurrency", Text, "N",
        "Number of units in progress at the same time, or auto")
        .default(Value("auto"))
        .more("`auto` uses as many units as the rate and the latency require.")
        .example("8")
        .seldom(true),
    SYSTEM.setting("timeout", Text, "DURATION", "Maximum duration of one call")
        .default(Value("30s"))
        .more("Durations are written as 30s, 1m30s or 4h.")
        .example("30s")
        .seldom(true),
    SYSTEM.setting("retries", Number(0), "N",
        "Maximum number of times that a failed call is repeated")
        .default(Value("5"))
        .more("A write is repeated only if it certainly had no effect.")
        .example("3")
        .seldom(true),
    SYSTEM.setting("give_up_after", Text, "DURATION",
        "How long an outage may last before the run stops")
        .default(Value("15m"))
        .more("The run then ends with exit code 4, and `resume` continues it.")
        .example("1h")
        .seldom(true),
    SYSTEM.setting("lookup", Choice(&["auto", "bulk", "each"]), "HOW",
        "How customers are looked up: auto, bulk or each")
        .default(Value("auto"))
        .more("`bulk` looks up many customers in one call, `each` looks up one customer in each call.")
        .example("each")
        .seldom(true),
    SYSTEM.setting("max_age", Text, "DURATION",
        "Maximum age of a look-up when a write is based on it")
        .default(Value("10m"))
        .more("If it is older, the customer is read again before its write.")
        .example("2m")
        .seldom(true),
    SYSTEM.setting("reseller_id", Text, "ID",
        "Adobe: list this reseller's customers; CloudCockpit: use this reseller's relationship, or own")
        .example("5556667778")
        .option("reseller")
        .alias("reseller-id")
        .used_by("check plan apply resume verify undo reconcile doctor config"),
    SYSTEM.setting("tenant", Text, "DOMAIN", "CloudCockpit: the portal's domain")
        .example("portal.example.com")
        .used_by(ADDRESSED)
        .seldom(true),
    SYSTEM.setting("tenant_fence", Text, "ID",
        "Only customers of this partner or reseller may be written")
        .more("A line for any other customer fails with the reason `forbidden`.")
        .example("5c0ffee")
        .seldom(true),
    SYSTEM.setting("send", Choice(&["full", "reference"]), "HOW",
        "Adobe: what a write contains: full or reference")
        .default(Value("full"))
        .more("`full` sends the whole profile, as Adobe documents it; `reference` sends only the reference, so no \
             contact gets an e-mail.")
        .example("reference")
        .seldom(true),
    SYSTEM.setting("accept_welcome_emails", Truth, "",
        "Adobe: accept that every contact of a written customer may get a welcome e-mail")
        .more("Not needed with --send reference, which sends no contacts."),
    SYSTEM.setting("ca_cert", Text, "FILE",
        "Certificates (PEM) to trust, besides the operating system's")
        .example("/etc/ssl/company.pem")
        .alias("ca-file")
        .seldom(true),
    SYSTEM.setting("client_cert", Text, "FILE",
        "Client certificate (PEM) that is sent to the server (mTLS)")
        .more("The file includes the chain, if there is one. The certificate is sent to the token endpoint too. Needs \
             --client-key.")
        .example("/etc/idshift/client.pem")
        .seldom(true),
    SYSTEM.setting("client_key", Text, "FILE", "The private key (PEM) of --client-cert")
        .example("/etc/idshift/client-key.pem")
        .seldom(true),
    SYSTEM.setting("allow_http", Truth, "", "Allow unencrypted calls to other machines")
        .seldom(true),
    SYSTEM.setting("http", Choice(&["auto", "1"]), "", "auto, or 1 for HTTP/1.1 only")
        .default(Value("auto"))
        .sources(Sources::NotTyped),
    SYSTEM.setting("api_key", Text, "", "Adobe: the integration's key")
        .sources(Sources::NotTyped)
        .kept(Kept::No),
    SYSTEM.setting("api_key_env", Text, "", "The environment variable that holds the key")
        .sources(Sources::NotTyped),
    SYSTEM.setting("token_file", Text, "",
        "A file that holds the token; read again when the token is refused")
        .sources(Sources::NotTyped)
        .kept(Kept::No),
    SYSTEM.setting("token_command", Words, "",
        "A program that prints the token; run again when the token is refused")
        .sources(Sources::NotTyped)
        .kept(Kept::No),
    SYSTEM.setting("ledger", Text, "URL", "The PostgreSQL database that keeps the runs of several machines")
        .more("Without it, runs are kept in files. The address may name several hosts; the one that accepts writes is \
             used. The address must not hold the password.")
        .example("postgres://idshift@db.example.com/idshift")
        .kept(Kept::No)
        .used_by(KEEPING)
        .seldom(true),
    SYSTEM.setting("ledger_password_file", Text, "",
        "A file that holds the password of the ledger's role; read again for each connection")
        .sources(Sources::NotTyped)
        .kept(Kept::No),
    SYSTEM.setting("ledger_password_command", Words, "",
        "A program that prints the password of the ledger's role; run again for each connection")
        .sources(Sources::NotTyped)
        .kept(Kept::No),
    INPUT.setting("map", Columns, "COLUMN=NAME",
        "The name of a column in the file (repeatable)")
        .more("In idshift.toml: a table, which `idshift map FILE --save` writes.")
        .example("newAccountId=CrmKey")
        .used_by(MAPPING),
    INPUT.setting("encoding", Text, "NAME", "The file's encoding")
        .default(Described("UTF-8, or by the byte order mark"))
        .example("windows-1252")
        .used_by(MAPPING)
        .seldom(true),
    INPUT.setting("delimiter", Text, "CHARACTER",
        "Delimiter: a character, comma, semicolon, tab, pipe")
        .default(Described("found"))
        .example("semicolon")
        .used_by(MAPPING)
        .seldom(true),
    INPUT.setting("skip_invalid", Truth, "",
        "Leave out invalid lines, and report them as failed"),
    INPUT.setting("allow_clear", Truth, "",
        "An empty new account ID removes the ID (CloudCockpit)")
        .seldom(true),
    INPUT.setting("accept", Text, "CODE,…",
        "Accept the problems with these codes")
        .more("For problems of values and blocking warnings; messages name the codes.")
        .example("formula")
        .shared(true),
    INPUT.setting("carry", List, "COLUMN",
        "Carry through this column with a name close to a known one (repeatable)")
        .example("accountIds")
        .seldom(true),
    INPUT.setting("skip_rows", Number(0), "N", "Number of lines above the header")
        .default(Value("0"))
        .example("2")
        .used_by(MAPPING)
        .seldom(true),
    INPUT.setting("shard", Text, "I/N",
        "Carry out only share I of N of the file, such as 1/3")
        .more("For N machines that each carry out one share of the same file. Rate and quota are divided \
             by N. Chains and swaps are never split.")
        .example("1/3")
        .kept(Kept::AsBegun)
        .used_by("plan apply resume reconcile")
        .seldom(true),
    GUARDS.setting("max_failures", Text, "N|%",
        "Stop if more lines than this fail: 20 or 5%")
        .more("A percentage counts from 100 lines on. 100% also switches off the built-in stops: writes that are all refused alike, half \
             of the first lines refused, no customer found.")
        .example("2%")
        .used_by(GUARDED),
    GUARDS.setting("max_changes", Text, "N|%",
        "Write nothing if more lines than this would change: 20 or 5%")
        .example("500"),
    GUARDS.setting("canary", Number(1), "N",
        "Apply this many units, verify them, then continue")
        .more("The run stops unless all of them are right.")
        .example("5"),
    GUARDS.setting("waves", Text, "N|%,…",
        "Apply growing waves of lines, and verify each before the next")
        .more("Numbers of lines or shares of the file; the rest follows after the last wave.")
        .example("5,1%,10%")
        .excludes("canary")
        .seldom(true),
    GUARDS.setting("wave_failures", Text, "N|%",
        "With --waves: stop if more lines of a wave than this are wrong")
        .default(Described("0"))
        .example("1%")
        .seldom(true),
    GUARDS.setting("until", Text, "TIME",
        "Begin no unit after this time or duration: 06:00, 4h")
        .more("The run then ends with exit code 4, and `resume` continues it. A time of day is local time, in the zone \
             of TZ or of /etc/localtime; if it has passed today, it means tomorrow.")
        .example("06:00")
        .used_by(GUARDED),
    GUARDS.setting("yes", Truth, "", "Consent to the writes without being asked")
        .short('y')
        .kept(Kept::No)
        .shared(true)
        .used_by("apply resume undo reconcile prune"),
    GUARDS.setting("no_input", Truth, "", "Never ask; without --yes, fail")
        .more("`resume` continues without --yes. Where no customer is found, the run stops.")
        .sources(Sources::TypedOnly)
        .kept(Kept::No)
        .seldom(true),
    GUARDS.setting("without_history", Truth, "",
        "Carry out chains and swaps even if lost runs may have carried them out already")
        .more("Without it, lines of chains and swaps need `customerId` in that case.")
        .sources(Sources::TypedOnly)
        .kept(Kept::No)
        .used_by("plan apply resume reconcile")
        .seldom(true),
    GUARDS.setting("suppress", Text, "FILE",
        "Do not write customers with known drift until a date: a CSV file (accountId,until,reason)")
        .more("Lines of these customers are `skipped/suppressed` up to and including that day.")
        .example("known.csv")
        .kept(Kept::No)
        .used_by("reconcile"),
    OUTPUT.setting("metrics_file", Text, "FILE",
        "Write metrics for the Prometheus node exporter at the end of a run")
        .more("The format is that of its textfile collector. Metrics are also written for a run that fails or cannot \
             begin.")
        .example("idshift.prom")
        .used_by(REPORTED)
        .seldom(true),
    OUTPUT.setting("on_finish", Words, "",
        "A program that is run at the end of each run, with the summary on its standard input")
        .sources(Sources::NotTyped)
        .used_by(REPORTED),
    OUTPUT.setting("healthcheck_url", Text, "",
        "An address that is called at the beginning (with /start) and at the end (with /fail after a failure) of a run")
        .sources(Sources::NotTyped)
        .used_by(REPORTED),
    OUTPUT.setting("webhook_url", Text, "",
        "An address to which the summary is posted at the end of a run, without the customers' IDs")
        .sources(Sources::NotTyped)
        .used_by(REPORTED),
    OUTPUT.setting("keep", Text, "",
        "How long runs are kept whole, such as 90d; older ones are pruned at the end of each run")
        .sources(Sources::NotTyped)
        .used_by(WRITING),
    OUTPUT.setting("format", Choice(&["human", "json"]), "FORMAT",
        "How results are printed: human or json")
        .default(Value("human"))
        .more("Standard output then carries JSON and nothing else.")
        .example("json"),
    OUTPUT.setting("quiet", Truth, "", "No progress and no hints; errors are still printed")
        .short('q'),
    OUTPUT.setting("verbose", Count, "", "Print more: failed lines, changes of a plan; -vv: each call")
        .short('v')
        .used_by(RUNNING),
    OUTPUT.setting("log", Text, "FILE", "The log of all calls, one line of JSON for each")
        .more("No header, body or token is logged; docs/log.md explains the fields. The name of a level (off, warn, \
             info, debug) logs to standard error instead. A run does not keep this setting; `idshift log` finds \
             what a run has logged.")
        .example("calls.log")
        .used_by(LOGGING),
    OUTPUT.setting("color", Choice(&["auto", "always", "never"]), "WHEN",
        "Colours: auto, always or never")
        .default(Value("auto"))
        .more("`auto` follows the terminal, NO_COLOR and CLICOLOR_FORCE.")
        .example("never")
        .seldom(true),
    OUTPUT.setting("progress", Choice(&["auto", "plain", "json", "none"]), "HOW",
        "How progress is shown: auto, plain, json or none")
        .default(Value("auto"))
        .more("`auto` shows two lines on a terminal; elsewhere it prints a plain line from time to time. `json` writes \
             one object per second and one for each event to standard error (docs/json.md).")
        .example("json")
        .used_by(RUNNING)
        .seldom(true),
];

/// The keys of `[profiles.NAME.oauth2]`.
#[rustfmt::skip]
pub(super) const OAUTH2: &[Setting] = &[
    SYSTEM.setting("token_url", Text, "", "The address of the token endpoint"),
    SYSTEM.setting("client_id", Text, "", "The client's ID"),
    SYSTEM.setting("client_secret_env", Text, "",
        "The environment variable that holds the client's secret"),
    SYSTEM.setting("client_secret_file", Text, "",
        "The file that holds the client's secret; read again for each token"),
    SYSTEM.setting("client_secret_command", Words, "",
        "A program that prints the client's secret; run again for each token"),
    SYSTEM.setting("client_auth", Choice(&["form", "basic"]), "",
        "How ID and secret are sent: form (as fields, the default) or basic (in a header)"),
    SYSTEM.setting("basic_header_env", Text, "",
        "The environment variable that holds the whole Authorization header"),
    SYSTEM.setting("basic_header_file", Text, "",
        "The file that holds the whole Authorization header; read again for each token"),
    SYSTEM.setting("basic_header_command", Words, "",
        "A program that prints the whole Authorization header; run again for each token"),
    SYSTEM.setting("scope", Text, "", "The scope to request"),
    SYSTEM.setting("audience", Text, "", "The audience of the token"),
];

/// The keys of `[map]` and `[profiles.NAME.map]`: the columns that idshift reads.
#[rustfmt::skip]
pub const COLUMNS: &[Setting] = &[
    INPUT.setting("accountId", Text, "", "The column that holds the current account ID"),
    INPUT.setting("newAccountId", Text, "", "The column that holds the new account ID"),
    INPUT.setting("customerId", Text, "", "The column that holds the system's own ID"),
    INPUT.setting("locationId", Text, "", "The column that holds the location's ID"),
    INPUT.setting("serviceId", Text, "", "The column that holds the new service ID"),
    INPUT.setting("profile", Text, "", "The column that holds the profile"),
    INPUT.setting("resellerId", Text, "", "The column that holds the reseller's ID"),
];

/// Returns the setting with this name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
