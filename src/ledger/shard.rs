//! Of a run that carries out a share of its file: which share, and which lines these are. They are on record with the
//! run's header, so that neither other settings nor another version of the program can give it other lines.

use super::LineSet;
use super::checksum::Checksum;
use super::columns::Fault;
use crate::domain::Shard;

/// Over the share and the bits of its lines.
pub(super) fn checksum(shard: &str, lines: &LineSet) -> i64 {
    let words = lines.words().iter();
    words
        .fold(Checksum::new().text(Some(shard)), |sum, word| {
            sum.number(word.cast_signed())
        })
        .finish()
}

/// A share and its lines; what does not fit its checksum is refused.
pub(super) fn read(shard: &str, lines: &[u8], sum: i64) -> Result<(Shard, LineSet), Fault> {
    let lines = LineSet::of_bytes(lines).filter(|lines| checksum(shard, lines) == sum);
    shard
        .parse()
        .ok()
        .zip(lines)
        .ok_or(Fault::from("the lines of its shard were altered"))
}
