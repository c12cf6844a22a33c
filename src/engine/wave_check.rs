//! Reads a wave back: what is not as the system had answered has failed, also for whoever goes on with the run.

use super::compare::{FinalValues, did_not_last};
use super::recheck::{Left, Recheck, Unreadable};
use super::{Context, Halt, Wave, WaveLog, WriteLog};
use crate::domain::Status;

/// Lines that failed, or are not as the system had answered.
#[derive(Debug, Default)]
struct Wrong {
    lines: u64,
    /// The first of them, in words.
    first: Option<String>,
}

impl Wrong {
    fn add(&mut self, words: String) {
        self.lines += 1;
        self.first.get_or_insert(words);
    }
}

/// Reads back what a wave did. Returns why the run stops, where too much of it is wrong.
pub(super) async fn read_back<N: WriteLog>(
    context: &Context<N>,
    record: &impl WaveLog,
    wave: &Wave,
    is_over: bool,
) -> Result<Option<String>, Halt> {
    context.log.flush().await?;
    let wrong = wrong(context, record.left(wave, is_over)?).await?;
    // Before the wave is verified, or the run stopped.
    context.log.flush().await?;
    let settings = &context.settings;
    let is_too_much = match &settings.wave_failures {
        Some(budget) => budget.is_exceeded(wrong.lines, wave.lines.len()),
        None => wrong.lines > 0,
    };
    let first = wrong.first.filter(|_| is_too_much);
    let named = |first| format!("{}: {first}", wave.named(settings.wave_count, wrong.lines));
    Ok(first.map(named))
}

async fn wrong<N: WriteLog>(context: &Context<N>, lines: Vec<Left>) -> Result<Wrong, Halt> {
    let mut values = FinalValues::default();
    for (outcome, reseller) in &lines {
        values.record(outcome, reseller.as_ref());
    }
    let mut wrong = Wrong::default();
    let mut recheck = Recheck::one_by_one(&context.system);
    for (outcome, reseller) in lines {
        match outcome.status {
            Status::Changed => {}
            Status::Unchanged(_) | Status::WouldChange => continue,
            Status::Failed(_) | Status::Skipped(_) | Status::InDoubt => {
                wrong.add(format!("line {} failed: {}", outcome.line, outcome.message));
                continue;
            }
        }
        let left: Left = (
            values.apply_to(outcome.clone(), reseller.as_ref()),
            reseller,
        );
        let mut read = Ok(Vec::new());
        let reading = recheck.read(&[left], |_, found| read = found).await;
        reading.map_err(halt)?;
        match read {
            Ok(differences) => {
                if let Some(first) = differences.first() {
                    wrong.add(first.to_string());
                    context.log.outcome(did_not_last(outcome, first)).await?;
                }
            }
            Err(error) => wrong.add(format!("line {}: {}", outcome.line, error.message)),
        }
    }
    Ok(wrong)
}

fn halt(why: Unreadable) -> Halt {
    Halt::Fatal(why.fatal, why.message)
}
