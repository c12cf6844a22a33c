//! Guesses what a column means, from the words of its name and from its values.
//!
//! Guesses are shown to a person and never used for a run.

use super::Column;
use super::vocabulary::{Concept, concepts};
use crate::domain::Profile;
use std::collections::HashSet;

/// From this number of values on, a few values that repeat are categories and not IDs.
const MANY: usize = 20;
/// If each value of a column occurs this often on average, the column holds categories and not IDs.
const REPEATED: usize = 20;

/// How reliable a guess is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// It is only possible.
    Weak,
    /// The column has this meaning or another one.
    Either,
    /// Name and values support it.
    Likely,
    /// It has the column's own name.
    Name,
}

/// A guess about a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    /// What it may mean.
    pub column: Column,
    /// How reliable the guess is.
    pub strength: Strength,
}

/// What the values of a column are like.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is true or false of any column"
)]
struct Values {
    any: bool,
    /// They are not free text, and do not repeat as categories do.
    ids: bool,
    /// Nearly all have digits.
    digits: bool,
    /// They are keys that a system has generated: UUIDs, object IDs.
    keys: bool,
    profiles: bool,
}

impl Values {
    fn of(values: &[String]) -> Self {
        let most = |is: &dyn Fn(&str) -> bool| {
            let such = values.iter().filter(|value| is(value)).count();
            such * 10 >= values.len() * 9
        };
        let has_digit = |text: &str| text.chars().any(|c| c.is_numeric());
        let is_text = |text: &str| {
            text.contains('@')
                || text.chars().count() > 64
                || (text.contains(char::is_whitespace) && !has_digit(text))
        };
        let distinct = values.iter().collect::<HashSet<_>>().len();
        let are_kinds = values.len() >= MANY && distinct * REPEATED <= values.len();
        let any = !values.is_empty();
        Self {
            any,
            ids: any && most(&|text| !is_text(text)) && !are_kinds,
            digits: any && most(&has_digit),
            keys: any && most(&is_key),
            profiles: any && values.iter().all(|text| Profile::parse(text).is_some()),
        }
    }
}

