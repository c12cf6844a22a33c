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
