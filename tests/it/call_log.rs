//! What the log of calls contains, and what it never contains.

use crate::support::{Done, Place, customer, finish, validate};
use idshift::sandbox::{Kind, Options};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const TOKEN: &str = "canary-token-0123456789";

pub(crate) fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(parse).collect()
}

pub(crate) fn events<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    let all = records.iter();
    all.filter(|record| record["event"] == event).collect()
}

/// Checks the records against their schema: one of those with the same keys is enough.
fn are_described(records: &[Value]) {
    let mut seen = HashSet::new();
    for record in records {
        let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
        let kind = (keys, record["event"].as_str(), record["kind"].as_str());
        if seen.insert(kind) {
            validate("log-record", record);
        }
    }
}

fn kinds(records: &[Value]) -> HashMap<&str, usize> {
    let mut kinds = HashMap::new();
    for call in events(records, "call") {
        *kinds.entry(call["kind"].as_str().unwrap()).or_default() += 1;
    }
    kinds
}

/// Returns the line of a customer of [`Place::moves`] and similar files: line n + 2 names customer `C-n`.
fn line_of(path: &str) -> u64 {
    let id = path.split('/').find_map(|part| part.strip_prefix("C-"));
    id.unwrap().parse::<u64>().unwrap() + 2
}

/// Checks that the log contains each PATCH that the server saw, with its line, its customer and its status, and no
/// other. The attempts of each write are numbered as in the ledger.
fn holds_each_patch(place: &Place, records: &[Value]) {
    let mut seen: Vec<(String, u64, u16)> = place
        .sandbox
        .log()
        .iter()
        .filter(|seen| seen.method == "PATCH")
        .map(|seen| (seen.path.clone(), line_of(&seen.path), seen.status))
        .collect();
    assert!(!seen.is_empty());
    are_described(records);
    let mut logged = Vec::new();
    let mut attempts: HashMap<(u64, &str), Vec<u64>> = HashMap::new();
    for call in events(records, "call") {
        if call["method"] != "PATCH" {
            continue;
        }
        let path = call["path"].as_str().unwrap();
        let (line, attempt) = (
            call["line"].as_u64().unwrap(),
            call["attempt"].as_u64().unwrap(),
        );
        // For the stand-in an answer that it cut is no answer; the log has its status, and that it was cut.
        let status = call["status"].as_u64().filter(|_| call["error"].is_null());
        let status = status.map_or(0, |status| u16::try_from(status).unwrap());
        assert_eq!(call["kind"], "write");
        assert_eq!(call["customer"], format!("C-{}", line - 2), "{call}");
        assert!(call["ms"].is_u64() && call["time"].is_string(), "{call}");
        assert!(status != 0 || call["error"].is_string(), "{call}");
        logged.push((path.to_owned(), line, status));
        attempts.entry((line, path)).or_default().push(attempt);
    }
    seen.sort();
    logged.sort();
    let only = |these: &Vec<_>, others: &Vec<_>| -> Vec<(String, u64, u16)> {
        let missing = these.iter().filter(|one| !others.contains(*one));
        missing.cloned().collect()
    };
    let (not_logged, not_seen) = (only(&seen, &logged), only(&logged, &seen));
    assert_eq!((not_logged, not_seen), (Vec::new(), Vec::new()));
    assert_eq!(seen.len(), logged.len());
    // A swap writes to one customer twice, and each of these writes counts its own attempts.
    let is_swapped = |line| records.iter().any(|r| r["lines"] == "2-3") && line <= 3;
    attempts.retain(|(line, _), _| !is_swapped(*line));
    for (write, numbers) in attempts {
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected, "{write:?}");
    }
}

