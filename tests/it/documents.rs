use crate::claims::without_services;
use crate::support::{Place, schemas, validate, validate_document};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The documents in the order of `docs/json.md`.
const ORDER: [&str; 24] = [
    "summary",
    "plan",
    "nothing-to-undo",
    "check",
    "map",
    "verify",
    "runs",
    "run",
    "status",
    "order",
    "prune",
    "forget",
    "import",
    "log-line",
    "log-run",
    "evidence",
    "doctor",
    "config",
    "init",
    "error",
    "progress",
    "event",
    "log-record",
    "common",
];

/// Where the tables of `docs/json.md` begin and end.
const MARKS: [&str; 2] = ["<!-- made from schemas/ -->\n", "<!-- end -->\n"];

/// `Done::json` validates each document.
#[test]
fn every_command_prints_one_object_as_its_schema_describes_it() {
    let place = Place::plume();
    let file = place.moves(3);
    let wrong = place.file("wrong.csv", "accountId,newAccountId\nA-1,B-1\nA-1,B-2\n");
    let unreadable = place.file("unreadable.csv", "");
    for (arguments, code) in [
        (&["check", &file][..], 0),
        (&["check", &wrong], 2),
        (&["check", &unreadable], 2),
        (&["map", &file], 0),
        (&["plan", &file], 0),
        (&["apply", &file, "--yes"], 0),
        (&["verify"], 0),
        (&["report"], 0),
        (&["log"], 0),
        (&["log", "--line", "2"], 0),
        (&["log", "--line", "1"], 2),
        (&["reconcile", &file, "--yes"], 0),
        (&["resume", "--yes"], 2),
        (&["status"], 2),
        (&["pause"], 2),
        (&["runs"], 0),
        (&["runs", "forget", "--gone"], 0),
        (&["runs", "forget", "/no/such/run"], 2),
        (&["undo", "--yes"], 0),
        (&["undo", "--yes"], 0),
        (&["runs", "prune", "--older-than", "1d", "--dry-run"], 0),
        (&["doctor"], 0),
        (&["config"], 0),
        (&["init"], 0),
        (&["init"], 2),
        (&["plan", "missing.csv"], 2),
        (&["plan", "--no-such-option"], 2),
    ] {
        let done = place.run(&[arguments, &["--format", "json"]].concat());
        let document = done.expect(code).json();
        assert_eq!(document["format"], 1, "{arguments:?}: {document}");
        assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["exit_code"], code, "{arguments:?}: {document}");
    }
    let summary = std::fs::read(place.newest().join("summary.json")).unwrap();
    validate("summary", &serde_json::from_slice(&summary).unwrap());
    place.with_world(|mut world| {
        world.plume.get_mut("C-1").unwrap().account_id = "ELSEWHERE".into();
    });
    let verified = place.run(&["verify", "--format", "json"]).expect(3).json();
    assert_eq!(verified["differences"][0]["found"], "ELSEWHERE");
}

