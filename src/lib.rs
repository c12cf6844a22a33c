//! idshift changes customer identifiers in bulk, in remote systems that offer only one-at-a-time HTTP calls.
//!
//! The modules are the stations of the data's way, in order:
//!
//! - [`domain`]: the words
//! - [`input`]: bytes → rows → changes or problems
//! - [`plan`]: changes → units, in an order that never gives two customers one ID
//! - [`http`]: one call, done properly
//! - [`system`]: what one remote API means
//! - [`ledger`]: the durable record
//! - [`engine`]: units → outcomes
//! - [`report`]: ledger and input → files
//! - [`ui`]: what a person sees meanwhile
//! - [`sandbox`]: stand-ins of the systems, with their faults
//! - [`config`]: flags, environment and file → each station's settings
//! - `run`: the life of a run: its target, its folder, and what other runs have to do with it
//! - [`cli`]: the commands

pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod input;
pub mod ledger;
pub mod plan;
pub mod report;
mod run;
pub mod sandbox;
pub mod system;
pub mod ui;
