//! Carries out a shard of a file on this machine, while other machines carry out the other shards.
//!
//! The run of a shard has the whole file as its copy: columns, contradictions and chains are judged from all lines, in the
//! same way on each machine and again by `resume`. The run has a set of lines, which its ledger holds from the beginning;
//! other lines are not read. A copy with the shard's lines alone would be judged by other columns than the file.

use super::claim::TargetClaim;
use super::error::CommandError;
use super::input_identity::InputIdentity;
use super::input_plan::InputPlan;
use super::kept_run::KeptRun;
use super::lost_runs::unnamed;
use crate::config::{Resolved, TypedSettings};
use crate::domain::{Change, Line, Shard};
use crate::engine::History;
use crate::input::{InputError, Row, Table};
use crate::ledger::{Ledger, LineSet};
use crate::plan::{Counts, Unit, group_hashes, line_hash, unread_hash};
use crate::ui;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

/// Reduces a planned file to the lines that this machine carries out, as the settings say. Returns these lines for the
/// ledger. `of_run`: the run that has the file in its folder.
pub(super) fn take(
    draft: &mut InputPlan,
    of_run: Option<&KeptRun>,
    resolved: &Resolved,
    quiet: bool,
) -> Result<Option<(Shard, LineSet)>, CommandError> {
    let Some(shard) = resolved.shard else {
        return Ok(None);
    };
    let all = draft.counts.lines;
    let lines = if is_report_of(draft, of_run, shard)? {
        lines_where(draft, |_, _| true)?
    } else {
        let groups = related(draft)?;
        lines_where(draft, move |line, change| {
            let hash = groups.get(&line).copied();
            shard.has(hash.unwrap_or_else(|| change.map_or(unread_hash(line), line_hash)))
        })?
    };
    leave(draft, &Arc::new(lines.clone()))?;
    if !quiet {
        let quota = resolved.quota_words();
        ui::note(&format!(
            "shard {shard}: {} of {} at {}{}",
            ui::count(lines.len()),
            ui::lines(all),
            resolved.find_rate,
            quota.map_or_else(String::new, |quota| format!(" and {quota}"))
        ));
    }
    Ok(Some((shard, lines)))
}

/// Returns whether the file is a report of this shard. It names the lines of its run, and is not divided again, because the
/// rest of a chain could belong to another shard than the whole chain. Refuses the report of another run.
fn is_report_of(
    draft: &InputPlan,
    of_run: Option<&KeptRun>,
    shard: Shard,
) -> Result<bool, CommandError> {
    if !draft.table.is_report() || !shard.is_part() {
        return Ok(false);
    }
    let of = of_run.map(|run| run.ledger()?.shard_name());
    if of.transpose()?.flatten() == Some(shard.to_string()) {
        return Ok(true);
    }
    Err(CommandError::usage(format!(
        "--shard {shard}: {} is a report of idshift, and its run is not shard {shard} or is not here",
        ui::visible(draft.table.name())
    ))
    .with_help("carry it out without --shard, on the machine of its run"))
}

/// Returns the groups of lines that depend on each other, including lines in error.
fn related(draft: &InputPlan) -> Result<HashMap<Line, u64>, InputError> {
    let mut changes = Vec::new();
    if !draft.index.entangled().is_empty() {
        for batch in draft.table.batches()? {
            let rows = batch?.into_iter();
            let related = rows.filter(|row| draft.index.is_entangled(row.line));
            changes.extend(related.filter_map(|row| row.change));
        }
    }
    Ok(group_hashes(&changes))
}

fn lines_where(
    draft: &InputPlan,
    has: impl Fn(Line, Option<&Change>) -> bool + Send + Sync + 'static,
) -> Result<LineSet, InputError> {
    let add = move |part: &mut Vec<Line>, row: &mut Row| {
        if has(row.line, row.change.as_ref()) {
            part.push(row.line);
        }
    };
    let mut found = LineSet::default();
    draft.table.fold(Vec::new, add, |part, _, _| {
        for line in part {
            found.insert(line);
        }
    })?;
    Ok(found)
}

