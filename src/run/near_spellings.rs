//! Other spellings that an unknown account ID may have in the system: spreadsheets, exports and typing change IDs.
//!
//! The functions are pure: they look nothing up, and no spelling is ever written.

use crate::domain::AccountId;
use crate::report::Difference;
use std::collections::HashMap;

/// Largest number of digits of an ID that is padded with zeros.
const MOST_DIGITS: usize = 20;
/// Largest number of prefixes (`A-` of `A-0012`) for which lengths are counted.
const MOST_PREFIXES: usize = 1_000;
/// Largest number of zeros that are tried if the column does not show how many an ID had.
const MOST_ZEROS: usize = 6;

/// How many digits the IDs of a column have, for each prefix (`A-` of `A-0012`).
#[derive(Debug, Default)]
pub(crate) struct Lengths(HashMap<String, HashMap<usize, u64>>);

impl Lengths {
    /// Counts an ID with this weight.
    pub(crate) fn add(&mut self, id: &str, weight: u64) {
        let (prefix, digits) = parts(id);
        if digits.is_empty() {
            return;
        }
        if !self.0.contains_key(prefix) {
            if self.0.len() >= MOST_PREFIXES {
                return;
            }
            self.0.insert(prefix.to_owned(), HashMap::new());
        }
        if let Some(lengths) = self.0.get_mut(prefix) {
            *lengths.entry(digits.len()).or_default() += weight;
        }
    }

    /// Returns the usual numbers of digits after this prefix, the most frequent first, and then the largest.
    fn usual(&self, prefix: &str) -> Vec<usize> {
        let Some(lengths) = self.0.get(prefix) else {
            return Vec::new();
        };
        let mut common: Vec<(u64, usize)> = lengths.iter().map(|(l, n)| (*n, *l)).collect();
        common.sort_unstable_by(|a, b| b.cmp(a));
        let longest = lengths.keys().copied().max();
        let mut usual: Vec<usize> = common.iter().take(2).map(|(_, length)| *length).collect();
        usual.extend(longest.filter(|longest| !usual.contains(longest)));
        usual.retain(|length| *length <= MOST_DIGITS);
        usual
    }
}

/// Splits an ID into its prefix and the digits at its end.
fn parts(id: &str) -> (&str, &str) {
    let bare = id.trim_end_matches(|c: char| c.is_ascii_digit());
    id.split_at(bare.len())
}

/// Other spellings of an ID, the likeliest first.
pub(crate) fn spellings(id: &AccountId, lengths: &Lengths) -> Vec<(Difference, AccountId)> {
    let id = id.as_str();
    let mut found = Spellings::of(id);
    found.zeros(lengths);
    let bare: String = id.chars().filter(|c| !is_separator(*c)).collect();
    let plain: String = id.chars().map(plain).collect();
    found.add(Difference::Separators, bare);
    found.add(Difference::Separators, plain);
    found.add(Difference::Case, id.to_uppercase());
    found.add(Difference::Case, id.to_lowercase());
    found.add(Difference::LetterO, id.replace(['O', 'o'], "0"));
    if id.chars().any(char::is_alphabetic) {
        found.add(Difference::LetterO, id.replace('0', "O"));
    }
    found.list
}

/// Spellings with one zero more, two zeros more and so on, for a column that does not show how many its IDs had.
pub(crate) fn padded(id: &AccountId) -> Vec<(Difference, AccountId)> {
    let (prefix, digits) = parts(id.as_str());
    let mut found = Spellings::of(id.as_str());
    if !digits.is_empty() {
        for zeros in 1..=MOST_ZEROS {
            if digits.len() + zeros <= MOST_DIGITS {
                let zeros = "0".repeat(zeros);
                found.add(Difference::LeadingZeros, format!("{prefix}{zeros}{digits}"));
            }
        }
    }
    found.list
}

struct Spellings<'a> {
    id: &'a str,
    list: Vec<(Difference, AccountId)>,
}

impl<'a> Spellings<'a> {
    fn of(id: &'a str) -> Self {
        Self {
            id,
            list: Vec::new(),
        }
    }

    fn add(&mut self, difference: Difference, text: String) {
        let is_new = text != self.id && self.list.iter().all(|(_, other)| other.as_str() != text);
        if is_new && let Ok(id) = AccountId::new(text) {
            self.list.push((difference, id));
        }
    }

    fn zeros(&mut self, lengths: &Lengths) {
        let (prefix, digits) = parts(self.id);
        let bare = digits.trim_start_matches('0');
        if bare.is_empty() {
            return;
        }
        for length in lengths.usual(prefix) {
            if length >= bare.len() {
                let difference = if length > digits.len() {
                    Difference::LeadingZeros
                } else {
                    Difference::NoLeadingZeros
                };
                self.add(difference, format!("{prefix}{bare:0>length$}"));
            }
        }
        self.add(Difference::NoLeadingZeros, format!("{prefix}{bare}"));
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || is_dash(c) || c == '_'
}

fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// Returns an ordinary blank or dash for a special one.
fn plain(c: char) -> char {
    if is_dash(c) {
        '-'
    } else if c.is_whitespace() {
        ' '
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str, column: &[&str]) -> Vec<String> {
        let mut lengths = Lengths::default();
        for id in column {
            lengths.add(id, 1);
        }
        let id = AccountId::new(id).unwrap();
        let all = spellings(&id, &lengths).into_iter();
        all.map(|(_, id)| id.as_str().to_owned()).collect()
    }

    #[test]
    fn leading_zeros_are_added_up_to_usual_length_and_removed() {
        assert_eq!(of("12345", &["0012345", "0099999"]), ["0012345"]);
        assert_eq!(of("A-12", &["A-0012", "77"]), ["A-0012", "A12", "a-12"]);
        assert_eq!(of("0012", &["12", "15"]), ["12"]);
        assert_eq!(of("0012", &["00012", "x"]), ["00012", "12"]);
        // An ID of zeros alone has no other spelling.
        assert_eq!(of("000", &["12"]), Vec::<String>::new());
    }

    #[test]
    fn variants_of_case_separators_and_letter_o_are_tried() {
        assert_eq!(of("ab 1-2", &[]), ["ab12", "AB 1-2"]);
        assert_eq!(
            of("A\u{2013}x", &[]),
            ["Ax", "A-x", "A\u{2013}X", "a\u{2013}x"]
        );
        assert!(of("1O0o", &[]).contains(&"1000".to_owned()));
        assert!(of("C0NTO", &[]).contains(&"CONTO".to_owned()));
        assert!(of("100", &[]).is_empty(), "a number has no letters");
    }

    #[test]
    fn without_a_usual_length_zeros_are_added_one_by_one() {
        let ids = padded(&AccountId::new("K-7").unwrap());
        let ids: Vec<&str> = ids.iter().map(|(_, id)| id.as_str()).collect();
        assert_eq!(ids[..2], ["K-07", "K-007"]);
        assert_eq!(ids.len(), MOST_ZEROS);
        assert!(padded(&AccountId::new("abc").unwrap()).is_empty());
    }
}
