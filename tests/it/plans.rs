use crate::support::{Asked, Front, Place, customer, finish};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Write as _;
use std::net::TcpStream;

fn accounts(place: &Place) -> BTreeMap<String, String> {
    place.with_world(|world| {
        world
            .plume
            .iter()
            .map(|(id, c)| (id.to_string(), c.account_id.to_string()))
            .collect()
    })
}

fn world(place: &Place, customers: u32) {
    place.with_world(|mut world| (0..customers).for_each(|n| world.add_plume(customer(n))));
}

/// Writes a chain of 500, 200 swaps and a cycle of 100.
fn tangle() -> String {
    let mut text = String::from("accountId,newAccountId\n");
    let mut line = |from: u32, to: u32| writeln!(text, "A-{from:06},A-{to:06}").unwrap();
    (0..500).for_each(|n| line(n, n + 1));
    for swap in 0..200 {
        let (a, b) = (1000 + 2 * swap, 1001 + 2 * swap);
        line(a, b);
        line(b, a);
    }
    (0..100).for_each(|n| line(2000 + n, 2000 + (n + 1) % 100));
    text
}

#[test]
fn chains_swaps_and_cycles_are_planned_applied_verified_and_undone() {
    let place = Place::plume();
    place.with_world(|mut world| {
        (0..500)
            .chain(1000..1400)
            .chain(2000..2100)
            .for_each(|n| world.add_plume(customer(n)));
    });
    let before = accounts(&place);
    let file = place.file("tangle.csv", &tangle());
    let check = place.run(&["check", &file, "--json"]).expect(0).json();
    assert_eq!(check["counts"]["chains"], 1);
    assert_eq!(check["counts"]["longest_chain"], 500);
    assert_eq!(check["counts"]["swaps"], 200);
    assert_eq!(check["counts"]["longest_cycle"], 100);
    place.run(&["plan", &file]).expect(0);
    assert_eq!(place.patches(), 0, "a plan writes nothing");
    assert!(
        place
            .verdicts()
            .iter()
            .all(|verdict| verdict == "would_change/")
    );
    let run = place.newest_id();
    place.run(&["apply", "--run", &run, "--yes"]).expect(0);
    let after = accounts(&place);
    let number = |id: &str| id[2..].parse::<u32>().unwrap();
    for (id, account) in &after {
        let n = number(id);
        let wish = match n {
            0..500 => n + 1,
            1000..1400 => n ^ 1,
            _ => 2000 + (n - 2000 + 1) % 100,
        };
        assert_eq!(*account, format!("A-{wish:06}"), "{id}");
    }
    place.run(&["verify"]).expect(0);
    let patches = place.patches();
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(
        place.patches(),
        patches,
        "the same file again moves nobody on"
    );
    place.run(&["undo", &run, "--yes"]).expect(0);
    assert_eq!(accounts(&place), before);
    let back = place.newest_id();
    place.run(&["undo", &back, "--yes"]).expect(0);
    assert!(accounts(&place) == after, "an undo can be undone");
}

#[test]
fn customer_renamed_after_the_plan_is_stale_and_not_written() {
    let place = Place::plume();
    world(&place, 3);
    let file = place.file(
        "m.csv",
        "accountId,newAccountId\nA-000000,B-000000\nA-000001,B-000001\n",
    );
    place.run(&["plan", &file, "--exit-code"]).expect(3);
    let run = place.newest_id();
    place.with_world(|mut world| world.rename_plume("C-1", "ELSEWHERE"));
    place.run(&["apply", "--run", &run, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/stale"]);
    assert_eq!(place.account_of("C-1"), "ELSEWHERE");
    place.run(&["apply", "--run", &run, "--yes"]).expect(2);
}

/// Two threads read the writes of the undone run in turns, 500 at a time: six batches.
#[test]
fn the_lines_of_an_undo_are_in_the_order_of_the_undone_file() {
    let place = Place::plume();
    let file = place.moves(2_600);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    let text = std::fs::read_to_string(place.newest().join("input.csv")).unwrap();
    let found: Vec<&str> = text.lines().skip(1).collect();
    let wanted = (0..2_600).map(|n| format!("\"B-{n:06}\",\"A-{n:06}\",\"C-{n}\""));
    assert_eq!(found.len(), 2_600);
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(&wanted), "{found} instead of {wanted}");
    }
}

