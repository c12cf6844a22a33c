//! The real binary against a real stand-in on a real socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// A hermetic runner, and the judge of what the stand-in saw.
mod support;

/// What an Adobe write sends back, and what stops a run that changes more.
mod adobe;
/// Systems that store an ID otherwise than it was written.
mod altered;
/// The log of calls: what is in it, and what never is.
mod call_log;
/// The file of the log of calls: private, rotated, never in the way of a run.
mod call_log_file;
/// Calls per kind of line, as the documents say.
mod calls;
/// What is printed is true: times and zones, counts, forecasts, documents.
mod claims;
/// Exit codes, messages, secrets, permissions.
mod cli;
/// Certificates of this client.
mod client_certificates;
/// Failures common to all lines.
mod common_failures;
/// What bash, zsh and fish offer when Tab is pressed.
mod completion;
/// Orders to a run in progress: pause, another rate, drain.
mod control;
/// The IDs by which a system recognises a repetition.
mod correlation;
/// Kills at every step and at random; signals; two at once.
mod crash;
/// Secrets in files and from programs, how they are sent, and what happens when they change.
mod credentials;
/// Full disks, lost folders, damaged ledgers, closed pipes.
mod disk;
/// The form of every JSON document.
mod documents;
/// Why a line of a scheduled run was not as the file has it.
mod drift;
/// What stands between the program and the API: portals, redirects, proxies, gateways.
mod edges;
/// Several local addresses: a quota for each, one rate for all.
mod egress;
/// A run in one archive; plans approved by their digests.
mod evidence;
/// Every fault at every call.
mod faults;
/// Memory that does not grow with the lines.
mod flat_memory;
/// A server that is no honest one.
mod hostile;
/// Streams that are refused, reset, and thrown out.
mod http2;
/// One system under several names, recycled IDs, clocks and folders: a change is made once.
mod identity;
/// Writes whose answer never came, answers that are about somebody else, and what is learnt of them later.
mod in_doubt;
/// Nights that look at a part of their lines.
mod incremental;
/// Damaged files, and what is accepted of them.
mod input;
/// What `check` says of a damaged file, and in which order.
mod input_messages;
/// `--key`: jobs that are started again.
mod keyed;
/// Limits that nobody announces, tokens that live shortly, and the first writes.
mod limits;
/// `idshift log`: the story of one line, and of a run.
mod line_story;
/// Lists of customers whose pages overlap, break off, or belong to nobody.
mod listings;
/// `apply` at a terminal: everything is looked up and shown before the question.
mod look_first;
/// What the columns of a file mean: guesses that are shown, and what is saved.
mod mapping;
/// Whom a line means, where the system, another line or an earlier run leave that open.
mod meant_customer;
mod metrics;
/// The same changes once more, with columns that name the customer otherwise.
mod named_otherwise;
/// Other spellings of account IDs that a plan did not find.
mod near_misses;
/// Runs that are resumed after newer ones have written to the same customers.
mod newer_runs;
/// What is printed as the next step, typed into a shell.
mod next_steps;
/// Thirty scheduled runs in a row, and what happens to such runs.
mod nights;
/// Where the end of a run is reported.
mod notifications;
/// What an operator meets in scheduled runs and after failures.
mod operations;
/// Options that no other test is about.
mod options;
/// Whatever goes away for a while: servers, names, tokens, time.
mod outage;
/// Runs that newer ones have overtaken.
mod overtaken;
/// The rate, the quota and `Retry-After`, by the stand-in's clock.
mod pace;
/// README and `docs/`: the command of the README, and links.
mod pages;
/// What a night takes over from the one before.
mod plain_nights;
/// Plans, order, guards, undo, verify, reconcile.
mod plans;
/// A migration from file to report.
mod plume;
/// A ledger in PostgreSQL: what `doctor` says of it.
mod postgres;
/// What earlier runs have done, and what a plan has seen.
mod prior_runs;
/// What is shown of a run in progress, on terminals of any width, as JSON and by a signal; colours; the closing table.
mod progress;
/// Proxies: SOCKS, and which host takes which.
mod proxies;
/// What a person is asked on a terminal before something is written.
mod question;
/// Lines of which an earlier run knows the customer.
mod recognition;
/// What others fell into, one test each.
mod regressions;
/// The page of a run: who and when, forecasts, lines.
mod reports;
/// Runs that were stopped, and what can go wrong with going on.
mod resume;
/// What is kept of old runs.
mod retention;
/// The units and the `CronJob` in `samples/`.
mod samples;
/// What each command shows a person.
mod screens;
/// Settings from the command line, the environment and profiles; what a run keeps of them; their help.
mod settings;
/// A share of a file after other shares, other machines and other runs.
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
/// What is too old to be written upon, and what takes effect late.
mod stale_writes;
/// Random wishes, faults and kills, against a model of the end.
mod storm;
/// Adobe VIP Marketplace and `CloudCockpit`.
mod systems;
/// What a person sees and is asked on a terminal while a run is in progress.
mod terminal;
/// Certificates and proxies.
mod tls;
/// The pages with screens: `docs/tour.md` and the picture of the README.
mod token_files;
mod tour;
/// Writes that may have taken effect, where another value is there afterwards.
mod uncertain;
/// `--waves`: growing parts of a run, each read back before the next.
mod waves;
mod workers;
