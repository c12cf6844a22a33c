//! Tables that fill: questions stay as fast as they were while the tables were empty.

use super::super::questions;
use super::store::one;
use crate::ledger::tests::{full_outcome, header, intent, rename, runtime};
use crate::ledger::{Check, Header, ListedRun, RunId, Runs};
use std::time::{Duration, Instant};

/// A command looks at every run that there is: a question for each would cost a round trip for each.
#[test]
fn number_of_statements_does_not_grow_with_the_number_of_runs() {
    let Some(one) = one() else {
        return;
    };
    let database = one.ledger.place().to_string();
    let database = database.split(' ').nth(1).unwrap();
    one.sql(&format!(
        "ALTER DATABASE {database} SET log_statement = 'all'"
    ));
    let log = one.server.folder().join("log");
    let runs = one.elsewhere();
    runs.list().unwrap();
    let statements = || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.matches("LOG:  execute").count()
    };
    let look = || {
        let before = statements();
        for run in runs.list().unwrap() {
            if let ListedRun::There(dir, _) = run {
                let ledger = runs.open(&dir, Check::Short).unwrap();
                ledger.any_customer().unwrap();
                ledger.epochs().unwrap();
            }
        }
        statements() - before
    };
    let few = look();
    assert!((1..5).contains(&few), "{few}");
    for n in 0..20 {
        let run = RunId::new(1_795_213_900_000 + n * 1000);
        let (_, new) = one.runs.create(&run).unwrap();
        let header = Header {
            run: run.to_string(),
            ..header()
        };
        new.begin(&header, None).unwrap();
    }
    assert_eq!(look(), few);
}

/// Prints how long a fresh schema takes for rows; a plan that is made while the tables are empty must not get slower as
/// they fill.
#[test]
fn the_tables_fill_without_getting_slower() {
    let Some(one) = one() else {
        return;
    };
    let (journal, thread) = one.journal();
    let rename = rename("a", "b");
    let mut parts = Vec::new();
    let runtime = runtime();
    for part in 0..4 {
        let begun = Instant::now();
        runtime.block_on(async {
            for first in (0..2500).step_by(100) {
                let lines = (0..100).map(|n| 2 + part * 2500 + first + n);
                let units = lines.map(|line| {
                    let (journal, rename) = (&journal, &rename);
                    async move {
                        let write = journal
                            .intend(intent(line, line, "c1", rename.clone()))
                            .await
                            .unwrap()
                            .granted();
                        let verdict = crate::ledger::WriteVerdict {
                            effect: None,
                            verdict: crate::ledger::Verdict::Applied,
                            http_status: Some(200),
                        };
                        journal.verdict(write, verdict).await.unwrap();
                        journal.outcome(full_outcome(line)).await.unwrap();
                    }
                });
                futures_util::future::join_all(units).await;
            }
            journal.flush().await.unwrap();
        });
        parts.push(begun.elapsed());
    }
    drop(journal);
    thread.join();
    println!("2,500 units each: {parts:?}");
    assert_eq!(one.ledger.done().unwrap().len(), 10_000);
    assert!(parts[3] < parts[0] * 4, "{parts:?}");
    // Each group finds its rows by their numbers: reading the whole run for each group would be more than a hundred
    // times as many.
    let read = |column: &str| -> u64 {
        let sql = format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'writes'");
        one.sql(&sql).parse().unwrap()
    };
    while read("n_tup_upd") < 10_000 {
        // The server counts what is done within a second or so.
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let rows = read("seq_tup_read + idx_tup_fetch");
    assert!(rows < 300_000, "{rows}");
    // Nor does a question for the writes of a unit read every write.
    let ask = questions::WRITES.replace("$1", "'x'").replace("$2", "0");
    let ask = ask
        .replace("$3", "'unit'")
        .replace("$4", "7")
        .replace("$5", "2000");
    let plan = one.sql(&format!("EXPLAIN {ask}"));
    assert!(plan.contains("writes_unit"), "{plan}");
}