/// Makes the table of a run's file read only the lines of the run.
pub(super) fn restrict(table: &mut Table, shard: Option<(Shard, LineSet)>) {
    if let Some((_, lines)) = shard {
        table.restrict(move |line| lines.contains(line));
    }
}

/// Reduces a file that was planned again to the lines that the run was begun with.
pub(super) fn restore(draft: &mut InputPlan, ledger: &Ledger) -> Result<(), CommandError> {
    match ledger.shard()? {
        None => Ok(()),
        Some((_, lines)) => leave(draft, &Arc::new(lines)),
    }
}

/// Reduces a planned file to these lines. Problems and dependencies stay those of the whole file.
fn leave(draft: &mut InputPlan, lines: &Arc<LineSet>) -> Result<(), CommandError> {
    let is_here = |line: Line| lines.contains(line);
    let split = draft.units.values().find(|unit| {
        let here = unit.lines().filter(|line| is_here(*line)).count();
        here > 0 && here < unit.lines().count()
    });
    if let Some(unit) = split {
        return Err(CommandError::usage(format!(
            "line {} belongs to a chain, swap or customer that the run's shard holds only a part of: the file is read \
             with other settings than when the run was begun",
            unit.number
        ))
        .with_help("give the settings that the run was begun with (--reseller, among others)"));
    }
    draft.units.retain(|number, _| is_here(*number));
    let only = Arc::clone(lines);
    draft.table.restrict(move |line| only.contains(line));
    recount(draft)?;
    Ok(())
}

#[derive(Default)]
struct Recount {
    counts: Counts,
    lines: u64,
    invalid: u64,
    without_customer: u64,
}

fn recount(draft: &mut InputPlan) -> Result<(), InputError> {
    let wrong = Arc::clone(&draft.wrong);
    let mut all = Recount::default();
    let add = move |part: &mut Recount, row: &mut Row| {
        part.lines += 1;
        match row.change.as_ref() {
            Some(change) if !wrong.has(row.line) => {
                part.counts.add_line(change);
                part.without_customer += u64::from(change.customer.is_none());
            }
            _ => part.invalid += 1,
        }
    };
    draft.table.fold(Recount::default, add, |part, _, _| {
        all.counts.merge(&part.counts);
        all.lines += part.lines;
        all.invalid += part.invalid;
        all.without_customer += part.without_customer;
    })?;
    all.counts.lines = all.lines;
    let units = draft.units.values();
    units.for_each(|unit: &Unit| all.counts.add_unit(unit));
    draft.counts = all.counts;
    draft.invalid = all.invalid;
    draft.without_customer = all.without_customer;
    Ok(())
}

/// Refuses another shard than the one that the run was begun with.
pub(super) fn refuse_other(typed: &TypedSettings, ledger: &Ledger) -> Result<(), CommandError> {
    let Some(said) = typed.get("shard") else {
        return Ok(());
    };
    let its = ledger.shard_name()?;
    let same = Shard::from_str(said).is_ok_and(|said| its == Some(said.to_string()));
    if same {
        return Ok(());
    }
    let run = &ledger.header().run;
    let what = its.map_or_else(
        || "is about all lines of its file".to_owned(),
        |shard| format!("is shard {shard} of its file"),
    );
    Err(
        CommandError::usage(format!("--shard {}: run {run} {what}", ui::visible(said)))
            .with_help("leave --shard out; a run keeps its lines"),
    )
}