#[test]
fn undo_skips_customers_that_were_changed_later() {
    let place = Place::plume();
    world(&place, 2);
    let file = place.file(
        "m.csv",
        "accountId,newAccountId,serviceId\nA-000000,B-000000,S-0\nA-000001,B-000001,S-1\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-1", "ELSEWHERE"));
    place.run(&["undo", "--yes"]).expect(1);
    assert_eq!(place.account_of("C-0"), "A-000000");
    assert_eq!(place.account_of("C-1"), "ELSEWHERE");
    let mut verdicts = place.verdicts();
    verdicts.sort();
    // Each customer has one line for the account ID and one for the location.
    let expected = ["changed/", "changed/", "failed/stale", "failed/stale"];
    assert_eq!(verdicts, expected);
    assert_eq!(place.service_of("C-0"), "old");
}

#[test]
fn swap_is_rolled_back_when_its_second_write_is_refused() {
    let place = Place::plume();
    world(&place, 2);
    // The first write parks the first customer; the second write renames the other one.
    place
        .sandbox
        .set_faults(vec!["customer-patch:422:nth=2".parse().unwrap()]);
    let file = place.file(
        "swap.csv",
        "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.account_of("C-0"), "A-000000");
    assert_eq!(place.account_of("C-1"), "A-000001");
    let mut verdicts = place.verdicts();
    verdicts.sort();
    assert_eq!(verdicts, ["failed/blocked", "failed/rejected"]);
}

#[test]
fn swap_changes_nothing_when_all_writes_of_one_customer_are_refused() {
    for id in ["C-0", "C-1"] {
        let place = Place::plume();
        world(&place, 2);
        let fault = format!("customer-patch:422:about={id}");
        place.sandbox.set_faults(vec![fault.parse().unwrap()]);
        let file = place.file(
            "swap.csv",
            "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n",
        );
        place.run(&["apply", &file, "--yes"]).expect(1);
        assert_eq!(place.account_of("C-0"), "A-000000", "{id}");
        assert_eq!(place.account_of("C-1"), "A-000001", "{id}");
        let refused = usize::from(id == "C-1");
        let verdicts = place.verdicts();
        assert_eq!(verdicts[refused], "failed/rejected", "{id}");
        assert_eq!(verdicts[1 - refused], "failed/blocked", "{id}");
        place.judge_writes();
        // The system no longer refuses the writes: the failures are applied unchanged.
        place.sandbox.set_faults(Vec::new());
        let failures = format!("{}/failures.csv", place.newest().display());
        place.run(&["apply", &failures, "--yes"]).expect(0);
        assert_eq!(place.account_of("C-0"), "A-000001");
        assert_eq!(place.account_of("C-1"), "A-000000");
    }
}

#[test]
fn cycle_is_rolled_back_when_any_rename_is_refused() {
    let mut file = String::from("accountId,newAccountId\n");
    (0..5).for_each(|n| writeln!(file, "A-{n:06},A-{:06}", (n + 1) % 5).unwrap());
    for refused in 1..=6 {
        let place = Place::plume();
        world(&place, 5);
        let before = accounts(&place);
        let faults = [
            format!("customer-patch:422:nth={refused}"),
            // The rollback meets faults, too.
            format!("customer-patch:500:nth={}", refused + 1),
            format!("customer-patch:reset-after:nth={}", refused + 1),
        ];
        let faults = faults.iter().map(|text| text.parse().unwrap());
        place.sandbox.set_faults(faults.collect());
        let name = place.file("ring.csv", &file);
        place.run(&["apply", &name, "--yes"]).expect(1);
        assert_eq!(accounts(&place), before, "refused: {refused}");
        let mut verdicts = place.verdicts();
        verdicts.sort();
        let expected = [
            "failed/blocked",
            "failed/blocked",
            "failed/blocked",
            "failed/blocked",
            "failed/rejected",
        ];
        assert_eq!(verdicts, expected, "refused: {refused}");
        place.judge_writes();
    }
}

#[test]
fn verify_reports_values_changed_by_another_client() {
    let place = Place::plume();
    world(&place, 3);
    let file = place.file(
        "m.csv",
        "accountId,newAccountId\nA-000000,B-000000\nA-000001,B-000001\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["verify"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-1", "ELSEWHERE"));
    let patches = place.patches();
    let done = place.run(&["verify"]).expect(3);
    assert!(done.out.contains("ELSEWHERE"), "{}", done.out);
    place.run(&["verify", "--json"]).expect(3).json();
    assert_eq!(place.patches(), patches);
}

