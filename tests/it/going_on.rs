use crate::support::{Done, Place, finish};

/// A run of two hundred lines that was stopped after some of them.
fn stopped(more: &[&str]) -> (Place, String) {
    let place = Place::plume();
    let file = place.moves(200);
    let arguments = ["apply", &file, "--yes", "--rate", "50/s", "--until", "1s"];
    place.run(&[&arguments, more].concat()).expect(4);
    let id = place.newest_id();
    let written = place.patches();
    assert!((1..190).contains(&written), "{written} of 200");
    (place, id)
}

fn all_moved(place: &Place) {
    assert_eq!(place.patches(), 200, "each once");
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
}

#[test]
fn a_limit_that_comes_too_late_is_refused_and_no_line_is_lost() {
    let (place, id) = stopped(&[]);
    let written = place.patches();
    let late = place.run(&["resume", &id, "--max-changes", "5%"]).expect(2);
    assert!(late.err.contains("too late to count"), "{}", late.err);
    assert_eq!(place.patches(), written);
    place.run(&["resume", &id]).expect(0);
    all_moved(&place);
}

#[test]
fn a_limit_that_was_kept_to_from_the_beginning_is_kept_on_the_way() {
    let (place, id) = stopped(&["--max-changes", "100%"]);
    place.run(&["resume", &id]).expect(0);
    all_moved(&place);
}

#[test]
fn a_variable_does_not_carry_a_run_to_another_system() {
    let (place, id) = stopped(&[]);
    place.run(&["resume", &id]).expect(0);
    let elsewhere = Place::plume();
    elsewhere.moves(200);
    let (here, there) = (place.sandbox.base_url(), elsewhere.sandbox.base_url());
    for arguments in [
        &["undo", &id, "--yes"][..],
        &["resume", &id],
        &["verify", &id],
    ] {
        let mut command = place.command(arguments);
        let child = command.env("IDSHIFT_BASE_URL", &there).spawn().unwrap();
        let done = finish(child).expect(2);
        for word in ["IDSHIFT_BASE_URL", &here, &there] {
            assert!(done.err.contains(word), "{arguments:?}: {}", done.err);
        }
    }
    assert!(elsewhere.sandbox.log().is_empty(), "nothing was sent there");
    // Typed, it is meant.
    place.run(&["verify", &id, "--base-url", &there]).expect(3);
    assert!(!elsewhere.sandbox.log().is_empty());
}

fn accounts(place: &Place, customers: u32) -> Vec<String> {
    (0..customers)
        .map(|n| place.account_of(&format!("C-{n}")))
        .collect()
}

const SWAP: &str =
    "accountId,newAccountId\nA-000003,B-000003\nA-000000,A-000001\nA-000001,A-000000\n";

/// The swap is in its place, and stays there.
fn stays_swapped(place: &Place, file: &str, verdicts: &[&str]) {
    place.run(&["apply", file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), verdicts);
    assert_eq!(accounts(place, 2), ["A-000001", "A-000000"]);
}

#[test]
fn a_swap_is_not_made_twice_whatever_came_in_between() {
    let place = Place::plume();
    place.moves(5);
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    // A plain line drifts, and a run that mends it is stopped before it comes to the swap.
    place.with_world(|mut world| world.rename_plume("C-3", "A-000003"));
    place.sandbox.set_faults(
        [
            "read:503:always",
            "search:503:about=A-000000",
            "search:503:about=A-000001",
        ]
        .map(|fault| fault.parse().unwrap())
        .to_vec(),
    );
    let written = place.patches();
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--lookup",
            "each",
            "--concurrency",
            "1",
            "--retries",
            "0",
        ])
        .expect(1);
    assert_eq!(place.verdicts()[0], "changed/");
    assert_eq!(place.patches(), written + 1);
    place.with_world(|mut world| world.rename_plume("C-3", "A-000003"));
    place.sandbox.set_faults(Vec::new());
    stays_swapped(
        &place,
        &file,
        &["changed/", "unchanged/already", "unchanged/already"],
    );
    // Nor where another line of the file was mended meanwhile.
    let mended = SWAP
        .replace("B-000003", "D-000003")
        .replace("A-000003", "B-000003");
    place.file("swap.csv", &mended);
    stays_swapped(
        &place,
        &file,
        &["changed/", "unchanged/already", "unchanged/already"],
    );
    // Nor where somebody renamed one of the two: her line says so, and the other one's ID is not taken for hers.
    place.with_world(|mut world| world.rename_plume("C-0", "Z-000000"));
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts()[1], "failed/stale");
    assert_eq!(accounts(&place, 2), ["Z-000000", "A-000000"]);
}

fn with(place: &Place, settings: &[(&str, &str)], arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    for (name, value) in settings {
        command.env(format!("IDSHIFT_{name}"), value);
    }
    finish(command.spawn().unwrap())
}