/// Whether a text is a UUID, or the object ID of a database.
fn is_key(text: &str) -> bool {
    let is_guid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    is_guid || (text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns what a column may mean. `values`: its first values that are not empty.
pub fn guesses(name: &str, values: &[String]) -> Vec<Guess> {
    if let Some(column) = Column::parse(name) {
        let strength = Strength::Name;
        return vec![Guess { column, strength }];
    }
    let values = Values::of(values);
    let words = concepts(name);
    let mut guesses = by_words(&words, values);
    let is_other = words.contains(&Concept::Other);
    if guesses.is_empty() && !is_other {
        guesses = by_values(values);
    }
    guesses
}

/// Whether a name is that of a column, or has a word with a known meaning.
pub(super) fn is_name(name: &str) -> bool {
    let words = concepts(name);
    Column::parse(name).is_some()
        || words
            .iter()
            .any(|word| !matches!(word, Concept::Unknown | Concept::Filler))
}

/// Whether a name is that of a column that idshift understands, by its words.
pub(super) fn is_known_name(name: &str) -> bool {
    let unknown = Values::default();
    Column::parse(name).is_some() || !by_words(&concepts(name), unknown).is_empty()
}

fn by_words(words: &[Concept], values: Values) -> Vec<Guess> {
    let has = |word: Concept| words.contains(&word);
    if has(Concept::Other) {
        return Vec::new();
    }
    let is_key = has(Concept::Id) || has(Concept::Number);
    let like_ids = !values.any || values.ids;
    // A name with an unknown word may mean something else.
    let strength = if has(Concept::Unknown) {
        Strength::Weak
    } else {
        Strength::Likely
    };
    let one = |column: Column, strength: Strength| vec![Guess { column, strength }];
    if has(Concept::Profile) {
        let fits = !values.any || values.profiles;
        return if fits {
            one(Column::Profile, strength)
        } else {
            Vec::new()
        };
    }
    let of_others = [
        (Concept::Location, Column::LocationId),
        (Concept::Service, Column::ServiceId),
        (Concept::Reseller, Column::ResellerId),
    ];
    if let Some((word, column)) = of_others.into_iter().find(|(word, _)| has(*word)) {
        let is_free_text = word == Concept::Service;
        let fits = (is_key && (like_ids || is_free_text)) || (values.ids && values.digits);
        // The service that a customer has now is not the one to set.
        let fits = fits && !(is_free_text && has(Concept::Old));
        return if fits {
            one(column, strength)
        } else {
            Vec::new()
        };
    }
    if !like_ids {
        return Vec::new();
    }
    of_customer(&has, is_key, values, strength)
}

/// Guesses columns with account IDs, old and new, and with the system's own ID of a customer.
fn of_customer(
    has: &dyn Fn(Concept) -> bool,
    is_key: bool,
    values: Values,
    strength: Strength,
) -> Vec<Guess> {
    let guess = |column: Column, strength: Strength| Guess { column, strength };
    let is_named = has(Concept::Account) || has(Concept::Customer) || has(Concept::Crm);
    let looks_so = values.ids && values.digits;
    let age = match (has(Concept::New), has(Concept::Old)) {
        (true, false) => Some(Column::NewAccountId),
        (false, true) => Some(Column::AccountId),
        (true, true) => return Vec::new(),
        (false, false) => None,
    };
    if let Some(column) = age {
        let is_sure = is_named || is_key || (looks_so && strength == Strength::Likely);
        return if is_sure && (is_named || strength == Strength::Likely) {
            vec![guess(column, strength)]
        } else {
            Vec::new()
        };
    }
    if has(Concept::System) && is_key && !has(Concept::Account) {
        return vec![guess(Column::CustomerId, strength)];
    }
    if has(Concept::Customer) && has(Concept::Id) && !has(Concept::Account) {
        if values.keys {
            return vec![guess(Column::CustomerId, strength)];
        }
        let either = strength.min(Strength::Either);
        return vec![
            guess(Column::AccountId, either),
            guess(Column::CustomerId, either),
        ];
    }
    if is_named && is_key {
        return vec![guess(Column::AccountId, strength)];
    }
    if has(Concept::Account) && looks_so {
        return vec![guess(Column::AccountId, strength)];
    }
    let may_be = (is_named && looks_so) || is_key;
    if !may_be || (strength == Strength::Weak && !is_named) {
        return Vec::new();
    }
    let column = if values.keys {
        Column::CustomerId
    } else {
        Column::AccountId
    };
    vec![guess(column, Strength::Weak)]
}

fn by_values(values: Values) -> Vec<Guess> {
    let guess = |column: Column, strength: Strength| Guess { column, strength };
    if values.profiles {
        return vec![guess(Column::Profile, Strength::Likely)];
    }
    if values.keys && values.ids {
        return vec![
            guess(Column::CustomerId, Strength::Weak),
            guess(Column::LocationId, Strength::Weak),
        ];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<String> {
        (0..30).map(|n| format!("10{n:04}")).collect()
    }

    fn of(name: &str, values: &[String]) -> String {
        let guesses = guesses(name, values).into_iter();
        let words = guesses.map(|guess| {
            let doubt = if guess.strength < Strength::Likely {
                "?"
            } else {
                ""
            };
            format!("{}{doubt}", guess.column)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn column_names_are_recognised_in_many_languages() {
        for (name, meaning) in [
            ("accountId", "accountId"),
            ("Account Number", "accountId"),
            ("New_Account_ID__c", "newAccountId"),
            ("Kundennummer", "accountId"),
            ("Neue Kundennummer", "newAccountId"),
            ("Numéro de client", "accountId"),
            ("Nouveau numéro de client", "newAccountId"),
            ("Número de cuenta", "accountId"),
            ("Nuevo ID de cliente", "newAccountId"),
            ("Codice cliente", "accountId"),
            ("Nuovo codice cliente", "newAccountId"),
            ("Novo número da conta", "newAccountId"),
            ("Klantnummer", "accountId"),
            ("Nieuw klantnummer", "newAccountId"),
            ("Nytt kundnummer", "newAccountId"),
            ("Nowy numer klienta", "newAccountId"),
            ("Nové číslo zákazníka", "newAccountId"),
            ("Old", "accountId"),
            ("New", "newAccountId"),
            ("New CRM Key", "newAccountId"),
            ("CRM_KEY", "accountId"),
            ("Plume Customer Ref. ID", "customerId"),
            ("Kunden-ID", "accountId? customerId?"),
            ("Standort-ID", "locationId"),
            ("Dienstkennung", "serviceId"),
            ("Partner-Nr.", "resellerId"),
            ("Billing Region Account Number", ""),
            ("Premium Account Number", "accountId?"),
            ("Account Name", ""),
            ("Parent Account ID", ""),
            ("New Date", ""),
            ("Old Service ID", ""),
            ("Quux", ""),
            ("Sequence No", ""),
        ] {
            assert_eq!(of(name, &ids()), meaning, "{name}");
        }
    }

    #[test]
    fn values_decide_unclear_names_and_overrule_wrong_names() {
        let many = |text: &str| vec![text.to_owned(); 30];
        let keys: Vec<String> = (0..30)
            .map(|n| format!("00000000-0000-4000-8000-{n:012}"))
            .collect();
        let people: Vec<String> = (0..30).map(|n| format!("Ada {}", "x".repeat(n))).collect();
        assert_eq!(of("Wifi", &many("auto")), "profile");
        assert_eq!(of("Profile", &many("gold")), "profile", "its own name");
        assert_eq!(of("Profil-Typ", &many("auto")), "");
        assert_eq!(of("Profil", &many("gold")), "");
        assert_eq!(of("Profil", &many("smallbusiness")), "profile");
        assert_eq!(of("Kunden-ID", &keys), "customerId");
        assert_eq!(of("Thing", &keys), "customerId? locationId?");
        assert_eq!(of("Account", &people), "");
        assert_eq!(of("Account", &ids()), "accountId");
        assert_eq!(of("Account Code", &many("retail")), "", "kinds");
        assert_eq!(of("Account Number", &[]), "accountId", "no values");
    }
}
