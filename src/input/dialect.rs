//! The byte that delimits the cells: the candidates, and Excel's line that names it.

use super::InputError;

/// The delimiters that are tried, the most common first.
pub(super) const CANDIDATES: [u8; 4] = *b",;\t|";

/// Returns the delimiters to try, or only the requested one. Refuses a byte that cannot delimit.
pub(super) fn candidates(wished: Option<u8>) -> Result<Vec<u8>, InputError> {
    match wished {
        None => Ok(CANDIDATES.to_vec()),
        Some(b'"' | b'\r' | b'\n' | 0 | 0x80..) => Err(InputError::BadDelimiter {
            delimiter: wished.map_or('\0', char::from),
        }),
        Some(delimiter) => Ok(vec![delimiter]),
    }
}

/// Returns the delimiter that Excel's first line `sep=;` names.
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
    fn sep_line_of_excel_sets_the_delimiter() {
        assert_eq!(excel_sign(b"sep=;\r\n"), Some(b';'));
        assert_eq!(excel_sign(b"SEP=\t\n"), Some(b'\t'));
        assert_eq!(excel_sign(b"\"sep=|\"\n"), Some(b'|'));
        assert_eq!(excel_sign(b"sep=;;\n"), None);
        assert_eq!(excel_sign(b"separator\n"), None);
    }
}
