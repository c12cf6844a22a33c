//! Checks whether the tables are there; makes them or brings them to a newer format, and never drops them.
//!
//! The tables lie in a schema of their own, `idshift`. A role that may not make it is told which SQL an administrator must run.

use super::statement::Statement;
use super::thread::Postgres;
use crate::ledger::LedgerError;

/// The steps that bring the schema from each format to the next; the first one makes it. From the second on, each
/// begins by raising `format` if it is the one before: `UPDATE format SET version = 2 WHERE version = 1`.
const STEPS: [&str; 1] = [concat!(
    include_str!("schema.sql"),
    include_str!("turns.sql"),
    include_str!("chunks.sql"),
    include_str!("sessions.sql"),
    include_str!("drafts.sql"),
    include_str!("note.sql"),
    include_str!("import.sql")
)];
/// The format that this program writes and reads.
const VERSION: usize = STEPS.len();

/// Lets one process at a time make the tables; the number is `idsh`.
const ALONE: &str = "SELECT pg_advisory_xact_lock(1768190824);\n";
const IN_SCHEMA: &str = "SET LOCAL search_path = idshift;\n";
const CREATE: &str = "CREATE SCHEMA IF NOT EXISTS idshift;\n";

/// Catalogs can be read by every role. A relation counts as usable where the role has all four rights on it.
const LOOK: &str = "SELECT n.oid IS NOT NULL, \
    coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false), \
    coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false), \
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), \
    ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') \
        ORDER BY 1), \
    ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') \
        AND NOT (pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT') \
            AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AND pg_catalog.has_table_privilege(c.oid, 'DELETE')) \
        ORDER BY 1) \
    FROM (VALUES (1)) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'idshift'";

/// The state of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// There, in the format of this program.
    Ready,
    /// Not there, or of an earlier format (0: not there); this role may make it.
    Makeable(usize),
    /// It cannot be used: why, and what to do about it.
    Unusable(String),
}

/// What was found of the schema.
#[expect(
    clippy::struct_excessive_bools,
    reason = "rights, each independent of the others"
)]
struct Found {
    exists: bool,
    may_use: bool,
    may_add: bool,
    may_create: bool,
    tables: Vec<String>,
    forbidden: Vec<String>,
}

impl Postgres {
    /// Returns the state of the schema; changes nothing.
    pub fn schema(&self) -> Result<Schema, LedgerError> {
        let found = self.ask_one(Statement::repeatable(LOOK), |row| {
            Ok(Found {
                exists: row.try_get(0)?,
                may_use: row.try_get(1)?,
                may_add: row.try_get(2)?,
                may_create: row.try_get(3)?,
                tables: row.try_get(4)?,
                forbidden: row.try_get(5)?,
            })
        })?;
        if let Some(schema) = found.without_format() {
            return Ok(schema);
        }
        let read = Statement::repeatable("SELECT version FROM idshift.format");
        let versions: Vec<i32> = match self.ask(read, |row| row.try_get(0)) {
            // Another program has a table of that name.
            Err(LedgerError::Postgres(super::PostgresError::Refused { why, .. })) => {
                return Ok(foreign(&why));
            }
            read => read?,
        };
        Ok(match versions[..] {
            [version] => found.of_format(version),
            _ => foreign("its table `format` has not one row"),
        })
    }

    /// Makes sure that a ledger can be kept there: looks at the server, and makes the tables where they are missing.
    pub(in crate::ledger) fn prepare(&self) -> Result<(), LedgerError> {
        if let Some(why) = self.server()?.unfit() {
            return Err(self.unfit(why.to_owned()));
        }
        let from = match self.schema()? {
            Schema::Ready => return Ok(()),
            Schema::Makeable(from) => from,
            Schema::Unusable(why) => return Err(self.unfit(why)),
        };
        let exists = self.ask_one(
            Statement::repeatable(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'idshift')",
            ),
            |row| row.try_get::<_, bool>(0),
        )?;
        let create = if exists { "" } else { CREATE };
        let steps = STEPS[from..].concat();
        let made = self.batch(format!("{ALONE}{create}{steps}"));
        match self.schema()? {
            // This process made the tables, or waited for another one that made them.
            Schema::Ready => Ok(()),
            Schema::Unusable(why) => Err(self.unfit(why)),
            Schema::Makeable(_) => made,
        }
    }
}

