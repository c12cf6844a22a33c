//! Finds the hashes that come from more than one line, in one reading of a file whose parts are read at the same time.
//!
//! Each hash is added to a [`Filter`], which reports those that were present. Up to a number of hashes ([`Sizes`]), they are
//! also kept, eight bytes each. So the filter can be replaced by a larger one, and at the end it is known which of the
//! reported hashes occurred twice. In a longer file they are not kept, and some of the reported hashes occurred only once.
//! In both cases a second reading takes the lines of the reported hashes, and [`Index::among`](super::Index::among) decides.
//!
//! Promises: whatever the sizes, the parts and their threads, each hash that comes from more than one line is among
//! the [`Candidates`]. Memory: two bytes a hash in long files, ten in others.

use super::Keys;
use super::filter::Filter;
use super::index::Touch;
use crate::domain::{Extent, Line};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// How many hashes are kept, and how large the filters are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// The maximum number of hashes that are kept: enough for five million lines with three IDs each.
    pub kept: u64,
    /// The number of hashes for which the first filter is made, before anything is known of the file.
    pub first: u64,
    /// Bits of a filter for each hash.
    pub bits: u64,
    /// Bits for each hash of the filter in the second reading.
    pub candidate_bits: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            kept: 1 << 24,
            first: 1 << 17,
            bits: 16,
            candidate_bits: 64,
        }
    }
}

impl Sizes {
    /// Returns the number of hashes for the next filter, and whether hashes are kept. `count`: the hashes in the part of the
    /// file that was read. Hashes are kept until it is clear that the file has too many.
    fn next(&self, count: u64, read: Extent) -> (u64, bool) {
        let whole = u128::from(count) * u128::from(read.whole) / u128::from(read.done.max(1));
        let whole = u64::try_from(whole).unwrap_or(u64::MAX);
        let room = whole.max(count).saturating_add(whole.max(count) / 8);
        let sure = self.kept / 8;
        if whole.max(count) <= self.kept {
            (room.min(self.kept), true)
        } else if count < sure {
            (sure, true)
        } else {
            (room, false)
        }
    }
}

/// The filter to which hashes are added now.
#[derive(Debug)]
struct Stage {
    filter: Filter,
    /// The number of hashes for which it was made.
    room: u64,
    /// Whether all hashes are kept, so that another stage can follow.
    keeps: bool,
}

/// Gives the parts the present stage.
#[derive(Debug, Clone)]
pub struct Stages(Arc<Mutex<Arc<Stage>>>);

impl Stages {
    fn now(&self) -> Arc<Stage> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, stage: Stage) -> Arc<Stage> {
        let stage = Arc::new(stage);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&stage);
        stage
    }

    /// Begins a part of the file.
    pub fn part(&self) -> PartKeys {
        PartKeys {
            stage: self.now(),
            hashes: Vec::new(),
            added: 0,
            count: 0,
            present: Vec::new(),
        }
    }
}

/// The hashes of a part of the file.
#[derive(Debug)]
pub struct PartKeys {
    stage: Arc<Stage>,
    /// All hashes of the part; where hashes are not kept, only those that are not yet in the filter.
    hashes: Vec<u64>,
    /// How many of `hashes` were added to the filter.
    added: usize,
    /// How many hashes the part has.
    count: u64,
    /// The hashes that the filter reported as present.
    present: Vec<u64>,
}

/// The number of hashes of a part that are added to the filter together.
const TOGETHER: usize = 256;

impl PartKeys {
    /// Adds one line.
    pub fn push(&mut self, keys: Keys) {
        self.hashes.extend(keys.hashes());
        if self.hashes.len() - self.added >= TOGETHER {
            self.add();
        }
    }

    fn add(&mut self) {
        let Self {
            stage,
            hashes,
            present,
            ..
        } = self;
        let new = &hashes[self.added..];
        stage.filter.add(new, |hash| present.push(hash));
        self.count += new.len() as u64;
        if stage.keeps {
            self.added = hashes.len();
        } else {
            hashes.clear();
        }
    }

    /// Adds the remaining hashes to the present stage. If the part began in an earlier stage, all its hashes are added: that
    /// stage kept them, because another stage could follow.
    fn finish(&mut self, now: Arc<Stage>) {
        if !Arc::ptr_eq(&self.stage, &now) {
            self.stage = now;
            (self.added, self.count) = (0, 0);
        }
        self.add();
    }
}

