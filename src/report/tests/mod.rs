//! The reports on real files: every line occurs once, hostile cells are harmless and come back unchanged, drafts are never seen.

use super::*;
use crate::domain::{
    AccountId, CustomerId, Failed, Line, Outcome, Skipped, Status, Transition, Unchanged,
};
use crate::input::{Rules, Settings};
use crate::ledger::{
    Header, Intent, Journal, LocalRuns, Phase, Progress, RunId, RunKind, Runs as _, Session, State,
    StopReason, Verdict, Write as Written, WriteVerdict,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;

const RUN: &str = "20261120-223015-k3f9";

struct Run {
    _base: tempfile::TempDir,
    dir: RunDir,
    ledger: Ledger,
}

mod page;

fn run(kind: RunKind, input: &str) -> Run {
    run_with(kind, input, |_| {})
}

fn run_with(kind: RunKind, input: &str, change: impl FnOnce(&mut Header)) -> Run {
    let base = tempfile::tempdir().unwrap();
    let runs = LocalRuns::of(&base.path().join("my runs"), false, None);
    let (dir, new) = runs.create(&RunId::parse(RUN).unwrap()).unwrap();
    fs::write(dir.local_input(), input).unwrap();
    let mut header = Header {
        kind,
        ..Header::example()
    };
    change(&mut header);
    let ledger = new.begin(&header, None).unwrap();
    Run {
        _base: base,
        dir,
        ledger,
    }
}

fn rules() -> Rules {
    Rules {
        max_account_chars: 255,
        min_account_chars: 0,
        forbidden_in_account: "",
        forbidden_accounts: &[],
        has_locations: true,
        per_reseller: false,
        ids_are_guids: false,
        reseller: None,
        allow_clear: false,
        accept: crate::input::Accept::default(),
        verbatim: false,
    }
}

impl Run {
    fn table(&self) -> Table {
        Table::open(
            &self.dir.local_input(),
            "moves.csv",
            &Settings::default(),
            &rules(),
        )
        .unwrap()
    }

    fn draw(&self) -> Summary {
        draw(&self.dir, &self.ledger, &self.table(), false).unwrap()
    }

    fn page(&self) -> String {
        fs::read_to_string(self.dir.path().join("report.html")).unwrap()
    }

    fn end(&self, state: State, exit_code: Option<u8>, why: &str) {
        let progress = Progress {
            state,
            phase: match state {
                State::Created => Phase::Created,
                State::Planned => Phase::Look,
                _ => Phase::Write,
            },
            exit_code,
            stopped_by: (state == State::Stopped).then_some(StopReason::MaxFailures),
            why: why.to_owned(),
            started_at_ms: 1_795_213_815_000,
            finished_at_ms: Some(1_795_213_816_000),
        };
        self.ledger.set_progress(&progress).unwrap();
    }

    fn note(&self, what: impl AsyncFnOnce(&Journal)) {
        let (journal, thread) = self
            .ledger
            .journal(Session {
                epoch: 1,
                writing: true,
            })
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(what(&journal));
        drop(journal);
        thread.join();
    }

    fn sheet(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.dir.path().join(name)).unwrap();
        let header = reader.headers().unwrap().clone();
        let record = |record: csv::Result<csv::StringRecord>| {
            let cells = record.unwrap();
            let named = header.iter().zip(cells.iter());
            named
                .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
                .collect()
        };
        reader.records().map(record).collect()
    }

    /// Returns line, status and reason of each row.
    fn said(&self, name: &str) -> Vec<String> {
        let columns = ["idshift_line", "idshift_status", "idshift_reason"];
        let said =
            |row: &BTreeMap<String, String>| columns.map(|column| row[column].clone()).join(" ");
        self.sheet(name).iter().map(said).collect()
    }
}

fn intent(line: Line) -> Intent {
    Intent {
        unit: line,
        line,
        attempt: 1,
        customer: CustomerId::new("c1").unwrap(),
        reseller: None,
        write: Written::Account {
            before: Some(AccountId::new("old").unwrap()),
            after: Some(AccountId::new("new").unwrap()),
            temporary: false,
        },
        correlation: format!("corr-{line}"),
        at_ms: 1,
    }
}

const EIGHT: &str =
    "accountId,newAccountId\na2,b2\na3,b3\na4,b4\na5,b5\na6,b6\na7,b7\na8,b8\na9,b9\n";

