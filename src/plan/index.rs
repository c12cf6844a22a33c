//! The lines that have to do with each other, from hashes alone.
//!
//! A collision makes a line *entangled* for nothing, which costs a comparison and changes no result, because entangled
//! lines are compared as text.

use super::Keys;
use crate::domain::Line;
use rayon::prelude::*;

/// A hash, and a line that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    hash: u64,
    line: Line,
}

impl Touch {
    /// What a line touches, each by its hash.
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
    /// The lines that share a hash with another line, among all that touch any of these hashes.
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

    /// Whether this line has to do with another one.
    pub fn is_entangled(&self, line: Line) -> bool {
        self.entangled.binary_search(&line).is_ok()
    }

    /// All such lines, in order.
    pub fn entangled(&self) -> &[Line] {
        &self.entangled
    }
}
