//! Reads a wave back. A line for which the system does not have the confirmed value has failed, also for a later `resume`.

use super::compare::did_not_last;
use super::final_values::FinalValues;
use super::recheck::{Left, Recheck, Unreadable};
use super::{Context, Halt, Wave, WaveLog, WriteLog};
use crate::domain::{Line, Status};
use crate::ledger::{LineSet, WriteRecord};

/// Lines that failed, or for which the system does not have the value that it confirmed.
#[derive(Debug, Default)]
struct Wrong {
    lines: u64,
    /// The first of these lines, and its message.
    first: Option<(Line, String)>,
}

impl Wrong {
    fn add(&mut self, line: Line, words: String) {
        self.lines += 1;
        if self.first.as_ref().is_none_or(|(first, _)| line < *first) {
            self.first = Some((line, words));
        }
    }

    /// Counts lines that wait for others. The message names a line for which they wait, if there is one.
    fn add_waiting(&mut self, lines: &[Line]) {
        self.lines += lines.len() as u64;
        if let (None, Some(line)) = (&self.first, lines.first()) {
            self.first = Some((*line, format!("line {line} has no outcome yet")));
        }
    }
}

/// Returns the lines of a wave that has ended for which no final outcome is on record.
fn waiting(wave: &Wave, left: &[Left]) -> Vec<Line> {
    let ended = left.iter().map(|(outcome, _)| outcome);
    let ended = ended.filter(|outcome| outcome.status != Status::WouldChange);
    let ended: LineSet = ended.map(|outcome| outcome.line).collect();
    let lines = wave.lines.iter();
    lines.filter(|line| !ended.contains(*line)).collect()
}

/// Returns the lines of a wave under way that are wrong without a final outcome, and why: their last write is in doubt,
/// because what an earlier process left there could not be read, or the system stored another value than requested.
/// `unresolved`: by line, and for each line in the order of recording.
fn unfinished(wave: &Wave, unresolved: &[WriteRecord]) -> Vec<(Line, String)> {
    let by_line = unresolved.chunk_by(|one, next| one.intent.line == next.intent.line);
    let wrong = by_line.filter_map(|writes| {
        let line = writes.first()?.intent.line;
        let is_altered =
            |write: &WriteRecord| write.effect.is_some() && !write.intent.write.is_temporary();
        let words = if writes.last()?.in_doubt() {
            "has a write in doubt, which could not be read back"
        } else if writes.iter().any(is_altered) {
            "is not completed, and the system stored another value than was written"
        } else {
            return None;
        };
        Some((line, format!("line {line} {words}")))
    });
    wrong
        .filter(|(line, _)| wave.lines.contains(*line))
        .collect()
}

/// Reads back what a wave wrote. Returns why the run stops, if too many lines are wrong. `is_over`: `false` while the
/// wave is under way; lines without a final outcome are then wrong only if a write of an earlier process to them is.
pub(super) async fn read_back<N: WriteLog>(
    context: &Context<N>,
    record: &impl WaveLog,
    wave: &Wave,
    is_over: bool,
) -> Result<Option<String>, Halt> {
    context.log.flush().await?;
    let mut left = record.left(wave)?;
    // Lines that wait for a write in doubt have no outcome. Later they would be written outside of any wave.
    let waiting = if is_over {
        waiting(wave, &left)
    } else {
        left.retain(|(outcome, _)| is_final(outcome.status));
        Vec::new()
    };
    let unresolved = record.unresolved_writes()?;
    let mut wrong = wrong(context, left, &unresolved).await?;
    wrong.add_waiting(&waiting);
    if !is_over {
        for (line, words) in unfinished(wave, &unresolved) {
            wrong.add(line, words);
        }
    }
    // The failures must be on record before the wave is verified or the run stopped.
    context.log.flush().await?;
    let settings = &context.settings;
    let is_too_much = match &settings.wave_failures {
        Some(budget) => budget.is_exceeded(wrong.lines, wave.lines.len()),
        None => wrong.lines > 0,
    };
    let first = wrong.first.filter(|_| is_too_much);
    let named = |(_, first)| format!("{}: {first}", wave.named(settings.wave_count, wrong.lines));
    Ok(first.map(named))
}

fn is_final(status: Status) -> bool {
    match status {
        Status::Changed | Status::Unchanged(_) | Status::Failed(_) => true,
        Status::WouldChange | Status::Skipped(_) | Status::InDoubt => false,
    }
}

async fn wrong<N: WriteLog>(
    context: &Context<N>,
    lines: Vec<Left>,
    unresolved: &[WriteRecord],
) -> Result<Wrong, Halt> {
    let mut values = FinalValues::default();
    for (outcome, reseller) in &lines {
        values.record(outcome, reseller.as_ref());
    }
    for write in unresolved {
        values.record_unresolved(write, false);
    }
    let mut wrong = Wrong::default();
    let concurrency = context.settings.concurrency;
    let mut recheck = Recheck::one_by_one(&context.system, concurrency, values);
    let mut changed: Vec<Left> = Vec::new();
    for (outcome, reseller) in lines {
        match outcome.status {
            // The values of a newer run are not those of this wave.
            Status::Changed if context.settings.history.is_requested_since(&outcome) => {}
            Status::Changed => changed.push((outcome, reseller)),
            Status::Unchanged(_) | Status::WouldChange => {}
            Status::Failed(_) | Status::Skipped(_) | Status::InDoubt => {
                wrong.add(
                    outcome.line,
                    format!("line {} failed: {}", outcome.line, outcome.message),
                );
            }
        }
    }
    for batch in changed.chunks(Recheck::BATCH) {
        let mut found = Vec::new();
        let reading = recheck.read(batch, |_, read| found.push(read));
        reading.await.map_err(halt)?;
        for ((outcome, _), read) in batch.iter().zip(found) {
            match read {
                Ok(differences) => {
                    if let Some(first) = differences.first() {
                        wrong.add(outcome.line, first.to_string());
                        let lost = did_not_last(outcome.clone(), first);
                        context.log.outcome(lost).await?;
                    }
                }
                Err(error) => wrong.add(
                    outcome.line,
                    format!("line {}: {}", outcome.line, error.message),
                ),
            }
        }
    }
    Ok(wrong)
}

fn halt(why: Unreadable) -> Halt {
    Halt::Fatal(why.fatal, why.message)
}
