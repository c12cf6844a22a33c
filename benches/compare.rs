//! The whole program side by side with a bare client loop, in one run against one stand-in; and the pace as the
//! stand-in saw it. Prints a table: ratios carry over, absolute figures are this machine's.
//!
//! `cargo bench --bench compare`

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::cast_precision_loss, reason = "figures for a table")]

use idshift::sandbox::{Options, PlumeCustomer, Sandbox};
use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const LINES: u32 = 20_000;

fn stand_in(lines: u32, bulk: bool, log: bool) -> Sandbox {
    let sandbox = Sandbox::start(Options {
        bulk,
        log,
        ..Options::default()
    })
    .unwrap();
    let world = sandbox.world();
    let mut world = world.lock().unwrap();
    for n in 0..lines {
        world.add_plume(PlumeCustomer {
            id: format!("C-{n}").into(),
            account_id: format!("A-{n:08}").into(),
            hidden: false,
            partner: "p".into(),
            locations: Vec::new(),
        });
    }
    drop(world);
    sandbox
}

/// Search, then PATCH, for each line; 64 tasks on one thread; no ledger, no plan, no report.
fn bare(sandbox: &Sandbox) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (base, next) = (sandbox.base_url(), Arc::new(AtomicU32::new(0)));
    let begun = Instant::now();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let (client, base, next) = (client.clone(), base.clone(), Arc::clone(&next));
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= LINES {
                        return;
                    }
                    let url = format!("{base}/api/Partners/customers/search/A-{n:08}?field=accountId&exactMatch=true");
                    let answer = client.get(url).bearer_auth("x").send().await.unwrap();
                    let found: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
                    let id = found[0]["id"].as_str().unwrap();
                    let patch = client
                        .patch(format!("{base}/api/Customers/{id}"))
                        .bearer_auth("x")
                        .header("content-type", "application/json")
                        .body(format!("{{\"accountId\":\"B-{n:08}\"}}"));
                    let answer = patch.send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.unwrap();
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    begun.elapsed()
}

fn idshift(sandbox: &Sandbox, lines: u32, arguments: &[&str]) -> (Duration, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("accountId,newAccountId\n");
    (0..lines).for_each(|n| writeln!(text, "A-{n:08},B-{n:08}").unwrap());
    std::fs::write(folder.path().join("moves.csv"), text).unwrap();
    let begun = Instant::now();
    let done = Command::new(env!("CARGO_BIN_EXE_idshift"))
        .args([
            "apply",
            "moves.csv",
            "--yes",
            "--json",
            "--quiet",
            "--base-url",
            &sandbox.base_url(),
        ])
        .args(arguments)
        .current_dir(folder.path())
        .env("IDSHIFT_TOKEN", "x")
        .env("XDG_STATE_HOME", folder.path())
        .output()
        .unwrap();
    let took = begun.elapsed();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    (took, serde_json::from_slice(&done.stdout).unwrap())
}

fn throughput() {
    println!("\n{LINES} renames without a limit; idshift with plan, durable ledger and reports\n");
    println!(
        "| round | bare reqwest loop | idshift, searching singly | ratio | idshift, looking up in bulk | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for round in 1..=3 {
        let bare = f64::from(LINES) / bare(&stand_in(LINES, false, false)).as_secs_f64();
        let pace = |bulk: bool, how: &str| {
            let (took, _) = idshift(
                &stand_in(LINES, bulk, false),
                LINES,
                &["--rate", "unlimited", "--lookup", how],
            );
            f64::from(LINES) / took.as_secs_f64()
        };
        let (each, bulk) = (pace(false, "each"), pace(true, "bulk"));
        println!(
            "| {round} | {bare:.0} lines/s | {each:.0} lines/s | {:.2} | {bulk:.0} lines/s | {:.2} |",
            each / bare,
            bulk / bare
        );
    }
}

fn pacing() {
    println!("\nPace as the stand-in saw it\n");
    println!("| limit | calls | used | most in one second | allowed |");
    println!("| --- | --- | --- | --- | --- |");
    for rate in [20_u32, 100, 1000, 5000] {
        let lines = rate * 4;
        let sandbox = stand_in(lines, true, true);
        idshift(&sandbox, lines, &["--rate", &format!("{rate}/s")]);
        let mut at: Vec<f64> = sandbox
            .log()
            .iter()
            .map(|seen| seen.at.as_secs_f64())
            .collect();
        at.sort_by(f64::total_cmp);
        let used = (at.len() - 1) as f64 / (at[at.len() - 1] - at[0]) / f64::from(rate);
        let mut most = 0;
        let mut from = 0;
        for to in 0..at.len() {
            while at[to] - at[from] >= 1.0 {
                from += 1;
            }
            most = most.max(to - from + 1);
        }
        let allowed = f64::from(rate) * 1.01 + 1.0;
        println!(
            "| {rate}/s | {} | {:.2} % | {most} | {allowed:.0} |",
            at.len(),
            used * 100.0
        );
    }
}

fn main() {
    throughput();
    pacing();
}
