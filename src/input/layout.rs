//! Which cell of a record means what, found from the header.
//!
//! Promises: two columns that could be one are refused, never chosen between. Columns that idshift's own reports
//! add (`idshift_…`) are left out, and say that cells were defused.

use super::column::normalise;
use super::{Column, InputError, MAX_COLUMNS, Rules, Settings, cell};
use crate::domain::Line;
use std::collections::HashMap;

/// What the columns of idshift's own reports begin with.
const OWN_PREFIX: &str = "idshift_";

/// The places of the columns that count, and what is carried through.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    line: Line,
    places: [Option<usize>; Column::ALL.len()],
    /// All names as the file spells them.
    names: Vec<String>,
    /// The places of all columns but idshift's own.
    kept: Vec<usize>,
    header: Vec<String>,
    armed: bool,
}

/// How many of the columns that count these names hold; for choosing the delimiter.
pub(super) fn known<'a>(names: impl Iterator<Item = &'a str>, settings: &Settings) -> usize {
    let mapped: Vec<_> = settings
        .map
        .iter()
        .map(|(_, name)| normalise(name))
        .collect();
    names
        .filter(|name| Column::parse(name).is_some() || mapped.contains(&normalise(name)))
        .count()
}

/// Whether a letter or two are wrong; short words that mean something else are as near as that.
fn is_nearly(name: &str, column: &str) -> bool {
    let (name, column) = (normalise(name), normalise(column));
    let most = if column.len() >= 10 { 2 } else { 1 };
    strsim::levenshtein(&name, &column) <= most
}

/// Whether a column is one that our reports add.
pub(super) fn is_own(name: &str) -> bool {
    name.trim().to_lowercase().starts_with(OWN_PREFIX)
}

impl Layout {
    /// Reads the header. `file` is the file's name for people.
    pub(super) fn find(
        header: &csv::StringRecord,
        line: Line,
        file: &str,
        settings: &Settings,
        rules: &Rules,
    ) -> Result<Self, InputError> {
        if header.len() > MAX_COLUMNS {
            let (name, columns) = (file.to_owned(), header.len());
            return Err(InputError::TooManyColumns {
                name,
                line,
                columns,
            });
        }
        let armed = header.iter().any(is_own);
        let came: Vec<String> = header
            .iter()
            .map(|name| {
                if armed {
                    cell::arm(name).into_owned()
                } else {
                    name.to_owned()
                }
            })
            .collect();
        let kept: Vec<usize> = (0..came.len())
            .filter(|place| !is_own(&came[*place]))
            .collect();
        let mut layout = Self {
            line,
            places: [None; Column::ALL.len()],
            header: kept.iter().map(|place| came[*place].clone()).collect(),
            names: came.iter().map(|name| name.trim().to_owned()).collect(),
            kept,
            armed,
        };
        layout.place_mapped(file, settings)?;
        layout.place_named(file)?;
        layout.refuse_twins(file)?;
        layout.refuse_missing(file, rules)?;
        Ok(layout)
    }

    /// The columns that `--map` names; the exact spelling goes before a similar one.
    fn place_mapped(&mut self, file: &str, settings: &Settings) -> Result<(), InputError> {
        for (at, (column, wanted)) in settings.map.iter().enumerate() {
            if let Some((_, first)) = settings.map[..at].iter().find(|(other, _)| other == column) {
                return Err(InputError::MappedTwice {
                    column: column.name(),
                    first: first.clone(),
                    second: wanted.clone(),
                });
            }
            let exact = self.places_of(|name| name == wanted.trim());
            let similar = self.places_of(|name| normalise(name) == normalise(wanted));
            let found = if exact.is_empty() { similar } else { exact };
            match found[..] {
                [] => {
                    return Err(InputError::MappedColumnMissing {
                        name: file.to_owned(),
                        line: self.line,
                        column: wanted.clone(),
                        wanted: column.name(),
                        found: self.found(),
                    });
                }
                [place] => self.places[column.index()] = Some(place),
                [first, second, ..] => return Err(self.twins(file, first, second)),
            }
        }
        Ok(())
    }

