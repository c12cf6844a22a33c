//! Guesses what the columns of a file mean, and saves the meanings for later runs.
//!
//! Runs do not use guesses: only what a person has saved or typed counts.

use super::Unread;
use super::check::local_copy;
use super::error::CommandError;
use super::request::Request;
use super::saved_settings::{column, kept};
use crate::config::{File, Origin, SavedMap, Values, save_map};
use crate::input::{self, Column, Guess, InputError, Sample, Strength, guesses};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file's columns, and what they probably mean.
pub(crate) struct Mapping {
    /// The name of the file, for display.
    pub(crate) name: String,
    pub(crate) sample: Sample,
    /// One meaning for each column of the sample.
    pub(crate) meanings: Vec<Meaning>,
    /// Meanings that several columns may have, each with the positions of these columns in the sample.
    pub(crate) undecided: Vec<(Column, Vec<usize>)>,
    /// The mapping that was saved; `None`: nothing was saved.
    pub(crate) saved: Option<SavedMap>,
    /// Columns that the configuration names and that this file does not have.
    pub(crate) missing: Vec<(&'static str, String)>,
}

/// What a column probably means.
#[derive(Debug, Default, Clone)]
pub(crate) struct Meaning {
    /// The decided meaning, and why it was decided.
    pub(crate) decided: Option<(Column, Basis)>,
    /// The possible meanings, if none is decided.
    pub(crate) candidates: Vec<Column>,
}

/// Why a meaning is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// `--map` says it.
    CommandLine,
    /// `IDSHIFT_MAP` says it.
    Environment,
    /// The file of settings says it.
    Configuration,
    /// The column has the name of the meaning.
    Name,
    /// The column's name and values are similar: a guess.
    Guess,
}

impl Mapping {
    /// Returns the decided meanings with the names of their columns.
    pub(crate) fn decided(&self) -> impl Iterator<Item = (Column, &str, Basis)> {
        let columns = self.sample.columns.iter().zip(&self.meanings);
        columns.filter_map(|(column, meaning)| {
            let (what, basis) = meaning.decided?;
            Some((what, column.name.as_str(), basis))
        })
    }
}

/// Reads the beginning of a file and finds out what its columns mean; with `profile`, saves the meanings.
pub(crate) fn map(
    file: &Path,
    request: &Request,
    profile: Option<&str>,
) -> Result<Mapping, Unread> {
    let values = values(request, profile)?;
    let settings = kept(&request.typed, false, &values)?;
    let copy = local_copy(file)?;
    let (path, name) = match &copy {
        Some((folder, name)) => (folder.path().join("input.csv"), name.clone()),
        None => (file.to_owned(), file.display().to_string()),
    };
    let sample = input::sample(&path, &name, &settings.reading()?)?;
    let (fixed, missing) = fixed(&sample, &name, &values)?;
    let (meanings, undecided) = meanings(&sample, &fixed);
    let mut mapping = Mapping {
        name,
        sample,
        meanings,
        undecided,
        saved: None,
        missing,
    };
    if let Some(profile) = profile {
        mapping.saved = save(&mapping, request.typed.config(), profile, &values)?;
    }
    Ok(mapping)
}

/// Returns the settings in force. If a profile is saved and the command names no other, the values of that profile apply.
fn values(request: &Request, saved: Option<&str>) -> Result<Values, CommandError> {
    let config = request.typed.config();
    let file = match saved {
        Some(_) => File::find_or_new(config)?,
        None => File::find(config)?,
    };
    let saved = saved.filter(|name| file.profiles.contains_key(*name));
    let typed = request.typed.clone();
    let typed = saved.map_or(typed.clone(), |saved| typed.or("profile", saved));
    Ok(Values::gather(&typed, &BTreeMap::new(), file)?)
}

