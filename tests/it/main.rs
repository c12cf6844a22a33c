//! The real binary against a real stand-in on a real socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// A hermetic runner, and checks of the calls that the stand-in received.
mod support;

/// What an Adobe write sends back, and what stops a run that changes more.
mod adobe;
/// Systems that store an ID in another form than it was written.
mod altered;
/// The log of calls: what it contains, and what it never contains.
mod call_log;
/// The file of the log of calls: it is private and rotated, and never stops a run.
mod call_log_file;
/// Calls per kind of line, as the documents say.
mod calls;
/// Printed information is true: times and zones, counts, forecasts, documents.
mod claims;
/// Exit codes, messages, secrets, permissions.
mod cli;
/// Client certificates.
mod client_certificates;
/// Runs that are closed while they are resumed.
mod closed_meanwhile;
/// Failures common to all lines.
mod common_failures;
/// What bash, zsh and fish offer when Tab is pressed.
mod completion;
/// Orders to a run in progress: pause, another rate, drain.
mod control;
/// The IDs by which a system recognises a repeated request.
mod correlation;
/// Kills at every step and at random; signals; two runs at the same time.
mod crash;
/// Secrets in files and from programs, how they are sent, and what happens when they change.
mod credentials;
/// Full disks, lost folders, damaged ledgers, closed pipes.
mod disk;
/// The schemas of all JSON documents.
mod documents;
/// Why the system differed from a line of a scheduled run.
mod drift;
/// Servers between the program and the API: portals, redirects, proxies, gateways.
mod edges;
/// Several local addresses: a quota for each, one rate for all.
mod egress;
/// A run in one archive; plans approved by their digests.
mod evidence;
/// Every fault at every call.
mod faults;
/// Memory that does not grow with the lines.
mod flat_memory;
/// A hostile server.
mod hostile;
/// HTTP/2 streams that are refused, reset, and closed.
mod http2;
/// One system under several names, recycled IDs, clocks and folders: a change is made once.
mod identity;
/// Writes without an answer, answers about another customer, and what is learnt of such writes later.
mod in_doubt;
/// Commands on a run that another process works on.
mod in_progress;
/// Scheduled runs that check only a part of their lines.
mod incremental;
/// Damaged files, and what is accepted of them.
mod input;
/// What `check` says of a damaged file, and in which order.
mod input_messages;
/// `--key`: jobs that are started again.
mod keyed;
/// Limits that the system does not announce, tokens with a short lifetime, and the first writes.
mod limits;
/// `idshift log`: the story of one line, and of a run.
mod line_story;
/// Lists of customers with pages that overlap, end too early, or belong to another relationship.
mod listings;
/// `apply` at a terminal: everything is looked up and shown before the question.
mod look_first;
/// What the columns of a file mean: guesses that are shown, and what is saved.
mod mapping;
/// Which customer a line means, where the system, another line or an earlier run make that unclear.
mod meant_customer;
mod metrics;
/// The same changes again, with other columns that name the customer.
mod named_otherwise;
/// Other spellings of account IDs that a plan did not find.
mod near_misses;
/// Runs that are resumed after newer ones have written to the same customers.
mod newer_runs;
/// The printed next steps, run in a shell.
mod next_steps;
/// Thirty scheduled runs in a row, and what happens to such runs.
mod nights;
/// Where the end of a run is reported.
mod notifications;
/// What a person sees on a terminal: rows, messages, commands to copy.
mod on_a_screen;
/// Problems of operators with scheduled runs and after failures.
mod operations;
/// Options without another test.
mod options;
/// Outages: servers, names, tokens, time.
mod outage;
/// Runs that newer ones have overtaken.
mod overtaken;
/// The rate, the quota and `Retry-After`, by the stand-in's clock.
mod pace;
/// README and `docs/`: the command of the README, and links.
mod pages;
/// Customers that a run has left under a temporary ID, and that others have renamed since.
mod parked;
/// Pipes in place of files that are read more than once.
mod pipes;
/// What a night reuses from the previous one.
mod plain_nights;
/// Plans, order, guards, undo, verify, reconcile.
mod plans;
/// A migration from file to report.
mod plume;
/// A ledger in PostgreSQL: what `doctor` reports.
mod postgres;
/// The effects of earlier runs and plans.
mod prior_runs;
/// The display of a run in progress, on terminals of any width, as JSON and by a signal; colours; the closing table.
mod progress;
/// Proxies: SOCKS, and which host uses which proxy.
mod proxies;
/// The question on a terminal before something is written.
mod question;
/// Lines with a customer that is known from an earlier run.
mod recognition;
/// Former faults, one test each.
mod regressions;
/// The page of a run: who and when, forecasts, lines.
mod reports;
/// Runs that were stopped, and what can go wrong when they are resumed.
mod resume;
/// What remains of old runs.
mod retention;
/// Files of a run that were lost, or in place of which something else stands.
mod run_folder;
/// The units and the `CronJob` in `samples/`.
mod samples;
/// The text output of each command.
mod screens;
/// Settings from the command line, the environment and profiles; what a run keeps of them; their help.
mod settings;
/// A shard of a file after other shards, other machines and other runs.
mod shard_history;
/// Several machines, each with a share of one file.
mod shards;
/// Runs that are kept in PostgreSQL.
mod shared_ledger;
/// Databases that hang, and processes that are killed or frozen.
mod shared_ledger_faults;
/// Runs in files that are moved to PostgreSQL.
mod shared_ledger_import;
/// Servers of PostgreSQL that are lost, full or cannot be reached while a run is in progress.
mod shared_ledger_outages;
/// One rate for all processes whose runs are kept in PostgreSQL.
mod shared_rate;
/// Look-ups that are too old for a write, and writes that take effect late.
mod stale_writes;
/// Random requests, faults and kills, compared with a model of the result.
mod storm;
/// Adobe VIP Marketplace and `CloudCockpit`.
mod systems;
/// The display and the questions on a terminal while a run is in progress.
mod terminal;
/// Certificates and proxies.
mod tls;
/// The pages with screens: `docs/tour.md` and the picture of the README.
mod token_files;
mod tour;
/// Writes that may have taken effect, after which the system has another value.
mod uncertain;
/// A run that is undone again after its undo could not restore everything.
mod undo_again;
/// `--waves`: growing parts of a run, each read back before the next.
mod waves;
/// Several processes on one run in PostgreSQL: who does what, and what each is given.
mod workers;
/// Workers that are killed or cut off from their ledger: the others finish the run.
mod workers_killed;
/// When a worker does not join a run, or leaves it, and what it says then.
mod workers_refused;
/// What stops all processes on a run: guards, failures, signals and orders; and how the run is resumed then.
mod workers_stopped;
