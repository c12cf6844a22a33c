//! Records what the journal of a run does not note.

use super::rows;
use crate::ledger::columns::Value;
use crate::ledger::store::{Fact, Put};
use crate::ledger::{Counted, DriftedLine, RemovedFile, drift, outcome_columns, remains};
use rusqlite::{Connection, params, params_from_iter};

/// Records one thing, within a transaction.
pub(super) fn put(connection: &Connection, what: Put<'_>) -> rusqlite::Result<()> {
    match what {
        Put::Facts(facts) => put_facts(connection, facts),
        Put::Counts(counts) => put_counts(connection, counts),
        Put::Drift(lines) => put_drift(connection, lines),
        Put::Outcomes(outcomes) => {
            let sql = rows::insert("INSERT OR REPLACE", "outcomes", outcome_columns::COLUMNS);
            let mut insert = connection.prepare_cached(&sql)?;
            for outcome in outcomes {
                rows::insert_summed(&mut insert, &outcome_columns::values(&outcome))?;
            }
            Ok(())
        }
        Put::NoOutcomes(lines) => {
            let mut delete = connection.prepare_cached("DELETE FROM outcomes WHERE line = ?1")?;
            lines
                .iter()
                .try_for_each(|line| delete.execute([line]).map(drop))
        }
        Put::NoneFound => drop_found(connection),
        Put::NoUnlooked => connection.execute("DELETE FROM unlooked", ()).map(drop),
        Put::Wishes(wishes) => {
            let mut insert =
                connection.prepare("INSERT OR IGNORE INTO wishes VALUES (?1, ?2, ?3)")?;
            for (wish, customer) in wishes {
                rows::insert_summed(&mut insert, &remains::wish_values(*wish, customer.as_str()))?;
            }
            Ok(())
        }
        Put::Replaced(digests) => {
            let mut insert = connection.prepare("INSERT OR IGNORE INTO replaced VALUES (?1)")?;
            digests
                .iter()
                .try_for_each(|digest| insert.execute([digest.cast_signed()]).map(drop))
        }
        Put::Removed(files) => put_removed(connection, files),
    }
}

fn drop_found(connection: &Connection) -> rusqlite::Result<()> {
    let others =
        "SELECT EXISTS (SELECT 1 FROM outcomes WHERE status IN ('changed', 'failed', 'in_doubt'))";
    let sql = if connection.query_row(others, (), |row| row.get(0))? {
        "DELETE FROM outcomes WHERE status NOT IN ('changed', 'failed', 'in_doubt')"
    } else {
        // Without a condition, SQLite frees the whole table, and not row by row.
        "DELETE FROM outcomes"
    };
    connection.execute(sql, ())?;
    connection.execute("DELETE FROM unlooked", ()).map(drop)
}

fn put_facts(connection: &Connection, facts: &[(Fact, Value<'_>)]) -> rusqlite::Result<()> {
    let names: Vec<&str> = facts.iter().map(|(Fact(name), _)| *name).collect();
    let sql = format!("UPDATE progress SET {}", rows::assign(&names.join(", ")));
    let values = facts.iter().map(|(_, value)| value);
    connection.execute(&sql, params_from_iter(values)).map(drop)
}

/// Records the counts, because counting the outcomes may give less after a prune.
fn put_counts(connection: &Connection, counts: &[Counted]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM closed", ())?;
    let sql = "INSERT INTO closed (status, reason, lines, first_line, commits) \
               SELECT ?1, ?2, ?3, ?4, commits FROM seal";
    for counted in counts {
        let (status, lines) = (counted.status, counted.lines.cast_signed());
        let values = params![status.name(), status.reason(), lines, counted.first_line];
        connection.execute(sql, values)?;
    }
    Ok(())
}

fn put_drift(connection: &Connection, lines: &[DriftedLine]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM drift", ())?;
    let mut insert = connection.prepare(&rows::insert("INSERT", "drift", drift::COLUMNS))?;
    for one in lines {
        rows::insert_summed(&mut insert, &drift::values(one))?;
    }
    Ok(())
}

fn put_removed(connection: &Connection, files: &[RemovedFile]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT OR IGNORE INTO removed VALUES (?1, ?2, ?3)")?;
    for file in files {
        insert.execute(params![file.name, file.sha256, file.bytes.cast_signed()])?;
    }
    Ok(())
}
