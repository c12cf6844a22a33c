//! What a person can ask of a ledger, and what its writes say.

use super::*;
use crate::domain::Failed;
use crate::ledger::sqlite::questions;
use crate::ledger::store::WritesOf;

#[test]
fn ledger_views_can_be_queried_with_sqlite() {
    let (_base, dir, mut ledger) = fresh();
    let failed = Outcome::bare(2, Status::Failed(Failed::NotFound));
    ledger.seed([failed, full_outcome(3)]).unwrap();
    let person = rusqlite::Connection::open(dir.ledger()).unwrap();
    let ask = |sql: &str| {
        person
            .query_row(sql, (), |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(ask("SELECT reason FROM failures"), "not_found");
    assert_eq!(
        ask("SELECT finished_at FROM results WHERE line = 3"),
        "2026-11-20 22:30:15"
    );
    assert_eq!(
        ask("SELECT group_concat(status || lines) FROM totals"),
        "changed1,failed1"
    );
}

#[test]
fn only_refused_or_unsent_write_certainly_has_no_effect() {
    let refused = |verdict, http_status| {
        let recorded = WriteRecord {
            effect: None,
            id: WriteId(1),
            intent: intent(2, 2, "c1", rename("a", "b")),
            verdict,
            http_status,
        };
        !recorded.may_have_landed()
    };
    for status in [0, 400, 401, 403, 404, 409, 422, 429] {
        assert!(refused(Some(Verdict::NotApplied), Some(status)), "{status}");
        assert!(!refused(None, Some(status)), "{status}: never settled");
    }
    for status in [None, Some(200), Some(307), Some(408), Some(500), Some(503)] {
        assert!(!refused(Some(Verdict::NotApplied), status), "{status:?}");
    }
}

/// Each later run asks for these writes before its first call.
#[test]
fn temporary_ids_and_altered_values_are_found_by_index() {
    let (_base, dir, ledger) = fresh();
    let person = rusqlite::Connection::open(dir.ledger()).unwrap();
    let plan = |which| {
        let (condition, _) = questions::condition(which);
        let sql = questions::writes("write_id", condition);
        person
            .query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [0], |row| {
                row.get::<_, String>(3)
            })
            .unwrap()
    };
    assert!(plan(WritesOf::Temporary).contains("writes_temporary"));
    assert!(plan(WritesOf::Altered).contains("writes_altered"));
    // A ledger that was made without these indexes answers the same questions.
    person
        .execute_batch("DROP INDEX writes_temporary; DROP INDEX writes_altered")
        .unwrap();
    assert_eq!(ledger.parkings().unwrap(), []);
    assert_eq!(ledger.altered().unwrap(), []);
    assert!(plan(WritesOf::Temporary).contains("PRIMARY KEY"));
}
