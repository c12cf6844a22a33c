//! What can go wrong with a ledger in PostgreSQL: each names the database and its servers, what failed, and what to do
//! about it. Never a password.

/// Why PostgreSQL could not store or return something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostgresError {
    /// No server accepts a connection that can be used.
    #[error("the ledger in {at} cannot be used: {why}")]
    Unusable {
        /// Database, servers and role.
        at: String,
        /// What each server said, and what to do about it.
        why: String,
        /// Whether it may work a little later: a server that is starting, or has just been replaced.
        passing: bool,
    },
    /// The connection was lost before the answer, and the statement is not one that may be repeated.
    #[error(
        "the connection to the ledger in {at} was lost before the answer ({why}), so whether the last statement was \
         carried out is unknown"
    )]
    Lost {
        /// Database, servers and role.
        at: String,
        /// The error that showed it.
        why: String,
    },
    /// The server refused a statement.
    #[error("the ledger in {at} refuses a statement: {why}")]
    Refused {
        /// Database, servers and role.
        at: String,
        /// What the server said, and what to do about it.
        why: String,
    },
    /// An answer does not have the expected form.
    #[error(
        "the ledger in {at} is damaged: {why}. It was left as it is; restore the database from a copy"
    )]
    Damaged {
        /// Database, servers and role.
        at: String,
        /// What does not fit.
        why: String,
    },
    /// The server, its settings or its schema cannot keep a ledger.
    #[error("the ledger in {at} cannot be used: {why}")]
    Unfit {
        /// Database, servers and role.
        at: String,
        /// What is wrong, and what to do about it.
        why: String,
    },
}

impl PostgresError {
    /// Whether it may work later, without a change of the settings or of the database.
    pub(in crate::ledger) const fn is_passing(&self) -> bool {
        match self {
            Self::Unusable { passing, .. } => *passing,
            Self::Lost { .. } => true,
            Self::Refused { .. } | Self::Damaged { .. } | Self::Unfit { .. } => false,
        }
    }
}
