//! Makes the engine's settings for one pass of a run.

use super::error::CommandError;
use super::feeder::PassInput;
use super::known_failures;
use super::prepared_run::PreparedRun;
use super::waves::Waves;
use crate::domain::{AccountId, CustomerId};
use crate::engine::{Drain, Mode, Settings};
use crate::ledger::{Verdict, Write};
use std::collections::HashMap;
use std::sync::Arc;

impl PreparedRun {
    pub(super) fn engine_settings(
        &self,
        mode: Mode,
        known: &PassInput,
        waves: &Waves,
        drain: &Drain,
    ) -> Result<Settings, CommandError> {
        Ok(Settings {
            run: self.run.dir.run().to_string(),
            mode,
            lookup: self.run.resolved.lookup,
            concurrency: self.run.resolved.concurrency,
            max_age: self.run.resolved.max_age,
            give_up_after: self.run.resolved.give_up_after,
            retries: self.run.resolved.retries,
            fence: self.run.resolved.fence.clone(),
            max_failures: self.run.limits.max_failures,
            known_failures: known_failures::of(self.run.ledger.header(), &self.claim.catalog)?,
            is_of_failures: self.run.draft.table.is_report(),
            must_find: true,
            waves: Arc::clone(&waves.all),
            wave_count: waves.count,
            wave_failures: self.run.limits.wave_failures,
            until: self.run.limits.time_left(),
            drain: drain.clone(),
            alias_conflicts: self.run.draft.crossing.clone(),
            given: self.given()?,
            undoes: self.run.ledger.header().parent.clone(),
            history: Arc::clone(&known.history),
        })
    }

    /// The customers to which this run gave each account ID, if account IDs are not unique in the system.
    fn given(&self) -> Result<HashMap<AccountId, Vec<CustomerId>>, CommandError> {
        let mut given: HashMap<AccountId, Vec<CustomerId>> = HashMap::new();
        if self.run.resolved.system.capabilities().unique_accounts {
            return Ok(given);
        }
        for write in self.run.ledger.writes() {
            let write = write?;
            let took_effect = write.verdict != Some(Verdict::NotApplied);
            if let Write::Account {
                after: Some(after), ..
            } = write.intent.write
                && took_effect
            {
                given.entry(after).or_default().push(write.intent.customer);
            }
        }
        Ok(given)
    }
}
