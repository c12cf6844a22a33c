use crate::claims::without_services;
use crate::support::Place;

#[test]
fn every_document_has_one_form() {
    let place = Place::plume();
    let file = place.moves(3);
    for (arguments, code) in [
        (&["check", &file][..], 0),
        (&["plan", &file], 0),
        (&["apply", &file, "--yes"], 0),
        (&["verify"], 0),
        (&["report"], 0),
        (&["runs"], 0),
        (&["runs", "forget", "--gone"], 0),
        (&["runs", "forget", "/no/such/run"], 2),
        (&["undo", "--yes"], 0),
        (&["undo", "--yes"], 0),
        (&["doctor"], 0),
        (&["config"], 0),
        (&["plan", "missing.csv"], 2),
        (&["plan", "--no-such-option"], 2),
    ] {
        let done = place.run(&[arguments, &["--format", "json"]].concat());
        let document = done.expect(code).json();
        assert_eq!(document["format"], 1, "{arguments:?}: {document}");
        assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["exit_code"], code, "{arguments:?}: {document}");
    }
}

#[test]
fn one_run_is_shown_with_everything_that_is_on_record_about_it() {
    let place = Place::plume();
    let file = place.moves(3);
    let guards = ["--max-failures", "5%", "--canary", "1"];
    place
        .run(&[&["apply", &file, "--yes"][..], &guards].concat())
        .expect(0);
    let run = place.newest_id();
    let listed = place.run(&["runs", "--format", "json"]).expect(0).json();
    let shown = place
        .run(&["runs", "show", &run, "--format", "json"])
        .expect(0)
        .json();
    for (key, value) in listed["runs"][0].as_object().unwrap() {
        assert_eq!(&shown[key], value, "{key}: {shown:#}");
    }
    assert_eq!(shown["phase"], "look_and_write");
    assert_eq!(shown["guards"]["max_failures"], "5%");
    assert_eq!(shown["lines"], 3);
    assert_eq!(shown["calls"]["write"], 3);
    assert!(shown["duration_s"].is_u64(), "{shown:#}");
    let text = place.run(&["runs", "show", &run[..13]]).expect(0).out;
    for words in [
        "changed 3",
        "moves.csv, 3 lines",
        "guard        canary = 1",
        " on ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let line = place.run(&["runs"]).expect(0).out;
    for words in [
        &run[..],
        "apply",
        "finished",
        "s ago",
        "plume at http://127",
        "changed 3",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    place.run(&["runs", "show", "19990101"]).expect(2);
}

#[test]
fn a_summary_has_every_key_and_a_plan_its_changes() {
    let (place, file) = without_services(2);
    let plan = place
        .run(&["plan", &file, "--format", "json"])
        .expect(0)
        .json();
    let again = place
        .run(&["plan", &file, "--format", "json"])
        .expect(0)
        .json();
    let apply = place
        .run(&["apply", &file, "--yes", "--format", "json"])
        .expect(0)
        .json();
    for document in [&plan, &apply] {
        let keys = [
            "run",
            "run_dir",
            "command",
            "system",
            "base_url",
            "state",
            "started_at",
            "finished_at",
            "counts",
            "reasons",
            "calls",
            "pace",
            "cause",
            "cannot_undo",
            "plan_digest",
            "forecast",
        ];
        for key in keys {
            assert!(document.get(key).is_some(), "{key}: {document:#}");
        }
        let digest = document["plan_digest"].as_str().unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    assert_eq!(
        (&plan["state"], &apply["state"]),
        (&"planned".into(), &"finished".into())
    );
    assert_eq!(plan["plan_digest"], again["plan_digest"]);
    assert_eq!(
        plan["plan_digest"], apply["plan_digest"],
        "it did what the plan said"
    );
    for key in ["calls", "seconds", "ends_at"] {
        assert!(!plan["forecast"][key].is_null(), "{plan:#}");
    }
    let changes = plan["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[1]["account_id_after"], "B-000001");
    assert_eq!(changes[1]["service_id_before"], serde_json::Value::Null);
    let other = place.file("other.csv", "accountId,newAccountId\nB-000000,C-000000\n");
    let other = place
        .run(&["plan", &other, "--format", "json"])
        .expect(0)
        .json();
    assert_ne!(plan["plan_digest"], other["plan_digest"]);
}
