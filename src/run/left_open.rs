//! Finds out what an earlier process of the run has left open, before anything else is written: customers that still have a
//! temporary account ID, and the writes of a wave that was not verified.

use super::error::CommandError;
use super::execute::Connected;
use super::feeder::Fed;
use super::parked;
use super::passes::Part;
use super::prepared_run::{PreparedRun, Work, done};
use crate::engine::{Ending, Mode};
use crate::ledger::Journal;
use crate::ui;
use std::sync::Arc;

impl PreparedRun {
    /// Resolves what an earlier process has left open. Returns how the run ends, if it ends here; `None`: it continues.
    pub(super) async fn left_open(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
    ) -> Result<Option<Ending>, CommandError> {
        if self.task.work == Work::Plan {
            return Ok(None);
        }
        for write in parked::find(&self.run.ledger, &connected.system).await? {
            let customer = ui::visible(write.intent.customer.as_str());
            ui::err(&format!(
                "customer {customer} still has a temporary ID from this run; restoring it"
            ));
            self.known.parked.insert(write.intent.unit);
        }
        self.known
            .read_recorded(&self.run.draft, &self.run.ledger)?;
        let Some(lines) = self.run.ledger.waves()?.unverified else {
            return Ok(None);
        };
        let lines = ui::lines(lines.len());
        ui::note(&format!(
            "a wave of {lines} was not verified; it is read back first"
        ));
        let part = Part::of(Mode::Resolve, Fed::Begun, &Arc::default());
        let ending = self.part(connected, journal, part).await?;
        if !matches!(ending, Ending::Finished) {
            return Ok(Some(ending));
        }
        self.known.done = done(&self.run.ledger, Mode::Apply)?;
        self.known
            .read_recorded(&self.run.draft, &self.run.ledger)?;
        Ok(None)
    }
}
