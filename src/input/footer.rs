//! Footers: lines below the rows that count them, sum them up or say where they come from, and that name no customer.
//!
//! Promises: only lines at the very end of a file can be footers, each because of its own cells; parts are appended in the
//! order of the file. Must not take a line for a footer if it requests an ID of the shape that the column's IDs have.

use super::column_stats::ColumnStats;
use super::shape::Level;
use super::shapes::{Shapes, Usual};
use crate::domain::{Change, Line};
use smol_str::SmolStr;

/// The maximum number of lines at the end of a file that are checked.
const MOST: usize = 8;

/// The maximum number of cells in a footer that are not empty.
const MOST_CELLS: usize = 4;

/// The problems that a footer may have when it is checked as an ordinary line.
pub(super) const MISTAKEN: [&str; 3] = ["ragged", "placeholder", "no_customer"];

/// The first words of footers in the languages of Europe: they count, add up, or say when and by what a list was made.
const LABELS: &str = "total totals subtotal sum summe gesamt gesamtsumme gesamtzahl anzahl zwischensumme count rows records lines \
    end eof ende fin zeilen datensätze somme nombre lignes suma cantidad filas registros totale totali somma numero righe soma linhas \
    totaal som aantal antal antall summa yhteensä celkem spolu razem összesen ukupno skupaj toplam итого всего σύνολο \
    exported export exportiert generated created printed date time timestamp report source user page erstellt erzeugt stand datum \
    quelle seite exporté généré créé date page exportado generado creado fecha página esportato generato creato data pagina gerado \
    criado geëxporteerd gemaakt exporterad skapad eksporteret oprettet eksportert opprettet wygenerowano utworzono vygenerováno \
    exportálva létrehozva создано выгружено дата";

/// A line that may be a footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FooterCandidate {
    pub(super) line: Line,
    /// Its cells that are not empty.
    cells: Vec<SmolStr>,
    /// Whether it could be read as a customer's line.
    pub(super) is_sound: bool,
    asks: bool,
}

impl FooterCandidate {
    /// Makes a candidate of a line that could not be read as a customer's; `None`: it has no filled cells, or too many.
    pub(super) fn of_record(line: Line, record: &csv::StringRecord) -> Option<Box<Self>> {
        let cells = record.iter().map(str::trim).filter(|cell| !cell.is_empty());
        let cells: Vec<SmolStr> = cells.take(MOST_CELLS + 1).map(SmolStr::new).collect();
        (1..=MOST_CELLS).contains(&cells.len()).then(|| {
            Box::new(Self {
                line,
                cells,
                is_sound: false,
                asks: false,
            })
        })
    }

    /// Makes a candidate of a line that requests nothing, that has a word for its customer and a figure for the new ID, or that
    /// has a label for its customer and a text without a digit for the new ID.
    fn of_change(change: &Change) -> Option<Self> {
        let account = change.account.as_ref().map(AsRef::as_ref);
        let key: &str = account.or(change.customer.as_ref().map(AsRef::as_ref))?;
        let new: Option<&str> = change.new_account.id().map(AsRef::as_ref);
        let asks = change.asks_anything();
        let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        let may_count = match new {
            // Nearly every new ID has a digit and is no figure; such a line needs no search for a label.
            Some(new) if has_digit(new) => {
                is_figure(new) && !has_digit(key) && change.service.is_none()
            }
            Some(_) => begins_with_label(key) && change.service.is_none(),
            None => !asks,
        };
        may_count.then(|| Self {
            line: change.line,
            cells: [key].into_iter().chain(new).map(SmolStr::new).collect(),
            is_sound: true,
            asks,
        })
    }
}

impl FooterCandidate {
    /// Its first cell that is not empty.
    pub(super) fn text(&self) -> &str {
        &self.cells[0]
    }
}

/// The lines at the end of a part of the file that may be footers.
#[derive(Debug, Clone, Default)]
pub(super) struct FooterCandidates {
    last: Vec<FooterCandidate>,
    /// Whether another line stands above them in this part.
    any_other: bool,
}

impl FooterCandidates {
    pub(super) fn add(&mut self, change: Option<&Change>, unread: Option<Box<FooterCandidate>>) {
        let footer = match change {
            Some(change) => FooterCandidate::of_change(change),
            None => unread.map(|footer| *footer),
        };
        if let Some(footer) = footer {
            self.last.push(footer);
            if self.last.len() > MOST {
                self.last.remove(0);
                self.any_other = true;
            }
        } else {
            self.pass();
        }
    }

    /// Adds a line that is certainly a customer's: the lines above it are no footers.
    pub(super) fn pass(&mut self) {
        self.any_other = true;
        self.last.clear();
    }

    pub(super) fn append(&mut self, other: Self) {
        if other.any_other {
            *self = other;
            return;
        }
        self.last.extend(other.last);
        let more = self.last.len().saturating_sub(MOST);
        self.any_other |= more > 0;
        self.last.drain(..more);
    }

    /// Returns the footers at the end of the file. `shapes`: those of the column that names the customers; `new_ids`: the
    /// column of the new IDs.
    pub(super) fn footers(
        &self,
        shapes: &Shapes,
        new_ids: &ColumnStats,
        rows: u64,
    ) -> &[FooterCandidate] {
        let is_one = |at: usize| self.is_footer(at, shapes, new_ids, rows);
        // A line that cannot be read anyway belongs to the footer above it.
        let may_follow = |at: usize| {
            is_one(at) || (!self.last[at].is_sound && !begins_with_id(&self.last[at], shapes))
        };
        let below = (0..self.last.len()).rev().take_while(|at| may_follow(*at));
        let first = below.filter(|at| is_one(*at)).last();
        first.map_or(&[], |first| &self.last[first..])
    }

