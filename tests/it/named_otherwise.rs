use crate::support::{Place, named};

/// Makes customers `C-0` to `C-3` with the account IDs `A-0` to `A-3`.
fn people() -> Place {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..4 {
            let location = format!("L-{n}");
            world.add_plume(named(&format!("C-{n}"), &format!("A-{n}"), &[&location]));
        }
    });
    place
}

fn accounts(place: &Place) -> Vec<String> {
    let ids = 0..4;
    ids.map(|n| place.account_of(&format!("C-{n}"))).collect()
}

/// Which customers get which account ID.
const SWAP: &[(u8, &str)] = &[(0, "A-1"), (1, "A-0")];
const RING: &[(u8, &str)] = &[(0, "A-1"), (1, "A-2"), (2, "A-0")];
const CHAIN: &[(u8, &str)] = &[(0, "A-1"), (1, "A-2"), (2, "B-2")];

/// Returns a file with these changes, in these columns.
fn file(columns: &str, changes: &[(u8, &str)]) -> String {
    let mut text = format!("{columns}\n");
    for (n, new) in changes {
        let cells = columns.split(',').map(|column| match column {
            "accountId" => format!("A-{n}"),
            "customerId" => format!("C-{n}"),
            "locationId" => format!("L-{n}"),
            "serviceId" => format!("S-{n}"),
            _ => (*new).to_owned(),
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

const COLUMNS: [&str; 4] = [
    "accountId,newAccountId",
    "accountId,customerId,newAccountId",
    "customerId,accountId,newAccountId,locationId,serviceId",
    "accountId,newAccountId,locationId,serviceId",
];

#[test]
fn changes_are_not_repeated_when_customer_id_column_is_added_or_removed() {
    // The second file replaces the first one, or has another name.
    let files = [
        (SWAP, "moves.csv"),
        (SWAP, "other.csv"),
        (RING, "moves.csv"),
        (CHAIN, "other.csv"),
    ];
    for (changes, name) in files {
        for first in COLUMNS {
            let names_customers = |columns: &str| columns.contains("customerId");
            let others = COLUMNS.into_iter();
            for second in others.filter(|other| names_customers(other) != names_customers(first)) {
                let place = people();
                let before = place.file("moves.csv", &file(first, changes));
                place.run(&["apply", &before, "--yes"]).expect(0);
                let made = accounts(&place);
                let again = place.file(name, &file(second, changes));
                let done = place.run(&["apply", &again, "--yes"]);
                let told = format!("{first}, then {second} in {name}: {}", done.out);
                assert_eq!(done.code, 0, "{told}");
                assert_eq!(accounts(&place), made, "{told}");
                let verdicts = place.verdicts();
                let sets_services = second.contains("serviceId") && !first.contains("serviceId");
                let expected = if sets_services {
                    "changed/"
                } else {
                    "unchanged/already"
                };
                assert!(verdicts.iter().all(|one| one == expected), "{told}");
            }
        }
    }
}

/// The named customer is another one than the earlier run wrote to, or has got another ID since.
#[test]
fn customer_id_in_a_line_takes_precedence_over_earlier_runs() {
    let place = people();
    let moves = place.file("moves.csv", &file(COLUMNS[0], SWAP));
    place.run(&["apply", &moves, "--yes"]).expect(0);
    let crossed = "accountId,customerId,newAccountId\nA-0,C-1,A-1\nA-1,C-0,A-0\n";
    let crossed = place.file("crossed.csv", crossed);
    place.run(&["apply", &crossed, "--yes"]).expect(0);
    assert_eq!(accounts(&place)[..2], ["A-0", "A-1"]);
    place.run(&["apply", &moves, "--yes"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-0", "ELSEWHERE"));
    let named = place.file("named.csv", &file(COLUMNS[1], SWAP));
    place.run(&["apply", &named, "--yes"]).expect(1);
    assert_eq!(accounts(&place)[..2], ["ELSEWHERE", "A-0"]);
}
