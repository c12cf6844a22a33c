//! A file that was opened: its header, and its rows as often as they are asked for.

use super::blocks::{Block, Blocks, MOST_RECORD_BYTES, Walk};
use super::decode::Text;
use super::header::{self, Header};
use super::record::{Cells, Raw, Record, records};
use super::row::{Row, RowReader};
use super::{InputError, Rules, Settings, store};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// About how many bytes one worker parses at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A CSV file with a header.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    file: String,
    settings: Settings,
    rules: Rules,
    header: Header,
    names: Vec<String>,
    delimiter: u8,
    block_bytes: usize,
}

/// The text behind the header.
struct Body {
    text: Text,
    rest: Vec<u8>,
    line: u32,
    offset: u64,
    header: String,
    header_line: u32,
}

impl Table {
    /// Opens a file and understands its header. `file` is its name for people.
    pub fn open(
        path: &Path,
        file: &str,
        settings: &Settings,
        rules: &Rules,
    ) -> Result<Self, InputError> {
        let body = body(path, file, settings)?;
        let delimiter = settings
            .delimiter
            .or(said_by_excel(&body))
            .unwrap_or_else(|| header::delimiter(&body.header));
        let names = split(&body.header, delimiter);
        let wrong = |what: String, help: String| InputError::Header {
            file: file.to_owned(),
            line: body.header_line,
            what,
            help,
        };
        let header = Header::read(&names, settings, rules, wrong)?;
        let names = header
            .kept
            .iter()
            .filter_map(|at| header.all.get(*at).cloned())
            .collect();
        Ok(Self {
            path: path.to_owned(),
            file: file.to_owned(),
            settings: settings.clone(),
            rules: rules.clone(),
            header,
            names,
            delimiter,
            block_bytes: BLOCK_BYTES,
        })
    }

    /// The user's own columns as the file spells them; columns of idshift's reports are left out.
    pub fn header(&self) -> &[String] {
        &self.names
    }

    /// The file's name for people.
    pub fn name(&self) -> &str {
        &self.file
    }

    /// The column of a problem, counted from 1 as an editor's table would, where it is in the header.
    pub fn column_number(&self, name: &str) -> Option<usize> {
        self.header
            .all
            .iter()
            .position(|known| known == name)
            .map(|at| at + 1)
    }

    /// All rows in batches, in the order of the file, parsed in parallel; a few megabytes at a time.
    pub fn batches(
        &self,
    ) -> Result<impl Iterator<Item = Result<Vec<Row>, InputError>> + Send + use<>, InputError> {
        let reader = (
            self.header.clone(),
            self.rules.clone(),
            self.delimiter,
            self.file.clone(),
        );
        let blocks = self.blocks()?;
        Ok(parallel(blocks, move |block: &Block| {
            let (header, rules, delimiter, file) = &reader;
            let rows = RowReader {
                header,
                rules,
                delimiter: *delimiter,
            };
            let text = utf8(block, file)?;
            let mut cells = Cells::default();
            records(block, text, *delimiter)
                .map(|raw| {
                    check_size(&raw, file)?;
                    Ok(rows.read(&raw, &mut cells))
                })
                .collect()
        }))
    }

    /// Folds all rows, in parallel and without keeping them: each worker folds its blocks into a part of its
    /// own, and the parts come in the order of the file.
    pub fn fold<T: Send>(
        &self,
        begin: impl Fn() -> T + Sync,
        add: impl Fn(&mut T, Row) + Sync,
        mut part: impl FnMut(T),
    ) -> Result<(), InputError> {
        let mut blocks = self.blocks()?;
        let rows = RowReader {
            header: &self.header,
            rules: &self.rules,
            delimiter: self.delimiter,
        };
        while let Some(some) = take(&mut blocks)? {
            let parts: Vec<Result<T, InputError>> = some
                .par_iter()
                .map(|block| {
                    let text = utf8(block, &self.file)?;
                    let mut folded = begin();
                    let mut cells = Cells::default();
                    for raw in records(block, text, self.delimiter) {
                        check_size(&raw, &self.file)?;
                        add(&mut folded, rows.read(&raw, &mut cells));
                    }
                    Ok(folded)
                })
                .collect();
            for folded in parts {
                part(folded?);
            }
        }
        Ok(())
    }

    /// All records as they stand, for reports: the user's own columns, in the order of the file.
    pub fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<Record, InputError>> + use<>, InputError> {
        let (delimiter, file, header) = (self.delimiter, self.file.clone(), self.header.clone());
        let blocks = self.blocks()?;
        let batches = parallel(blocks, move |block: &Block| {
            let text = utf8(block, &file)?;
            let mut cells = Cells::default();
            let records = records(block, text, delimiter).map(|raw| {
                raw.cells(delimiter, &mut cells);
                let kept = if header.is_report() {
                    let own = header.kept.iter().map(|at| cells.get(*at).unwrap_or(""));
                    own.map(|text| super::cell::arm(text).into_owned())
                        .collect()
                } else {
                    cells.to_vec()
                };
                Record {
                    line: raw.line,
                    cells: kept,
                }
            });
            Ok(records.collect())
        });
        Ok(
            batches.flat_map(|batch: Result<Vec<Record>, InputError>| match batch {
                Ok(records) => records.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            }),
        )
    }

    fn blocks(&self) -> Result<Blocks, InputError> {
        let body = body(&self.path, &self.file, &self.settings)?;
        Ok(Blocks::new(
            body.text,
            body.rest,
            body.line,
            body.offset,
            self.delimiter,
            self.block_bytes,
        ))
    }
}

