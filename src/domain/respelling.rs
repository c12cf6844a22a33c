//! Recognises an ID that a system has stored in another spelling than the one that was sent.

use unicode_normalization::UnicodeNormalization;

/// The minimum length of a stored value, in characters, from which it can be a truncated form of the requested value.
const SHORTEST_CUT: usize = 6;

/// Whether a system may have stored `asked` as `stored`: in another letter case, in another Unicode normalisation, without
/// separators or leading zeros, truncated at the end, or unchanged.
///
/// For values that were read back after a write without a usable answer. Any value that this function rejects was set by
/// another client.
pub fn is_respelling(asked: &str, stored: &str) -> bool {
    let (asked, stored) = (folded(asked), folded(stored));
    if stored.is_empty() {
        return false;
    }
    asked == stored || (stored.chars().count() >= SHORTEST_CUT && asked.starts_with(&stored))
}

/// Letters and digits alone, in lower case, each number without its leading zeros.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut in_number = false;
    let plain = text.nfkc().flat_map(char::to_lowercase);
    for c in plain.filter(|c| c.is_alphanumeric()) {
        if c == '0' && !in_number {
            continue;
        }
        in_number = c.is_ascii_digit();
        folded.push(c);
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_or_truncated_id_is_a_respelling() {
        for (asked, stored) in [
            ("crm-0001", "CRM-0001"),
            ("CRM-0001", "crm-0001"),
            ("CRM-0001", "CRM0001"),
            ("CRM 0001", "CRM0001"),
            ("00456", "456"),
            ("CRM-0001", "CRM-1"),
            ("CRM-000123456789", "CRM-00012345"),
            ("Mu\u{308}ller-1", "M\u{fc}ller-1"),
            ("IDS0123456789AB", "IDS0123456"),
        ] {
            assert!(is_respelling(asked, stored), "{asked} {stored}");
        }
    }

    #[test]
    fn different_id_is_not_a_respelling() {
        for (asked, stored) in [
            ("CRM-0001", "CRM-0002"),
            ("CRM-0001", "OLD-0001"),
            ("CRM-0001", "CRM-00010"),
            ("CRM-0001", "---"),
            ("CRM-1000", "CRM-1"),
            ("A-1", "A-10"),
        ] {
            assert!(!is_respelling(asked, stored), "{asked} {stored}");
        }
    }
}
