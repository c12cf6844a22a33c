//! From which runs a plan is taken.

use super::*;
use crate::ledger::{LocalRuns, Phase, Progress, Pruned, Remains, RunId};
use std::path::Path;

const SHA256: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const RUN: &str = "20261120-223015-k3f9";

fn plain() -> PlainFile {
    serde_json::from_str(r#"{"lines":3,"renames":2,"locations":1,"without_customer":3}"#).unwrap()
}

fn kept(values: &[(&str, &str)]) -> SavedSettings {
    let values = values.iter();
    SavedSettings {
        values: values
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        plain: Some(plain()),
        ..SavedSettings::default()
    }
}

/// A reconcile of the file.
fn header() -> Header {
    Header {
        run: RUN.to_owned(),
        kind: RunKind::Reconcile,
        input_sha256: SHA256.to_owned(),
        settings: kept(&[("delimiter", "comma")]).text(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Header::example()
    }
}

fn runs(folder: &Path) -> LocalRuns {
    LocalRuns::of(folder, false, None)
}

/// Makes a run that has ended in this state.
fn make(folder: &Path, header: &Header, state: State) -> (RunDir, Ledger) {
    let run = RunId::parse(&header.run).unwrap();
    let (dir, new) = runs(folder).create(&run).unwrap();
    let ledger = new.begin(header, None).unwrap();
    let progress = Progress {
        state,
        phase: Phase::Write,
        exit_code: Some(0),
        stopped_by: None,
        why: String::new(),
        started_at_ms: 1,
        finished_at_ms: Some(2),
    };
    ledger.set_progress(&progress).unwrap();
    (dir, ledger)
}

fn known(folder: &Path, mine: &SavedSettings, sha256: &str, system: &str) -> Option<PlainFile> {
    let file = PlannedAs {
        name: "moves.csv",
        sha256,
        kept: mine,
        system,
    };
    file.known(&runs(folder))
}

/// Returns whether the file is planned again tonight, if this was its last run.
fn is_planned_again(last: &Header, state: State) -> bool {
    let folder = tempfile::tempdir().unwrap();
    drop(make(folder.path(), last, state));
    let mine = kept(&[("delimiter", "comma")]);
    known(folder.path(), &mine, SHA256, "plume").is_none()
}

#[test]
fn unchanged_file_is_not_planned_again_after_finished_reconcile() {
    assert!(!is_planned_again(&header(), State::Finished));
    let renamed = Header {
        input_name: "elsewhere.csv".to_owned(),
        ..header()
    };
    assert!(!is_planned_again(&renamed, State::Finished));
}

#[test]
fn file_is_planned_again_if_the_last_run_differs() {
    let others = [
        Header {
            input_sha256: "22".repeat(32),
            ..header()
        },
        Header {
            kind: RunKind::Apply,
            ..header()
        },
        Header {
            system: "adobe".to_owned(),
            ..header()
        },
        Header {
            tool_version: "0.0.1".to_owned(),
            ..header()
        },
        Header {
            settings: SavedSettings {
                plain: None,
                ..kept(&[("delimiter", "comma")])
            }
            .text(),
            ..header()
        },
        Header {
            settings: SavedSettings {
                verbatim: true,
                ..kept(&[("delimiter", "comma")])
            }
            .text(),
            ..header()
        },
    ];
    for other in &others {
        assert!(is_planned_again(other, State::Finished), "{other:?}");
    }
    for values in [
        &[][..],
        &[("delimiter", "semicolon")],
        &[("delimiter", "comma"), ("map", "newAccountId=Other")],
        &[("delimiter", "comma"), ("profile", "test")],
        &[("delimiter", "comma"), ("reseller_id", "R1")],
        &[("delimiter", "comma"), ("accept", "case_twins")],
    ] {
        let otherwise = Header {
            settings: kept(values).text(),
            ..header()
        };
        assert!(is_planned_again(&otherwise, State::Finished), "{values:?}");
    }
    for state in [State::Running, State::Stopped, State::Interrupted] {
        assert!(is_planned_again(&header(), state), "{state:?}");
    }
}

#[test]
fn pruned_or_damaged_run_is_not_used() {
    let mine = kept(&[("delimiter", "comma")]);
    let is_known = |folder: &Path| known(folder, &mine, SHA256, "plume").is_some();
    let folder = tempfile::tempdir().unwrap();
    let (dir, ledger) = make(folder.path(), &header(), State::Finished);
    assert!(is_known(folder.path()));
    let remains = Remains {
        pruned: Pruned {
            at_ms: 3,
            half_done: 0,
        },
        wishes: Vec::new(),
        replaced: Vec::new(),
        removed: Vec::new(),
    };
    ledger
        .mark_pruned(&ledger.hold().unwrap(), &remains)
        .unwrap();
    drop(ledger);
    assert!(!is_known(folder.path()));
    std::fs::remove_dir_all(dir.path()).unwrap();
    let (dir, ledger) = make(folder.path(), &header(), State::Finished);
    drop(ledger);
    assert!(is_known(folder.path()));
    let path = dir.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(11)
        .position(|some| some == b"\"renames\":2")
        .unwrap();
    bytes[at + 10] = b'3';
    std::fs::write(&path, bytes).unwrap();
    assert!(!is_known(folder.path()), "a changed letter of its header");
}

#[test]
fn only_the_last_reconcile_of_a_file_counts() {
    let mine = kept(&[("delimiter", "comma")]);
    let folder = tempfile::tempdir().unwrap();
    drop(make(folder.path(), &header(), State::Finished));
    let newer = |run: &str, sha256: &str, name: &str| Header {
        run: run.to_owned(),
        input_sha256: sha256.to_owned(),
        input_name: name.to_owned(),
        ..header()
    };
    let other = newer("20261121-223015-k3f9", &"22".repeat(32), "other.csv");
    drop(make(folder.path(), &other, State::Finished));
    assert!(known(folder.path(), &mine, SHA256, "plume").is_some());
    let edited = newer("20261122-223015-k3f9", &"22".repeat(32), "moves.csv");
    drop(make(folder.path(), &edited, State::Finished));
    assert!(known(folder.path(), &mine, SHA256, "plume").is_none());
    assert!(known(folder.path(), &mine, &"22".repeat(32), "plume").is_some());
}