#[test]
fn call_log_contains_each_patch_that_the_server_received() {
    let place = Place::plume();
    place.with_world(|mut world| (0..40).for_each(|n| world.add_plume(customer(n))));
    // A swap, a chain, and single lines.
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    for n in 0..40 {
        let new = match n {
            0 => "A-000001".to_owned(),
            1 => "A-000000".to_owned(),
            2..5 => format!("A-{:06}", if n == 4 { 900 } else { n + 1 }),
            _ => format!("B-{n:06}"),
        };
        text.push_str(&format!("A-{n:06},{new},S-{n}\n"));
    }
    let file = place.file("moves.csv", &text);
    let faults = [
        "patch:500-after:every=7",
        "patch:reset:every=11",
        "patch:reset-after:every=13",
        "patch:429=0:nth=60",
        "patch:truncated:every=23",
        "read:500:nth=5",
        "bulk:reset:nth=1",
    ];
    let faults = faults.iter().map(|fault| fault.parse().unwrap());
    place.sandbox.set_faults(faults.collect());
    let done = place.run(&["apply", &file, "--yes", "--log", "calls.log", "-vv"]);
    done.expect(0);
    let path = place.path().join("calls.log");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let records = records(&path);
    holds_each_patch(&place, &records);
    let run = place.newest_id();
    assert!(records.iter().all(|record| record["run"] == run.as_str()));
    // All other calls are in the log, too.
    let asked = place.sandbox.log().len();
    let calls = events(&records, "call");
    assert_eq!(asked, calls.len());
    let kinds = kinds(&records);
    assert!(kinds["find"] > 1 && kinds["read"] > 1, "{kinds:?}");
    assert!(calls.iter().any(|call| call["waited_ms"]["hold"].is_u64()));
    let holds = events(&records, "hold_began");
    assert!(
        holds.iter().any(|hold| hold["cause"] == "too_many_calls"),
        "{holds:?}"
    );
    // The probe that ends the hold may fail for another reason. Then the breaker takes over, and its end is logged instead.
    let ended = ["hold_ended", "breaker_closed"].map(|event| events(&records, event).len());
    assert!(ended != [0, 0], "{ended:?}");
    assert_eq!(events(&records, "session_began").len(), 1);
    let ended = events(&records, "session_ended");
    assert_eq!(ended[0]["state"], "finished");
    assert_eq!(ended[0]["exit_code"], 0);
}

#[test]
fn outage_is_logged_with_breaker_events_and_probes() {
    let place = Place::plume();
    let file = place.moves(10);
    // Ten calls in a row fail: with two retries these are a write, its read-back, and the searches after them. The first
    // attempt of the read-back does not count: it is unknown whether the system offers this call.
    let faults = [
        "patch:500:first=1",
        "read:500:first=4",
        "search:500:first=9",
    ];
    let faults = faults.iter().map(|fault| fault.parse().unwrap());
    place.sandbox.set_faults(faults.collect());
    let done = place.run(&["apply", &file, "--yes", "--retries=2", "--log=calls.log"]);
    // The line that met the outage may stay in doubt.
    assert!(matches!(done.code, 0 | 4), "{}", done.err);
    let records = records(&place.path().join("calls.log"));
    holds_each_patch(&place, &records);
    assert!(!events(&records, "breaker_opened").is_empty());
    assert!(!events(&records, "breaker_closed").is_empty());
    let mut probes = events(&records, "call");
    probes.retain(|call| call["kind"] == "probe");
    assert!(!probes.is_empty());
    // The probes belong to no line, because they read a customer of another line than the waiting one.
    assert!(probes.iter().all(|probe| probe["line"].is_null()));
}

/// Checks that neither the file nor standard error contains a secret.
fn holds_no_secret(place: &Place, done: &Done, secrets: &[&str]) {
    let log = std::fs::read_to_string(place.path().join("calls.log")).unwrap();
    assert!(log.contains("\"kind\":\"write\""), "{log}");
    assert!(done.err.contains("write PATCH"), "{}", done.err);
    for text in [&log, &done.err] {
        let text = text.to_lowercase();
        for secret in secrets.iter().chain(&["authorization", "bearer", "basic "]) {
            assert!(!text.contains(&secret.to_lowercase()), "{secret}: {text}");
        }
    }
}

#[test]
fn the_log_holds_no_header_no_body_and_no_token() {
    let place = Place::adobe(4);
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "canary-api-key"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    let faults = [
        "patch:401:nth=2",
        "patch:500-after:nth=3",
        "read:429=0:nth=2",
    ];
    let faults = faults.iter().map(|fault| fault.parse().unwrap());
    place.sandbox.set_faults(faults.collect());
    let done = place.run_with(
        &settings,
        &["apply", "moves.csv", "--yes", "--log", "calls.log", "-vv"],
    );
    // The customers' data in the stand-in, and the data that a write sends.
    let secrets = [
        TOKEN,
        "canary-api-key",
        "@example.com",
        "firstName",
        "contacts",
        "companyProfile",
        "x-api-key",
    ];
    holds_no_secret(&place, &done, &secrets);
    let records = records(&place.path().join("calls.log"));
    let writes: Vec<&Value> = records.iter().filter(|r| r["kind"] == "write").collect();
    // The log has the same IDs that the server saw.
    for seen in place.sandbox.log().iter().filter(|s| s.method == "PATCH") {
        let same = |write: &&&Value| write["request_id"].as_str() == seen.request_id.as_deref();
        let write = writes.iter().find(same).unwrap();
        assert_eq!(
            write["correlation_id"].as_str(),
            seen.correlation_id.as_deref()
        );
    }
}