/// Refuses chains and swaps if this machine carried out another shard of the file before: another machine may have carried
/// out these lines then, and only the runs on that machine show it.
pub(super) fn refuse_repeats(
    draft: &InputPlan,
    (claim, run): (&TargetClaim, &str),
    identity: &InputIdentity,
    history: &History,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let Some(line) = unnamed(draft, history, resolved) else {
        return Ok(());
    };
    let part = |shard: Shard| shard.is_part().then(|| shard.to_string());
    let mine = resolved.shard.and_then(part);
    for entry in claim.catalog.others(run, &claim.keys()) {
        let header = &entry.header;
        let same_file = identity.is_same_file(&InputIdentity::of_run(header));
        // Test: `recognition::shard_without_applied_lines_*`.
        if !entry.has_writes || !same_file {
            continue;
        }
        let its = entry.ledger()?.shard_name()?;
        let its = its.and_then(|text| part(text.parse().ok()?));
        // Tests: `shard_history::swaps_are_refused_on_a_machine_*`, `shard_history::failures_of_a_shard_*`.
        if its.is_some() && its != mine {
            let (its, run) = (its.unwrap_or_default(), &header.run);
            let now = mine.map_or_else(
                || "the whole file".to_owned(),
                |shard| format!("shard {shard}"),
            );
            return Err(CommandError::usage(format!(
                "run {run} carried out shard {its} of this file, and now {now} is to be carried out: line {line} belongs \
                 to a chain or swap that another machine may have carried out already"
            ))
            .with_help(format!(
                "give --shard {its} as before; or name the customer of each such line in customerId; or give \
                 --without-history if no other machine has carried them out"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reseller;
    use crate::input::Settings;
    use crate::run::input_plan;
    use crate::system::SystemKind;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn plan(file: &Path, system: SystemKind) -> InputPlan {
        let capabilities = system.capabilities();
        let mut rules = input_plan::rules(capabilities);
        rules.reseller = Some(Reseller::Own);
        let unique = capabilities.unique_accounts;
        input_plan::read(file, "moves.csv", &Settings::default(), &rules, unique).unwrap()
    }

    /// The lines of each shard, and the numbers of its units.
    fn shards(file: &Path, of: u32, system: SystemKind) -> Vec<(LineSet, Vec<Line>)> {
        let all = (1..=of).map(|number| {
            let shard = format!("{number}/{of}");
            let name = system.to_string();
            let given = [("system", name.as_str()), ("shard", shard.as_str())];
            let mut draft = plan(file, system);
            let taken = take(&mut draft, None, &Resolved::example(&given), true);
            let (_, lines) = taken.unwrap().unwrap();
            let batches = draft.table.batches().unwrap();
            let read: LineSet = batches
                .flat_map(Result::unwrap)
                .map(|row| row.line)
                .collect();
            assert_eq!(read, lines);
            assert_eq!(draft.counts.lines, lines.len());
            let mut units: Vec<Line> = draft.units.into_keys().collect();
            units.sort_unstable();
            (lines, units)
        });
        all.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn each_line_is_in_one_shard_and_units_are_not_split(
            lines in proptest::collection::vec((0_u32..60, 0_u32..90, any::<bool>()), 1..60),
            of in 1_u32..9,
            unique in any::<bool>(),
        ) {
            let system = if unique { SystemKind::Plume } else { SystemKind::CloudCockpit };
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("moves.csv");
            let mut text = String::from("accountId,newAccountId\n");
            for (from, to, blank) in lines {
                // Some lines cannot be read, and some are blank.
                let to = if to == 89 { "#REF!".to_owned() } else { format!("ACCT-{to:03}") };
                text.push_str(&format!("ACCT-{from:03},{to}\n{}", if blank { "\n" } else { "" }));
            }
            std::fs::write(&file, &text).unwrap();
            let whole = plan(&file, system);
            let all = shards(&file, of, system);
            let mut times: BTreeMap<Line, usize> = BTreeMap::new();
            for row in whole.table.batches().unwrap().flat_map(Result::unwrap) {
                let here = all.iter().filter(|(lines, _)| lines.contains(row.line));
                times.insert(row.line, here.count());
            }
            prop_assert!(times.values().all(|times| *times == 1), "{text}{times:?}");
            prop_assert_eq!(all.iter().map(|(lines, _)| lines.len()).sum::<u64>(), whole.counts.lines);
            for unit in whole.units.values() {
                let homes: Vec<_> = all
                    .iter()
                    .filter(|(lines, _)| unit.lines().any(|line| lines.contains(line)))
                    .collect();
                prop_assert_eq!(homes.len(), 1);
                prop_assert!(unit.lines().all(|line| homes[0].0.contains(line)));
                prop_assert!(homes[0].1.contains(&unit.number));
            }
            // Every machine divides the file in the same way.
            prop_assert_eq!(&all, &shards(&file, of, system));
        }
    }
}
