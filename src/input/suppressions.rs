//! Reads the file of `--suppress`: known drift that runs leave unchanged until a date. Columns `accountId`, `until`, `reason`.

use crate::domain::AccountId;
use jiff::civil::Date;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// The maximum size of the file, in bytes: about half a million entries.
const LONGEST: u64 = 64 * 1024 * 1024;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The account ID; its lines stay unchanged.
    pub account: AccountId,
    /// The last day on which they stay unchanged.
    pub until: Date,
    /// The reason, for people.
    pub reason: String,
    /// The line of the entry.
    pub line: u64,
}

/// What is wrong with the file, with line, column and value.
#[derive(Debug, thiserror::Error)]
pub enum SuppressionError {
    /// It cannot be read, or is no CSV.
    #[error("{name}: cannot be read: {why}")]
    Unreadable {
        /// The file.
        name: String,
        /// Why.
        why: String,
    },
    /// A column is not there.
    #[error("{name}:1: there is no column `{column}`; the header is `accountId,until,reason`")]
    NoColumn {
        /// The file.
        name: String,
        /// The column.
        column: &'static str,
    },
    /// A value that cannot be used.
    #[error("{name}:{line}: column {column}: `{value}`: {why}")]
    Value {
        /// The file.
        name: String,
        /// The line, as an editor counts.
        line: u64,
        /// The column.
        column: &'static str,
        /// The value.
        value: String,
        /// What it should be like.
        why: String,
    },
}

/// Reads the file.
pub fn suppressions(path: &Path) -> Result<Vec<Suppression>, SuppressionError> {
    let name = path.display().to_string();
    let unreadable = |why: String| SuppressionError::Unreadable {
        name: name.clone(),
        why,
    };
    let mut bytes = Vec::new();
    // It is read once, so it may be a pipe, like the file of the run.
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|why| unreadable(why.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(unreadable("it is longer than 64 MiB".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|why| unreadable(why.to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|why| unreadable(why.to_string()))?;
    let plain = |text: &str| {
        let text = text.to_lowercase();
        text.replace(['_', '-', ' '], "")
    };
    let place = |column: &'static str| {
        let mut names = header.iter();
        names
            .position(|name| plain(name) == column.to_lowercase())
            .ok_or_else(|| SuppressionError::NoColumn {
                name: name.clone(),
                column,
            })
    };
    let (account, until, reason) = (place("accountId")?, place("until")?, place("reason")?);
    let (mut entries, mut lines) = (Vec::new(), HashMap::new());
    for record in reader.records() {
        let record = record.map_err(|why| unreadable(why.to_string()))?;
        let line = record.position().map_or(0, |at| line_at(text, at.byte()));
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let wrong = |column, at, why: String| SuppressionError::Value {
            name: name.clone(),
            line,
            column,
            value: cell(at).to_owned(),
            why,
        };
        let is_date = |text: &str| text.len() == "2026-12-31".len();
        let date = || {
            wrong(
                "until",
                until,
                "give the last day as a date such as 2026-12-31".to_owned(),
            )
        };
        let entry = Suppression {
            account: AccountId::new(cell(account))
                .map_err(|why| wrong("accountId", account, why.to_string()))?,
            until: Some(cell(until))
                .filter(|text| is_date(text))
                .and_then(|text| text.parse().ok())
                .ok_or_else(date)?,
            reason: cell(reason).to_owned(),
            line,
        };
        let first: &u64 = lines.entry(entry.account.clone()).or_insert(line);
        if *first != line {
            let why = format!("line {first} has this account ID, too; keep one of them");
            return Err(wrong("accountId", account, why));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Returns the line of a record, as an editor counts. The position of a record may be before the previous line's break.
fn line_at(text: &str, byte: u64) -> u64 {
    let byte = usize::try_from(byte).unwrap_or(usize::MAX);
    let (before, rest) = text.split_at_checked(byte).unwrap_or((text, ""));
    let breaks = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    let breaks = before.bytes().chain(rest.bytes().take(breaks));
    let breaks = breaks.filter(|byte| *byte == b'\n').count();
    u64::try_from(breaks).unwrap_or(u64::MAX).saturating_add(1)
}

/// Returns the delimiter that occurs most often in the header.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| header.matches(char::from(delimiter)).count();
    let others = [b';', b'\t', b'|'].into_iter();
    others.fold(b',', |best, other| {
        if count(other) > count(best) {
            other
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Suppression>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        suppressions(file.path()).map_err(|why| why.to_string())
    }

    #[test]
    fn invalid_entry_is_reported_with_its_position() {
        let good =
            read("\u{feff}Account ID,until,reason\nA-1,2026-12-31,\"moves, later\"\n").unwrap();
        assert_eq!(good[0].reason, "moves, later");
        let semicolons = read("accountId;until;reason\r\nA-1;2026-12-31;moves, later\r\n").unwrap();
        assert_eq!(semicolons, good);
        assert_eq!((good[0].line, good[0].account.as_str()), (2, "A-1"));
        for (text, part) in [
            ("accountId,reason\n", "no column `until`"),
            (
                "accountId,until,reason\nA-1,2026-02-30,x\n",
                ":2: column until: `2026-02-30`",
            ),
            ("accountId,until,reason\nA-1,31.12.2026,x\n", "31.12.2026"),
            (
                "accountId,until,reason\nA-1,2026-12-31,x\n,2026-12-31,x\n",
                ":3: column accountId",
            ),
            ("accountId,until,reason\nA-1\n", "cannot be read"),
            (
                "accountId,until,reason\nA-1,2026-12-31,x\nA-2,2026-12-31,x\nA-1,2027-12-31,y\n",
                ":4: column accountId: `A-1`: line 2",
            ),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