#[test]
fn token_renewal_is_logged_without_the_token() {
    let place = Place::new(Options {
        token_calls: Some(20),
        ..Options::default()
    });
    let file = place.moves(30);
    let url = place.sandbox.base_url();
    place.file(
        "idshift.toml",
        &format!(
            "log = \"calls.log\"\n[profiles.p]\n[profiles.p.oauth2]\ntoken_url = \"{url}/oauth2/token\"\nclient_id = \"c\"\nclient_secret_env = \"SECRET\"\n"
        ),
    );
    let mut command = place.command(&["apply", &file, "--yes", "--profile", "p", "-vv"]);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env("SECRET", "canary-secret");
    let done = finish(command.spawn().unwrap());
    holds_no_secret(
        &place,
        &done,
        &["canary-secret", "access_token", "client_secret"],
    );
    done.expect(0);
    let records = records(&place.path().join("calls.log"));
    let renewed = events(&records, "token_renewed");
    assert!(renewed.len() > 1, "{renewed:?}");
    assert_eq!(renewed[0]["source"], "endpoint");
    let asked = events(&records, "call");
    let asked: Vec<_> = asked
        .iter()
        .filter(|call| call["kind"] == "token")
        .collect();
    are_described(&records);
    assert_eq!(asked.len(), renewed.len());
    assert_eq!(asked[0]["path"], "/oauth2/token");
    assert_eq!(asked[0]["status"], 200);
}

#[test]
fn a_redirect_that_is_refused_is_logged() {
    let place = Place::plume();
    let file = place.moves(3);
    place
        .sandbox
        .set_faults(vec!["any:redirect".parse().unwrap()]);
    place.run(&["apply", &file, "--yes", "--log", "calls.log"]);
    let records = records(&place.path().join("calls.log"));
    let refused = events(&records, "redirect_refused");
    assert!(!refused.is_empty(), "{records:?}");
    are_described(&records);
    assert!(refused[0]["to"].is_string());
}

/// Returns the IDs and the path of each PATCH: as the server saw them, and as the log has them.
fn patches_with_ids(place: &Place, records: &[Value]) -> [Vec<[Option<String>; 3]>; 2] {
    let mut seen: Vec<[Option<String>; 3]> = Vec::new();
    for patch in place.sandbox.log().iter().filter(|s| s.method == "PATCH") {
        let path = Some(patch.path.clone());
        let ids = (patch.request_id.clone(), patch.correlation_id.clone());
        seen.push([path, ids.0, ids.1]);
    }
    let text = |call: &Value, name: &str| call[name].as_str().map(str::to_owned);
    let mut calls = events(records, "call");
    calls.retain(|call| call["method"] == "PATCH");
    let logged = calls.into_iter();
    let mut logged: Vec<[Option<String>; 3]> = logged
        .map(|call| ["path", "request_id", "correlation_id"].map(|name| text(call, name)))
        .collect();
    seen.sort();
    logged.sort();
    [seen, logged]
}