#[test]
fn plan_is_applied_after_its_input_file_is_deleted() {
    let place = Place::plume();
    world(&place, 2);
    let file = place.file("m.csv", "accountId,newAccountId\nA-000000,B-000000\n");
    place.run(&["plan", &file]).expect(0);
    std::fs::remove_file(place.path().join(&file)).unwrap();
    let run = place.newest_id();
    place.run(&["apply", "--run", &run, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "B-000000");
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
}

#[test]
fn chain_whose_last_id_is_taken_has_one_conflict_and_blocked_lines() {
    let place = Place::plume();
    world(&place, 4);
    let file = place.file(
        "chain.csv",
        "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000002\nA-000002,A-000003\n",
    );
    let before = accounts(&place);
    place.run(&["plan", &file]).expect(1);
    let expected = ["failed/blocked", "failed/blocked", "failed/conflict"];
    assert_eq!(place.verdicts(), expected);
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), expected);
    assert_eq!(accounts(&place), before);
}

#[test]
fn guards_stop_a_run_before_or_in_the_middle_of_it() {
    let place = Place::plume();
    world(&place, 300);
    let mut text = String::from("accountId,newAccountId\n");
    (0..300).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("m.csv", &text);
    place
        .run(&["apply", &file, "--yes", "--max-changes", "5%"])
        .expect(4);
    assert_eq!(
        place.patches(),
        0,
        "--max-changes stops before the first write"
    );
    place.run(&["apply", &file]).expect(2);
    assert_eq!(
        place.patches(),
        0,
        "without --yes and without a terminal nothing is written"
    );
    place
        .run(&["apply", &file, "--yes", "--until", "1ms"])
        .expect(4);
    place
        .sandbox
        .set_faults(vec!["customer-patch:422:always".parse().unwrap()]);
    place
        .run(&["apply", &file, "--yes", "--canary", "3"])
        .expect(4);
    assert_eq!(place.rows("failures.csv").len(), 300);
    // If all writes were refused in the same way, the run would stop because of that.
    place
        .sandbox
        .set_faults(vec!["customer-patch:422:every=2".parse().unwrap()]);
    let before = place.patches();
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--max-failures",
            "10%",
            "--concurrency",
            "4",
        ])
        .expect(4);
    assert!(
        place.patches() - before < 150,
        "{}",
        place.patches() - before
    );
    place.sandbox.set_faults(Vec::new());
    place
        .run(&["resume", "--max-failures", "100%"])
        .code
        .eq(&1)
        .then_some(())
        .unwrap();
    place
        .run(&["apply", &file, "--yes", "--canary", "3"])
        .expect(0);
    place.run(&["verify"]).expect(0);
}

#[test]
fn a_second_nightly_reconcile_makes_few_calls_and_no_write() {
    let place = Place::plume();
    world(&place, 3000);
    let mut text = String::from("customerId,newAccountId\n");
    (0..3000).for_each(|n| writeln!(text, "C-{n},B-{n:06}").unwrap());
    let file = place.file("nightly.csv", &text);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let (calls, patches) = (place.sandbox.log().len(), place.patches());
    let done = place
        .run(&["reconcile", &file, "--yes", "--incremental"])
        .expect(0);
    assert!(done.out.contains("nothing to do"), "{}", done.out);
    assert_eq!(place.patches(), patches);
    assert!(
        place.sandbox.log().len() - calls < 450,
        "{}",
        place.sandbox.log().len() - calls
    );
    place.with_world(|mut world| world.rename_plume("C-7", "DRIFTED"));
    place
        .run(&["reconcile", &file, "--yes", "--max-changes", "5"])
        .expect(0);
    assert_eq!(place.account_of("C-7"), "B-000007");
}

