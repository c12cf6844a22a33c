//! A plan does not depend on how many of the file's keys are kept while it is read.

use super::*;
use crate::domain::Reseller;
use crate::system::SystemKind;
use proptest::prelude::*;

/// Formats everything that a plan contains.
fn said(plan: &InputPlan) -> String {
    let mut units: Vec<_> = plan.units.iter().collect();
    units.sort_by_key(|(line, _)| **line);
    format!(
        "{:#?}",
        (
            &plan.index,
            units,
            (plan.problems.sorted(), plan.problems.left_out()),
            (&plan.wrong, plan.invalid, &plan.counts),
            (plan.blank_rows, plan.without_customer),
            &plan.crossing,
        )
    )
}

/// Returns the lines that share a key with another line, from all keys of all lines.
fn related(table: &Table) -> Index {
    let rows = table.rows().unwrap().map(Result::unwrap);
    let changes = rows.filter_map(|row| row.change);
    let touches = changes.flat_map(|change| Touch::all_of(change.line, Keys::of(&change)));
    Index::among(touches.collect())
}

/// Makes a line. Small values of `odd` give an unreadable line, a blank one, one in other letters, or one with a single ID.
fn line((from, to, customer, location, odd): (u32, u32, u32, u32, u8)) -> String {
    let id = |name: &str, n: u32, of: u32| match n % 3 {
        0 if n < of => format!("{name}-{n:04}"),
        1 if n < of => format!("{}-{n:04}", name.to_lowercase()),
        _ => String::new(),
    };
    let customer = id("CUST", customer, 60);
    let location = id("PLACE", location, 60);
    match odd {
        0 => format!("ACCT-{from:04},#REF!,{customer},,\n"),
        1 => "\n,,,,\n".to_owned(),
        2 => format!(",ACCT-{to:04},CUST-{from:04},,\n"),
        3 => format!("acct-{from:04},acct-{to:04},{customer},{location},{location}\n"),
        4 => format!("ACCT-{from:04},ACCT-{from:04},{customer},,\n"),
        5 => format!("ACCT-{from:04},,{customer},{location},SVC-{to:04}\n"),
        _ => format!("ACCT-{from:04},ACCT-{to:04},{customer},{location},SVC-{from:04}\n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn plan_is_the_same_with_any_memory_limit(
        lines in proptest::collection::vec(
            (0_u32..300, 0_u32..400, 0_u32..400, 0_u32..400, 0_u8..40), 1..120),
        (kept, first) in (0_u64..300, 1_u64..30),
        (bits, candidate_bits) in (1_u64..20, 1_u64..70),
        block in 20_usize..2_000,
        (unique, packed) in (any::<bool>(), any::<bool>()),
    ) {
        let system = if unique { SystemKind::Plume } else { SystemKind::CloudCockpit };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("moves.csv");
        let mut text = String::from("accountId,newAccountId,customerId,locationId,serviceId\n");
        text.extend(lines.into_iter().map(line));
        let bytes = if packed {
            zstd::encode_all(text.as_bytes(), 1).unwrap()
        } else {
            text.clone().into_bytes()
        };
        std::fs::write(&file, bytes).unwrap();
        let mut rules = rules(system.capabilities());
        rules.reseller = Some(Reseller::Own);
        let read = |sizes: Sizes, block: usize| {
            let table = Table::open(&file, "moves.csv", &Settings::default(), &rules)?;
            let table = table.with_block_bytes(block);
            let whole = summarise(&table, sizes)?;
            plan(table, "moves.csv", whole, unique)
        };
        let all = match read(Sizes::default(), usize::MAX) {
            Ok(all) => all,
            Err(error) => {
                // The file has nothing but blank lines, or columns that do not fit the system.
                let other = read(Sizes { kept: 0, ..Sizes::default() }, block).err().map(|error| error.to_string());
                prop_assert_eq!(other, Some(error.to_string()));
                return Ok(());
            }
        };
        prop_assert_eq!(&all.index, &related(&all.table));
        for sizes in [
            Sizes { kept, first, bits, candidate_bits },
            // Nothing is kept.
            Sizes { kept: 0, first: 1, ..Sizes::default() },
            // Nothing is kept, and nearly all hashes seem to come up twice.
            Sizes { kept: 0, first: 1, bits: 1, candidate_bits: 1 },
        ] {
            let other = read(sizes, block).unwrap();
            prop_assert_eq!(said(&other), said(&all), "{:?}\n{}", sizes, text);
        }
    }

    #[test]
    fn plan_made_while_writing_equals_the_plan_of_the_read_file(
        lines in proptest::collection::vec(
            (0_u32..60, 0_u32..70, 0_u32..400, 0_u32..400, 2_u8..40), 1..120),
        unique in any::<bool>(),
    ) {
        let system = if unique { SystemKind::Plume } else { SystemKind::CloudCockpit };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("moves.csv");
        let mut text = String::from("accountId,newAccountId,customerId,locationId,serviceId\n");
        text.extend(lines.into_iter().map(line));
        std::fs::write(&file, &text).unwrap();
        let rules = Rules { verbatim: true, reseller: Some(Reseller::Own), ..rules(system.capabilities()) };
        let settings = Settings::default();
        let Ok(all) = read(&file, "moves.csv", &settings, &rules, unique) else {
            // Columns that do not fit the system.
            return Ok(());
        };
        let rows: Vec<Row> = all.table.rows().unwrap().map(Result::unwrap).collect();
        let mut written = WrittenLines::new(rows.len() as u64);
        for row in &rows {
            let Some(change) = &row.change else { return Ok(()) };
            written.add(change);
        }
        let planned = of_written(&file, "moves.csv", &settings, &rules, (written, unique)).unwrap();
        prop_assert_eq!(said(&planned), said(&all), "{}", text);
    }
}
