//! One remote API's meaning: how to find, read and write, which answer means what, which limits hold.

mod facts;

pub use facts::{Facts, Kind};
