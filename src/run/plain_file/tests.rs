//! The saved counts of a file give its plan.

use super::*;
use crate::input::Settings;
use crate::run::input_plan;
use crate::system::SystemKind;

/// Plans a file with this text.
fn planned(text: &str) -> InputPlan {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input.csv");
    std::fs::write(&file, text).unwrap();
    let rules = input_plan::rules(SystemKind::Plume.capabilities());
    input_plan::read(&file, "moves.csv", &Settings::default(), &rules, true).unwrap()
}

/// Formats everything that a plan contains.
fn said(plan: &InputPlan) -> String {
    let problems = plan.problems.sorted();
    format!(
        "{:?}",
        (
            (&plan.index, &plan.units, problems, &plan.wrong),
            (plan.invalid, plan.counts, plan.blank_rows),
            (plan.without_customer, &plan.crossing),
        )
    )
}

#[test]
fn saved_counts_give_the_same_plan() {
    let plan = planned(
        "accountId,newAccountId,customerId\nA-0001,B-0001,\nA-0002,B-0002,C-0002\n,B-0003,C-0003\n",
    );
    // Its lines name their customers by IDs of both kinds, so they must be compared.
    assert!(PlainFile::of(&plan).is_none());
    for text in [
        "accountId,newAccountId\nA-0001,B-0001\nA-0002,B-0002\nA-0003,B-0003\n",
        "accountId,newAccountId,customerId,locationId,serviceId\nA-0001,B-0001,C-0001,L-0001,SVC-0001\nA-0002,B-0002,C-0002,,\n",
    ] {
        let plan = planned(text);
        let counted = PlainFile::of(&plan).unwrap();
        let said_before = said(&plan);
        assert_eq!(said(&counted.plan(plan.table)), said_before);
    }
}

#[test]
fn file_with_problems_or_related_lines_is_not_plain() {
    for lines in [
        "A-0001,A-0002\nA-0002,A-0001\n",
        "A-0001,A-0002\nA-0002,B-0002\n",
        "A-0001,B-0001\nA-0001,B-0001\n",
        "A-0001,B-0001\nA-0002,B-0001\n",
        "A-0001,B-0001\nA-0002,#REF!\n",
        "A-0001,B-0001\n,\n",
        "A-0001,B-0001\nA-0002,b-0001\n",
        "A-0001,B-0001\nA-0002,\n",
    ] {
        let plan = planned(&format!("accountId,newAccountId\n{lines}"));
        assert!(PlainFile::of(&plan).is_none(), "{lines}");
    }
}