#[test]
fn resume_resolves_a_write_in_doubt_of_a_plan() {
    let place = Place::plume();
    world(&place, 4);
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId,serviceId\nA-000000,B-000000,\nA-000001,B-000001,S-1\nA-000002,A-000003,\nA-000003,A-000002,\n",
    );
    for effect in ["-after", ""] {
        place.run(&["plan", &file]).expect(0);
        let run = place.newest_id();
        // The answer is lost, and so is every answer from then on.
        place.sandbox.set_faults(vec![
            format!("patch:close{effect}:first=1").parse().unwrap(),
            "patch:close:always".parse().unwrap(),
            "read:close:always".parse().unwrap(),
            "search:close:always".parse().unwrap(),
        ]);
        let arguments = ["apply", "--run", &run, "--yes", "--give-up-after", "2s"];
        let done = place.run(&[&arguments[..], &["--concurrency", "1", "--retries", "1"]].concat());
        assert_eq!(done.code, 4, "{}{}", done.out, done.err);
        place.sandbox.set_faults(Vec::new());
        place.run(&["resume"]).expect(0);
        assert!(
            place.verdicts().iter().all(|verdict| verdict == "changed/"),
            "{effect}: {:?}",
            place.verdicts()
        );
        place.judge_writes();
        place.run(&["undo", "--yes"]).expect(0);
        place.sandbox.clear_log();
    }
}