impl Found {
    /// Returns the state, if it is known without a look at the format.
    fn without_format(&self) -> Option<Schema> {
        let ask = "have an administrator run what `idshift doctor --ledger-schema` prints";
        if !self.exists {
            return Some(if self.may_create {
                Schema::Makeable(0)
            } else {
                Schema::Unusable(format!(
                    "the schema idshift is not there, and this role may not make it; GRANT CREATE ON DATABASE to it, or {ask}"
                ))
            });
        }
        if !self.may_use {
            return Some(Schema::Unusable(
                "the schema idshift is there, and this role may not use it; GRANT USAGE ON SCHEMA idshift to it, or name \
                 its owner as the user in the address"
                    .to_owned(),
            ));
        }
        if self.tables.is_empty() {
            return Some(if self.may_add {
                Schema::Makeable(0)
            } else {
                Schema::Unusable(format!(
                    "the schema idshift is empty, and this role may not make tables there; GRANT CREATE ON SCHEMA idshift \
                     to it, or {ask}"
                ))
            });
        }
        if !self.tables.iter().any(|table| table == "format") {
            return Some(foreign("it has no table `format`"));
        }
        if !self.forbidden.is_empty() {
            return Some(Schema::Unusable(format!(
                "this role may not read and change all tables of the schema idshift ({}); GRANT SELECT, INSERT, UPDATE, \
                 DELETE ON ALL TABLES IN SCHEMA idshift to it",
                self.forbidden.join(", ")
            )));
        }
        None
    }

    fn of_format(&self, version: i32) -> Schema {
        let counted = usize::try_from(version).ok().filter(|version| *version > 0);
        let Some(version) = counted else {
            return foreign(&format!(
                "its format is {version}, and formats begin with 1"
            ));
        };
        if version > VERSION {
            return Schema::Unusable(format!(
                "the schema idshift was made by a newer idshift (its format is {version}, this program knows {VERSION}); \
                 use that version"
            ));
        }
        if (1..VERSION).contains(&version) {
            return Schema::Makeable(version);
        }
        let is_missing = |table: &&str| !self.tables.iter().any(|found| found == table);
        let missing: Vec<&str> = tables().filter(is_missing).collect();
        if !missing.is_empty() {
            return foreign(&format!("it lacks the tables {}", missing.join(", ")));
        }
        Schema::Ready
    }
}

/// Makes the state of a schema that something else made, or that was changed by hand.
fn foreign(why: &str) -> Schema {
    Schema::Unusable(format!(
        "the schema idshift there is not one of this program ({why}). It was left as it is; name another database"
    ))
}

/// The tables of the newest format.
fn tables() -> impl Iterator<Item = &'static str> {
    let after = |line: &'static str| line.strip_prefix("CREATE TABLE ");
    let lines = STEPS.into_iter().flat_map(str::lines);
    lines
        .filter_map(after)
        .filter_map(|line| line.split(' ').next())
}

/// The SQL for an administrator: it makes the schema, and gives this role the rights that it needs.
pub fn creation(role: &str) -> String {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let steps = STEPS.concat();
    format!(
        "-- To be run once in the ledger's database, by a role that may make schemas there. Nothing is dropped.\n\
         BEGIN;\n{CREATE}{IN_SCHEMA}{steps}\
         GRANT USAGE ON SCHEMA idshift TO {role};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA idshift TO {role};\n\
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA idshift TO {role};\n\
         COMMIT;\n"
    )
}
