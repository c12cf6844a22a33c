//! Reads the records of one run from a log.

use super::file::files;
use crate::regular_file;
use serde_json::{Map, Value};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Found(pub Map<String, Value>);

impl Found {
    /// Returns the value with this name; a name with a dot refers to a value within an object: `waited_ms.rate`.
    pub fn value(&self, name: &str) -> Option<&Value> {
        match name.split_once('.') {
            Some((outer, inner)) => self.0.get(outer)?.get(inner),
            None => self.0.get(name),
        }
    }

    /// Returns the text with this name, or an empty one.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns whether the record describes a call, not an event of the run.
    pub fn is_call(&self) -> bool {
        self.text("event") == "call"
    }

    /// Returns whether the record concerns this line, alone or together with others.
    pub fn is_about(&self, line: u64) -> bool {
        let alone = self.0.get("line").and_then(Value::as_u64);
        alone == Some(line) || among(self.text("lines"), line)
    }
}

/// Returns whether a list like `2-101,105` contains this number.
fn among(lines: &str, line: u64) -> bool {
    lines.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u64>(), last.parse::<u64>());
        matches!((first, last), (Ok(first), Ok(last)) if (first..=last).contains(&line))
    })
}

/// Returns the wanted records of a run, in order, from the log at this path and the older, renamed files. Skips
/// everything that is not a record, for example a truncated line.
pub fn records(path: &Path, run: &str, wanted: impl Fn(&Found) -> bool) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let files = files(path);
    if files.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    for file in files {
        let mut reader = BufReader::new(regular_file::open(&file)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            // If several runs share a log, this avoids parsing most of the other runs' records.
            if memchr::memmem::find(&line, run.as_bytes()).is_some()
                && let Ok(Value::Object(object)) = serde_json::from_slice(&line)
            {
                let record = Found(object);
                if record.text("run") == run && wanted(&record) {
                    found.push(record);
                }
            }
            line.clear();
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_number_is_found_in_single_numbers_and_ranges() {
        for (lines, line, is_there) in [
            ("2-101,105", 2, true),
            ("2-101,105", 101, true),
            ("2-101,105", 104, false),
            ("2-101,105", 105, true),
            ("51", 5, false),
            ("", 0, false),
        ] {
            assert_eq!(among(lines, line), is_there, "{lines} {line}");
        }
    }

    #[test]
    fn records_of_other_runs_and_incomplete_lines_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.log");
        std::fs::write(
            folder.path().join("calls.log.1"),
            "{\"run\":\"r-1\",\"line\":1}\n",
        )
        .unwrap();
        let text = "{\"run\":\"r-1\",\"li\n{\"run\":\"r-2\",\"x\":\"r-1\"}\n\u{0}\n{\"run\":\"r-1\",\"lines\":\"2-3\"}\n";
        std::fs::write(&path, text).unwrap();
        let found = records(&path, "r-1", |_| true).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].is_about(1) && found[1].is_about(3));
        assert!(records(&folder.path().join("none"), "r-1", |_| true).is_err());
    }
}
