//! An input file, opened: its header, its rows, its records.
//!
//! Promises: rows and records come in the file's order and have the same line numbers; each call reads the file again, so
//! memory does not depend on its length; a file that was replaced in the meantime is recognised by its header.

use super::accept::Accept;
use super::block::{Block, Blocks};
use super::pipeline::Pipeline;
use super::preamble::{self, Shared};
use super::record::{self, Passed, Record};
use super::row::{self, Row};
use super::text::Text;
use super::{Column, InputError, Rules, Settings, cell};
use crate::domain::{Extent, Line, Problem, Severity};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The size of a block: large enough to keep the workers busy, small enough that a few blocks take only a few MiB.
const BLOCK_BYTES: usize = 1 << 19;
/// The size of a block where all its rows are kept: a row takes about ten times as much memory as its text.
const KEPT_BLOCK_BYTES: usize = 1 << 17;

/// An input file with a header that has been read and understood.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    settings: Settings,
    shared: Arc<Shared>,
    only: Only,
    block_bytes: usize,
}

/// Which lines of a file are read.
#[derive(Clone, Default)]
struct Only(Option<Arc<dyn Fn(Line) -> bool + Send + Sync>>);

impl Only {
    fn has(&self, line: Line) -> bool {
        self.0.as_ref().is_none_or(|has| has(line))
    }
}

impl fmt::Debug for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "some" } else { "all" })
    }
}

