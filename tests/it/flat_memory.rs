//! Memory that does not grow with the lines.

use crate::support::{Place, watched};

const LINES: u32 = 20_000;

/// Far less than the text of the lines: they are read customer by customer.
const MORE_KIB: u64 = 8 << 10;

#[test]
fn counting_what_undo_restores_uses_little_more_memory_than_check() {
    let place = Place::plume();
    let file = place.moves(LINES);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let (checked, of_check) = watched(place.command(&["check", &file]));
    checked.expect(0);
    // `undo` counts what it would restore, and refuses.
    let command = place.command(&["undo", "--yes", "--max-changes", "1"]);
    let (refused, of_undo) = watched(command);
    let refused = refused.expect(4);
    assert!(refused.err.contains("20000 of 20,000"), "{}", refused.err);
    assert!(
        of_undo < of_check + MORE_KIB,
        "check took {of_check} KiB, undo {of_undo} KiB"
    );
}
