//! A run in one archive, and approval of a plan by its digest.

use crate::support::Place;

#[test]
fn evidence_archive_is_verified_without_its_run_and_detects_damage() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let id = place.newest_id();
    let write = ["evidence", &id, "-o", "run.tar.zst", "--json"];
    let written = place.run(&write).expect(0).json();
    let names: Vec<&str> = written["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    for wanted in [
        "about.json",
        "configuration.json",
        "plan.json",
        "ledger.db",
        "input.csv",
        "results.csv",
        "failures.csv",
        "summary.json",
        "report.html",
    ] {
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
    // The archive can be checked in another place, without the run.
    let elsewhere = Place::plume();
    let archive = elsewhere.path().join("run.tar.zst");
    std::fs::copy(place.path().join("run.tar.zst"), &archive).unwrap();
    let check = ["evidence", "--check", "run.tar.zst", "--json"];
    let found = elsewhere.run(&check).expect(0).json();
    assert_eq!(found["digest"], written["digest"]);
    assert_eq!(found["digest"].as_str().unwrap().len(), 64);
    let good = std::fs::read(&archive).unwrap();
    for at in [0, 5, good.len() / 2, good.len() - 41, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&archive, bad).unwrap();
        let done = elsewhere
            .run(&["evidence", "--check", "run.tar.zst"])
            .expect(3);
        assert!(done.err.contains("run.tar.zst"), "{}", done.err);
    }
    // The archive is not overwritten, and contains no secret.
    place.run(&["evidence", &id, "-o", "run.tar.zst"]).expect(2);
    let tar = zstd::decode_all(&good[..]).unwrap();
    let has = |text: &str| {
        tar.windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    };
    assert!(has("manifest.json") && has("B-000001") && !has("canary-token"));
}

/// Makes a plan of three lines; returns its ID and its digest.
fn planned() -> (Place, String, String) {
    let place = Place::plume();
    let file = place.moves(3);
    let plan = place.run(&["plan", &file, "--json"]).expect(0).json();
    let text = |key: &str| plan[key].as_str().unwrap().to_owned();
    let (id, digest) = (text("run"), text("plan_digest"));
    (place, id, digest)
}

#[test]
fn plan_is_applied_only_with_the_approved_digest() {
    let (place, id, digest) = planned();
    let (id, digest) = (id.as_str(), digest.as_str());
    let approved = |digest: &str| place.run(&["apply", "--run", id, "--yes", "--digest", digest]);
    let refused = approved(&"0".repeat(64)).expect(2);
    assert!(refused.err.contains("another plan"), "{}", refused.err);
    assert!(refused.err.contains(digest), "{}", refused.err);
    assert!(approved("123").expect(2).err.contains("64"));
    assert_eq!(place.patches(), 0);
    place
        .run(&["apply", "moves.csv", "--yes", "--digest", digest])
        .expect(2);
    approved(&digest.to_uppercase()).expect(0);
    assert_eq!(place.account_of("C-1"), "B-000001");
}

/// If the run's own copy of the file was changed after the approval, nothing is carried out.
#[test]
fn an_input_that_was_changed_after_the_approval_is_refused() {
    let (place, id, digest) = planned();
    let (id, digest) = (id.as_str(), digest.as_str());
    let input = place.newest().join("input.csv");
    let text = std::fs::read_to_string(&input).unwrap();
    std::fs::write(&input, text.replace("B-000001", "X-000001")).unwrap();
    let done = place.run(&["apply", "--run", id, "--yes", "--digest", digest]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    assert_eq!(place.patches(), 0);
}
