//! The log of calls: what other modules report through `tracing`, as JSON lines in a private file and as records for a
//! person. Calls are reported by `http::logged_attempt`, other events by `http::trace`, `http::health` and `http::gate`,
//! sessions and phases by `run`.
//!
//! It takes only what this program reports, never what the libraries below it report: those show headers and bodies. Where
//! no log was asked for, nothing is installed, and reporting costs one comparison.

mod file;
mod layer;
mod read;
mod record;

pub use file::LogFile;
pub use layer::{Sinks, of_run, start};
pub use read::{Found, records};
pub use record::{Record, text};
