//! idshift changes customer identifiers in bulk, in remote systems that offer only one-at-a-time HTTP calls.
//!
//! The modules, from what imports nothing to what imports the others (the table is in `tests/architecture`):
//!
//! - [`domain`]: the types that all others share
//! - `moment`: moments that also count the time during which the machine was suspended
//! - `regular_file`: opens files without waiting for other programs
//! - [`input`]: bytes → rows → changes or problems
//! - [`plan`]: changes → units, in an order that never gives two customers one ID
//! - `limits`: the interface through which several processes keep the limits of a target together
//! - [`http`]: one call, with its limits, retries and token
//! - `call_log`: the calls and the events of a run, as JSON lines
//! - [`system`]: the meaning of each remote API
//! - [`ledger`]: the durable record
//! - [`engine`]: units → outcomes
//! - [`report`]: ledger and input → files
//! - [`ui`]: what a user sees during a run
//! - [`sandbox`]: stand-ins of the systems, with their faults
//! - [`config`]: flags, environment and file → each station's settings
//! - `run`: the life of a run, from its file and its target to its end, and its relation to other runs
//! - [`cli`]: the command line: parse, dispatch, print
//!
//! This crate is not a library for other programs: it has no stable interface. What is public serves its own program,
//! its tests (the stand-in), its benches and its fuzz targets. Within a module, `pub`
//! and `pub(crate)` are for other modules, and `pub(super)` is for its own files.

// On other systems, src/main.rs reports that the program is not built for them.
#![cfg(any(target_os = "linux", target_os = "macos"))]

mod call_log;
pub mod cli;
mod config;
mod domain;
mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod input;
mod ledger;
mod limits;
mod moment;
mod plan;
mod regular_file;
mod report;
mod run;
pub mod sandbox;
mod system;
mod ui;

/// What the benches measure.
#[doc(hidden)]
pub mod measured {
    pub use crate::domain::{AccountId, Change, Extent, NewAccount};
    pub use crate::http::Path;
    pub use crate::input::{Accept, Rules, Settings, Table};
    pub use crate::plan::{FirstReading, Keys, group};
}