/// Returns the meanings that the settings already give (position of the column, meaning, source), and the columns that the
/// configuration names and the file does not have.
fn fixed(
    sample: &Sample,
    name: &str,
    values: &Values,
) -> Result<(Vec<(usize, Column, Basis)>, Vec<(&'static str, String)>), Unread> {
    let place = |name: &str| sample.columns.iter().position(|column| column.name == name);
    let (mut fixed, mut missing) = (Vec::new(), Vec::new());
    for (line, origin) in values.columns() {
        let (meant, wanted) = column(line).map_err(CommandError::usage)?;
        let basis = match origin {
            Origin::CommandLine => Basis::CommandLine,
            Origin::Environment(_) => Basis::Environment,
            Origin::Run | Origin::Profile(_) | Origin::File | Origin::BuiltIn => {
                Basis::Configuration
            }
        };
        match place(&wanted) {
            Some(place) => fixed.push((place, meant, basis)),
            None if basis == Basis::Configuration => missing.push((meant.name(), wanted)),
            None => {
                let names = sample.columns.iter().map(|column| column.name.as_str());
                return Err(Unread::Input(InputError::MappedColumnMissing {
                    name: name.to_owned(),
                    line: sample.line,
                    column: wanted,
                    wanted: meant.name(),
                    found: names.collect::<Vec<_>>().join(", "),
                }));
            }
        }
    }
    Ok((fixed, missing))
}

/// What each column means or may mean, and which meanings several columns may have.
fn meanings(
    sample: &Sample,
    fixed: &[(usize, Column, Basis)],
) -> (Vec<Meaning>, Vec<(Column, Vec<usize>)>) {
    let is_fixed = |column: Column| fixed.iter().any(|(_, fixed, _)| *fixed == column);
    let all = sample.columns.iter().enumerate().map(|(place, column)| {
        // A column without a name cannot be mapped.
        if column.name.is_empty() || fixed.iter().any(|(known, ..)| *known == place) {
            return Vec::new();
        }
        let mut found = guesses(&column.name, &column.values);
        found.retain(|guess| !is_fixed(guess.column));
        found
    });
    let all: Vec<Vec<Guess>> = all.collect();
    let mut meanings = vec![Meaning::default(); sample.columns.len()];
    for (place, column, basis) in fixed {
        meanings[*place].decided = Some((*column, *basis));
    }
    let mut undecided = Vec::new();
    for meaning in Column::ALL {
        let holders = all.iter().enumerate().filter_map(|(place, guesses)| {
            let guess = guesses.iter().find(|guess| guess.column == meaning)?;
            Some((place, guess.strength))
        });
        let holders: Vec<(usize, Strength)> = holders.collect();
        let best = holders.iter().map(|(_, strength)| *strength).max();
        let Some(best) = best else { continue };
        let likeliest = holders.iter().filter(|(_, strength)| *strength == best);
        let likeliest: Vec<usize> = likeliest.map(|(place, _)| *place).collect();
        let basis = if best == Strength::Name {
            Basis::Name
        } else {
            Basis::Guess
        };
        match likeliest[..] {
            [only] if best >= Strength::Likely => {
                meanings[only].decided = Some((meaning, basis));
            }
            _ => undecided.push((meaning, holders.iter().map(|(place, _)| *place).collect())),
        }
    }
    for (meaning, guesses) in meanings.iter_mut().zip(&all) {
        if meaning.decided.is_none() {
            meaning.candidates = guesses.iter().map(|guess| guess.column).collect();
        }
    }
    (meanings, undecided)
}

/// Saves the decided meanings, except those that are found by the name of the column anyway.
fn save(
    mapping: &Mapping,
    config: Option<PathBuf>,
    profile: &str,
    values: &Values,
) -> Result<Option<SavedMap>, CommandError> {
    let configured = values
        .columns()
        .filter(|(_, origin)| **origin != Origin::CommandLine);
    let configured: Vec<Column> = configured
        .filter_map(|(line, _)| Some(column(line).ok()?.0))
        .collect();
    let named_otherwise = |column: Column| configured.contains(&column);
    let columns: Vec<(&'static str, String)> = mapping
        .decided()
        .filter(|(column, _, basis)| *basis != Basis::Name || named_otherwise(*column))
        .map(|(column, name, _)| (column.name(), name.to_owned()))
        .collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let has = |name: &str| {
        mapping
            .sample
            .columns
            .iter()
            .any(|column| column.name == name)
    };
    let stale = |_: &str, name: &str| !has(name);
    Ok(Some(save_map(config, profile, &columns, stale)?))
}