/// The first reading of a whole file, in parts.
#[derive(Debug)]
pub struct FirstReading {
    sizes: Sizes,
    stages: Stages,
    /// The hashes of each part, while hashes are kept.
    kept: Vec<Vec<u64>>,
    count: u64,
    present: Vec<u64>,
}

impl Default for FirstReading {
    fn default() -> Self {
        Self::new(Sizes::default())
    }
}

impl FirstReading {
    /// Makes a reading with these limits.
    pub fn new(sizes: Sizes) -> Self {
        let stage = Stage {
            filter: Filter::new(sizes.first, sizes.bits),
            room: sizes.first,
            keeps: true,
        };
        Self {
            sizes,
            stages: Stages(Arc::new(Mutex::new(Arc::new(stage)))),
            kept: Vec::new(),
            count: 0,
            present: Vec::new(),
        }
    }

    /// Returns the stages, with which parts are begun.
    pub fn stages(&self) -> Stages {
        self.stages.clone()
    }

    /// Adds a part. `read`: how much of the file was read up to the end of the part.
    pub fn append(&mut self, mut part: PartKeys, read: Extent) {
        let stage = self.stages.now();
        part.finish(Arc::clone(&stage));
        self.count += part.count;
        self.present.append(&mut part.present);
        if !stage.keeps {
            return;
        }
        part.hashes.shrink_to_fit();
        self.kept.push(part.hashes);
        if self.count > stage.room {
            drop((part.stage, stage));
            self.next_stage(read);
        }
    }

    /// Makes a filter for as many hashes as the file will have, and adds all hashes read so far. Parts that are still being read
    /// are added when [`Self::append`] gets them.
    fn next_stage(&mut self, read: Extent) {
        let (room, keeps) = self.sizes.next(self.count, read);
        let stage = self.stages.change(Stage {
            filter: Filter::new(room, self.sizes.bits),
            room,
            keeps,
        });
        let again = std::mem::take(&mut self.kept).into_par_iter();
        let again = again.map(|hashes| {
            let mut present = Vec::new();
            stage.filter.add(&hashes, |hash| present.push(hash));
            (keeps.then_some(hashes), present)
        });
        let again: Vec<(Option<Vec<u64>>, Vec<u64>)> = again.collect();
        for (hashes, present) in again {
            self.kept.extend(hashes);
            self.present.extend(present);
        }
    }

    /// The hashes that may come from more than one line.
    pub fn finish(mut self) -> Candidates {
        let mut present = std::mem::take(&mut self.present);
        if self.stages.now().keeps {
            present = self.twice(&present);
        }
        if present.is_empty() {
            return Candidates(None);
        }
        present.par_sort_unstable();
        present.dedup();
        Candidates(Some(self.filter_of(&present)))
    }

    fn filter_of(&self, hashes: &[u64]) -> Filter {
        let filter = Filter::new(hashes.len() as u64, self.sizes.candidate_bits);
        filter.add(hashes, |_| ());
        filter
    }

    /// Returns those of the reported hashes that occur at least twice among the kept hashes.
    fn twice(&self, present: &[u64]) -> Vec<u64> {
        if present.is_empty() {
            return Vec::new();
        }
        let filter = self.filter_of(present);
        let kept = self.kept.par_iter().flat_map_iter(|part| part.iter());
        let mut found: Vec<u64> = kept.copied().filter(|hash| filter.has(*hash)).collect();
        found.par_sort_unstable();
        let groups = found.chunk_by(|a, b| a == b);
        let several = groups.filter(|group| group.len() > 1);
        several.map(|group| group[0]).collect()
    }
}

/// The hashes that may come from more than one line; for the second reading.
#[derive(Debug)]
pub struct Candidates(Option<Filter>);

impl Candidates {
    /// Whether no line shares a hash with another line.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the entries of a line that another line may share.
    pub fn of(&self, line: Line, keys: Keys) -> impl Iterator<Item = Touch> {
        let all = Touch::all_of(line, keys);
        all.filter(|touch| {
            self.0
                .as_ref()
                .is_some_and(|filter| filter.has(touch.hash()))
        })
    }
}

#[cfg(test)]
mod tests;