/// Parses as many blocks at once as there are workers, and gives the batches in the order of the file.
fn parallel<T: Send, F: Fn(&Block) -> Result<Vec<T>, InputError> + Send + Sync>(
    mut blocks: Blocks,
    parse: F,
) -> impl Iterator<Item = Result<Vec<T>, InputError>> + Send + use<T, F> {
    let mut parsed: VecDeque<Result<Vec<T>, InputError>> = VecDeque::new();
    let mut over = false;
    std::iter::from_fn(move || {
        if parsed.is_empty() && !over {
            match take(&mut blocks) {
                Ok(Some(some)) => {
                    let batches: Vec<_> = some.par_iter().map(&parse).collect();
                    parsed.extend(batches);
                }
                Ok(None) => over = true,
                Err(error) => {
                    over = true;
                    parsed.push_back(Err(error));
                }
            }
        }
        let next = parsed.pop_front();
        if matches!(next, Some(Err(_))) {
            over = true;
            parsed.clear();
        }
        next
    })
}

/// As many blocks as there are workers.
fn take(blocks: &mut Blocks) -> Result<Option<Vec<Block>>, InputError> {
    let some: Vec<Block> = blocks
        .take(rayon::current_num_threads().max(1))
        .collect::<Result<_, _>>()?;
    Ok((!some.is_empty()).then_some(some))
}

fn check_size(raw: &Raw<'_>, file: &str) -> Result<(), InputError> {
    if raw.text.len() <= MOST_RECORD_BYTES {
        return Ok(());
    }
    Err(InputError::TooLong {
        file: file.to_owned(),
        line: raw.line,
        limit: MOST_RECORD_BYTES,
    })
}

fn utf8<'a>(block: &'a Block, file: &str) -> Result<&'a str, InputError> {
    let line_of = |at: usize| {
        let breaks = memchr::memchr_iter(b'\n', &block.bytes[..at]).count();
        block
            .line
            .saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX))
    };
    if let Some(at) = memchr::memchr(0, &block.bytes) {
        return Err(InputError::Binary {
            file: file.to_owned(),
            line: line_of(at),
        });
    }
    std::str::from_utf8(&block.bytes).map_err(|error| InputError::Encoding {
        file: file.to_owned(),
        line: line_of(error.valid_up_to()),
        offset: block.offset + u64::try_from(error.valid_up_to()).unwrap_or(0),
        encoding: "UTF-8".to_owned(),
        help: "save the file as UTF-8, or name its encoding, such as --encoding windows-1252",
    })
}

/// Opens a file and reads as far as its header.
fn body(path: &Path, file: &str, settings: &Settings) -> Result<Body, InputError> {
    let source = store::open(path)?;
    let mut text = Text::open(source, settings.encoding.as_deref(), file, path.to_owned())?;
    let mut rest = Vec::new();
    let mut more = text.fill(&mut rest)?;
    if memchr::memchr(b'\n', &rest).is_none() && memchr::memchr(b'\r', &rest).is_some() {
        text.set_cr_only();
        for byte in &mut rest {
            if *byte == b'\r' {
                *byte = b'\n';
            }
        }
    }
    let (mut line, mut offset) = (1, 0_u64);
    let mut excel = None;
    loop {
        let Some(end) = Walk::new(&rest, b'\0')
            .next_end()
            .or_else(|| (!more).then_some(rest.len()))
        else {
            if rest.len() > MOST_RECORD_BYTES {
                return Err(InputError::TooLong {
                    file: file.to_owned(),
                    line,
                    limit: MOST_RECORD_BYTES,
                });
            }
            more = text.fill(&mut rest)?;
            continue;
        };
        if rest.is_empty() {
            let what = "there is nothing in it";
            return Err(InputError::Empty {
                file: file.to_owned(),
                what,
            });
        }
        let behind = rest.split_off(end);
        let block = Block {
            line,
            offset,
            quoted: true,
            bytes: std::mem::replace(&mut rest, behind),
        };
        let this = utf8(&block, file)?
            .trim_end_matches(['\n', '\r'])
            .to_owned();
        let header_line = line;
        let breaks = memchr::memchr_iter(b'\n', &block.bytes).count();
        line += u32::try_from(breaks).unwrap_or(0);
        offset += u64::try_from(block.bytes.len()).unwrap_or(0);
        if this.trim().is_empty() {
            continue;
        }
        if excel.is_none() && this.len() == 5 && this.to_ascii_lowercase().starts_with("sep=") {
            excel = Some(this);
            continue;
        }
        let header = match &excel {
            Some(said) => format!("{said}\n{this}"),
            None => this,
        };
        return Ok(Body {
            text,
            rest,
            line,
            offset,
            header,
            header_line,
        });
    }
}

/// The delimiter that a first line `sep=;` names.
fn said_by_excel(body: &Body) -> Option<u8> {
    let said = body
        .header
        .strip_prefix("sep=")
        .or_else(|| body.header.strip_prefix("SEP="))?;
    said.bytes().next()
}

fn split(header: &str, delimiter: u8) -> Vec<String> {
    let line = match header.split_once('\n') {
        Some((said, line)) if said.len() == 5 => line,
        _ => header,
    };
    let raw = Raw {
        line: 1,
        text: line,
        quoted: line.contains('"'),
        glued: false,
    };
    let mut cells = Cells::default();
    raw.cells(delimiter, &mut cells);
    cells.to_vec()
}
