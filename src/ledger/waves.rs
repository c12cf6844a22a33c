//! The current wave of a run. It stays on record until it was read back, and was found right or reported as wrong.
//!
//! A process that ends in between leaves the wave on record, so that the next one reads it back before it writes anything.

use super::columns::{Fault, Row, Value};
use super::store::Fact;
use super::{Ledger, LedgerError, LineSet, crash_point};

/// What is on record of the waves of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedWaves {
    /// The number of the wave that is begun or comes next, from 1; 0: no wave of the present sizes has begun.
    pub number: u32,
    /// The lines of the wave that was begun and is not verified.
    pub unverified: Option<LineSet>,
}

impl Ledger {
    /// Which wave is begun or comes next.
    pub fn waves(&self) -> Result<RecordedWaves, LedgerError> {
        let unknown = || Fault::from("the lines of a wave are unknown");
        self.read_facts(&[Fact::WAVE, Fact::WAVE_LINES], |facts| {
            let text = facts.text(1)?;
            let lines = text.map(|text| LineSet::of_text(text).ok_or_else(unknown));
            Ok(RecordedWaves {
                number: facts.optional(0)?.unwrap_or(0),
                unverified: lines.transpose()?,
            })
        })
    }

    /// Records a wave and its lines, before the first of its writes.
    pub fn begin_wave(&self, number: u32, lines: &LineSet) -> Result<(), LedgerError> {
        let text = lines.to_text();
        self.put_wave(&[
            (Fact::WAVE, number.into()),
            (Fact::WAVE_LINES, text.as_str().into()),
        ])
    }

    /// Records that a wave was found to be right.
    pub fn wave_is_verified(&self, number: u32) -> Result<(), LedgerError> {
        self.put_wave(&[
            (Fact::WAVE, (number + 1).into()),
            (Fact::WAVE_LINES, Value::None),
        ])
    }

    /// Records that a person was told of a wave that is not right, so that the next process begins the next wave.
    pub fn wave_is_told(&self) -> Result<(), LedgerError> {
        self.put_wave(&[(Fact::WAVE_LINES, Value::None)])
    }

    /// Records that the sizes of the waves have changed, and that the first one is next. A wave that is not verified
    /// stays on record.
    pub fn renew_waves(&self) -> Result<(), LedgerError> {
        self.put_wave(&[(Fact::WAVE, Value::None)])
    }

    fn put_wave(&self, facts: &[(Fact, Value<'_>)]) -> Result<(), LedgerError> {
        crash_point();
        self.put_facts(facts)?;
        crash_point();
        Ok(())
    }
}
