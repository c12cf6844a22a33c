//! Of a run that carries out a share of its file: which share, and which lines these are. They are on record with the
//! run's header, so that neither other settings nor another version of the program can give it other lines.

use super::outcome_row::damaged;
use super::shard_row::checksum;
use super::{Ledger, LedgerError, LineSet};
use crate::domain::Shard;
use rusqlite::{OptionalExtension, Row};

impl Ledger {
    /// The share of its file that the run carries out, and the lines of that; `None`: the whole file.
    pub fn shard(&self) -> Result<Option<(Shard, LineSet)>, LedgerError> {
        let sql = "SELECT shard, lines, checksum FROM shard";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(String, Vec<u8>, i64)> =
            self.with(|connection| connection.query_row(sql, (), read).optional())?;
        let Some((shard, bytes, sum)) = found else {
            return Ok(None);
        };
        let (words, rest) = bytes.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let lines = LineSet::of_words(words.collect());
        let is_whole = rest.is_empty() && checksum(&shard, &lines) == sum;
        let parsed = shard.parse().ok().filter(|_| is_whole);
        let shard = parsed.ok_or_else(|| {
            damaged(
                self.path(),
                "the lines of its shard were altered".to_owned(),
            )
        })?;
        Ok(Some((shard, lines)))
    }

    /// Which share of its file the run carries out; `None`: the whole file.
    pub fn shard_name(&self) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT shard FROM shard";
        self.with(|connection| connection.query_row(sql, (), |row| row.get(0)).optional())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Header, RunDir, RunId};

    #[test]
    fn the_lines_of_a_shard_are_kept_with_the_run_and_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let header = Header::example();
        let run = RunId::parse(&header.run).unwrap();
        let dir = RunDir::create(folder.path(), &run).unwrap();
        let lines: LineSet = [2, 3, 70, 1000].into_iter().collect();
        let shard: Shard = "2/3".parse().unwrap();
        let shard = (shard, lines);
        drop(Ledger::create_shard(&dir, &header, Some(&shard)).unwrap());
        let ledger = Ledger::open(&dir).unwrap();
        assert_eq!(ledger.shard().unwrap(), Some(shard));
        assert_eq!(ledger.shard_name().unwrap().as_deref(), Some("2/3"));
        for altered in [
            "shard = '1/3'",
            "lines = zeroblob(8)",
            "lines = zeroblob(3)",
        ] {
            let sql = format!("UPDATE shard SET {altered}");
            ledger
                .with(|connection| connection.execute(&sql, ()))
                .unwrap();
            assert!(matches!(ledger.shard(), Err(LedgerError::Damaged { .. })));
        }
    }
}
