//! The tables are made once, by any role that may make them, and existing ones are not touched.

use super::super::schema::{Schema, creation};
use super::super::statement::Statement;
use super::*;
use crate::ledger::{Header, Ledger, RunDir, RunId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

fn unusable(postgres: &Postgres) -> String {
    match postgres.schema().unwrap() {
        Schema::Unusable(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn processes_that_begin_together_make_the_tables_once() {
    let Some((server, database, postgres)) = fresh() else {
        return;
    };
    assert_eq!(postgres.schema().unwrap(), Schema::Makeable(0));
    let barrier = Barrier::new(6);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let own = Postgres::connect(settings(&server.address(ADMIN, &database))).unwrap();
                barrier.wait();
                own.prepare().unwrap();
            });
        }
    });
    assert_eq!(postgres.schema().unwrap(), Schema::Ready);
    server.psql(&database, "INSERT INTO idshift.target VALUES ('t', 7)");
    postgres.prepare().unwrap();
    assert_eq!(
        server.psql(&database, "SELECT epoch FROM idshift.target"),
        "7"
    );
}

#[test]
fn role_without_create_right_is_shown_the_required_sql() {
    let Some((server, database, _)) = fresh() else {
        return;
    };
    let role = format!("role_{database}");
    server.psql(
        &database,
        &format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON DATABASE {database} FROM PUBLIC"),
    );
    let postgres = Postgres::connect(settings(&server.address(&role, &database))).unwrap();
    let why = unusable(&postgres);
    assert!(why.contains("idshift doctor --ledger-schema"), "{why}");
    assert!(said(postgres.prepare()).contains("--ledger-schema"));
    server.psql(&database, &creation(&role));
    postgres.prepare().unwrap();
    assert_eq!(postgres.schema().unwrap(), Schema::Ready);
    let insert = Statement::once("INSERT INTO target (target) VALUES ('t') RETURNING epoch");
    assert_eq!(
        postgres
            .ask_one(insert, |row| row.try_get::<_, i64>(0))
            .unwrap(),
        0
    );
    server.psql(
        &database,
        &format!("REVOKE DELETE ON idshift.writes FROM {role}"),
    );
    assert!(unusable(&postgres).contains("(writes); GRANT SELECT, INSERT, UPDATE, DELETE"));
    server.psql(
        &database,
        &format!("REVOKE USAGE ON SCHEMA idshift FROM {role}"),
    );
    assert!(unusable(&postgres).contains("GRANT USAGE ON SCHEMA idshift"));
}

#[test]
fn an_empty_schema_that_an_administrator_made_is_filled() {
    let Some((server, database, _)) = fresh() else {
        return;
    };
    let role = format!("owner_{database}");
    server.psql(
        &database,
        &format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA idshift AUTHORIZATION {role}"),
    );
    let postgres = Postgres::connect(settings(&server.address(&role, &database))).unwrap();
    postgres.prepare().unwrap();
    assert_eq!(postgres.schema().unwrap(), Schema::Ready);
}

#[test]
fn newer_or_foreign_schema_is_refused_and_not_changed() {
    let Some((server, database, postgres)) = fresh() else {
        return;
    };
    postgres.prepare().unwrap();
    server.psql(&database, "UPDATE idshift.format SET version = 2");
    assert!(unusable(&postgres).contains("newer idshift (its format is 2, this program knows 1)"));
    for version in [0, -3] {
        server.psql(
            &database,
            &format!("UPDATE idshift.format SET version = {version}"),
        );
        let why = unusable(&postgres);
        assert!(
            why.contains(&format!(
                "its format is {version}, and formats begin with 1"
            )),
            "{why}"
        );
    }
    server.psql(
        &database,
        "UPDATE idshift.format SET version = 1; ALTER TABLE idshift.drift RENAME TO other",
    );
    assert!(unusable(&postgres).contains("lacks the tables drift"));
    for (foreign, words) in [
        ("CREATE TABLE idshift.songs (n int)", "no table `format`"),
        ("CREATE TABLE idshift.format (name text)", "version"),
        ("CREATE TABLE idshift.format (version int)", "not one row"),
    ] {
        let database = server.database();
        server.psql(&database, &format!("CREATE SCHEMA idshift; {foreign}"));
        let postgres = Postgres::connect(settings(&server.address(ADMIN, &database))).unwrap();
        let why = unusable(&postgres);
        assert!(
            why.contains(words) && why.contains("is not one of this program"),
            "{why}"
        );
        assert_eq!(
            said(postgres.prepare()),
            format!("the ledger in {} cannot be used: {why}", postgres.place())
        );
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'idshift'";
        assert_eq!(server.psql(&database, tables), "1");
    }
}

/// A fact that the statement does not set would be lost.
#[test]
fn each_progress_column_is_set_by_the_sql_functions() {
    let sql = include_str!("../schema.sql");
    let table = sql.split("CREATE TABLE progress (").nth(1).unwrap();
    let table = table.split("\n);").next().unwrap();
    let lines = table
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("--"));
    let columns: Vec<&str> = lines
        .flat_map(|line| line.split(','))
        .filter_map(|column| column.split_whitespace().next())
        .collect();
    assert!(columns.len() > 20, "{columns:?}");
    let functions = include_str!("../note.sql");
    for column in columns {
        let is_other = [
            "run",
            "pass",
            "alone",
            "lead",
            "units_digest",
            "given",
            "changes",
            "changed_by",
        ]
        .contains(&column);
        let is_recorded = functions.contains(&format!("{column} = p.{column}"));
        assert!(is_other || is_recorded, "{column}");
    }
}

/// Both databases keep the same: each column of a ledger.db is a column here; further columns here are for several machines.
#[test]
fn postgres_tables_have_all_columns_of_the_sqlite_ledger() {
    let Some((_, _, postgres)) = fresh() else {
        return;
    };
    postgres.prepare().unwrap();
    let ask = Statement::repeatable(
        "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'idshift'",
    );
    let mut here: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, column) in postgres
        .ask(ask, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .unwrap()
    {
        let columns: &mut BTreeSet<String> = here.entry(table).or_default();
        columns.insert(column);
    }
    let base = tempfile::tempdir().unwrap();
    let header = Header::example();
    let dir = RunDir::create(
        &base.path().join("runs"),
        &RunId::parse(&header.run).unwrap(),
    )
    .unwrap();
    drop(Ledger::create(&dir).unwrap().begin(&header, None).unwrap());
    let files = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "db"))
        .unwrap();
    let sqlite = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.name NOT LIKE 'sqlite_%' \
               AND m.type IN ('table', 'view')";
    let mut query = sqlite.prepare(sql).unwrap();
    let columns = query
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let mut compared = 0;
    for column in columns {
        let (table, column): (String, String) = column.unwrap();
        // Here the sessions have the number of commits and the number of the followed order, and a run has its ID where
        // a file has one row.
        if table == "seal" || column == "id" || (table == "orders" && column == "seen") {
            continue;
        }
        compared += 1;
        assert!(
            here.get(&table)
                .is_some_and(|columns| columns.contains(&column)),
            "{table}.{column}"
        );
    }
    assert!(compared > 100, "{compared}");
}