#[test]
fn results_have_all_lines_and_failures_have_open_and_failed_ones() {
    let mut run = run(RunKind::Apply, EIGHT);
    let statuses = [
        Status::Changed,
        Status::Unchanged(Unchanged::Already),
        Status::Failed(Failed::NotFound),
        Status::Failed(Failed::NotFound),
        Status::Failed(Failed::Conflict),
        Status::Skipped(Skipped::Guard),
        Status::InDoubt,
    ];
    run.ledger
        .seed(
            statuses
                .into_iter()
                .zip(2..)
                .map(|(status, line)| Outcome::bare(line, status)),
        )
        .unwrap();
    run.end(State::Stopped, Some(4), "too many failures");
    let summary = run.draw();
    assert_eq!(
        run.said("results.csv"),
        [
            "2 changed ",
            "3 unchanged already",
            "4 failed not_found",
            "5 failed not_found",
            "6 failed conflict",
            "7 skipped guard",
            "8 in_doubt no_answer",
            "9 skipped guard",
        ]
    );
    assert_eq!(run.said("failures.csv"), run.said("results.csv")[2..]);
    let last = &run.sheet("results.csv")[7];
    assert_eq!((&*last["accountId"], &*last["newAccountId"]), ("a9", "b9"));
    assert_eq!(last["idshift_message"], "not begun: too many failures");
    assert_eq!(last["idshift_finished_at"], "");
    assert_eq!((summary.counts["lines"], summary.counts["failed"]), (8, 3));
    assert_eq!(
        (summary.counts["skipped"], summary.counts["would_change"]),
        (2, 0)
    );
    assert_eq!(summary.reasons["not_found"], 2);
    let page = run.page();
    assert!(
        page.contains("2 lines: <code>not_found</code>") && page.contains("The first is line 4."),
        "{page}"
    );
    assert!(page.contains(&format!("idshift resume {RUN}")), "{page}");
}

#[test]
fn report_of_killed_run_shows_the_known_state_of_each_line() {
    let run = run(RunKind::Apply, EIGHT);
    run.end(State::Running, None, "");
    run.note(async |journal| {
        let mut ids = Vec::new();
        for line in 2..5 {
            ids.push(journal.intend(intent(line)).await.unwrap().granted());
        }
        for (id, verdict) in [(ids[1], Verdict::Applied), (ids[2], Verdict::NotApplied)] {
            let settled = WriteVerdict {
                effect: None,
                verdict,
                http_status: Some(200),
            };
            journal.verdict(id, settled).await.unwrap();
        }
        let live = draw(&run.dir, &run.ledger, &run.table(), false).unwrap();
        assert_eq!(live.state, "running");
        assert!(live.next_step().command.starts_with("idshift report "));
    });
    let summary = run.draw();
    assert_eq!(
        (summary.state.as_str(), summary.exit_code),
        ("interrupted", None)
    );
    let rows = run.sheet("results.csv");
    assert_eq!(
        run.said("results.csv")[..4],
        [
            "2 in_doubt no_answer",
            "3 in_doubt no_answer",
            "4 skipped cancelled",
            "5 skipped cancelled"
        ]
    );
    assert!(rows[0]["idshift_message"].contains("was being written"));
    assert_eq!(rows[0]["idshift_account_id_before"], "old");
    assert_eq!(rows[0]["idshift_account_id_after"], "");
    assert_eq!(
        (
            &*rows[0]["idshift_customer_id"],
            &*rows[0]["idshift_correlation_id"]
        ),
        ("c1", "corr-2")
    );
    assert!(rows[1]["idshift_message"].contains("only a part of this line was written"));
}

#[test]
fn plan_findings_are_shown_only_until_the_plan_is_applied() {
    let mut run = run(RunKind::Plan, EIGHT);
    let found = |line| Outcome {
        account: Transition {
            before: AccountId::new("a").ok(),
            after: AccountId::new("b").ok(),
        },
        ..Outcome::bare(line, Status::WouldChange)
    };
    run.ledger.seed((2..10).map(found)).unwrap();
    run.end(State::Planned, Some(0), "");
    let summary = run.draw();
    assert_eq!(
        (summary.counts["would_change"], summary.state.as_str()),
        (8, "planned")
    );
    let runs = run.dir.path().parent().unwrap().display();
    assert_eq!(
        summary.next_step().to_string(),
        format!("idshift apply --run {RUN} --runs-dir '{runs}'")
    );
    run.end(State::Running, None, "");
    run.note(async |journal| {
        journal.intend(intent(2)).await.unwrap();
        journal
            .outcome(Outcome::bare(3, Status::Changed))
            .await
            .unwrap();
    });
    run.end(State::Interrupted, Some(130), "");
    run.draw();
    assert_eq!(
        run.said("results.csv")[..3],
        ["2 in_doubt no_answer", "3 changed ", "4 skipped cancelled"]
    );
    let row = &run.sheet("results.csv")[2];
    assert_eq!(
        (
            &*row["idshift_account_id_before"],
            &*row["idshift_account_id_after"]
        ),
        ("a", "")
    );
}

