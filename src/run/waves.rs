//! Finds the lines of a run's waves, and what is on record about these lines.

use super::error::CommandError;
use super::feeder::PassInput;
use super::in_order::InOrder;
use super::input_plan::InputPlan;
use super::prepared_run::PreparedRun;
use crate::domain::{Change, Line, Reseller};
use crate::engine::{Left, Mode, Wave, WaveLog};
use crate::ledger::{Ledger, LedgerError, LineSet, WriteRecord};
use crate::plan::Unit;
use std::collections::HashMap;
use std::sync::Arc;

/// The waves of a pass.
#[derive(Default)]
pub(super) struct Waves {
    /// The waves, in their order.
    pub(super) all: Arc<[Wave]>,
    /// Number of waves of the run, including those of earlier processes.
    pub(super) count: u32,
    /// The resellers that the lines of the waves name, if the system has relationships per reseller.
    resellers: HashMap<Line, Reseller>,
}

impl PreparedRun {
    /// Returns the wave that an earlier process did not read back, and the waves that follow it: the first lines of the
    /// file that are to be carried out.
    pub(super) fn waves(&self, mode: Mode, known: &PassInput) -> Result<Waves, CommandError> {
        if mode == Mode::Plan {
            return Ok(Waves::default());
        }
        let (run, recorded) = (&self.run, self.run.ledger.waves()?);
        let begun = match recorded.unverified {
            Some(_) => recorded.number,
            None => recorded.number.saturating_sub(1),
        };
        let sizes = run.limits.wave_units(run.draft.counts.lines);
        let resumed = recorded.unverified.map(|lines| Wave {
            number: recorded.number,
            lines,
            is_resumed: true,
        });
        if mode == Mode::Resolve {
            return Ok(Waves {
                all: resumed.into_iter().collect(),
                ..Waves::default()
            });
        }
        let mut plan = WavePlan {
            draft: &run.draft,
            known,
            resumed_lines: resumed.as_ref().map(|wave| wave.lines.clone()),
            names_resellers: run.resolved.system.capabilities().per_reseller,
            all: resumed.into_iter().collect(),
            resellers: HashMap::new(),
        };
        let count = u32::try_from(sizes.len()).unwrap_or(u32::MAX);
        plan.read((1..).zip(sizes).skip(begun as usize))?;
        Ok(Waves {
            all: plan.all.into(),
            count,
            resellers: plan.resellers,
        })
    }
}

struct WavePlan<'a> {
    draft: &'a InputPlan,
    known: &'a PassInput,
    resumed_lines: Option<LineSet>,
    names_resellers: bool,
    all: Vec<Wave>,
    resellers: HashMap<Line, Reseller>,
}

impl WavePlan<'_> {
    /// Reads the file until the last wave is full. `sizes`: the number of each wave, and how many units it has.
    fn read(&mut self, mut sizes: impl Iterator<Item = (u32, u64)>) -> Result<(), CommandError> {
        let resumed = self.resumed_lines.take().unwrap_or_default();
        let resumed_to = resumed.last().filter(|_| self.names_resellers);
        let mut filled = sizes.next().map(|(number, units)| (new(number), units));
        if filled.is_none() && resumed_to.is_none() {
            return Ok(());
        }
        let last_reconcile = self.known.skipped.ledger()?;
        let mut last_reconcile = last_reconcile.as_ref().map(InOrder::of);
        for rows in self.draft.table.batches()? {
            let rows = rows?;
            let read_to = rows.last().map_or(0, |row| row.line);
            for row in rows {
                let is_resumed = resumed.contains(row.line);
                self.keep_resellers(row.change.iter().filter(|_| is_resumed));
                let Some((wave, units)) = &mut filled else {
                    continue;
                };
                let unit = self.unit(row.line, row.change, &resumed);
                let Some(unit) = unit else {
                    continue;
                };
                if self
                    .known
                    .skipped
                    .unit(&unit, last_reconcile.as_mut())?
                    .is_some()
                {
                    continue;
                }
                let open = unit.lines().filter(|line| self.known.is_open(*line));
                wave.lines.extend(open);
                self.keep_resellers(unit.changes());
                *units -= 1;
                if *units == 0 {
                    let next = sizes.next().map(|(number, units)| (new(number), units));
                    self.all.extend(filled.take().map(|(wave, _)| wave));
                    filled = next;
                }
            }
            if filled.is_none() && resumed_to.is_none_or(|last| read_to >= last) {
                break;
            }
        }
        let rest = filled.map(|(wave, _)| wave);
        self.all.extend(rest.filter(|wave| !wave.lines.is_empty()));
        Ok(())
    }

    /// Returns the unit that begins with this line; `None`: no unit begins here, or it cannot be in a wave.
    fn unit(&self, line: Line, change: Option<Change>, resumed: &LineSet) -> Option<Unit> {
        if self.draft.is_wrong(line) {
            return None;
        }
        let unit = self.known.unit(self.draft, line, change)?;
        let is_open = unit.lines().any(|line| self.known.is_open(line));
        let is_resumed = unit.lines().any(|line| resumed.contains(line));
        (is_open && !is_resumed).then_some(unit)
    }

    fn keep_resellers<'c>(&mut self, changes: impl Iterator<Item = &'c Change>) {
        if self.names_resellers {
            let named = changes.filter_map(|one| Some((one.line, one.reseller.clone()?)));
            self.resellers.extend(named);
        }
    }
}

fn new(number: u32) -> Wave {
    Wave {
        number,
        lines: LineSet::default(),
        is_resumed: false,
    }
}

/// The ledger of the run, as the record of its waves.
pub(super) struct WaveRecord<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) waves: &'a Waves,
}

impl WaveLog for WaveRecord<'_> {
    fn begin(&self, wave: &Wave) -> Result<(), LedgerError> {
        self.ledger.begin_wave(wave.number, &wave.lines)
    }

    fn left(&self, wave: &Wave) -> Result<Vec<Left>, LedgerError> {
        let (Some(first), Some(last)) = (wave.lines.iter().next(), wave.lines.last()) else {
            return Ok(Vec::new());
        };
        let mut left = Vec::new();
        for outcome in self.ledger.outcomes_from(first) {
            let outcome = outcome?;
            if outcome.line > last {
                break;
            }
            if wave.lines.contains(outcome.line) {
                let reseller = self.waves.resellers.get(&outcome.line).cloned();
                left.push((outcome, reseller));
            }
        }
        Ok(left)
    }

    fn unresolved_writes(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        self.ledger.unresolved_writes()
    }

    fn verified(&self, wave: &Wave) -> Result<(), LedgerError> {
        self.ledger.wave_is_verified(wave.number)
    }
}