#[test]
fn each_patch_is_logged_with_the_ids_that_the_server_saw() {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        token_calls: Some(100),
        ..Options::default()
    });
    let mut text = String::from("accountId,newAccountId\n");
    for n in 0..60 {
        place.with_world(|mut world| {
            world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1);
        });
        text.push_str(&format!("REF-{n},NEW-{n}\n"));
    }
    let file = place.file("moves.csv", &text);
    let url = place.sandbox.base_url();
    place.file(
        "idshift.toml",
        &format!(
            "[profiles.p]\nlog = \"calls.log\"\nreseller_id = \"R1\"\naccept_welcome_emails = true\n\
             [profiles.p.oauth2]\ntoken_url = \"{url}/oauth2/token\"\nclient_id = \"c\"\nclient_secret_env = \"SECRET\"\n"
        ),
    );
    let faults = [
        "patch:429=0:nth=4",
        "patch:503:nth=11",
        "patch:hang-after=1500:nth=19",
        "patch:reset:nth=23",
        "patch:reset-after:nth=31",
        "patch:500-after:nth=37",
        "patch:truncated:nth=41",
    ];
    let faults = faults.iter().map(|fault| fault.parse().unwrap());
    place.sandbox.set_faults(faults.collect());
    let arguments = ["apply", &file, "--yes", "--profile", "p", "--timeout=1s"];
    let mut command = place.command(&arguments);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env("IDSHIFT_SYSTEM", "adobe")
        .env("IDSHIFT_API_KEY", "canary-api-key")
        .env("SECRET", "canary-secret");
    let done = finish(command.spawn().unwrap());
    let records = records(&place.path().join("calls.log"));
    are_described(&records);
    let [seen, logged] = patches_with_ids(&place, &records);
    assert!(seen.len() > 60 && seen.iter().all(|patch| patch.iter().all(Option::is_some)));
    assert_eq!(seen, logged);
    let writes = events(&records, "call");
    let (mut late, mut statuses) = (0, Vec::new());
    for call in writes.iter().filter(|call| call["kind"] == "write") {
        late += usize::from(call["error"] == "no complete answer within the timeout");
        statuses.extend(call["status"].as_u64());
    }
    assert!(late > 0);
    for status in [429, 503, 500] {
        assert!(statuses.contains(&status), "{status}: {statuses:?}");
    }
    assert!(events(&records, "token_renewed").len() > 1);
    // The results name the same IDs.
    let rows = place.rows("results.csv");
    for row in &rows {
        let id = Some(row["idshift_correlation_id"].clone());
        assert!(logged.iter().any(|patch| patch[2] == id), "{row:?}");
    }
    done.expect(0);
}

#[test]
fn log_and_results_share_correlation_ids_if_system_has_no_header() {
    let place = Place::plume();
    let file = place.moves(5);
    place
        .run(&["apply", &file, "--yes", "--log=calls.log"])
        .expect(0);
    let records = records(&place.path().join("calls.log"));
    let mut writes = events(&records, "call");
    writes.retain(|call| call["kind"] == "write");
    for row in place.rows("results.csv") {
        let line = row["idshift_line"].parse::<u64>().unwrap();
        let write = writes.iter().find(|call| call["line"] == line).unwrap();
        assert_eq!(write["correlation_id"], row["idshift_correlation_id"]);
    }
}

#[test]
fn log_option_is_not_saved_and_resume_can_name_the_same_log() {
    let place = Place::plume();
    let file = place.moves(30);
    let faults = ["patch:429=1:nth=3", "location-patch:500"];
    let faults = faults.iter().map(|fault| fault.parse().unwrap());
    place.sandbox.set_faults(faults.collect());
    let (until, rate) = ("--until=1s", "--rate=10/s");
    let stopped = ["apply", &file, "--yes", "--log", "calls.log", until, rate];
    place.run(&stopped).expect(4);
    let path = place.path().join("calls.log");
    let before = std::fs::read(&path).unwrap();
    place.run(&["resume", "--until=1s"]).expect(4);
    place.run(&["verify"]).expect(4);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let shown = place.run(&["runs", "show", &place.newest_id(), "--json"]);
    assert_eq!(shown.expect(0).json()["settings"]["log"], Value::Null);
    let unlogged = place.patches();
    place
        .run(&["resume", "--rate=unlimited", "--log=calls.log"])
        .expect(0);
    place.run(&["verify", "--log=calls.log"]).expect(0);
    let all = records(&path);
    let mut writes = events(&all, "call");
    writes.retain(|call| call["kind"] == "write");
    assert!(writes.len() < place.patches() && place.patches() > unlogged);
    let told = place.run(&["log", "--format=json"]).expect(0).json();
    assert_eq!(told["state"], "finished");
    assert_eq!(told["sessions"].as_array().unwrap().len(), 3);
    assert_eq!(told["logs"].as_array().unwrap().len(), 1);
    let events = told["events"].as_array().unwrap();
    let named = |event: &str| events.iter().filter(|e| e["event"] == event).count();
    // `apply`, the second `resume`, and `verify`.
    assert_eq!([named("session_began"), named("session_ended")], [3, 3]);
    assert!(named("hold_began") > 0 && named("call") == 0, "{events:?}");
    let person = place.run(&["log"]).expect(0);
    for words in [
        "session began (resume) (look and write)",
        "hold began (too many calls)",
        "session ended (finished, exit code 0)",
        "session ended (exit code 0)",
    ] {
        assert!(person.out.contains(words), "{words}: {}", person.out);
    }
}
