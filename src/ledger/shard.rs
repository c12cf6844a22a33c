//! The share of its file that a run carries out, and the lines of that share. They are recorded with the run's header,
//! so that neither other settings nor another version of the program can change the lines.

use super::LineSet;
use super::checksum::Checksum;
use super::columns::Fault;
use crate::domain::Shard;

/// Returns the checksum over the share and the bits of its lines.
pub(super) fn checksum(shard: &str, lines: &LineSet) -> i64 {
    let words = lines.words().iter();
    words
        .fold(Checksum::new().text(Some(shard)), |sum, word| {
            sum.number(word.cast_signed())
        })
        .finish()
}

/// Reads a share and its lines; refuses a row that does not match its checksum.
pub(super) fn read(shard: &str, lines: &[u8], sum: i64) -> Result<(Shard, LineSet), Fault> {
    let lines = LineSet::of_bytes(lines).filter(|lines| checksum(shard, lines) == sum);
    shard
        .parse()
        .ok()
        .zip(lines)
        .ok_or(Fault::from("the lines of its shard were altered"))
}