/// References need not be unique there, so nothing is ordered; but they mean other customers all the same once they
/// are carried out.
#[test]
fn adobes_references_are_not_moved_on_either() {
    let place = Place::new(idshift::sandbox::Options {
        kind: idshift::sandbox::Kind::Adobe,
        ..Default::default()
    });
    place.with_world(|mut world| {
        (0..6).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1));
    });
    let text = "accountId,newAccountId\nREF-0,REF-1\nREF-1,REF-0\nREF-2,REF-3\nREF-3,NEW-3\n";
    let file = place.file("moves.csv", text);
    let references = || {
        place.with_world(|world| {
            let of = |n: u32| {
                let body = &world.adobe[&format!("P{n}")].body;
                body["externalReferenceId"].as_str().unwrap().to_owned()
            };
            (0..6).map(of).collect::<Vec<String>>()
        })
    };
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "k"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    let run = |arguments: &[&str]| with(&place, &settings, arguments);
    let moved = ["REF-1", "REF-0", "REF-3", "NEW-3", "REF-4", "REF-5"];
    run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(references(), moved);
    run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(references(), moved);
    assert!(
        place
            .verdicts()
            .iter()
            .all(|verdict| verdict == "unchanged/already")
    );
}

#[test]
fn what_an_undo_cannot_put_back_it_says_for_each_line() {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..3 {
            let mut customer = crate::support::customer(n);
            customer
                .locations
                .iter_mut()
                .for_each(|location| location.service_id = None);
            world.add_plume(customer);
        }
    });
    let text = "accountId,newAccountId,serviceId,profile\n\
        A-000000,B-000000,S-0,\nA-000001,,S-1,smallbusiness\nA-000002,B-000002,,\n";
    let file = place.file("first.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(1);
    let mut verdicts = place.verdicts();
    verdicts.sort();
    assert_eq!(
        verdicts,
        [
            "changed/",
            "changed/",
            "changed/",
            "failed/rejected",
            "failed/rejected"
        ]
    );
    let failed = place.rows("failures.csv");
    assert!(
        failed
            .iter()
            .all(|row| row["idshift_message"].contains("service ID"))
    );
    assert_eq!(accounts(&place, 3), ["A-000000", "A-000001", "A-000002"]);
}

#[test]
fn a_line_that_fails_in_a_plan_is_nowhere_told_as_moved() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(crate::support::named("C-0", "A-000000", &["L-0", "L-1"]));
    });
    let text = "accountId,newAccountId,serviceId\nA-000000,B-000000,S-0\n";
    let file = place.file("two.csv", text);
    let plan = place.run(&["plan", &file, "--json"]).expect(1).json();
    assert_eq!(place.verdicts(), ["failed/ambiguous"]);
    assert_eq!(
        place.rows("results.csv")[0]["idshift_account_id_after"],
        "A-000000"
    );
    assert_eq!(plan["forecast"]["writes"], 0, "{plan}");
}

#[test]
fn a_run_that_was_put_back_is_not_gone_on_with() {
    let (place, id) = stopped(&[]);
    place.run(&["undo", &id, "--yes"]).expect(0);
    let undo = place.newest_id();
    let written = place.patches();
    let refused = place.run(&["resume", &id]).expect(2);
    assert!(refused.err.contains(&undo), "{}", refused.err);
    assert_eq!(place.patches(), written);
}

/// The first of a chain moves and then fails at its location; whoever waits for its ID moves up all the same, also
/// where the run was stopped in between.
#[test]
fn a_chain_goes_on_behind_a_line_that_failed_after_it_had_moved() {
    let place = Place::plume();
    place.with_world(|mut world| (0..2).for_each(|n| world.add_plume(crate::support::customer(n))));
    let text = "accountId,newAccountId,locationId,serviceId\n\
        A-000000,A-000001,,\nA-000001,B-000001,L-nowhere,S-1\n";
    let file = place.file("chain.csv", text);
    // The second write never gets through, and the run gives up.
    place
        .sandbox
        .set_faults(vec!["customer-patch:503=60:nth=2".parse().unwrap()]);
    let first = place.run(&[
        "apply",
        &file,
        "--yes",
        "--give-up-after",
        "1s",
        "--lookup",
        "each",
    ]);
    assert_eq!(first.code, 4, "{}{}", first.out, first.err);
    assert_eq!(accounts(&place, 2), ["A-000000", "B-000001"]);
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/not_found"]);
    assert_eq!(accounts(&place, 2), ["A-000001", "B-000001"]);
}

/// This system takes an identifier that another customer has, so a swap asks first, at every step.
#[test]
fn a_swap_does_not_give_out_an_identifier_that_somebody_else_has() {
    let place = Place::new(idshift::sandbox::Options {
        kind: idshift::sandbox::Kind::CloudCockpit,
        ..Default::default()
    });
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    place.with_world(|mut world| {
        for (n, identifier) in [(0, "A-000000"), (1, "A-000001"), (2, "A-000000")] {
            world.add_cockpit(&id(n), "", identifier);
        }
    });
    let text = format!(
        "accountId,newAccountId,customerId\nA-000000,A-000001,{}\nA-000001,A-000000,{}\n",
        id(0),
        id(1)
    );
    let file = place.file("swap.csv", &text);
    let settings = [
        ("SYSTEM", "cloudcockpit"),
        ("TENANT", "portal.example"),
        ("RESELLER_ID", "own"),
    ];
    let world = || place.with_world(|world| format!("{:?}", world.cockpit));
    let before = world();
    for lookup in ["each", "bulk"] {
        let arguments = ["apply", &file, "--yes", "--lookup", lookup];
        with(&place, &settings, &arguments).expect(1);
        let verdicts = place.verdicts();
        assert!(
            verdicts.contains(&"failed/conflict".to_owned()),
            "{verdicts:?}"
        );
        assert_eq!(world(), before, "{lookup}: everybody is where they were");
    }
}
