//! Finds the related lines of a file from hashes alone.
//!
//! A hash collision marks a line as *entangled* without need. This costs a comparison and changes no result, because
//! entangled lines are compared as text.

use super::Keys;
use crate::domain::Line;
use rayon::prelude::*;

/// A hash, and a line that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    hash: u64,
    line: Line,
}

impl Touch {
    /// Returns an entry for each hash of a line.
    pub fn all_of(line: Line, keys: Keys) -> impl Iterator<Item = Self> {
        keys.hashes().map(move |hash| Self { hash, line })
    }

    pub(super) fn hash(self) -> u64 {
        self.hash
    }
}

/// Which lines share a customer, an account ID or a location with another line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Index {
    entangled: Vec<Line>,
}

impl Index {
    /// Returns the lines that share a hash with another line. `touches` has every entry with these hashes.
    pub fn among(mut touches: Vec<Touch>) -> Self {
        touches.par_sort_unstable();
        let mut entangled = Vec::new();
        for group in touches.chunk_by(|a, b| a.hash == b.hash) {
            if group.iter().any(|touch| touch.line != group[0].line) {
                entangled.extend(group.iter().map(|touch| touch.line));
            }
        }
        drop(touches);
        entangled.par_sort_unstable();
        entangled.dedup();
        entangled.shrink_to_fit();
        Self { entangled }
    }

    /// Whether this line shares a hash with another line.
    pub fn is_entangled(&self, line: Line) -> bool {
        self.entangled.binary_search(&line).is_ok()
    }

    /// Returns all entangled lines, in ascending order.
    pub fn entangled(&self) -> &[Line] {
        &self.entangled
    }
}