    /// The columns that are called by their names. A mapping goes before a name.
    fn place_named(&mut self, file: &str) -> Result<(), InputError> {
        let mapped = self.places;
        for place in self.kept.clone() {
            let Some(column) = Column::parse(&self.names[place]) else {
                continue;
            };
            if mapped[column.index()].is_some() || mapped.contains(&Some(place)) {
                continue;
            }
            if let Some(first) = self.places[column.index()].replace(place) {
                return Err(self.twins(file, first, place));
            }
        }
        Ok(())
    }

    fn refuse_twins(&self, file: &str) -> Result<(), InputError> {
        let mut seen = HashMap::new();
        for &place in &self.kept {
            let name = &self.names[place];
            if name.is_empty() {
                continue;
            }
            if let Some(first) = seen.insert(name, place) {
                return Err(self.twins(file, first, place));
            }
        }
        Ok(())
    }

    fn refuse_missing(&self, file: &str, rules: &Rules) -> Result<(), InputError> {
        let (name, line) = (file.to_owned(), self.line);
        if self.places.iter().all(Option::is_none) {
            return Err(InputError::NoHeader {
                name,
                line,
                found: self.found(),
            });
        }
        let has = |column: Column| self.place(column).is_some();
        let asks = has(Column::NewAccountId)
            || (rules.has_locations && (has(Column::ServiceId) || has(Column::Profile)));
        let missing = if !has(Column::AccountId) && !has(Column::CustomerId) {
            "accountId (or customerId)"
        } else if asks {
            if rules.per_reseller && !has(Column::ResellerId) && rules.reseller.is_none() {
                return Err(InputError::NoReseller { name, line });
            }
            return Ok(());
        } else if rules.has_locations {
            "newAccountId (or serviceId, or profile)"
        } else {
            "newAccountId"
        };
        Err(InputError::MissingColumn {
            name,
            line,
            missing,
            found: self.found(),
        })
    }

    fn places_of(&self, is: impl Fn(&str) -> bool) -> Vec<usize> {
        self.kept
            .iter()
            .copied()
            .filter(|place| is(&self.names[*place]))
            .collect()
    }

    fn twins(&self, file: &str, first: usize, second: usize) -> InputError {
        InputError::DuplicateColumn {
            name: file.to_owned(),
            line: self.line,
            first: self.names[first].clone(),
            first_at: first + 1,
            second: self.names[second].clone(),
            second_at: second + 1,
        }
    }

    /// The header for a message, cut to what a person reads.
    fn found(&self) -> String {
        super::row::shown(&self.names.join(", "))
    }

    /// How many cells a record has.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    /// The place of a column in a record.
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column.index()]
    }

    /// The column's name as the file spells it.
    pub(super) fn spelling(&self, column: Column) -> &str {
        self.place(column)
            .map_or(column.name(), |place| &self.names[place])
    }

    /// The name of any column, as the file spells it.
    pub(super) fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    /// The place of a column of this name, counted from 1.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.names
            .iter()
            .position(|known| known == name)
            .map(|place| place + 1)
    }

    /// The places of the columns that are carried through.
    pub(super) fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// Columns that are carried through and called nearly like one that counts and is not there: the name of each, its
    /// number from 1, and what may be meant.
    pub(super) fn misspelt(&self) -> impl Iterator<Item = (&str, usize, Column)> {
        self.kept.iter().filter_map(|place| {
            let name = self.names[*place].as_str();
            let is_read = self.places.contains(&Some(*place)) || Column::parse(name).is_some();
            let missing = Column::ALL
                .into_iter()
                .filter(|column| self.place(*column).is_none());
            let column = missing
                .filter(|_| !is_read)
                .find(|column| is_nearly(name, column.name()))?;
            Some((name, place + 1, column))
        })
    }

    /// The line on which the header stands.
    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// The place of a column that our reports add.
    pub(super) fn own(&self, name: &str) -> Option<usize> {
        self.armed
            .then(|| self.names.iter().position(|known| known == name))?
    }

    /// Whether it has the columns of our reports.
    pub(super) fn is_report(&self) -> bool {
        self.armed
    }

    /// The names of the columns that are carried through, as they came.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether idshift wrote the file, so that its cells are to be armed again.
    pub(super) fn armed(&self) -> bool {
        self.armed
    }

    /// Whether a record says the same as the header.
    pub(super) fn repeats(&self, record: &csv::StringRecord) -> bool {
        let mut used = self.places.iter().flatten();
        used.all(|place| {
            record
                .get(*place)
                .is_some_and(|text| text.trim() == self.names[*place])
        })
    }
}