#[test]
fn reconcile_after_a_killed_run_names_the_resume_command() {
    let file = "swap.csv";
    // The step at which a customer has a temporary ID depends on how the ledger groups its writes.
    let killed = (6..20).find_map(|step| {
        let place = Place::plume();
        world(&place, 2);
        let swap = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n";
        place.file(file, swap);
        let mut command = place.command(&["reconcile", file, "--yes", "--quiet"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        assert_eq!(finish(command.spawn().unwrap()).code, -1);
        let is_parked = accounts(&place).values().any(|id| id.starts_with("IDS"));
        is_parked.then_some(place)
    });
    let place = killed.expect("a run that was killed while a customer was parked");
    let run = place.newest_id();
    let next = place.run(&["reconcile", file, "--yes", "--quiet"]);
    assert!(
        next.err.contains(&format!("idshift resume {run}")),
        "{}",
        next.err
    );
    place.run(&["resume", &run]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000001");
    let quiet = place
        .run(&["reconcile", file, "--yes", "--quiet"])
        .expect(0);
    assert!(!quiet.err.contains("killed"), "{}", quiet.err);
    assert_eq!(place.account_of("C-0"), "A-000001");
}

/// Some lines name the customer by its account ID, others by its own ID; only the system can show that they mean the
/// same customer.
#[test]
fn contradictory_lines_naming_one_customer_by_different_ids_fail() {
    let text = "accountId,customerId,newAccountId,locationId,serviceId\n\
        A-000000,,B-000000,,\n\
        ,C-0,D-000000,,\n\
        A-000001,,B-000001,,\n\
        ,C-1,,,S-1\n\
        A-000002,,,,S-2\n\
        ,C-2,,,T-2\n\
        A-000003,,,L-3,S-3\n\
        ,C-3,D-000003,,\n\
        A-000004,,A-000005,,\n\
        A-000005,,A-000004,,\n\
        ,C-5,D-000005,,\n\
        A-000006,C-6,B-000006,,\n\
        ,C-7,B-000007,,\n";
    for (lookup, bulk) in [("each", false), ("bulk", true)] {
        let place = Place::new(idshift::sandbox::Options {
            bulk,
            ..Default::default()
        });
        world(&place, 8);
        let file = place.file("moves.csv", text);
        // Each of these lines is refused because of the other one, swaps and lines of both kinds included.
        let refused = [(2, 3), (3, 2), (6, 7), (7, 6), (10, 12), (11, 12), (12, 11)];
        for arguments in [&["plan", &file][..], &["apply", &file, "--yes"]] {
            place
                .run(&[arguments, &["--lookup", lookup]].concat())
                .expect(1);
            for row in place.rows("results.csv") {
                let line: u32 = row["idshift_line"].parse().unwrap();
                let status = (
                    row["idshift_status"].as_str(),
                    row["idshift_reason"].as_str(),
                );
                let message = &row["idshift_message"];
                let Some((_, other)) = refused.iter().find(|(refused, _)| *refused == line) else {
                    assert!(
                        matches!(status.0, "would_change" | "changed"),
                        "line {line}: {status:?} {message}"
                    );
                    continue;
                };
                assert_eq!(status.0, "failed", "line {line}");
                assert!(
                    status.1 == "blocked" || message.contains(&format!("line {other} also names")),
                    "line {line}: {status:?} {message}"
                );
            }
        }
        let now = accounts(&place);
        for (id, account) in [
            ("C-0", "A-000000"),
            ("C-1", "B-000001"),
            ("C-2", "A-000002"),
            ("C-3", "D-000003"),
            ("C-4", "A-000004"),
            ("C-5", "A-000005"),
            ("C-6", "B-000006"),
            ("C-7", "B-000007"),
        ] {
            assert_eq!(now[id], account, "{id}, {lookup}");
        }
    }
}

/// The rule holds on all three systems, with swaps and a duplicate, with bulk and single look-ups.
#[test]
fn plan_forecast_matches_the_calls_of_its_execution() {
    let place = Place::plume();
    let mut text = String::from("accountId,newAccountId\nA-000001,A-000002\nA-000002,A-000001\n");
    (3..=60).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let swaps = place.file("swaps.csv", &text);
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("A-000001") && !line.starts_with("A-000002"))
        .fold(String::new(), |text, line| text + line + "\n");
    let without = place.file("without.csv", &without);
    for (system, file, more, temporary) in [
        ("plume", &swaps, vec![], 1),
        ("plume", &swaps, vec!["--lookup", "each"], 1),
        ("cloudcockpit", &swaps, vec!["--reseller", "own"], 1),
        (
            "cloudcockpit",
            &swaps,
            vec!["--reseller", "own", "--lookup", "each"],
            1,
        ),
        ("adobe", &without, vec!["--accept-welcome-emails"], 0),
    ] {
        let inside = ["--sandbox", "--json", "--system", system];
        let all = |command: &[&str]| place.run(&[command, &inside, &more].concat());
        let planned = all(&["plan", file]).expect(0).json();
        let forecast = &planned["forecast"];
        assert_eq!(forecast["temporary_writes"], temporary, "{forecast}");
        let run = planned["run"].as_str().unwrap();
        let done = all(&["apply", "--run", run, "--yes"]).expect(0).json();
        // The run's numbers include those of the plan.
        let took = |kind: &str| {
            done["calls"][kind].as_u64().unwrap() - planned["calls"][kind].as_u64().unwrap()
        };
        assert_eq!(forecast["writes"], took("write"), "{system} {more:?}");
        let undone = all(&["undo", run, "--yes"]).expect(0).json();
        let ledger = rusqlite::Connection::open(place.newest().join("ledger.db")).unwrap();
        let estimate: String = ledger
            .query_row("SELECT estimate FROM progress", (), |row| row.get(0))
            .unwrap();
        let estimate: serde_json::Value = serde_json::from_str(&estimate).unwrap();
        assert_eq!(estimate["temporary_writes"], temporary, "{estimate}");
        assert_eq!(estimate["writes"], undone["calls"]["write"], "{estimate}");
        let foreseen = ["find", "read"].map(|kind| forecast[kind].as_u64().unwrap());
        let foreseen: u64 = foreseen.iter().sum();
        let looked = took("find") + took("read");
        assert!(
            foreseen.abs_diff(looked) <= 1,
            "{system} {more:?}: {foreseen} foreseen, {looked} made"
        );
    }
}

#[test]
fn runs_list_and_summary_show_the_same_state_and_counts() {
    let place = Place::plume();
    let file = place.moves(39);
    let agree = |command: &str, state: &str, status: &str, lines: u64| {
        place.run(&["report"]).expect(0);
        let summary = std::fs::read_to_string(place.newest().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        let runs = place.run(&["runs", "--json"]).expect(0).json();
        let run = runs["runs"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&run["command"], &summary["command"]),
            (&command.into(), &command.into())
        );
        assert_eq!(run["state"], state, "{run}");
        assert_eq!(summary["state"], state);
        for (name, number) in run["counts"].as_object().unwrap() {
            assert_eq!(*number, summary["counts"][name], "{name}: {run} {summary}");
            assert_eq!(*number, if name == status { lines } else { 0 }, "{name}");
        }
    };
    place
        .run(&["apply", &file, "--yes", "--max-changes", "1"])
        .expect(4);
    agree("apply", "stopped", "skipped", 39);
    let mut killed = place.command(&["apply", &file, "--yes"]);
    let killed = finish(killed.env("IDSHIFT_CRASH_AT", "1").spawn().unwrap());
    assert_eq!(killed.code, -1);
    agree("apply", "interrupted", "skipped", 39);
    place.run(&["plan", &file]).expect(0);
    agree("plan", "planned", "would_change", 39);
    let run = place.newest_id();
    place.run(&["apply", "--run", &run, "--yes"]).expect(0);
    agree("apply", "finished", "changed", 39);
}

#[test]
fn reported_rate_never_exceeds_the_rate_limit() {
    let place = Place::plume();
    let file = place.moves(40);
    let rate = ["--rate", "100/s", "--quota", "unlimited", "--json"];
    let run = |command: &[&str]| place.run(&[command, &rate].concat()).expect(0).json();
    let told = |document: &serde_json::Value| document["pace"]["achieved_per_s"].as_f64().unwrap();
    run(&["plan", &file]);
    let id = place.newest_id();
    let done = run(&["apply", "--run", &id, "--yes"]);
    // A busy machine makes fewer calls; it never makes more.
    assert!((5.0..=101.0).contains(&told(&done)), "{done}");
    // Calls that were made under the first limit say nothing about another limit.
    let slow = ["undo", &id, "--yes", "--rate", "20/s", "--json"];
    let done = place.run(&slow).expect(0).json();
    assert!(told(&done) <= 20.2, "{done}");
}

#[test]
fn resumed_plan_forecasts_all_lines() {
    let place = Place::plume();
    let file = place.moves(100);
    let mut plan = place.command(&["plan", &file, "--lookup", "each", "--rate", "200/s"]);
    let killed = finish(plan.env("IDSHIFT_CRASH_AT", "20").spawn().unwrap());
    assert_eq!(killed.code, -1);
    let done = place.run(&["resume", "--json"]).expect(0).json();
    assert_eq!(done["counts"]["would_change"], 100, "{done}");
    assert_eq!(done["forecast"]["writes"], 100, "{done}");
}

/// Lines that concern one customer: one changes the account ID, another one the location.
const TWO_LINES: &str = "accountId,customerId,newAccountId,locationId,serviceId,profile\n\
                         A-000001,,NEW-100001,,,\nA-000002,,,L-2,S-2,\nA-000000,,NEW-100000,,,\n\
                         ,C-1,,L-1,S-1,\n,C-2,,L-2,,smallbusiness\n";

#[test]
fn verify_compares_with_the_final_state_of_each_customer() {
    let place = Place::plume();
    world(&place, 3);
    let file = place.file("m.csv", TWO_LINES);
    for options in [&["--concurrency", "1"][..], &["--canary", "5"]] {
        place
            .run(&[&["apply", file.as_str(), "--yes"], options].concat())
            .expect(0);
        let done = place.run(&["verify"]);
        assert_eq!(done.code, 0, "{options:?}: {}{}", done.out, done.err);
        place.run(&["undo", "--yes"]).expect(0);
    }
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| {
        world.rename_plume("C-1", "ELSEWHERE");
        let location = &mut world.plume.get_mut("C-2").unwrap().locations[0];
        location.profile = "auto".into();
    });
    let done = place.run(&["verify"]).expect(3);
    for words in [
        "customer C-1: account ID is ELSEWHERE, the run left NEW-100001",
        "customer C-2: profile is auto, the run left smallbusiness",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
}

#[test]
fn canary_uses_the_same_checks_as_verify() {
    // If customers cannot be read one by one, the search and the location's own URL are used.
    let place = Place::plume();
    let file = place.moves(6);
    place
        .sandbox
        .set_faults(vec!["read:403:always".parse().unwrap()]);
    place
        .run(&["apply", &file, "--yes", "--canary", "3"])
        .expect(0);
    place.run(&["verify"]).expect(0);
    place.sandbox.set_faults(Vec::new());
    // Both also check profiles.
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = String::from_utf8(asked.honestly(&honest)).unwrap();
        let answer = if asked.method == "GET" {
            // It is as long as the true value, so that the content length stays right.
            answer.replace("\"smallbusiness\"", "\"auto\"         ")
        } else {
            answer
        };
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let file = place.file(
        "p.csv",
        "accountId,locationId,profile\nB-000000,L-0,smallbusiness\nB-000001,L-1,smallbusiness\n",
    );
    let mut command = place.command(&["apply", &file, "--yes", "--canary", "1"]);
    command.env("IDSHIFT_BASE_URL", front.base_url());
    let done = finish(command.spawn().unwrap()).expect(4);
    let words = "profile is auto, the run left smallbusiness";
    assert!([done.out, done.err].concat().contains(words));
}

#[test]
fn verify_counts_the_unfinished_lines_of_a_killed_run() {
    let place = Place::plume();
    let file = place.moves(100);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "2"]);
    assert_eq!(
        crate::support::finish(command.env("IDSHIFT_CRASH_AT", "40").spawn().unwrap()).code,
        -1
    );
    let done = place.run(&["verify", "--json"]).expect(4).json();
    assert_eq!(done["exit_code"], 4);
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let left = number(&done["unfinished"]["not_done"]);
    assert!(left > 50, "{done}");
    let doubted = number(&done["unfinished"]["in_doubt"]);
    assert_eq!(number(&done["checked"]) + left + doubted, 100, "{done}");
    // The list of runs shows the same numbers.
    let runs = place.run(&["runs", "--json"]).expect(0).json();
    let counts = &runs["runs"][0]["counts"];
    assert_eq!(number(&counts["in_doubt"]), doubted, "{runs}");
    assert_eq!(number(&counts["skipped"]), left, "{runs}");
    let done = place.run(&["verify"]).expect(4);
    assert!(done.out.contains("have no final outcome"), "{}", done.out);
    assert!(done.out.contains("idshift resume"), "{}", done.out);
    assert!(!done.out.contains("all "), "{}", done.out);
    place.run(&["resume"]).expect(0);
    let done = place.run(&["verify"]).expect(0);
    assert!(done.out.contains("all 100 lines"), "{}", done.out);
}

#[test]
fn verify_reports_why_it_waits() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place
        .sandbox
        .set_faults(vec!["any:429=3:nth=1".parse().unwrap()]);
    let done = place.run(&["verify"]).expect(0);
    assert!(done.err.contains("verify: 429"), "{}", done.err);
}

#[test]
fn verify_reports_unreadable_customers_and_checks_the_rest() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-3", "ELSEWHERE"));
    let faults = [
        "bulk:403",
        "read:403:about=C-1",
        "search:403:about=B-000001",
    ];
    let faults = faults.map(|fault| fault.parse().unwrap());
    place.sandbox.set_faults(faults.to_vec());
    let done = place.run(&["verify"]).expect(3);
    for words in [
        "customer C-1: customer is unreadable",
        "customer C-3: account ID is ELSEWHERE",
    ] {
        assert!(
            done.out.contains(words),
            "{words}: {}{}",
            done.out,
            done.err
        );
    }
}
