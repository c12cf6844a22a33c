//! Units → outcomes.

mod events;

pub use events::{Event, Tally};
