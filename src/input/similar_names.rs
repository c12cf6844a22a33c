//! Finds column names that are similar to known ones.

use super::column::{Column, normalise};
use super::lookalike::{is_invisible, named};
use unicode_security::confusable_detection::skeleton;

/// A column that is probably meant for another.
#[derive(Debug, Clone)]
pub(super) struct SimilarName {
    pub(super) place: usize,
    pub(super) column: Column,
    /// Whether the similarity is certainly no accident, so that the file is refused.
    pub(super) is_certain: bool,
    /// How the name differs, if words can describe it.
    pub(super) why: Option<String>,
}

/// Known names without their `Id`, which have another meaning.
const OTHER_WORDS: [&str; 5] = ["account", "customer", "location", "service", "reseller"];

/// Returns the missing column that the name of a column may be meant for.
pub(super) fn of(name: &str, place: usize, missing: &[Column]) -> Option<SimilarName> {
    let similar = |column: Column, is_certain: bool, why: Option<String>| {
        Some(SimilarName {
            place,
            column,
            is_certain,
            why,
        })
    };
    let is_missing = |text: &str| Column::parse(text).filter(|column| missing.contains(column));
    let hidden = name.chars().find(|c| is_invisible(*c) || c.is_control());
    if let Some(hidden) = hidden {
        let visible: String = name
            .chars()
            .filter(|c| !is_invisible(*c) && !c.is_control())
            .collect();
        if let Some(column) = is_missing(&visible) {
            let why = format!(
                "its name contains the invisible character {}",
                named(hidden)
            );
            return similar(column, true, Some(why));
        }
    }
    if let Some(strange) = name.chars().find(|c| !c.is_ascii()) {
        let plain: String = skeleton(name).collect();
        let column = missing.iter().find(|column| {
            normalise(&plain) == normalise(&skeleton(column.name()).collect::<String>())
        });
        if let Some(column) = column {
            let why = format!("its name contains {}", named(strange));
            return similar(*column, true, Some(why));
        }
    }
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    if let Some(column) = is_missing(&letters) {
        let strange = name
            .chars()
            .find(|c| !c.is_alphanumeric() && !c.is_whitespace() && !matches!(c, '_' | '-'));
        let why = strange.map(|c| format!("its name contains `{c}`"));
        return similar(column, true, why);
    }
    let bare = normalise(name);
    if OTHER_WORDS.contains(&bare.as_str()) {
        return None;
    }
    let distances = missing.iter().map(|column| {
        let known = normalise(column.name());
        (strsim::osa_distance(&bare, &known), *column)
    });
    let (distance, column) = distances.min_by_key(|(distance, _)| *distance)?;
    let is_certain = distance <= 1 || has_letters_of(&bare, &normalise(column.name()));
    (distance <= 2).then(|| similar(column, is_certain, None))?
}

/// Whether two names have the same letters in any order: such a name is certainly a mistyped one.
fn has_letters_of(name: &str, known: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(name) == sorted(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_name_is_certain_only_with_a_single_typo() {
        for (name, column, is_certain) in [
            ("newAcountId", Column::NewAccountId, true),
            ("new_accuont_id", Column::NewAccountId, true),
            ("costumerId", Column::CustomerId, true),
            ("accountIds", Column::AccountId, true),
            ("accountId2", Column::AccountId, true),
            ("newAccountId\u{200b}", Column::NewAccountId, true),
            ("\u{feff}accountId", Column::AccountId, true),
            ("\u{430}\u{441}\u{441}ountId", Column::AccountId, true),
            ("'accountId'", Column::AccountId, true),
            ("account.id", Column::AccountId, true),
            ("#accountId", Column::AccountId, true),
            ("profil", Column::Profile, true),
            ("accountNr", Column::AccountId, false),
            ("customerNo", Column::CustomerId, false),
            ("newAccount", Column::NewAccountId, false),
        ] {
            let similar = of(name, 0, &Column::ALL).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(
                (similar.column, similar.is_certain),
                (column, is_certain),
                "{name}"
            );
        }
        for name in [
            "Account",
            "Service",
            "customer",
            "Location",
            "note",
            "name",
            "email",
            "oldAccountId",
            "",
            "Id",
        ] {
            assert!(of(name, 0, &Column::ALL).is_none(), "{name}");
        }
        assert!(of("accountId2", 0, &[Column::CustomerId]).is_none());
        let named = of("newAccountId\u{200b}", 0, &Column::ALL).and_then(|similar| similar.why);
        assert!(named.is_some_and(|why| why.contains("U+200B (ZERO WIDTH SPACE)")));
    }
}
