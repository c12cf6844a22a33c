//! The ledger on real files: kills, damage, groups, and what can be asked of it.

mod damage;
mod durable;
mod queries;

use crate::domain::{
    AccountId, CustomerId, Line, LocationId, Outcome, Profile, Status, Transition,
};
use crate::ledger::tests::{RUN, fresh, full_outcome, header, intent, rename, runtime, spot};
use crate::ledger::*;
use tempfile::TempDir;
