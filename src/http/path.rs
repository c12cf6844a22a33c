//! The path of a call, built so that an ID can never leave its segment.
//!
//! URL libraries silently drop `..` and `.`, and strip tabs and line breaks: the call would write another resource. So
//! this module encodes everything but unreserved characters, refuses what cannot be sent, and compares the finished URL
//! with the intended one, in release builds too.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// All but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why something cannot be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The empty string names no resource.
    #[error("an empty ID cannot be part of an address")]
    Empty,
    /// `.` and `..` mean folders.
    #[error("`{0}` cannot be part of an address: it means a folder")]
    Dots(String),
    /// Tabs, line breaks and other control characters.
    #[error("an ID with the control character U+{:04X} cannot be part of an address", u32::from(*.0))]
    Control(char),
    /// The finished address differs from the intended one: a bug, or an invalid base URL.
    #[error("the URL that was built is not the intended one; nothing was sent")]
    NotAsMeant,
}

/// A path below the base URL: fixed text and encoded segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
}

impl Path {
    /// Creates a path from fixed text such as `/api/Customers`: it begins with a slash, does not end with one, and has
    /// only unreserved characters.
    pub fn new(fixed: &'static str) -> Self {
        debug_assert!(fixed.starts_with('/') && !fixed.ends_with('/'));
        debug_assert!(is_plain(fixed));
        // Room for later segments.
        let mut text = String::with_capacity(fixed.len() + 64);
        text.push_str(fixed);
        Self { text }
    }

    /// Adds a segment of fixed text, such as `locations`.
    #[must_use]
    pub fn then(mut self, fixed: &'static str) -> Self {
        debug_assert!(is_plain(fixed));
        self.text.push('/');
        self.text.push_str(fixed);
        self
    }

    /// Adds one segment that contains exactly this text, with any characters.
    pub fn segment(mut self, id: &str) -> Result<Self, PathError> {
        match id {
            "" => return Err(PathError::Empty),
            "." | ".." => return Err(PathError::Dots(id.to_owned())),
            _ => {}
        }
        if let Some(control) = id.chars().find(|c| c.is_control()) {
            return Err(PathError::Control(control));
        }
        self.text.push('/');
        self.text.extend(encoded(id));
        Ok(self)
    }

    /// Returns the path as it will be sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the whole address. `base_path` is the path of `base`, without a slash at its end.
    ///
    /// Scheme and host are copied, not parsed again: parsing would take half of the time of building a request.
    pub(super) fn url(
        &self,
        base: &Url,
        base_path: &str,
        query: &[(&'static str, String)],
    ) -> Result<Url, PathError> {
        let mut whole = String::with_capacity(base_path.len() + self.text.len() + 64);
        whole.push_str(base_path);
        whole.push_str(&self.text);
        let path_ends = whole.len();
        for (key, value) in query {
            whole.push(if whole.len() == path_ends { '?' } else { '&' });
            whole.extend(encoded(key));
            whole.push('=');
            whole.extend(encoded(value));
        }
        let (path, query) = whole.split_at(path_ends);
        let query = query.strip_prefix('?');
        let mut url = base.clone();
        url.set_path(path);
        url.set_query(query);
        // Encoded text that is equal byte by byte is equal segment by segment.
        if url.path() == path && url.query() == query && url.fragment().is_none() {
            Ok(url)
        } else {
            Err(PathError::NotAsMeant)
        }
    }
}

/// Returns the length of a text in an address, in bytes.
pub fn encoded_len(text: &str) -> usize {
    encoded(text).map(str::len).sum()
}

fn encoded(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, ENCODED)
}

/// Returns whether a text that is fixed in the program needs no encoding.
fn is_plain(fixed: &str) -> bool {
    const FIXED: &AsciiSet = &ENCODED.remove(b'/');
    utf8_percent_encode(fixed, FIXED).eq([fixed])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: &str = "http://127.0.0.1:1/root";

    fn url(path: &Path) -> Url {
        path.url(&Url::parse(BASE).unwrap(), "/root", &[]).unwrap()
    }

    fn decode(text: &str) -> String {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.unwrap().into_owned()
    }

    #[test]
    fn id_with_special_characters_stays_one_path_segment() {
        for id in [
            "a/../b?c#d",
            "%2e%2e",
            "a;b",
            "a%2Fb",
            "ü",
            "a b",
            "...",
            "a\\b",
            "@",
            "\u{202e}x",
        ] {
            let built = url(&Path::new("/api/Customers").segment(id).unwrap());
            let segments: Vec<_> = built.path_segments().unwrap().collect();
            assert_eq!(segments.len(), 4, "{id}");
            assert_eq!(decode(segments[3]), id);
        }
    }

    #[test]
    fn empty_dot_and_control_character_segments_are_rejected() {
        let with = |id| Path::new("/a").segment(id);
        assert_eq!(with(""), Err(PathError::Empty));
        assert_eq!(with("."), Err(PathError::Dots(".".to_owned())));
        assert_eq!(with(".."), Err(PathError::Dots("..".to_owned())));
        assert_eq!(with("x\ty"), Err(PathError::Control('\t')));
        assert_eq!(with("x\n"), Err(PathError::Control('\n')));
        assert_eq!(with("\u{85}"), Err(PathError::Control('\u{85}')));
    }

    #[test]
    fn a_query_is_encoded_and_cannot_add_parameters() {
        let query = [("filter", "{\"a\":\"b&c=d#e f+\"}".to_owned())];
        let base = Url::parse(BASE).unwrap();
        let built = Path::new("/a").url(&base, "/root", &query).unwrap();
        let pairs: Vec<_> = built.query_pairs().into_owned().collect();
        let [(name, value)] = query;
        assert_eq!(pairs, [(name.to_owned(), value)]);
    }

    #[test]
    fn fixed_text_may_follow_a_segment() {
        let path = Path::new("/api/Customers")
            .segment("7")
            .unwrap()
            .then("locations");
        assert_eq!(url(&path).path(), "/root/api/Customers/7/locations");
    }

    proptest! {
        #[test]
        fn each_id_is_rejected_or_decoded_unchanged(id in "\\PC*|[./%?#&+;= \\\\]{0,6}") {
            if let Ok(path) = Path::new("/a/b").segment(&id) {
                let built = url(&path);
                let segments: Vec<_> = built.path_segments().unwrap().collect();
                prop_assert_eq!(segments.len(), 4);
                prop_assert_eq!(decode(segments[3]), id);
            }
        }
    }
}
