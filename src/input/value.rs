//! The text of a value: without the white space around it, and as a message shows it.

/// How much of a value a problem shows, in characters.
const SHOWN_CHARS: usize = 120;

/// Returns a value for a message, shortened.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}\u{2026}", &value[..end]),
        None => value.to_owned(),
    }
}

/// Returns a value without the white space around it. Most values have none, which a look at two bytes shows.
pub(super) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [] => text,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}
