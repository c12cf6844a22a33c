//! The log of calls: what other modules tell through `tracing`, as JSON lines in a private file and as records for a
//! person.
//!
//! It takes only what this program tells, never what the libraries below it tell: those show headers and bodies. Where no
//! log was asked for, nothing is installed, and telling costs one comparison.

mod file;
mod layer;
mod read;
mod record;

pub use file::LogFile;
pub use layer::{Sinks, of_run, start};
pub use read::{Found, records};
pub use record::{Record, text};
