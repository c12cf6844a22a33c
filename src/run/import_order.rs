//! Finds out in which order an imported run and the runs of the database have worked. Each machine numbers its own runs
//! (epochs), and so does the database. Between other runs the order is not known, because clocks prove nothing. This
//! matters only if both runs have changed the same customer or account ID.

use super::catalog::RunCatalog;
use super::error::CommandError;
use crate::ledger::{Ledger, LedgerError, MovingRun};
use crate::ui;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};

/// Where and when a run was made.
#[derive(Debug)]
struct Origin {
    /// Host and user of the one state database that has numbered all processes of the run; `None`: there were several.
    machine: Option<(String, String)>,
    epoch: u64,
    created_at_ms: i64,
}

impl Origin {
    fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let header = ledger.header();
        let sessions = ledger.sessions()?;
        let is_one = sessions.iter().all(|session| session.host == header.host);
        Ok(Self {
            machine: is_one.then(|| (header.host.clone(), header.user.clone())),
            epoch: header.epoch,
            created_at_ms: header.created_at_ms,
        })
    }

    /// Returns whether it is certain which of the two runs was begun first. Two machines with one name, such as containers,
    /// are recognised by numbers that contradict the clock or are equal.
    fn is_in_order_with(&self, other: &Self) -> bool {
        let by_clock = self.created_at_ms.cmp(&other.created_at_ms);
        let by_number = self.epoch.cmp(&other.epoch);
        self.machine.is_some()
            && self.machine == other.machine
            && by_number.is_ne()
            && (by_clock.is_eq() || by_clock == by_number)
    }
}

/// The origins of runs, each read once.
#[derive(Debug, Default)]
pub(super) struct ImportOrder {
    origins: HashMap<String, Origin>,
}

impl ImportOrder {
    /// Refuses a run if it and a run of the database have changed the same customer or account ID, and it is not known
    /// which of them did it last.
    pub(super) fn refuse_contradictions(
        &mut self,
        run: &MovingRun,
        targets: &[&str],
        there: &RunCatalog,
    ) -> Result<(), CommandError> {
        let ledger = run.ledger();
        if !ledger.has_writes()? {
            return Ok(());
        }
        let mine = Origin::of(ledger)?;
        let mut touched = None;
        let id = &ledger.header().run;
        for entry in there.others(id, targets).filter(|one| one.has_writes) {
            let its = match self.origins.entry(entry.header.run.clone()) {
                Occupied(known) => known.into_mut(),
                Vacant(new) => new.insert(Origin::of(&entry.ledger()?)?),
            };
            if mine.is_in_order_with(its) {
                continue;
            }
            let touched = match &mut touched {
                Some(touched) => touched,
                None => touched.insert(ledger.touched()?),
            };
            let other = entry.ledger()?;
            if let Some(what) = touched.first_common(&other)? {
                return Err(unknown_order(ledger, &other, &what));
            }
        }
        Ok(())
    }
}

fn unknown_order(ledger: &Ledger, other: &Ledger, what: &str) -> CommandError {
    let (mine, other) = (ledger.header(), other.header());
    let shown = |text: &str| ui::visible(text).into_owned();
    CommandError::usage(format!(
        "run {} (made on {}) and run {} of the database (made on {}) have both changed {}, and which of them did it last is \
         not known: each machine numbers its own runs only, and clocks may differ",
        shown(&mine.run),
        shown(&mine.host),
        shown(&other.run),
        shown(&other.host),
        shown(what)
    ))
    .with_help(
        "the run stays in files, where its reports and `undo` work as before. If `apply` with the database refuses a \
         chain or swap because of it, name the customer of each such line in customerId",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(host: &str, epoch: u64, created_at_ms: i64) -> Origin {
        Origin {
            machine: Some((host.to_owned(), "operator".to_owned())),
            epoch,
            created_at_ms,
        }
    }

    #[test]
    fn only_epochs_of_the_same_machine_define_an_order() {
        let one = origin("a", 3, 300);
        assert!(one.is_in_order_with(&origin("a", 4, 400)));
        assert!(one.is_in_order_with(&origin("a", 2, 300)));
        assert!(!one.is_in_order_with(&origin("b", 4, 400)), "machines");
        assert!(!one.is_in_order_with(&origin("a", 3, 400)), "given twice");
        assert!(!one.is_in_order_with(&origin("a", 4, 200)), "the clock");
        let several = || Origin {
            machine: None,
            ..origin("a", 4, 400)
        };
        assert!(!several().is_in_order_with(&several()), "several machines");
    }
}
