//! The log of calls: receives the events that other modules report through `tracing`, writes them as JSON lines to a
//! private file and shows them to the user. `http::logged_attempt` reports calls; `http::trace`, `http::health` and
//! `http::gate` report other events; `run` reports sessions and phases.
//!
//! The log ignores what libraries report, because that contains headers and bodies. If no log is wanted, nothing is
//! installed, and reporting costs one comparison.

mod file;
mod layer;
mod read;
mod record;

pub use file::LogFile;
pub use layer::{Sinks, of_run, start};
pub use read::{Found, records};
pub use record::{Record, text};
