use crate::support::{Asked, Done, Front, Place, finish, named};
use std::io::Write as _;
use std::net::TcpStream;

const HEAD: &str = "accountId,newAccountId\n";
const SWAP: &str = "A-0,A-1\nA-1,A-0\n";
const CHAIN: &str = "A-0,A-1\nA-1,B-1\n";

/// Makes customers C-0, C-1, … with the account IDs A-0, A-1, …
fn people(customers: u32) -> Place {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..customers {
            let location = format!("L-{n}");
            world.add_plume(named(&format!("C-{n}"), &format!("A-{n}"), &[&location]));
        }
    });
    place
}

fn accounts(place: &Place, customers: u32) -> Vec<String> {
    let ids = 0..customers;
    ids.map(|n| place.account_of(&format!("C-{n}"))).collect()
}

fn apply(place: &Place, name: &str, lines: &str) -> Done {
    let file = place.file(name, &format!("{HEAD}{lines}"));
    place.run(&["apply", &file, "--yes"])
}

fn refuse_writes(place: &Place, fault: &str) {
    place.sandbox.set_faults(vec![fault.parse().unwrap()]);
}

/// In another file, IDs that moved between customers do not matter, but recognised lines do.
#[test]
fn corrected_line_in_another_file_does_not_rename_another_customer() {
    for lines in [CHAIN, SWAP] {
        let place = people(2);
        apply(&place, "moves.csv", lines).expect(0);
        let moved = accounts(&place, 2);
        apply(&place, "other.csv", "A-0,A-1\nA-1,D-1\n").expect(1);
        assert_eq!(place.verdicts(), ["unchanged/already", "failed/mismatch"]);
        assert_eq!(accounts(&place, 2), moved);
    }
}

/// Two lines have the same account ID, and one of them names another customer than an earlier run found for this ID.
#[test]
fn line_naming_another_customer_does_not_write_to_the_earlier_one() {
    let place = people(2);
    let head = "accountId,newAccountId,customerId,serviceId\n";
    let chain = "A-0,A-1,,\nA-1,B-1,,\n";
    let file = place.file("moves.csv", &format!("{head}{chain}"));
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.file("moves.csv", &format!("{head}{chain}A-1,,C-0,S-0\n"));
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.service_of("C-1"), "old");
}

/// A line without a new account ID refers to the customer that has its ID now.
#[test]
fn line_without_a_rename_refers_to_the_current_owner_of_the_id() {
    let place = people(2);
    apply(&place, "moves.csv", CHAIN).expect(0);
    place.file("moves.csv", "accountId,serviceId\nA-1,S-1\n");
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    assert_eq!(
        [place.service_of("C-0"), place.service_of("C-1")],
        ["S-1", "old"]
    );
}

/// An ID that went back, or that another program gave to a third customer, does not count as moved between customers.
#[test]
fn id_that_moved_back_or_was_moved_by_another_client_is_looked_up_again() {
    let place = people(2);
    apply(&place, "moves.csv", CHAIN).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    apply(&place, "moves.csv", "A-0,A-1\nA-1,D-1\n").expect(0);
    assert_eq!(accounts(&place, 2), ["A-1", "D-1"]);
    // The IDs are given back by lines that name their customers.
    let text = "customerId,accountId,newAccountId\nC-0,,A-0\nC-1,,A-1\n";
    place.file("moves.csv", text);
    for _ in 0..2 {
        // The second line depends on the first.
        place.run(&["apply", "moves.csv", "--yes"]);
    }
    assert_eq!(accounts(&place, 2), ["A-0", "A-1"]);
    apply(&place, "moves.csv", "A-1,E-1\n").expect(0);
    assert_eq!(accounts(&place, 2), ["A-0", "E-1"]);
    // Another client gave the ID to another customer.
    let place = people(2);
    apply(&place, "moves.csv", CHAIN).expect(0);
    place.with_world(|mut world| {
        world.rename_plume("C-0", "X-0");
        world.add_plume(named("C-9", "A-1", &["L-9"]));
    });
    apply(&place, "moves.csv", "A-1,E-1\n").expect(0);
    assert_eq!(place.account_of("C-9"), "E-1");
}

