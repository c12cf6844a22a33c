use crate::support::Place;
use idshift::sandbox::Fault;

fn fault(place: &Place, text: &str) {
    place
        .sandbox
        .set_faults(vec![text.parse::<Fault>().unwrap()]);
}

#[test]
fn each_wave_is_read_back_before_the_next_begins() {
    let place = Place::plume();
    let file = place.moves(200);
    let waves = ["--waves", "3,5%,25%", "--lookup", "each"];
    let done = place
        .run(&[&["apply", &file, "--yes"][..], &waves].concat())
        .expect(0);
    for words in [
        "wave 1 of 3: 3 lines verified",
        "wave 2 of 3: 10 lines verified",
        "wave 3 of 3: 50 lines verified",
    ] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
    assert_eq!(place.account_of("C-199"), "B-000199");
    // Whatever was written is read before anything of the next wave is.
    let log = place.sandbox.log();
    let mut written = 0;
    let mut read_back = std::collections::HashSet::new();
    for call in &log {
        if call.method == "PATCH" {
            written += 1;
            let before = [3, 13, 63].into_iter().rfind(|end| *end < written);
            assert!(
                read_back.len() >= before.unwrap_or(0),
                "write {written}: {}",
                read_back.len()
            );
        } else if written > 0 && call.path.starts_with("/api/Customers/C-") {
            read_back.insert(call.path.clone());
        }
    }
    assert_eq!(written, 200);
}

#[test]
fn a_wave_with_too_many_wrong_lines_stops_the_run_and_fewer_do_not() {
    let place = Place::plume();
    let file = place.moves(100);
    fault(&place, "customer-patch:422:every=10");
    let apply = [
        "apply",
        &file,
        "--yes",
        "--waves",
        "5,40",
        "--max-failures",
        "100%",
    ];
    let stopped = place.run(&apply).expect(4);
    let words = "wave 2 of 2, 4 lines are wrong: line ";
    assert!(stopped.out.contains(words), "{}", stopped.out);
    assert_eq!(
        place
            .verdicts()
            .iter()
            .filter(|one| *one == "changed/")
            .count(),
        41
    );
    let shown = place
        .run(&["runs", "show", &place.newest_id(), "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["stopped_by"], "canary");
    assert_eq!(shown["guards"]["waves"], "5,40");
    // The rest, within a budget.
    let budget = ["resume", "--wave-failures", "20%"];
    place.run(&budget).expect(1);
    let open = place
        .verdicts()
        .iter()
        .filter(|one| one.starts_with("skipped"))
        .count();
    assert_eq!(open, 0);
}

#[test]
fn what_cannot_be_waves_is_refused() {
    let place = Place::plume();
    let file = place.moves(3);
    for (words, refused) in [
        (&["--waves", "5,x"][..], "`x` is neither a number"),
        (&["--waves", "0"], "`0` is no wave"),
        (&["--waves", "5,0%"], "`0%` is no wave"),
        (&["--wave-failures", "1%"], "give --waves too"),
    ] {
        let done = place
            .run(&[&["apply", &file, "--yes"][..], words].concat())
            .expect(2);
        assert!(done.err.contains(refused), "{}", done.err);
    }
    place
        .run(&["apply", &file, "--yes", "--waves", "1", "--canary", "1"])
        .expect(2);
    assert_eq!(place.patches(), 0);
}
