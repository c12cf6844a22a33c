//! The row of a shard: which share of a file, and the bits of its lines.

use super::LineSet;
use super::checksum::Checksum;
use crate::domain::Shard;
use rusqlite::{Connection, params};

pub(super) fn checksum(shard: &str, lines: &LineSet) -> i64 {
    let words = lines.words().iter();
    words
        .fold(Checksum::new().text(Some(shard)), |sum, word| {
            sum.number(word.cast_signed())
        })
        .finish()
}

pub(super) fn insert(
    connection: &Connection,
    (shard, lines): &(Shard, LineSet),
) -> rusqlite::Result<()> {
    let shard = shard.to_string();
    let words = lines.words().iter();
    let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    let sql = "INSERT INTO shard (id, shard, lines, checksum) VALUES (1, ?1, ?2, ?3)";
    connection
        .execute(sql, params![shard, bytes, checksum(&shard, lines)])
        .map(drop)
}