#[test]
fn text_from_server_or_file_never_becomes_markup_or_formula() {
    let mut run = run(
        RunKind::Apply,
        "accountId,newAccountId,=evil()\na2,b2,@SUM(A1)\n",
    );
    let mut outcome = Outcome::bare(2, Status::Failed(Failed::Rejected));
    outcome.message = "=cmd()\"><script>alert(1)</script>' onx=".to_owned();
    outcome.customer = CustomerId::new("<b>").ok();
    run.ledger.seed([outcome]).unwrap();
    run.end(State::Finished, Some(1), "<img src=x>");
    let summary = run.draw();
    let page = run.page();
    for evil in [
        "<script>alert",
        "<img",
        "<b>",
        "http-equiv=\"refresh",
        "src=\"http",
        "\" onx=",
    ] {
        assert!(!page.contains(evil), "{evil} in {page}");
    }
    assert!(page.contains("default-src 'none'"));
    let row = &run.sheet("failures.csv")[0];
    assert_eq!(row["'=evil()"], "'@SUM(A1)");
    assert!(row["idshift_message"].starts_with("'=cmd()"));
    let dir = run.dir.path();
    assert_eq!(
        summary.next_step().command,
        format!(
            "idshift apply '{}/failures.csv' --runs-dir '{}'",
            dir.display(),
            dir.parent().unwrap().display()
        )
    );
    let json = fs::read_to_string(run.dir.path().join("summary.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["started_at"], "2026-11-20T22:30:15.000Z");
    assert_eq!(json["calls"]["per_write"], serde_json::Value::Null);
}

#[test]
fn reports_are_private_complete_and_leave_no_temporary_files() {
    use std::os::unix::fs::PermissionsExt;
    let run = run(RunKind::Apply, EIGHT);
    run.draw();
    run.draw();
    let mut names = Vec::new();
    for entry in fs::read_dir(run.dir.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != "input.csv" {
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o7777,
                0o600,
                "{name}"
            );
        }
        names.push(name);
    }
    assert!(names.iter().all(|name| !name.contains("tmp")), "{names:?}");
    for name in ["results.csv", "failures.csv", "summary.json", "report.html"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    // A report that fails leaves the former one in place.
    let before = fs::read(run.dir.path().join("results.csv")).unwrap();
    fs::write(
        run.dir.local_input(),
        "accountId,newAccountId\n\"never closed,b\n",
    )
    .unwrap();
    assert!(draw(&run.dir, &run.ledger, &run.table(), false).is_err());
    assert_eq!(
        fs::read(run.dir.path().join("results.csv")).unwrap(),
        before
    );
}

/// Makes cells that spreadsheets, parsers and this program might misread.
fn hostile() -> impl Strategy<Value = String> {
    "['\"=+@,;x \u{a0}\u{e4}-]{0,6}|[a-z]{1,3}\n=[a-z]{1,3}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn failures_used_as_input_keep_the_same_cells(
        cells in proptest::collection::vec(hostile(), 1..8)
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["accountId", "newAccountId", "note"]).unwrap();
        for cell in &cells {
            writer.write_record(["a", "b", cell]).unwrap();
        }
        let mut input = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        for _ in 0..2 {
            let run = run(RunKind::Apply, &input);
            let table = run.table();
            let seen: Vec<String> = table.records().unwrap().map(|one| one.unwrap().cells[2].clone()).collect();
            prop_assert_eq!(&seen, &cells);
            prop_assert_eq!(table.header(), ["accountId", "newAccountId", "note"]);
            run.draw();
            prop_assert_eq!(run.said("results.csv").len(), cells.len());
            input = fs::read_to_string(run.dir.path().join("failures.csv")).unwrap();
        }
    }
}
