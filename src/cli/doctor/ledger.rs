//! The ledger that several machines share: whether its server answers, can keep a ledger, and has its tables.

use super::finding::Found;
use crate::config::{ConfigError, Resolved, SharedLedger, Values, ledger, ledger_address};
use crate::ledger::{LedgerError, Postgres, PostgresSettings, Remark, Schema, creation};

/// Returns the findings about a shared ledger; none if the ledger is kept in files.
pub(super) fn findings(values: &mut Values, resolved: &Resolved) -> Vec<Found> {
    let settings = ledger(values, resolved.ca_cert.as_deref(), resolved.give_up_after);
    match settings {
        Ok(None) => Vec::new(),
        Ok(Some(SharedLedger(settings))) => {
            // For example: other users may read the file with the password.
            let mut found: Vec<Found> = values.warnings.drain(..).map(Found::Odd).collect();
            if let Err(why) = look(settings, &mut found) {
                found.push(Found::Bad(why.to_string()));
            }
            found
        }
        Err(why) => vec![Found::Bad(why.to_string())],
    }
}

fn look(settings: PostgresSettings, found: &mut Vec<Found>) -> Result<(), LedgerError> {
    let postgres = Postgres::connect(settings)?;
    found.push(Found::Good(postgres.place().to_owned()));
    let server = postgres.server()?;
    found.extend(server.remarks().iter().map(|remark| match remark {
        Remark::Good(words) => Found::Good(words.clone()),
        Remark::Odd(words) => Found::Odd(words.clone()),
        Remark::Bad(why) => Found::Bad(why.clone()),
    }));
    if server.unfit().is_some() {
        return Ok(());
    }
    found.push(match postgres.schema()? {
        Schema::Ready => Found::Good("its tables are there".to_owned()),
        Schema::Makeable(0) => {
            Found::Good("its tables are not there yet; the first run makes them".to_owned())
        }
        Schema::Makeable(format) => Found::Good(format!(
            "its tables are of format {format}; the next run brings them to the present one"
        )),
        Schema::Unusable(why) => Found::Bad(why),
    });
    Ok(())
}

/// The SQL that makes the tables, for an administrator.
pub(super) fn creation_sql(values: &Values) -> Result<String, ConfigError> {
    let address = ledger_address(values)?.ok_or(ConfigError::Missing {
        what: "the address of the ledger",
        help: "give it with --ledger: its user is the role that gets the rights",
    })?;
    Ok(creation(address.user()))
}
