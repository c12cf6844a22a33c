//! One statement, its values, and whether it may be repeated when the connection is lost before its answer.

use tokio_postgres::types::ToSql;

/// One statement. It is its own transaction: the program never holds one open, so a process that is frozen holds no lock.
pub(in crate::ledger) struct Statement {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Box<dyn ToSql + Sync + Send>>,
    pub(super) is_repeatable: bool,
}

impl Statement {
    /// A statement that does the same when it is carried out a second time: a question, or a change that finds out
    /// whether it was made already. After a lost connection it is repeated.
    pub(in crate::ledger) fn repeatable(sql: &'static str) -> Self {
        Self {
            sql,
            values: Vec::new(),
            is_repeatable: true,
        }
    }

    /// A statement that must not be carried out twice. Where the connection is lost before its answer, that is an error.
    pub(in crate::ledger) fn once(sql: &'static str) -> Self {
        Self {
            is_repeatable: false,
            ..Self::repeatable(sql)
        }
    }

    /// The value of the next parameter: `$1`, `$2`, …
    pub(in crate::ledger) fn with(mut self, value: impl ToSql + Sync + Send + 'static) -> Self {
        self.values.push(Box::new(value));
        self
    }
}
