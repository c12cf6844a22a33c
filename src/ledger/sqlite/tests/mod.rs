//! The ledger on real files: kills, damage, groups, and what can be asked of it.

mod damage;
mod durable;
mod queries;

use crate::domain::{Line, Outcome, Status};
use crate::ledger::tests::{RUN, fresh, full_outcome, intent, rename, runtime};
use crate::ledger::*;
use tempfile::TempDir;
