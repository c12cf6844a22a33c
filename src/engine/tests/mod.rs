//! The engine against a modelled system, in virtual time: thousands of runs with faults, crashes, stops and somebody
//! else's hands, each drawn from one number.

mod memory;
mod refused;
mod simulation;
mod world;
