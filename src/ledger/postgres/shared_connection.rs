//! All parts of this program share one use of a database: the first question connects to it.

use super::connection::Settings;
use super::process_lease::Process;
use super::thread::Postgres;
use crate::ledger::LedgerError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The connections in use in this program. They are shared, so that what one part of the program holds belongs to all parts.
static CONNECTIONS: Mutex<Vec<Weak<SharedConnection>>> = Mutex::new(Vec::new());

/// The use of one database.
pub(super) struct SharedConnection {
    settings: Settings,
    connected: Mutex<Option<(Postgres, Arc<Process>)>>,
}

impl fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.settings.address;
        f.debug_tuple("SharedConnection")
            .field(&address.to_string())
            .finish()
    }
}

impl SharedConnection {
    /// Returns the connection to this address that is in use, or a new one.
    pub(super) fn of(settings: &Settings) -> Arc<Self> {
        let mut connections = CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|one| one.strong_count() > 0);
        let mut known = connections.iter().filter_map(Weak::upgrade);
        let same = known.find(|one| one.settings.address == settings.address);
        same.unwrap_or_else(|| {
            let new = Self::apart(settings);
            connections.push(Arc::downgrade(&new));
            new
        })
    }

    /// Makes a separate connection, as another program has it.
    pub(super) fn apart(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            connected: Mutex::default(),
        })
    }

    /// Database, servers and role, for messages.
    pub(super) fn place(&self) -> String {
        self.settings.address.to_string()
    }

    /// This process, as the database knows it.
    pub(super) fn process(&self) -> Result<Arc<Process>, LedgerError> {
        self.connected(|_, process| Arc::clone(process))
    }

    /// The connections, for questions to the database about all processes of a target.
    pub(super) fn postgres(&self) -> Result<Postgres, LedgerError> {
        self.connected(|postgres, _| postgres.clone())
    }

    /// Connects, looks at the server, and makes the tables where they are missing; once.
    fn connected<T>(
        &self,
        part: impl FnOnce(&Postgres, &Arc<Process>) -> T,
    ) -> Result<T, LedgerError> {
        let connected = self.connected.lock();
        let mut connected = connected.unwrap_or_else(PoisonError::into_inner);
        if let Some((postgres, process)) = &*connected {
            return Ok(part(postgres, process));
        }
        let postgres = Postgres::connect(self.settings.clone())?;
        postgres.prepare()?;
        let patience = self.settings.give_up_after;
        let process = Process::of(postgres.clone(), patience);
        let found = part(&postgres, &process);
        *connected = Some((postgres, process));
        Ok(found)
    }
}
