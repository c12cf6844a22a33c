//! Finds from the header what each cell of a record means.
//!
//! Promises: if two columns may be the same one, the file is refused and none is chosen. A column with nearly the name of a
//! missing column is refused, too, until the user says what it is. Columns that idshift's own reports add (`idshift_…`) are
//! left out; they show that cells were defused.

use super::column::normalise;
use super::error::SimilarColumn;
use super::similar_names::{self, SimilarName};
use super::value::{shown, trim};
use super::{Column, InputError, MAX_COLUMNS, Rules, Settings, cell};
use crate::domain::Line;
use std::borrow::Cow;
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
    escaped: bool,
    /// Columns with names that are nearly those of missing columns.
    similar_names: Vec<SimilarName>,
}

/// Returns how many of these names are columns that idshift understands; for choosing the delimiter.
pub(super) fn known<'a>(names: impl Iterator<Item = &'a str>, settings: &Settings) -> usize {
    let mapped: Vec<_> = settings
        .map
        .iter()
        .map(|(_, name)| normalise(name))
        .collect();
    names
        .map(|name| named(name, false))
        .filter(|name| Column::parse(name).is_some() || mapped.contains(&normalise(name)))
        .count()
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
        let escaped = header.iter().any(is_own);
        let came: Vec<String> = header.iter().map(|name| named(name, escaped)).collect();
        let kept: Vec<usize> = (0..came.len())
            .filter(|place| !is_own(&came[*place]))
            .collect();
        let mut layout = Self {
            line,
            places: [None; Column::ALL.len()],
            header: kept.iter().map(|place| came[*place].clone()).collect(),
            names: came.iter().map(|name| name.trim().to_owned()).collect(),
            kept,
            escaped,
            similar_names: Vec::new(),
        };
        layout.place_mapped(file, settings)?;
        layout.place_named(file)?;
        layout.refuse_twins(file)?;
        layout.look_for_similar_names(settings, rules)?;
        layout.refuse_similar_names(file)?;
        layout.refuse_missing(file, rules)?;
        Ok(layout)
    }

    /// Places the columns that `--map` names. An exact spelling has priority over a similar one.
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

    /// Places the columns that have their usual names. A mapping has priority over a name.
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
                below: None,
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
            below: None,
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

    /// Returns the header for a message, shortened.
    fn found(&self) -> String {
        shown(&self.names.join(", "))
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

    /// Finds the columns that may be meant for missing ones. A column that the system does not have is not missing.
    fn look_for_similar_names(
        &mut self,
        settings: &Settings,
        rules: &Rules,
    ) -> Result<(), InputError> {
        for wanted in &settings.carry {
            if self.places_of(|name| name == wanted.trim()).is_empty() {
                return Err(InputError::CarriedColumnMissing {
                    column: wanted.clone(),
                    line: self.line,
                    found: self.found(),
                });
            }
        }
        let is_used = |column: Column| match column {
            Column::LocationId | Column::ServiceId | Column::Profile => rules.has_locations,
            Column::ResellerId => rules.per_reseller,
            Column::AccountId | Column::NewAccountId | Column::CustomerId => true,
        };
        let missing = Column::ALL
            .into_iter()
            .filter(|column| self.place(*column).is_none() && is_used(*column));
        let missing: Vec<Column> = missing.collect();
        let is_free = |place: &&usize| {
            let name = &self.names[**place];
            !self.places.contains(&Some(**place))
                && Column::parse(name).is_none()
                && !settings.carry.iter().any(|carried| carried.trim() == name)
        };
        let free = self.kept.iter().filter(is_free);
        let similar =
            free.filter_map(|place| similar_names::of(&self.names[*place], *place, &missing));
        self.similar_names = similar.collect();
        Ok(())
    }

    /// Refuses a file with names that are almost known ones, which were probably meant. The error lists all of them.
    fn refuse_similar_names(&self, file: &str) -> Result<(), InputError> {
        let certain = self
            .similar_names
            .iter()
            .filter(|similar| similar.is_certain);
        let columns: Vec<SimilarColumn> = certain
            .map(|similar| SimilarColumn {
                column: self.names[similar.place].clone(),
                number: similar.place + 1,
                meant: similar.column.name(),
                why: similar.why.clone(),
            })
            .collect();
        if columns.is_empty() {
            return Ok(());
        }
        Err(InputError::SimilarColumns {
            name: file.to_owned(),
            line: self.line,
            columns,
        })
    }

    /// Returns the columns that may be meant for a missing one, but not certainly: the name of each, its number from 1, and the
    /// missing column.
    pub(super) fn similar_names(&self) -> impl Iterator<Item = (&str, usize, Column)> {
        self.similar_names.iter().map(|similar| {
            (
                self.names[similar.place].as_str(),
                similar.place + 1,
                similar.column,
            )
        })
    }

    /// The line on which the header stands.
    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// The place of a column that our reports add.
    pub(super) fn own(&self, name: &str) -> Option<usize> {
        self.escaped
            .then(|| self.names.iter().position(|known| known == name))?
    }

    /// Whether it has the columns of our reports.
    pub(super) fn is_report(&self) -> bool {
        self.escaped
    }

    /// The names of the columns that are carried through, as they came.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether idshift wrote the file, so that its cells must be unescaped.
    pub(super) fn escaped(&self) -> bool {
        self.escaped
    }

    /// Returns the text of a cell as it is meant: trimmed, without what keeps a spreadsheet from running or changing it.
    pub(super) fn meant<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let bare = if self.escaped {
            cell::unescape(text)
        } else {
            text.into()
        };
        match bare {
            Cow::Borrowed(text) => {
                let text = trim(text);
                if !text.starts_with('=') {
                    return Cow::Borrowed(text);
                }
                match cell::constant(text) {
                    Some(Cow::Borrowed(constant)) => Cow::Borrowed(trim(constant)),
                    Some(Cow::Owned(constant)) => Cow::Owned(trim(&constant).to_owned()),
                    None => Cow::Borrowed(text),
                }
            }
            Cow::Owned(text) => Cow::Owned(trim(&text).to_owned()),
        }
    }

    /// `Some` if a record is a header, in any spelling: `true` if its columns are in another order than in this file.
    pub(super) fn repeats(&self, record: &csv::StringRecord) -> Option<bool> {
        // Nearly every record has a digit in its first known cell, so it is no header.
        let first = self.places.iter().flatten().next()?;
        let is_name = |cell: &str| !cell.bytes().any(|byte| byte.is_ascii_digit());
        if !record.get(*first).is_some_and(is_name) && record.len() == self.names.len() {
            let same = record.get(*first).map(trim) == Some(self.names[*first].as_str());
            if !same {
                return None;
            }
        }
        if record.len() != self.names.len() {
            // A header of another file may have another delimiter.
            let cells = record
                .iter()
                .flat_map(|cell| cell.split([',', ';', '\t', '|']));
            let known = cells.filter(|cell| self.named_by(cell.trim()).is_some());
            return (known.count() > 1).then_some(true);
        }
        let mut turned = false;
        let mut some = 0;
        for column in Column::ALL {
            let Some(place) = self.place(column) else {
                continue;
            };
            let cell = record.get(place).unwrap_or_default().trim();
            if cell == self.names[place] {
                some += 1;
                continue;
            }
            match self.named_by(cell) {
                Some(other) => turned |= other != column,
                None => return None,
            }
            some += 1;
        }
        (some > 0).then_some(turned)
    }

    /// The column that a cell names, by the name that this file gives it (`--map`) or by its own.
    fn named_by(&self, cell: &str) -> Option<Column> {
        let is_mapped = |column: &Column| {
            self.place(*column)
                .is_some_and(|place| self.names[place].eq_ignore_ascii_case(cell))
        };
        Column::ALL
            .into_iter()
            .find(is_mapped)
            .or_else(|| Column::parse(cell))
    }
}

/// Returns the name of a column as it is meant: without what keeps a spreadsheet from running or changing it.
fn named(name: &str, escaped: bool) -> String {
    let name = if escaped {
        cell::unescape(name)
    } else {
        name.into()
    };
    match cell::constant(name.trim()) {
        Some(constant) => constant.into_owned(),
        None => name.into_owned(),
    }
}