    fn is_footer(&self, at: usize, shapes: &Shapes, new_ids: &ColumnStats, rows: u64) -> bool {
        let footer = &self.last[at];
        let lines_below = (self.last.len() - at) as u64;
        let Some(above) = rows.checked_sub(lines_below).filter(|above| *above > 0) else {
            return false;
        };
        let key = footer.cells[0].as_str();
        // How many candidates have a value of the same shape in this cell.
        let like_feet = |shapes: &Shapes, cell: usize, text: &str, level| {
            let is_like = |other: &&FooterCandidate| {
                let cell = other.cells.get(cell).filter(|_| other.is_sound);
                cell.is_some_and(|other| shapes.are_alike(other, text, level))
            };
            self.last.iter().filter(is_like).count() as u64
        };
        let alone = |level| {
            let like = shapes.like(key, level);
            like.is_none_or(|like| like <= like_feet(shapes, 0, key, level))
        };
        // A text in the place of a new ID. It must have a shape that no new ID in the lines above has.
        let text = footer.cells.get(1);
        let text = text.filter(|new| footer.is_sound && footer.asks && !is_figure(new));
        let is_unlike_new_ids = |text: &SmolStr| {
            let candidates = self.last.iter().filter(|footer| footer.is_sound).count() as u64;
            let like = new_ids.shapes.like(text, Level::Runs);
            let own = like_feet(&new_ids.shapes, 1, text, Level::Runs);
            new_ids.values > candidates && like.is_some_and(|like| like <= own)
        };
        // A footer's count may include other lines of the footer, or the header.
        let fits = |number: u64| (above.saturating_sub(MOST as u64)..=above + 1).contains(&number);
        let counts = || {
            let of_others = |cell: &SmolStr| cell.parse() == Ok(above);
            footer.cells.iter().any(of_others)
        };
        let is_label = || match text {
            // `of_change` has already checked that the key begins with a label.
            Some(text) => is_unlike_new_ids(text),
            None => is_labelled(key, footer.is_sound),
        };
        let counted = || {
            let (number, in_brackets) = counted(key)?;
            Some(!footer.asks && (in_brackets || fits(number)))
        };
        let is_sentence = || {
            let enough = if footer.is_sound {
                above >= 3
            } else {
                above >= 1
            };
            let has_letter = key.chars().any(char::is_alphabetic);
            let is_unlike = || {
                let usual = shapes.usual_besides(key);
                let usual = usual.iter().filter(|usual| usual.has_digits);
                alone(Level::Runs) && usual.into_iter().any(Usual::is_nearly_all)
            };
            let is_text = has_letter && !begins_with_id(footer, shapes);
            !footer.asks && enough && is_text && key.contains([' ', ':']) && is_unlike()
        };
        ((is_label() || counts() || counted() == Some(true)) && alone(Level::Exact))
            || is_sentence()
    }
}

/// Whether a line begins with an ID like those of other lines: it names a customer, and something else is wrong with it.
fn begins_with_id(footer: &FooterCandidate, shapes: &Shapes) -> bool {
    let first = footer.cells[0]
        .split([' ', ';', ',', '\t', '|', ':'])
        .next();
    let like = |word: &str| shapes.like(word, Level::Exact).unwrap_or_default();
    let has_digit = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    first.is_some_and(|word| has_digit(word) && like(word) > u64::from(footer.is_sound))
}

/// Whether the first word of a text is a label.
fn begins_with_label(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_alphabetic());
    let small = text[..end.unwrap_or(text.len())].to_lowercase();
    LABELS.split_whitespace().any(|label| label == small)
}

/// Whether a text begins with a label. `is_sound`: it may name a customer, as `Ende & Sohn` does.
fn is_labelled(text: &str, is_sound: bool) -> bool {
    let end = text.find(|c: char| !c.is_alphabetic());
    let rest = &text[end.unwrap_or(text.len())..];
    let figure = |c: char| c.is_ascii_digit() || c == ':';
    let may_be_one = !is_sound || rest.contains(figure) || !rest.contains(char::is_alphabetic);
    may_be_one && begins_with_label(text)
}

/// Returns the number of `2 rows`, `(2 rows affected)`, `[3 Zeilen]`, and whether the text is in brackets.
fn counted(text: &str) -> Option<(u64, bool)> {
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    let (number, words) = bare.split_once([' ', '\u{A0}'])?;
    let is_text = |c: char| c.is_alphanumeric() || " .,:;()'".contains(c);
    let in_words = words.starts_with(char::is_alphabetic) && words.chars().all(is_text);
    let number = number.replace(['.', ',', '\''], "").parse().ok()?;
    let brackets = [('(', ')'), ('[', ']'), ('<', '>'), ('\u{FF08}', '\u{FF09}')];
    let in_brackets = |(open, close)| text.starts_with(open) && text.ends_with(close);
    in_words.then(|| (number, brackets.into_iter().any(in_brackets)))
}

/// Whether a text is a number or a date: digits, and the characters that separate them.
fn is_figure(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| b"0123456789.,' -/:".contains(&byte))
}
