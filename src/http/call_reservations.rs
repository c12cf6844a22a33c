//! Where all processes on one target reserve calls of its quota. The caller says where that is: a database of this machine.

use crate::limits::ReservedCalls;
use std::net::IpAddr;
use std::{fmt, io};

/// Where all processes on a target reserve calls.
pub trait CallReservations: fmt::Debug + Send + Sync {
    /// Lets `change` see everything that is reserved, and puts what it returns in the place of this owner's part. What it
    /// leaves out of the others' is removed. No other process sees anything in between.
    ///
    /// `from`: the local address of these calls. Everything is what was reserved for this address, or for one that is
    /// not known; `None`: it is not known, and what was reserved for any address counts.
    fn change(
        &self,
        from: Option<IpAddr>,
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> io::Result<()>;
}