impl Table {
    /// Opens a file and reads its header. `display_name` is what messages call it.
    pub fn open(
        path: &Path,
        display_name: &str,
        settings: &Settings,
        rules: &Rules,
    ) -> Result<Self, InputError> {
        let name = display_name.to_owned();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return Err(InputError::Directory { name }),
            Ok(meta) if !meta.is_file() => return Err(InputError::NotRegular { name }),
            Ok(_) => {}
            Err(source) => return Err(InputError::opening(name, source)),
        }
        let head = preamble::read(path, display_name, settings, rules)?;
        Ok(Self {
            path: path.to_owned(),
            settings: settings.clone(),
            shared: Arc::new(Shared {
                name,
                head,
                rules: rules.clone(),
            }),
            only: Only::default(),
            block_bytes: BLOCK_BYTES,
        })
    }

    /// The same table, read in blocks of another size. The rows are the same for every size.
    #[must_use]
    pub fn with_block_bytes(mut self, block_bytes: usize) -> Self {
        self.block_bytes = block_bytes.max(1);
        self
    }

    /// Restricts all later reads to these lines, which keep their numbers.
    pub fn restrict(&mut self, has: impl Fn(Line) -> bool + Send + Sync + 'static) {
        self.only = Only(Some(Arc::new(has)));
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The names of the columns as they came, without those that idshift's reports add.
    pub fn header(&self) -> &[String] {
        self.shared.head.layout.header()
    }

    /// Returns warnings of columns that are carried through and may be meant for missing ones.
    pub fn similar_names(&self) -> Vec<Problem> {
        let layout = &self.shared.head.layout;
        let warning = |(name, number, column): (&str, usize, Column)| Problem {
            line: layout.line(),
            column: name.to_owned(),
            value: name.to_owned(),
            severity: Severity::Warning,
            code: "column_not_read",
            message: format!(
                "column {number} `{name}` is only carried through to the results, and there is no column {column}"
            ),
            help: format!(
                "if `{column}` is meant: --map '{column}={name}'; otherwise --carry '{name}'"
            ),
        };
        layout.similar_names().map(warning).collect()
    }

    /// The codes that were accepted.
    pub(super) fn accept(&self) -> &Accept {
        &self.shared.rules.accept
    }

    /// Whether the values came from the system itself.
    pub(super) fn is_verbatim(&self) -> bool {
        self.shared.rules.verbatim
    }

    /// The line on which the header stands.
    pub fn header_line(&self) -> Line {
        self.shared.head.layout.line()
    }

    /// Returns the values of the known columns in a record of this table, each as it is meant.
    pub fn known<'a>(&self, record: &'a Record) -> impl Iterator<Item = (Column, Cow<'a, str>)> {
        let layout = &self.shared.head.layout;
        let values = Column::ALL.into_iter().filter_map(move |column| {
            let place = layout.place(column)?;
            let at = layout.kept().iter().position(|kept| *kept == place)?;
            Some((column, cell_meant(record.cells.get(at)?)))
        });
        values.collect::<Vec<_>>().into_iter()
    }

    /// Whether the file is a report of idshift.
    pub fn is_report(&self) -> bool {
        self.shared.head.layout.is_report()
    }

    /// The delimiter that was found.
    pub fn delimiter(&self) -> u8 {
        self.shared.head.delimiter
    }

    /// Whether the file has this column.
    pub fn has(&self, column: Column) -> bool {
        self.shared.head.layout.place(column).is_some()
    }

    /// Returns the file's spelling of this column, or its usual name where the file does not have it.
    pub fn spelling(&self, column: Column) -> &str {
        self.shared.head.layout.spelling(column)
    }

    /// The place of a column of this name, counted from 1, where it is in the header.
    pub fn column_number(&self, name: &str) -> Option<usize> {
        self.shared.head.layout.number(name)
    }

    /// The rows, checked, in the order of the file.
    pub fn rows(
        &self,
    ) -> Result<impl Iterator<Item = Result<Row, InputError>> + Send + use<>, InputError> {
        Ok(flatten(self.batches()?))
    }

    /// The rows in batches of some thousands, as they come from the workers.
    pub fn batches(
        &self,
    ) -> Result<impl Iterator<Item = Result<Vec<Row>, InputError>> + Send + use<>, InputError> {
        let only = self.only.clone();
        self.pipeline(KEPT_BLOCK_BYTES, move |shared, block| {
            let mut rows = Vec::with_capacity(block.bytes.len() / 48);
            row::parse(block, shared, |row| {
                if only.has(row.line) {
                    rows.push(std::mem::take(row));
                }
            })?;
            Ok(rows)
        })
    }

    /// Folds all rows without keeping them: each worker folds its rows into a part of its own, and the parts come in
    /// the order of the file, each with how much of the file was read by then.
    pub fn fold<T: Send + 'static>(
        &self,
        begin: impl Fn() -> T + Send + Sync + 'static,
        add: impl Fn(&mut T, &mut Row) + Send + Sync + 'static,
        mut part: impl FnMut(T, Passed, Extent),
    ) -> Result<(), InputError> {
        // Row by row: a batch of rows takes megabytes, which would be allocated and freed for each block.
        let only = self.only.clone();
        let folded = self.pipeline(BLOCK_BYTES, move |shared, block| {
            let mut part = begin();
            let passed = row::parse(block, shared, |row| {
                if only.has(row.line) {
                    add(&mut part, row);
                }
            })?;
            Ok((part, passed, block.read))
        })?;
        for one in folded {
            let (one, passed, read) = one?;
            part(one, passed, read);
        }
        Ok(())
    }

    /// Returns the records as they came, for reports: the same lines as [`Self::rows`], including bad ones.
    pub fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<Record, InputError>> + Send + use<>, InputError> {
        let only = self.only.clone();
        let batches = self.pipeline(KEPT_BLOCK_BYTES, move |shared, block| {
            let mut records = record::parse(
                block,
                &shared.name,
                shared.head.delimiter,
                &shared.head.layout,
            )?;
            records.retain(|record| only.has(record.line));
            Ok(records)
        })?;
        Ok(flatten(batches))
    }

    fn pipeline<T, F>(&self, most_bytes: usize, work: F) -> Result<Pipeline<T>, InputError>
    where
        T: Send + 'static,
        F: Fn(&Shared, &Block) -> Result<T, InputError> + Send + Sync + 'static,
    {
        let name = &self.shared.name;
        let head = &self.shared.head;
        let mut text = Text::open(&self.path, name, &self.settings)?;
        let mut rest = Vec::new();
        let at_end = text
            .fill(&mut rest, head.text.len())
            .map_err(|trouble| trouble.at(name, 1))?;
        if !rest.starts_with(&head.text) {
            return Err(InputError::Changed { name: name.clone() });
        }
        rest.drain(..head.text.len());
        let blocks = Blocks::new(
            text,
            name,
            head.delimiter,
            self.block_bytes.min(most_bytes),
            (rest, at_end),
            head.next,
        );
        let shared = Arc::clone(&self.shared);
        Ok(Pipeline::new(
            blocks,
            Arc::new(move |block| work(&shared, &block)),
        ))
    }
}

/// Returns the text of a cell as it is meant; the apostrophes of our reports are already removed.
pub(super) fn cell_meant(text: &str) -> Cow<'_, str> {
    match cell::constant(text.trim()) {
        Some(constant) => Cow::Owned(constant.trim().to_owned()),
        None => Cow::Borrowed(text.trim()),
    }
}

/// Returns the items of the batches one by one; an error ends them.
fn flatten<T: Send>(
    batches: impl Iterator<Item = Result<Vec<T>, InputError>> + Send,
) -> impl Iterator<Item = Result<T, InputError>> + Send {
    batches.flat_map(|batch| match batch {
        Ok(items) => Batch::Items(items.into_iter()),
        Err(error) => Batch::Error(Some(error)),
    })
}

enum Batch<T> {
    Items(std::vec::IntoIter<T>),
    Error(Option<InputError>),
}

impl<T> Iterator for Batch<T> {
    type Item = Result<T, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Items(items) => items.next().map(Ok),
            Self::Error(error) => error.take().map(Err),
        }
    }
}
