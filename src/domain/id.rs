//! Identifiers that are legal by construction.
//!
//! Every ID is sent in a URL path or a JSON body sooner or later. URL libraries drop an empty path segment, `.` and `..`,
//! so the request would write another resource. They also remove tabs and line breaks, with the same effect. So the
//! constructors of this module refuse such an ID.

use smol_str::SmolStr;
use std::fmt;

/// The longest ID that any of the systems accepts, in characters.
pub const MAX_ID_CHARS: usize = 255;

/// Why a text cannot be an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// `.` or `..`, which no URL can carry as a segment.
    #[error("`.` and `..` cannot be sent in a URL path")]
    Dots,
    /// A control character, which URL libraries may remove.
    #[error("it contains the control character U+{:04X}", u32::from(*.0))]
    Control(char),
    /// More than [`MAX_ID_CHARS`] characters.
    #[error("it has {0} characters, {MAX_ID_CHARS} are allowed")]
    TooLong(usize),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text == "." || text == ".." {
        return Err(IdError::Dots);
    }
    // Nearly every ID is printable ASCII, for which a check of the bytes is enough.
    let other = |any, byte| any | !(b' '..=b'~').contains(&byte);
    let plain = !text.bytes().fold(false, other);
    if !plain && let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(IdError::Control(control));
    }
    if text.len() > MAX_ID_CHARS {
        let chars = text.chars().count();
        if chars > MAX_ID_CHARS {
            return Err(IdError::TooLong(chars));
        }
    }
    Ok(())
}

/// Returns a GUID in lower case, because its case has no meaning; returns any other text as it is.
///
/// For IDs that the system's documentation calls GUIDs: compared as text, two spellings of one customer's ID would be two
/// customers.
pub fn guid(text: &str) -> SmolStr {
    let bytes = text.as_bytes();
    let is_guid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_guid {
        SmolStr::new(text.to_ascii_lowercase())
    } else {
        SmolStr::new(text)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks `text` and makes it an ID; the text is taken as it is, never trimmed or case-folded.
            pub fn new(text: impl AsRef<str> + Into<SmolStr>) -> Result<Self, IdError> {
                check(text.as_ref())?;
                Ok(Self(text.into()))
            }

            /// The text of the ID.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

id! {
    /// The CRM's key of a customer, by which a system is searched.
    AccountId
}
id! {
    /// The system's own, stable key of a customer; writes are addressed to it.
    CustomerId
}
id! {
    /// The system's key of one location of a customer.
    LocationId
}
id! {
    /// The operator's free text that marks a location.
    ServiceId
}
id! {
    /// The key of a reseller; the reseller's relationship to a customer carries an identifier.
    ResellerId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_that_cannot_be_part_of_a_url_is_rejected() {
        for (text, error) in [
            ("", IdError::Empty),
            (".", IdError::Dots),
            ("..", IdError::Dots),
            ("a\tb", IdError::Control('\t')),
            ("a\u{0}", IdError::Control('\u{0}')),
        ] {
            assert_eq!(CustomerId::new(text), Err(error), "{text:?}");
        }
        assert!(AccountId::new("a/../b?c#d").is_ok());
        assert!(AccountId::new("...").is_ok());
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(AccountId::new("\u{1F600}".repeat(255)).is_ok());
        assert_eq!(AccountId::new("x".repeat(256)), Err(IdError::TooLong(256)));
    }
}
