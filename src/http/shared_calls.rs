//! Where all processes on one target reserve calls of its quota. The caller says where that is: a database of this machine.

use std::{fmt, io};

/// Calls that one process has reserved, and when they departed at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The process.
    pub owner: u64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// Milliseconds since boot, suspend included, where that is known.
    pub boot_ms: Option<i64>,
    /// Which boot.
    pub boot_id: String,
    /// How many.
    pub calls: u32,
}

/// Where all processes on a target reserve calls.
pub trait SharedCalls: fmt::Debug + Send + Sync {
    /// Lets `change` see everything that is reserved, and puts what it returns in the place of this owner's part. What it
    /// leaves out of the others' is removed. No other process sees anything in between.
    fn change(
        &self,
        owner: u64,
        change: &mut dyn FnMut(Vec<Reserved>) -> Vec<Reserved>,
    ) -> io::Result<()>;
}
