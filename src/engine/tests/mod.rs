//! The engine against a modelled system, in virtual time: thousands of runs with faults, crashes, stops and changes by
//! another user or program, each generated from one number.

mod in_doubt;
mod memory;
mod refused;
mod simulation;
mod suspended;
mod world;
