//! Which byte delimits the cells.

use super::InputError;

/// The delimiters that are tried, the most common first.
pub(super) const CANDIDATES: [u8; 4] = *b",;\t|";

/// The delimiters to try, or the one that is wished.
pub(super) fn candidates(wished: Option<u8>) -> Result<Vec<u8>, InputError> {
    match wished {
        None => Ok(CANDIDATES.to_vec()),
        Some(b'"' | b'\r' | b'\n' | 0 | 0x80..) => Err(InputError::BadDelimiter {
            delimiter: wished.map_or('\0', char::from),
        }),
        Some(delimiter) => Ok(vec![delimiter]),
    }
}

/// The delimiter that Excel's first line `sep=;` names.
pub(super) fn excel_sign(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line
        .strip_prefix(b"\"")
        .and_then(|l| l.strip_suffix(b"\""))
        .unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") => Some(*delimiter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excels_first_line_names_the_delimiter() {
        assert_eq!(excel_sign(b"sep=;\r\n"), Some(b';'));
        assert_eq!(excel_sign(b"SEP=\t\n"), Some(b'\t'));
        assert_eq!(excel_sign(b"\"sep=|\"\n"), Some(b'|'));
        assert_eq!(excel_sign(b"sep=;;\n"), None);
        assert_eq!(excel_sign(b"separator\n"), None);
    }
}
