//! How fast the ledger is; not part of the suite: `cargo test --release --lib pace -- --ignored --nocapture`.

use super::*;
use std::time::SystemTime;

fn rate(what: &str, rows: u32, began: SystemTime) {
    let seconds = began.elapsed().unwrap().as_secs_f64();
    println!(
        "{what}: {:.0}/s ({rows} in {seconds:.2} s)",
        f64::from(rows) / seconds
    );
}

#[test]
#[ignore = "measures"]
fn pace_of_intents_and_outcomes() {
    let base = tempfile::tempdir_in(".").unwrap();
    let dir = RunDir::create(&base.path().join("runs"), &RunId::parse(RUN).unwrap()).unwrap();
    let mut ledger = Ledger::create(&dir, &header()).unwrap();
    let (journal, thread) = ledger.journal().unwrap();
    for waiters in [1_u32, 8, 64, 256] {
        let rows = waiters * if waiters == 1 { 500 } else { 1500 };
        let began = SystemTime::now();
        runtime().block_on(async {
            let all = (0..waiters).map(|waiter| {
                let journal = &journal;
                async move {
                    for n in 0..rows / waiters {
                        let line = 2 + n * waiters + waiter;
                        let one = intent(
                            line,
                            line,
                            "customer-0001",
                            rename("account-1", "account-2"),
                        );
                        let write = journal.intend(one).await.unwrap();
                        let settled = Settled {
                            verdict: Verdict::Applied,
                            http_status: Some(200),
                        };
                        journal.settle(write, settled).await.unwrap();
                        journal.outcome(full_outcome(line)).await.unwrap();
                    }
                }
            });
            futures_util::future::join_all(all).await;
        });
        rate(
            &format!("intent, verdict, outcome; {waiters} waiters"),
            rows,
            began,
        );
    }
    many(&journal);
    drop(journal);
    thread.join();
    let began = SystemTime::now();
    let seeds = (0..1_000_000).map(|line| full_outcome(2_000_000 + line));
    ledger.seed(seeds).unwrap();
    rate("outcomes seeded", 1_000_000, began);
    drop(ledger);
    reading(&dir);
}

fn many(journal: &Journal) {
    let began = SystemTime::now();
    runtime().block_on(async {
        for line in 0..1_000_000 {
            journal.outcome(full_outcome(line)).await.unwrap();
        }
        journal.flush().await.unwrap();
    });
    rate("outcomes through the journal", 1_000_000, began);
}

fn reading(dir: &RunDir) {
    let began = SystemTime::now();
    let ledger = Ledger::open(dir).unwrap();
    rate("open and check, rows", 2_000_000, began);
    let began = SystemTime::now();
    assert_eq!(ledger.outcomes().map(Result::unwrap).count(), 2_000_000);
    rate("outcomes read", 2_000_000, began);
    let began = SystemTime::now();
    assert_eq!(ledger.done().unwrap().len(), 2_000_000);
    rate("done", 2_000_000, began);
    let began = SystemTime::now();
    ledger.counts().unwrap();
    rate("counts", 2_000_000, began);
    let began = SystemTime::now();
    let states = ledger.final_states().unwrap().map(Result::unwrap).count();
    rate("final states", u32::try_from(states).unwrap(), began);
    let size = std::fs::metadata(dir.ledger()).unwrap().len();
    println!("file: {} MB", size / 1_000_000);
}