/// The customer is gone, and another one has its old account ID.
#[test]
fn new_owner_of_the_old_id_of_a_deleted_customer_is_not_renamed() {
    for lines in [SWAP, CHAIN] {
        let place = people(2);
        apply(&place, "moves.csv", lines).expect(0);
        place.with_world(|mut world| {
            world.plume.remove("C-1");
            if lines == CHAIN {
                world.rename_plume("C-0", "X-0");
            } else {
                world.rename_plume("C-0", "A-9");
                world.add_plume(named("C-8", "A-0", &["L-8"]));
            }
            world.add_plume(named("C-9", "A-1", &["L-9"]));
        });
        apply(&place, "moves.csv", lines).expect(1);
        assert_eq!(place.verdicts()[1], "failed/mismatch");
        assert_eq!(place.account_of("C-9"), "A-1");
    }
}

/// The file is applied again instead of a `resume`, at each step at which its first run was killed.
#[test]
fn file_applied_again_after_a_kill_does_not_move_customers_twice() {
    for lines in [SWAP, CHAIN] {
        for step in 1..30 {
            let place = people(2);
            let file = place.file("moves.csv", &format!("{HEAD}{lines}"));
            let mut command = place.command(&["apply", &file, "--yes"]);
            command.env("IDSHIFT_CRASH_AT", step.to_string());
            if finish(command.spawn().unwrap()).code != -1 {
                assert!(step > 6);
                break;
            }
            let killed = accounts(&place, 2);
            let is_parked = |id: &String| id.starts_with("IDS");
            let parked = killed.iter().position(is_parked);
            let next = place.run(&["apply", &file, "--yes"]);
            let after = accounts(&place, 2);
            let Some(parked) = parked else {
                next.expect(0);
                let goal = ["A-1", if lines == SWAP { "A-0" } else { "B-1" }];
                assert_eq!(after, goal, "{step}: {killed:?}");
                continue;
            };
            let other = 1 - parked;
            assert_eq!(after[parked], killed[parked]);
            let is_moved = killed[other] == ["A-0", "A-1"][parked];
            let is_back = after[other] == ["A-0", "A-1"][other];
            assert!(!is_moved || !is_back, "{step}: moved back");
        }
    }
}

