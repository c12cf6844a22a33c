//! Opens the file of a run without planning it again: no line will be carried out. The ledger has the number of lines.

use super::input_plan::InputPlan;
use crate::domain::ProblemList;
use crate::input::{InputError, Rules, Settings, Table};
use crate::plan::{Counts, Index};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Opens the file. The plan has no units of several lines, so it must not be fed to the engine.
pub(super) fn open(
    path: &Path,
    name: &str,
    settings: &Settings,
    rules: &Rules,
    lines: u64,
) -> Result<InputPlan, InputError> {
    Ok(InputPlan {
        table: Table::open(path, name, settings, rules)?,
        index: Index::default(),
        units: HashMap::new(),
        problems: ProblemList::default(),
        wrong: Arc::default(),
        invalid: 0,
        counts: Counts {
            lines,
            ..Counts::default()
        },
        blank_rows: 0,
        without_customer: 0,
        crossing: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::input_plan;
    use crate::system::SystemKind;

    #[test]
    fn nothing_below_the_header_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input.csv");
        std::fs::write(&file, b"accountId,newAccountId\nA-1,\xff\n").unwrap();
        let rules = input_plan::rules(SystemKind::Plume.capabilities());
        let settings = Settings::default();
        assert!(input_plan::read(&file, "moves.csv", &settings, &rules, true).is_err());
        let opened = open(&file, "moves.csv", &settings, &rules, 1).unwrap();
        assert_eq!((opened.counts.lines, opened.table.header().len()), (1, 2));
    }
}
