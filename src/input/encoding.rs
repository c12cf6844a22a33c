//! The encodings by their names: those of the web, and the code pages of DOS.
//!
//! Must not guess: a code page is used only where the user names it.

use super::error::InputError;
use encoding_rs::{Decoder, UTF_8};
use oem_cp::code_table::DECODING_TABLE_CP_MAP;
use oem_cp::code_table_type::TableType;

/// An encoding.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    /// One that browsers know.
    Web(&'static encoding_rs::Encoding),
    /// A code page of DOS, which browsers do not know.
    Dos(CodePage),
}

/// The upper half of a code page.
#[derive(Clone, Copy)]
pub(super) struct CodePage {
    number: u16,
    table: &'static TableType,
}

impl Encoding {
    /// The encoding of this name: `windows-1252`, `cp850`, `ibm437`.
    pub(super) fn named(label: &str) -> Result<Self, InputError> {
        if let Some(encoding) = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()) {
            return Ok(Self::Web(encoding));
        }
        let small = label.trim().to_lowercase();
        let number = small.trim_start_matches(|c: char| !c.is_ascii_digit());
        let is_known = [
            "", "cp", "cp-", "cp_", "dos", "dos-", "ibm", "ibm-", "ibm0", "oem", "oem-", "oem_",
        ]
        .contains(&small.strip_suffix(number).unwrap_or(&small));
        let page = number.parse().ok().filter(|_| is_known);
        let page = page.and_then(|number| {
            let table = DECODING_TABLE_CP_MAP.get(&number)?;
            Some(CodePage { number, table })
        });
        page.map(Self::Dos)
            .ok_or_else(|| InputError::UnknownEncoding {
                label: label.to_owned(),
            })
    }

    pub(super) fn is_utf_8(self) -> bool {
        matches!(self, Self::Web(encoding) if encoding == UTF_8)
    }

    /// Returns the decoder to UTF-8; `None`: the encoding is UTF-8.
    pub(super) fn decoding(self) -> Option<Decoding> {
        match self {
            Self::Web(encoding) if encoding == UTF_8 => None,
            Self::Web(encoding) => Some(Decoding::Web(encoding.new_decoder_without_bom_handling())),
            Self::Dos(page) => Some(Decoding::Dos(page)),
        }
    }
}

/// A decoder to UTF-8.
pub(super) enum Decoding {
    Web(Decoder),
    Dos(CodePage),
}

impl CodePage {
    pub(super) fn name(self) -> String {
        format!("cp{}", self.number)
    }

    /// Appends the text of these bytes. Stops at a byte that the code page does not have, and returns its position as the error.
    pub(super) fn decode(self, bytes: &[u8], text: &mut Vec<u8>) -> Result<(), usize> {
        for (at, byte) in bytes.iter().enumerate() {
            let Some(upper) = byte.checked_sub(0x80) else {
                text.push(*byte);
                continue;
            };
            let upper = usize::from(upper);
            let c = match self.table {
                TableType::Complete(table) => Some(table[upper]),
                TableType::Incomplete(table) => table[upper],
            };
            let c = c.ok_or(at)?;
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_found_under_their_usual_names() {
        for label in [
            "utf-8",
            "windows-1252",
            "cp1252",
            "cp850",
            "CP437",
            "ibm850",
            "850",
            "oem-852",
            "cp866",
        ] {
            assert!(Encoding::named(label).is_ok(), "{label}");
        }
        for label in ["", "klingon", "cp99", "page850"] {
            assert!(Encoding::named(label).is_err(), "{label}");
        }
        let Ok(Encoding::Dos(page)) = Encoding::named("cp850") else {
            panic!("cp850 is a code page");
        };
        let mut text = Vec::new();
        page.decode(b"M\x81ller \x9b\xe1", &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "Müller øß");
        let Ok(Encoding::Dos(page)) = Encoding::named("cp857") else {
            panic!("cp857 is a code page");
        };
        assert_eq!(page.decode(b"a\xd5", &mut Vec::new()), Err(1));
    }
}