/// A parked customer of a killed run is recognised even if the system spells its temporary ID in its own way.
#[test]
fn temporary_id_in_another_spelling_is_recognised_by_customer_id() {
    let killed = (6..20).find_map(|step| {
        let place = people(2);
        let file = place.file("moves.csv", &format!("{HEAD}{SWAP}"));
        let mut command = place.command(&["apply", &file, "--yes"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        assert_eq!(finish(command.spawn().unwrap()).code, -1);
        let parked = accounts(&place, 2);
        let parked = parked.iter().position(|id| id.starts_with("IDS"))?;
        Some((place, format!("C-{parked}")))
    });
    let (place, id) = killed.expect("a run that was killed while a customer was parked");
    let spelt = place.account_of(&id).to_ascii_lowercase();
    place.with_world(|mut world| world.rename_plume(&id, &spelt));
    let text = format!("customerId,newAccountId\n{id},Z-0\n");
    let other = place.file("other.csv", &text);
    place.run(&["apply", &other, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/mismatch"]);
    assert_eq!(place.account_of(&id), spelt);
}

/// At whatever step a run was killed, its undo restores everything, or says that the run must be resumed first.
#[test]
fn undo_of_a_killed_run_restores_all_or_requires_resume() {
    let mut refused = 0;
    for step in 1..30 {
        let place = people(2);
        let file = place.file("moves.csv", &format!("{HEAD}{SWAP}"));
        let mut command = place.command(&["apply", &file, "--yes"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        if finish(command.spawn().unwrap()).code != -1 {
            break;
        }
        let undone = place.run(&["undo", "--yes"]);
        if undone.code == 2 {
            refused += u32::from(undone.err.contains("idshift resume"));
        } else {
            assert_eq!(accounts(&place, 2), ["A-0", "A-1"], "{step}");
        }
    }
    assert!(refused > 0);
}

/// A line of a report was edited to name another customer, for which a second line has another request.
#[test]
fn edited_report_line_belongs_to_the_customer_that_it_names() {
    let place = people(3);
    refuse_writes(&place, "customer-patch:403");
    let text = "customerId,accountId,newAccountId\n,A-0,B-0\n,A-1,B-1\n";
    let file = place.file("moves.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(1);
    place.sandbox.set_faults(Vec::new());
    let failures = place.newest().join("failures.csv");
    let text = std::fs::read_to_string(failures).unwrap();
    let text = text.replace(r#""","A-0","B-0""#, r#""C-2","","B-0""#);
    // The other line was never carried out.
    let text = text
        .replace("\"A-1\"", "\"A-2\"")
        .replace("\"C-1\"", "\"\"");
    let again = place.file("again.csv", &text);
    place.run(&["apply", &again, "--yes"]).expect(1);
    assert_eq!(place.account_of("C-2"), "A-2", "{text}");
}

/// The customer that a report names overrides what a newer run of other lines found.
#[test]
fn report_lines_refer_to_the_customers_found_by_their_own_run() {
    let place = people(4);
    refuse_writes(&place, "customer-patch:403");
    apply(&place, "moves.csv", SWAP).expect(1);
    place.sandbox.set_faults(Vec::new());
    let failures = place.newest().join("failures.csv");
    place.with_world(|mut world| {
        world.rename_plume("C-0", "X-0");
        world.rename_plume("C-1", "X-1");
        world.rename_plume("C-2", "A-0");
        world.rename_plume("C-3", "A-1");
    });
    apply(&place, "other.csv", SWAP).expect(0);
    let failures = failures.to_str().unwrap();
    place.run(&["apply", failures, "--yes"]).expect(1);
    assert_eq!(accounts(&place, 4), ["X-0", "X-1", "A-1", "A-0"]);
    assert_eq!(place.verdicts(), ["failed/mismatch"; 2]);
}

/// A failed line was applied to no customer, so it is looked up again.
#[test]
fn refused_swap_is_retried_for_the_current_owners_of_the_ids() {
    let place = people(4);
    refuse_writes(&place, "customer-patch:403");
    apply(&place, "moves.csv", SWAP).expect(1);
    place.sandbox.set_faults(Vec::new());
    place.with_world(|mut world| {
        world.rename_plume("C-0", "X-0");
        world.rename_plume("C-2", "A-0");
    });
    apply(&place, "moves.csv", SWAP).expect(0);
    assert_eq!(accounts(&place, 3), ["X-0", "A-0", "A-1"]);
}

/// The run that made the swap is gone, and a later run has found the swap in place.
#[test]
fn swap_found_in_place_by_a_later_run_is_not_repeated() {
    // The later run writes something, or nothing.
    for more in ["", "A-2,B-2\n"] {
        let place = people(3);
        apply(&place, "moves.csv", SWAP).expect(0);
        let gone = place.newest();
        apply(&place, "moves.csv", &format!("{SWAP}{more}")).expect(0);
        std::fs::remove_dir_all(gone).unwrap();
        place.run(&["runs", "forget", "--gone"]).expect(0);
        apply(&place, "moves.csv", SWAP).expect(0);
        assert_eq!(accounts(&place, 2), ["A-1", "A-0"]);
    }
}

/// The same on a system where an account ID may have several customers.
#[test]
fn adobe_chain_found_in_place_by_a_later_run_is_not_repeated() {
    let place = Place::adobe(4);
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "k"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    let chain = "REF-1,REF-2\nREF-2,REF-X\n";
    let apply = |lines: &str| {
        let file = place.file("chain.csv", &format!("{HEAD}{lines}"));
        let done = place.run_with(&settings, &["apply", &file, "--yes"]);
        done.expect(0);
    };
    let reference = |id: &str| {
        place.with_world(|world| world.adobe[id].body["externalReferenceId"].to_string())
    };
    apply(chain);
    let gone = place.newest();
    apply(&format!("{chain}REF-3,NEW-3\n"));
    std::fs::remove_dir_all(gone).unwrap();
    place.run(&["runs", "forget", "--gone"]).expect(0);
    apply(chain);
    assert_eq!(reference("P1"), "\"REF-2\"");
    assert_eq!(reference("P2"), "\"REF-X\"");
}

/// The run that made the chain is gone, and no other run knows its lines.
#[test]
fn adobe_chain_is_refused_when_its_run_is_lost() {
    let place = Place::adobe(3);
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "k"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    let file = place.file("chain.csv", &format!("{HEAD}REF-1,REF-2\nREF-2,REF-X\n"));
    let apply = ["apply", &file, "--yes"];
    place.run_with(&settings, &apply).expect(0);
    std::fs::remove_dir_all(place.newest()).unwrap();
    let refused = place.run_with(&settings, &apply).expect(2);
    assert!(refused.err.contains("second time"), "{}", refused.err);
}

/// No customer has the old account ID, and one has the new ID that another client gave it.
#[test]
fn line_is_unchanged_if_its_old_id_is_gone_and_its_new_id_exists() {
    let place = people(1);
    apply(&place, "moves.csv", "A-0,B-0\n").expect(0);
    place.with_world(|mut world| {
        world.rename_plume("C-0", "X-0");
        world.add_plume(named("C-9", "B-0", &["L-9"]));
    });
    apply(&place, "moves.csv", "A-0,B-0\n").expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
}

/// The plan found the customer; the move of another line's customer does not matter.
#[test]
fn planned_line_is_applied_when_the_customer_of_another_line_moved() {
    let place = people(2);
    let text = "customerId,accountId,newAccountId\nC-1,,D-1\n,A-0,A-1\n";
    let file = place.file("moves.csv", text);
    place.run(&["plan", &file]);
    let plan = place.newest_id();
    place.with_world(|mut world| world.rename_plume("C-0", "X-0"));
    place.run(&["apply", "--run", &plan, "--yes"]).expect(1);
    assert_eq!(place.verdicts()[0], "changed/");
    assert_eq!(accounts(&place, 2), ["X-0", "D-1"]);
}

/// A lost run stops only chains and swaps, and only if it may have renamed customers.
#[test]
fn lost_run_stops_only_changes_that_might_be_repeated() {
    let place = people(4);
    place.file("services.csv", "accountId,serviceId\nA-0,S-0\n");
    place.run(&["apply", "services.csv", "--yes"]).expect(0);
    std::fs::remove_dir_all(place.newest()).unwrap();
    apply(&place, "swap.csv", SWAP).expect(0);
    std::fs::remove_dir_all(place.newest()).unwrap();
    apply(&place, "other.csv", "A-2,A-3\nA-3,A-2\n").expect(2);
    // Two lines of one customer are no chain.
    let text = "accountId,newAccountId,serviceId\nA-2,B-2,\nA-2,,S-2\n";
    let file = place.file("two.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    // Lines without a new account ID are safe, if the lines that rename name their customers.
    let text = "accountId,customerId,newAccountId,serviceId\n\
                A-1,C-0,A-0,\nA-0,C-1,A-1,\nA-1,,,S-1\n";
    let file = place.file("named.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 2), ["A-0", "A-1"]);
}

/// No run repeats lines that an earlier run knows, whichever other run is lost.
#[test]
fn lost_run_does_not_stop_lines_known_from_another_run() {
    let place = people(3);
    apply(&place, "swap.csv", SWAP).expect(0);
    apply(&place, "other.csv", "A-2,B-2\n").expect(0);
    let runs = std::fs::read_dir(place.path().join("idshift-runs")).unwrap();
    let runs = runs.map(|run| run.unwrap().path());
    std::fs::remove_dir_all(runs.max().unwrap()).unwrap();
    apply(&place, "swap.csv", SWAP).expect(0);
    assert_eq!(accounts(&place, 2), ["A-1", "A-0"]);
}

/// A shard that was only planned, or that belongs to another file, stops no other shard.
#[test]
fn shard_without_applied_lines_of_the_file_does_not_block_the_file() {
    let place = people(4);
    let file = place.file("moves.csv", &format!("{HEAD}{SWAP}A-2,B-2\n"));
    let other = place.file("other.csv", &format!("{HEAD}A-3,B-3\n"));
    for shard in ["1/2", "2/2"] {
        place.run(&["plan", &file, "--shard", shard]).expect(0);
        place
            .run(&["apply", &other, "--yes", "--shard", shard])
            .expect(0);
    }
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 4), ["A-1", "A-0", "B-2", "B-3"]);
}

/// A copy of the file is the same file: another machine may have carried out the swap in its own shard.
#[test]
fn copy_of_a_file_is_recognised_after_a_shard_was_applied() {
    let mut refused = 0;
    for shard in ["1/2", "2/2"] {
        let place = people(3);
        let text = format!("{HEAD}{SWAP}A-2,B-2\n");
        let file = place.file("moves.csv", &text);
        place
            .run(&["apply", &file, "--yes", "--shard", shard])
            .expect(0);
        let before = accounts(&place, 2);
        let copy = place.file("copy.csv", &text);
        let done = place.run(&["apply", &copy, "--yes"]);
        refused += u32::from(done.code == 2);
        assert_eq!(accounts(&place, 2), before, "{}{}", done.out, done.err);
    }
    assert!(refused > 0);
}

/// Failures belong to the file that they come from, even if their customers were not found.
#[test]
fn failures_file_with_an_unknown_customer_renames_no_other_customer() {
    let place = people(2);
    apply(&place, "moves.csv", CHAIN).expect(0);
    apply(&place, "moves.csv", "A-1,D-1\n").expect(1);
    let failures = place.newest().join("failures.csv");
    let failures = failures.to_str().unwrap();
    place.run(&["apply", failures, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/mismatch"]);
    assert_eq!(accounts(&place, 2), ["A-1", "B-1"]);
}

/// A report is compared with the input of the run that its folder belongs to.
#[test]
fn report_in_another_runs_dir_is_compared_with_its_input() {
    let place = people(1);
    place.with_world(|mut world| world.add_plume(named("C-7", "0077", &["L-7"])));
    refuse_writes(&place, "customer-patch:403");
    let file = place.file("moves.csv", &format!("{HEAD}0077,0078\nA-0,B-0\n"));
    let there = ["apply", &file, "--yes", "--runs-dir", "others"];
    place.run(&there).expect(1);
    place.sandbox.set_faults(Vec::new());
    let runs = std::fs::read_dir(place.path().join("others")).unwrap();
    let run = runs.map(|run| run.unwrap().path()).max().unwrap();
    let failures = run.join("failures.csv");
    let text = std::fs::read_to_string(&failures).unwrap();
    std::fs::write(&failures, text.replace("0078", "78")).unwrap();
    let refused = place.run(&["apply", failures.to_str().unwrap(), "--yes"]);
    assert!(refused.err.contains("spreadsheet"), "{}", refused.err);
    refused.expect(2);
}

/// An undo carries out no line of a file, so no line has asked for the values that it restored.
#[test]
fn value_restored_by_undo_does_not_count_as_applied_by_a_line() {
    let place = people(1);
    apply(&place, "moves.csv", "A-0,B-0\n").expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    place.with_world(|mut world| world.add_plume(named("C-9", "B-0", &["L-9"])));
    apply(&place, "back.csv", "B-0,A-0\n").expect(1);
    assert_eq!(place.verdicts(), ["failed/conflict"]);
}

/// Only the register still names a customer of this run at another address.
#[test]
fn lost_run_at_another_address_still_prevents_a_repeated_swap() {
    let place = people(2);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let there = [("BASE_URL", &*front.base_url())];
    let file = place.file("moves.csv", &format!("{HEAD}{SWAP}"));
    place.run_with(&there, &["apply", &file, "--yes"]).expect(0);
    std::fs::remove_dir_all(place.newest()).unwrap();
    place.run(&["apply", &file, "--yes"]).expect(2);
    assert_eq!(accounts(&place, 2), ["A-1", "A-0"]);
}
