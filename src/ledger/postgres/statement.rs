//! One statement, its values, and whether it may be repeated when the connection is lost before its answer.

use tokio_postgres::types::ToSql;

/// One statement. It is its own transaction: the program never holds one open, so a process that is frozen holds no lock.
pub(in crate::ledger) struct Statement {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Box<dyn ToSql + Sync + Send>>,
    pub(super) is_repeatable: bool,
}

impl Statement {
    /// Makes a statement that is repeated after a lost connection, because it does the same a second time: a question,
    /// or a change that detects whether it was made already.
    pub(in crate::ledger) fn repeatable(sql: &'static str) -> Self {
        Self {
            sql,
            values: Vec::new(),
            is_repeatable: true,
        }
    }

    /// Makes a statement that must not be carried out twice. If the connection is lost before its answer, that is an error.
    pub(in crate::ledger) fn once(sql: &'static str) -> Self {
        Self {
            is_repeatable: false,
            ..Self::repeatable(sql)
        }
    }

    /// Adds the value of the next parameter: `$1`, `$2`, …
    pub(in crate::ledger) fn with(mut self, value: impl ToSql + Sync + Send + 'static) -> Self {
        self.values.push(Box::new(value));
        self
    }
}
