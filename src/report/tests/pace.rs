//! How fast the reports of a million lines are drawn, and in how much memory; not part of the suite.

use super::*;

#[test]
#[ignore = "measures: cargo test --release --lib pace_of_reports -- --ignored --nocapture"]
fn pace_of_reports() {
    use std::io::Write;
    let mut run = run("apply", "");
    let mut input = std::io::BufWriter::new(fs::File::create(run.dir.input()).unwrap());
    input
        .write_all(b"accountId,newAccountId,serviceId,note\n")
        .unwrap();
    for line in 0..1_000_000 {
        writeln!(
            input,
            "account-{line},crm-{line},service-{line},kept as it is"
        )
        .unwrap();
    }
    drop(input);
    let outcome = |line: Line| Outcome {
        customer: CustomerId::new(format!("customer-{line}")).ok(),
        correlation: Some("3f0b7c1e-8f5e-4a53-9a55-0c8f4c3f3b1d".to_owned()),
        account: Transition {
            before: AccountId::new(format!("account-{line}")).ok(),
            after: AccountId::new(format!("crm-{line}")).ok(),
        },
        finished_at_ms: 1_795_213_815_000 + i64::from(line),
        ..Outcome::bare(
            line,
            if line.is_multiple_of(50) {
                Status::Failed(Failed::NotFound)
            } else {
                Status::Changed
            },
        )
    };
    run.ledger.seed((2..1_000_002).map(outcome)).unwrap();
    run.end(State::Finished, Some(1), "");
    let began = std::time::SystemTime::now();
    assert_eq!(run.draw().counts["lines"], 1_000_000);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    println!(
        "1,000,000 lines drawn in {:?}; {peak}",
        began.elapsed().unwrap()
    );
}
