//! Tests of the whole reader, on real files.

mod cases;
mod checking;
mod good;
mod reading;
mod refusing;
mod round_trip;
mod values;

use super::*;
use crate::domain::{NewAccount, ProblemList, Severity};
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join("moves.csv");
        std::fs::File::create(&path)
            .unwrap()
            .write_all(bytes.as_ref())
            .unwrap();
        path
    }
}

fn plume() -> Rules {
    Rules {
        max_account_chars: 255,
        min_account_chars: 6,
        forbidden_in_account: "",
        forbidden_accounts: &["null"],
        has_locations: true,
        per_reseller: false,
        ids_are_guids: false,
        reseller: None,
        allow_clear: false,
        accept: Accept::default(),
        verbatim: false,
    }
}

fn adobe() -> Rules {
    Rules {
        max_account_chars: 35,
        min_account_chars: 0,
        forbidden_in_account: "<>[]\"",
        forbidden_accounts: &[],
        has_locations: false,
        ..plume()
    }
}

fn cockpit() -> Rules {
    Rules {
        per_reseller: true,
        ids_are_guids: true,
        max_account_chars: 255,
        ..adobe()
    }
}

/// A table, and the folder of its file, which exists as long as the table.
struct Opened(Table, Dir);

impl std::ops::Deref for Opened {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

impl Opened {
    fn with_block_bytes(self, block_bytes: usize) -> Self {
        Self(self.0.with_block_bytes(block_bytes), self.1)
    }
}

fn open_with(
    bytes: impl AsRef<[u8]>,
    settings: &Settings,
    rules: &Rules,
) -> Result<Opened, InputError> {
    let dir = Dir::new();
    let path = dir.file(bytes);
    Ok(Opened(
        Table::open(&path, "moves.csv", settings, rules)?,
        dir,
    ))
}

fn open(bytes: impl AsRef<[u8]>) -> Result<Opened, InputError> {
    open_with(bytes, &Settings::default(), &plume())
}

fn rows_of(table: &Table) -> Vec<Row> {
    table.rows().unwrap().collect::<Result<_, _>>().unwrap()
}

fn rows(bytes: impl AsRef<[u8]>) -> Vec<Row> {
    rows_of(&open(bytes).unwrap())
}

/// Returns all problems of a file, with the doubts decided: problems of its lines, its columns, its header.
fn checked(table: &Table) -> ProblemList {
    fn part() -> (ProblemList, Survey) {
        Default::default()
    }
    let mut whole = part();
    table
        .fold(
            part,
            |(list, survey): &mut (ProblemList, Survey), row| {
                for problem in std::mem::take(&mut row.problems) {
                    assert!(!problem.message.is_empty() && !problem.help.is_empty());
                    survey.hear(&problem);
                    list.push(problem);
                }
                survey.observe(row);
            },
            |(list, survey), _, _| {
                whole.0.append(list);
                whole.1.append(survey);
            },
        )
        .unwrap();
    let (mut list, survey) = whole;
    survey.finish(table).tell(&mut list);
    for problem in table.similar_names() {
        list.push(problem);
    }
    list
}

/// Returns line, severity and code of each problem.
fn judged(bytes: impl AsRef<[u8]>, rules: &Rules) -> Vec<(u32, Severity, &'static str)> {
    let table = open_with(bytes, &Settings::default(), rules).unwrap();
    let list = checked(&table);
    let all = list.sorted();
    all.iter()
        .map(|problem| (problem.line, problem.severity, problem.code))
        .collect()
}

/// Returns line and code of each problem.
fn codes(bytes: impl AsRef<[u8]>, rules: &Rules) -> Vec<(u32, &'static str)> {
    let judged = judged(bytes, rules).into_iter();
    judged.map(|(line, _, code)| (line, code)).collect()
}

/// Returns line, account and new account of each row.
fn moves(rows: &[Row]) -> Vec<(u32, String, String)> {
    rows.iter()
        .map(|row| {
            let change = row.change.as_ref().unwrap();
            let new = change
                .new_account
                .id()
                .map(ToString::to_string)
                .unwrap_or_default();
            let account = change
                .account
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            (row.line, account, new)
        })
        .collect()
}
