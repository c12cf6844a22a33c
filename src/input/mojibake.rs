//! Mojibake: UTF-8 that a program took for another encoding, so that `ü` became `Ã¼`.

use super::scripts::is_restrictive;
use encoding_rs::{Encoding, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252};
use oem_cp::code_table::{ENCODING_TABLE_CP437, ENCODING_TABLE_CP850};

/// Checks whether a value is UTF-8 that was read as another encoding: its bytes in that encoding are UTF-8 again.
/// Returns the encoding and the text that was meant.
pub(super) fn undo(value: &str) -> Option<(String, String)> {
    let web = |encoding: &'static Encoding| {
        let (bytes, _, lossy) = encoding.encode(value);
        (!lossy).then(|| (encoding.name().to_lowercase(), bytes.into_owned()))
    };
    let dos = [
        ("cp850", &ENCODING_TABLE_CP850),
        ("cp437", &ENCODING_TABLE_CP437),
    ];
    let candidates = [WINDOWS_1252, WINDOWS_1250, WINDOWS_1251]
        .into_iter()
        .filter_map(web);
    let dos = dos.into_iter().filter_map(|(name, table)| {
        let bytes = oem_cp::encode_string_checked(value, table)?;
        Some((name.to_owned(), bytes))
    });
    for (encoding, bytes) in candidates.chain(dos) {
        let Ok(likely) = String::from_utf8(bytes) else {
            continue;
        };
        if !is_plausible(&likely, encoding == "windows-1251") {
            continue;
        }
        return Some((encoding, likely));
    }
    None
}

/// Whether a text may be what was meant. The bytes of two letters in a row may be UTF-8 by chance, above all in capitals
/// (`SPÓŁKA`, `MÜŞTERİ`) and in Cyrillic encodings. So a result is not plausible if it has only one letter beyond ASCII and
/// this letter occurs in no European Latin text, or if it has two scripts in a word.
fn is_plausible(likely: &str, cyrillic: bool) -> bool {
    let wide: Vec<char> = likely.chars().filter(|c| !c.is_ascii()).collect();
    let european = |c: &char| matches!(c, '\u{A0}'..='\u{24F}' | '\u{2010}'..='\u{2122}');
    let is_latin = wide.iter().all(european) && !cyrillic;
    let words = || likely.split(|c: char| !c.is_alphanumeric());
    !wide.is_empty()
        && !likely.chars().any(char::is_control)
        && (is_latin || (wide.len() > 1 && words().all(is_restrictive)))
}
