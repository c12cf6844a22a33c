use crate::support::{Place, finish};
use std::fmt::Write;

fn upper(text: &str) -> String {
    text.to_uppercase()
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn without_separators(text: &str) -> String {
    text.replace(['-', ' '], "")
}

fn without_zeros(text: &str) -> String {
    text.trim_start_matches('0').to_owned()
}

fn cut(text: &str) -> String {
    text.chars().take(9).collect()
}

const SYSTEMS_OWN: [(&str, fn(&str) -> String); 5] = [
    ("upper case", upper),
    ("lower case", lower),
    ("separators dropped", without_separators),
    ("zeros dropped", without_zeros),
    ("cut", cut),
];

/// Writes a file with renames that each of the systems above stores in another spelling.
fn renames(place: &Place, lines: u32) -> String {
    place.moves(lines);
    let mut text = String::from("accountId,newAccountId\n");
    (0..lines).for_each(|n| writeln!(text, "A-{n:06},{:06}-New", n + 1).unwrap());
    place.file("renames.csv", &text)
}

#[test]
fn run_stops_if_system_alters_ids_and_undo_restores_them() {
    for (name, stores) in SYSTEMS_OWN {
        let place = Place::plume();
        let file = renames(&place, 60);
        place.with_world(|mut world| world.stores = Some(stores));
        let done = place
            .run(&["apply", &file, "--yes", "--concurrency", "1", "--json"])
            .expect(4);
        let reasons = done.json();
        assert_eq!(reasons["counts"]["changed"], 0, "{name}: {reasons}");
        let verdicts = place.verdicts();
        let altered = verdicts.iter().filter(|one| *one == "failed/altered");
        assert_eq!(altered.count(), 5, "{name}: {verdicts:?}");
        assert_eq!(place.patches(), 5, "{name}");
        let row = &place.rows("results.csv")[0];
        assert_eq!(row["idshift_account_id_before"], "A-000000", "{name}");
        assert_eq!(
            row["idshift_account_id_after"],
            place.account_of("C-0"),
            "{name}"
        );
        let found = place.run(&["verify", "--json"]).expect(3).json();
        assert_eq!(
            found["differences"].as_array().unwrap().len(),
            5,
            "{name}: {found}"
        );
        place.with_world(|mut world| world.stores = None);
        place.run(&["undo", "--yes"]).expect(0);
        for n in 0..60 {
            assert_eq!(
                place.account_of(&format!("C-{n}")),
                format!("A-{n:06}"),
                "{name}"
            );
        }
    }
}

#[test]
fn altered_values_do_not_increase_the_number_of_writes_in_flight() {
    let place = Place::plume();
    let file = renames(&place, 60);
    place.with_world(|mut world| world.stores = Some(upper));
    place
        .run(&["apply", &file, "--yes", "--concurrency", "32"])
        .expect(4);
    // Further writes may be sent before the fifth is counted.
    assert!((5..=7).contains(&place.patches()), "{}", place.patches());
}

#[test]
fn service_id_stored_in_another_spelling_is_reported_and_undone() {
    let place = Place::plume();
    place.moves(1);
    place.with_world(|mut world| world.stores = Some(upper));
    let file = place.file(
        "services.csv",
        "accountId,serviceId\nA-000000,new-service\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/altered"]);
    assert_eq!(place.service_of("C-0"), "NEW-SERVICE");
    place.run(&["verify"]).expect(3);
    place.with_world(|mut world| world.stores = None);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.service_of("C-0"), "old");
}

/// The rule also holds if the process is killed at any step, and with writes in doubt.
#[test]
fn no_customer_keeps_a_temporary_id_if_the_system_alters_ids() {
    for (name, stores) in SYSTEMS_OWN {
        let mut was_killed = false;
        for step in [0, 3, 5, 7, 9, 11, 13] {
            let place = Place::plume();
            place.moves(3);
            // The system stores the swapped IDs unchanged, and only the temporary ID in another spelling.
            place.with_world(|mut world| {
                world.stores = Some(stores);
                for n in 0..3 {
                    world.rename_plume(&format!("C-{n}"), &stores(&format!("Acc-{n}00000")));
                }
            });
            let [a, b, c] = [0, 1, 2].map(|n| place.account_of(&format!("C-{n}")));
            let file = place.file(
                "ring.csv",
                &format!("accountId,newAccountId\n{a},{b}\n{b},{c}\n{c},{a}\n"),
            );
            let mut command = place.command(&["apply", &file, "--yes"]);
            if step > 0 {
                command.env("IDSHIFT_CRASH_AT", step.to_string());
            }
            let done = finish(command.spawn().unwrap());
            if step == 0 {
                done.expect(0);
            } else {
                was_killed |= done.code == -1;
                let id = place.newest_id();
                if done.code == -1 {
                    let resumed = place.run(&["resume", &id]);
                    assert!(
                        [0, 2].contains(&resumed.code),
                        "{name} {step}: {}",
                        resumed.err
                    );
                }
            }
            let now = [0, 1, 2].map(|n| place.account_of(&format!("C-{n}")));
            let all = [
                [b.clone(), c.clone(), a.clone()],
                [a.clone(), b.clone(), c.clone()],
            ];
            assert!(all.contains(&now), "{name} {step}: {now:?}");
            place.judge_writes();
        }
        assert!(was_killed, "{name}");
    }
}
