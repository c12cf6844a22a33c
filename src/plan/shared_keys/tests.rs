//! Checks that no line that shares a hash is missed, whatever is kept, however small the filters, however the parts overlap.

use super::*;
use crate::domain::{AccountId, Change, NewAccount};
use crate::plan::Index;
use proptest::prelude::*;
use std::collections::VecDeque;

fn keys(line: Line, from: u16, to: u16) -> (Line, Keys) {
    let id = |n: u16| AccountId::new(format!("A-{n}")).unwrap();
    let change = Change {
        line,
        account: Some(id(from)),
        customer: None,
        reseller: None,
        new_account: NewAccount::Set(id(to)),
        location: None,
        service: None,
        profile: None,
    };
    (line, Keys::of(&change))
}

/// Reads lines in parts, several of them at the same time: each part begins before the parts above it are appended.
fn read(sizes: Sizes, lines: &[(Line, Keys)], in_part: usize, under_way: usize) -> Candidates {
    let mut reading = FirstReading::new(sizes);
    let stages = reading.stages();
    let whole = lines.len() as u64;
    let mut parts: VecDeque<(PartKeys, &[(Line, Keys)])> = VecDeque::new();
    let mut rest = lines.chunks(in_part);
    let mut done = 0;
    loop {
        while parts.len() < under_way {
            let Some(lines) = rest.next() else {
                break;
            };
            parts.push_back((stages.part(), lines));
        }
        // The newest parts are read first: what an older part shares with them is found when the older part is appended.
        for (part, lines) in parts.iter_mut().rev() {
            for (_, keys) in *lines {
                part.push(*keys);
            }
            *lines = &[];
            part.add();
        }
        let Some((part, _)) = parts.pop_front() else {
            return reading.finish();
        };
        done = (done + in_part as u64).min(whole);
        reading.append(part, Extent { done, whole });
    }
}

fn index(candidates: &Candidates, lines: &[(Line, Keys)]) -> Index {
    let touches = lines
        .iter()
        .flat_map(|(line, keys)| candidates.of(*line, *keys));
    Index::among(touches.collect())
}

fn of_all(lines: &[(Line, Keys)]) -> Index {
    let touches = lines
        .iter()
        .flat_map(|(line, keys)| Touch::all_of(*line, *keys));
    Index::among(touches.collect())
}

proptest! {
    #[test]
    fn related_lines_are_found_with_any_memory_limit(
        lines in proptest::collection::vec((0_u16..400, 400_u16..800, 0_u8..20), 1..300),
        (kept, first) in (0_u64..600, 1_u64..50),
        (bits, candidate_bits) in (1_u64..20, 1_u64..70),
        (in_part, under_way) in (1_usize..40, 1_usize..6),
    ) {
        let lines: Vec<_> = (2..)
            .zip(lines)
            // One line in twenty has a new ID that is the old ID of another line.
            .map(|(line, (from, to, odd))| keys(line, from, if odd == 0 { to - 400 } else { to }))
            .collect();
        let sizes = Sizes { kept, first, bits, candidate_bits };
        let candidates = read(sizes, &lines, in_part, under_way);
        prop_assert_eq!(index(&candidates, &lines), of_all(&lines));
    }
}

#[test]
fn threads_that_read_at_the_same_time_miss_nothing() {
    // Each ID is in two lines: in part n and in part n + 32, which another thread reads.
    let parts: Vec<Vec<(Line, Keys)>> = (0..64_u16)
        .map(|part| {
            let base = part % 32 * 500;
            let lines = (0..500).map(|n| (u32::from(part) * 500 + u32::from(n), base + n));
            lines.map(|(line, id)| keys(line, id, id)).collect()
        })
        .collect();
    for kept in [0, 4_000, 1_000_000] {
        let mut reading = FirstReading::new(Sizes {
            kept,
            first: 100,
            ..Sizes::default()
        });
        let stages = reading.stages();
        let (sender, read) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for some in parts.chunks(16) {
                let (sender, stages) = (sender.clone(), stages.clone());
                scope.spawn(move || {
                    for lines in some {
                        let mut part = stages.part();
                        for (_, keys) in lines {
                            part.push(*keys);
                        }
                        sender.send(part).unwrap();
                    }
                });
            }
            drop(sender);
            for (done, part) in (1..).zip(read) {
                reading.append(part, Extent { done, whole: 64 });
            }
        });
        let lines = parts.concat();
        let found = index(&reading.finish(), &lines);
        assert_eq!(found.entangled().len(), lines.len());
    }
}

#[test]
fn unrelated_lines_are_no_candidates_while_hashes_are_kept() {
    let lines: Vec<_> = (0..20_000)
        .map(|n| keys(u32::from(n), n, n + 30_000))
        .collect();
    // With four bits each, many hashes seem to have been present.
    let sizes = Sizes {
        first: 1_000,
        bits: 4,
        ..Sizes::default()
    };
    assert!(read(sizes, &lines, 1_000, 3).is_empty());
    let unkept = Sizes { kept: 0, ..sizes };
    assert!(!read(unkept, &lines, 1_000, 3).is_empty());
}

#[test]
fn hashes_are_kept_until_too_many_are_expected() {
    let sizes = Sizes::default();
    let extent = |done, whole| Extent { done, whole };
    // A million lines, five million and fifty million of 53 bytes, when the first filter is full.
    assert!(sizes.next(140_000, extent(2_473_000, 53_000_000)).1);
    assert_eq!(
        sizes.next(140_000, extent(2_473_000, 265_000_000)),
        (1 << 24, true)
    );
    let (room, keeps) = sizes.next(140_000, extent(2_473_000, 2_650_000_000));
    assert_eq!((room, keeps), (1 << 21, true));
    // Later, the estimate from the length of the file is used.
    let (room, keeps) = sizes.next(2_100_000, extent(37_100_000, 2_650_000_000));
    assert!(
        !keeps && (150_000_000..180_000_000).contains(&room),
        "{room}"
    );
    // If the length of the file gives too low an estimate, the count itself shows that there are too many.
    assert!(!sizes.next(sizes.kept + 1, extent(7, 7)).1);
    assert_eq!(sizes.next(1_000, extent(0, 0)), (1_125, true));
}