#[test]
fn runs_show_prints_the_recorded_data_of_one_run() {
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
fn summary_has_all_keys_and_plan_also_has_changes() {
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

#[test]
fn json_documentation_matches_the_schemas() {
    let all = schemas();
    let mut named: Vec<&str> = ORDER.to_vec();
    named.sort_unstable();
    assert!(all.keys().eq(named), "schemas that are not documented");
    let mut made = String::new();
    for name in ORDER.iter().filter(|name| **name != "common") {
        let schema = &all[*name];
        let text = |key: &str| schema[key].as_str().unwrap();
        let (title, description) = (text("title"), text("description"));
        let file = format!("{name}.schema.json");
        write!(
            made,
            "\n## {title}\n\n{description}\nSchema: [`{file}`](../schemas/{file}).{}\n\n\
             | key | type | meaning |\n| --- | --- | --- |\n",
            begins_with(schema)
        )
        .unwrap();
        rows(&all, "", schema, &mut made);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let wanted = format!("{before}{}{made}\n{}{after}", MARKS[0], MARKS[1]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    assert!(
        page == wanted || std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/json.md is older than schemas/: run this test with UPDATE_DOCS=1"
    );
}

/// Returns a sentence that says which other document's keys a document has.
fn begins_with(schema: &Value) -> &'static str {
    match schema["allOf"][0]["$ref"].as_str() {
        None => "",
        Some("summary.schema.json") => {
            "\nIt has every key of [the end of a run](#the-end-of-a-run), and:"
        }
        Some("common.schema.json#/$defs/overview") => {
            "\nIt has every key of an entry of [the list of runs](#the-list-of-runs), and:"
        }
        Some(other) => panic!("{other} has no place in docs/json.md"),
    }
}

/// Returns the schema behind a reference, with the description beside the reference.
fn resolved<'a>(all: &'a BTreeMap<String, Value>, schema: &'a Value) -> (&'a Value, &'a str) {
    let said = schema["description"].as_str();
    let Some(reference) = schema["$ref"].as_str() else {
        return (schema, said.unwrap_or(""));
    };
    let (file, place) = reference.split_once('#').unwrap_or((reference, ""));
    let name = file.strip_suffix(".schema.json").unwrap();
    let target = all[name].pointer(place).unwrap();
    (
        target,
        said.or(target["description"].as_str()).unwrap_or(""),
    )
}

fn rows(all: &BTreeMap<String, Value>, before: &str, schema: &Value, made: &mut String) {
    let required = schema["required"].as_array();
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let (value, meaning) = resolved(all, value);
        let may_be_absent = required.is_some_and(|names| !names.contains(&json!(key)));
        let name = format!("{before}{key}");
        let kind = kind(all, value);
        let mut meaning = meaning.to_owned();
        if may_be_absent && !meaning.contains("absent") {
            meaning.push_str(if meaning.is_empty() {
                "may be absent"
            } else {
                "; may be absent"
            });
        }
        writeln!(made, "| `{name}` | {kind} | {meaning} |").unwrap();
        let inner = value["oneOf"]
            .as_array()
            .map_or(value, |choices| &choices[0]);
        let (inner, _) = resolved(all, inner);
        rows(all, &format!("{name}."), inner, made);
        // A document with its own schema has its own section.
        let items = &value["items"];
        let is_elsewhere = |reference: &str| reference.ends_with(".schema.json");
        if items["$ref"].as_str().is_some_and(is_elsewhere) {
            continue;
        }
        let (items, _) = resolved(all, items);
        let items = items["anyOf"].as_array().map_or(vec![items], |choices| {
            choices.iter().map(|one| resolved(all, one).0).collect()
        });
        for item in items {
            rows(all, &format!("{name}[]."), item, made);
        }
    }
}

/// Returns the type in words: `text`, `integer or null`, or one of several words.
fn kind(all: &BTreeMap<String, Value>, schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| match word {
            Value::String(word) => format!("`{word}`"),
            other => other.to_string(),
        });
        return words.collect::<Vec<_>>().join(", ");
    }
    if let Some(word) = schema.get("const") {
        return format!("`{}`", word.to_string().trim_matches('"'));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let kinds = choices.iter().map(|one| kind(all, resolved(all, one).0));
        return kinds.collect::<Vec<_>>().join(" or ");
    }
    let name = |word: &Value| match word.as_str().unwrap_or_default() {
        "string" => "text".to_owned(),
        "array" => "list".to_owned(),
        other => other.to_owned(),
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(name).collect::<Vec<_>>().join(" or "),
        one => name(one),
    };
    let is_time = schema["format"] == "date-time";
    if is_time {
        kinds.replace("text", "time")
    } else {
        kinds
    }
}

#[test]
fn schema_validation_refuses_extra_keys_missing_keys_and_bad_values() {
    let right =
        json!({"format": 1, "version": "0.1.0", "exit_code": 2, "error": "no", "help": null});
    validate("error", &right);
    let refused = |change: fn(&mut Value)| {
        let mut wrong = right.clone();
        change(&mut wrong);
        std::panic::catch_unwind(|| validate("error", &wrong)).is_err()
    };
    assert!(refused(|wrong| wrong["more"] = json!(1)));
    assert!(refused(|wrong| drop(
        wrong.as_object_mut().unwrap().remove("help")
    )));
    assert!(refused(|wrong| wrong["exit_code"] = json!(7)));
    let nested = json!({"format": 1, "version": "0.1.0", "exit_code": 0, "dry_run": false, "kept": [],
                        "bytes": 0, "pruned": [{"run": "r", "bytes": 1, "more": 2}]});
    assert!(std::panic::catch_unwind(|| validate("prune", &nested)).is_err());
}

#[test]
fn every_line_of_progress_is_an_object_as_its_schema_describes_it() {
    let place = Place::plume();
    let file = place.moves(30);
    let words = [
        "--rate",
        "20/s",
        "--canary",
        "5",
        "--progress",
        "json",
        "--yes",
    ];
    let done = place
        .run(&[&["apply", &file][..], &words].concat())
        .expect(0);
    let objects = done.err.lines().filter(|line| line.starts_with('{'));
    let mut seen = BTreeSet::new();
    for line in objects {
        let object: Value = serde_json::from_str(line).unwrap();
        let kind = object["type"].as_str().unwrap().to_owned();
        validate(&kind, &object);
        seen.insert(kind);
    }
    assert!(
        seen.contains("progress") && seen.contains("event"),
        "{seen:?}"
    );
}

#[test]
fn document_without_a_schema_is_refused() {
    let unknown = json!({"format": 1, "version": "0.1.0", "exit_code": 0, "surprise": [1]});
    assert!(std::panic::catch_unwind(|| validate_document(&unknown)).is_err());
}
