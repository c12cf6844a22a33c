//! The questions about a run's lines and writes, as SQL. If a question can have many rows, they are read in pages, by
//! the line or the number after which a page begins.

use crate::ledger::store::{LinesOf, WritesOf};
use crate::ledger::{drift, header_columns, outcome_columns, write_columns};
use std::sync::LazyLock;

/// `$1`: the run. The columns are qualified: `user` alone would be the role of the connection.
pub(super) static HEADER: LazyLock<String> = LazyLock::new(|| {
    let columns = header_columns::COLUMNS.replace(", ", ", r.");
    format!("SELECT r.{columns} FROM run r WHERE r.run = $1")
});

/// `$2` to `$3`: the lines; `$4`: the names of statuses, none: all; `$5`: the maximum number of rows.
pub(super) static OUTCOMES: LazyLock<String> = LazyLock::new(|| {
    let columns = outcome_columns::COLUMNS;
    format!(
        "SELECT {columns} FROM outcomes WHERE run = $1 AND line BETWEEN $2 AND $3 \
         AND ($4::text[] = '{{}}' OR status = ANY ($4)) ORDER BY line LIMIT $5"
    )
});

/// `$2`: from this line on; `$3`: the maximum number of rows.
pub(super) static DRIFT: LazyLock<String> = LazyLock::new(|| {
    let columns = drift::COLUMNS;
    format!("SELECT {columns} FROM drift WHERE run = $1 AND line >= $2 ORDER BY line LIMIT $3")
});

/// `$2`: after this number; `$3`: which; `$4`: of which line or unit; `$5`: the maximum number of rows. The values are
/// known when the statement is planned, so only one branch of the condition is left.
fn writes(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM writes WHERE run = $1 AND write_id > $2 AND CASE $3::text \
         WHEN 'all' THEN true WHEN 'applied' THEN verdict = 'applied' WHEN 'accounts' THEN kind <> 'location' \
         WHEN 'locations' THEN kind = 'location' \
         WHEN 'temporary' THEN kind = 'temporary' WHEN 'altered' THEN altered AND kind <> 'temporary' \
         WHEN 'unit' THEN unit = $4 WHEN 'line' THEN line = $4 END ORDER BY write_id LIMIT $5"
    )
}

pub(super) static WRITES: LazyLock<String> = LazyLock::new(|| writes(&write_columns::all()));
pub(super) static SKETCHES: LazyLock<String> = LazyLock::new(|| writes(write_columns::SKETCH));
pub(super) static CUSTOMER: LazyLock<String> = LazyLock::new(|| writes("customer_id, reseller"));

/// `$2`: the numbers.
pub(super) static NUMBERED: LazyLock<String> = LazyLock::new(|| {
    let columns = write_columns::all();
    format!("SELECT {columns} FROM writes WHERE run = $1 AND write_id = ANY ($2)")
});

/// The word for the writes that are meant, and the line or unit.
pub(super) fn kind(which: WritesOf) -> (&'static str, i64) {
    match which {
        WritesOf::All => ("all", 0),
        WritesOf::Applied => ("applied", 0),
        WritesOf::Accounts => ("accounts", 0),
        WritesOf::Locations => ("locations", 0),
        WritesOf::Temporary => ("temporary", 0),
        WritesOf::Altered => ("altered", 0),
        WritesOf::Unit(unit) => ("unit", unit.into()),
        WritesOf::Line(line) => ("line", line.into()),
    }
}

/// Reads a page of lines as ranges without gaps. `$2`: after this line; `$3`: the maximum number of lines.
macro_rules! ranges {
    ($page:literal) => {
        concat!(
            "WITH page AS (",
            $page,
            " LIMIT $3), placed AS (SELECT line, line - row_number() OVER (ORDER BY line) AS place FROM page) \
             SELECT min(line), max(line) FROM placed GROUP BY place ORDER BY 1"
        )
    };
}

pub(super) fn ranges(which: LinesOf) -> &'static str {
    match which {
        LinesOf::Done => ranges!(
            "SELECT line FROM outcomes WHERE run = $1 AND line > $2 \
             AND (status IN ('changed', 'unchanged', 'failed') OR reason = 'suppressed') ORDER BY line"
        ),
        LinesOf::Recorded => {
            ranges!("SELECT line FROM outcomes WHERE run = $1 AND line > $2 ORDER BY line")
        }
        LinesOf::Planned => ranges!(
            "SELECT line FROM outcomes WHERE run = $1 AND line > $2 AND status = 'would_change' ORDER BY line"
        ),
        LinesOf::StillPlanned => ranges!(
            "SELECT line FROM outcomes WHERE run = $1 AND line > $2 AND status IN ('would_change', 'in_doubt') ORDER BY line"
        ),
        LinesOf::UnitsWithWrites => ranges!(
            "SELECT unit AS line FROM writes WHERE run = $1 AND unit > $2 GROUP BY unit ORDER BY unit"
        ),
    }
}

/// The counts that were recorded when the run was closed, if nothing was noted since.
pub(super) const CLOSED: &str = "SELECT status, reason, lines, first_line FROM closed c WHERE run = $1 \
     AND commits = (SELECT coalesce(sum(s.commits), 0) FROM sessions s WHERE s.run = $1)";

pub(super) const COUNTED: &str = "SELECT status, reason, sum(lines)::bigint, min(first_line) FROM ( \
     SELECT status, reason, count(*) AS lines, min(line) AS first_line FROM outcomes WHERE run = $1 GROUP BY status, reason \
     UNION ALL SELECT $2, $3, sum(lines), min(first_line) FROM unlooked WHERE run = $1 HAVING count(*) > 0) each \
     GROUP BY status, reason";

const SESSION: &str = "started_at_ms, pid, host, epoch, writing, find, read, write, retried, throttled, active_ms, limit_per_s, \
     coalesce(ended = 'its process has left it', false)";

pub(super) static SESSIONS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SESSION} FROM sessions WHERE run = $1 ORDER BY session"));

/// The sessions of all runs; the run is the last column.
pub(super) static ALL_SESSIONS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SESSION}, run FROM sessions ORDER BY run, session"));

/// What a list of runs shows of each run.
pub(super) static OVERVIEWS: LazyLock<String> = LazyLock::new(|| {
    let columns = header_columns::COLUMNS.replace(", ", ", r.");
    let first = |name: &str, condition: &str| {
        format!(
            "LEFT JOIN LATERAL (SELECT w.customer_id, w.reseller FROM writes w WHERE w.run = r.run AND {condition} \
             ORDER BY w.write_id LIMIT 1) {name} ON true "
        )
    };
    format!(
        "SELECT r.{columns}, p.base_url, p.target, p.former_targets, a.customer_id, a.reseller, b.customer_id, b.reseller, \
         c.customer_id, c.reseller FROM run r JOIN progress p USING (run) {}{}{}",
        first("a", "true"),
        first("b", "w.verdict = 'applied'"),
        first("c", "w.kind <> 'location'")
    )
});

/// `$2` to `$3`: the lines.
pub(super) const UNLOOKED: &str = "SELECT last_line, first_line, lines, message, noted_at_ms, \
     CASE WHEN first_line <= $3 THEN packed END, checksum FROM unlooked WHERE run = $1 AND last_line >= $2 \
     ORDER BY last_line LIMIT 1";

/// The facts of these names (`$2`), in their order.
pub(super) const FACTS: &str = "SELECT u.n, to_jsonb(p) ->> u.name FROM progress p \
     CROSS JOIN unnest($2::text[]) WITH ORDINALITY u(name, n) WHERE p.run = $1 ORDER BY u.n";
