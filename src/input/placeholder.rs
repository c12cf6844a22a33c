//! Words that stand in the place of an ID.

use super::damage::{Damage, Finding};
use super::doubt::Kind;

/// The longest such word, in bytes.
pub(super) const LONGEST: usize = 24;

/// Words that stand for a missing value, and are no IDs in any file.
const SURE: &str = "null nil nan nat none n/a n.a. n.a undefined true false wahr falsch";

/// Words for "unknown", "empty", "missing", "none", "true" and "false", in the languages of Europe.
const PERHAPS: &str = "na nd nv tbd tba tbc todo unknown empty blank missing unset void \
    unbekannt leer fehlt keine keiner entfällt vrai faux inconnu vide manquant aucun néant \
    verdadero desconocido vacío falta ninguno vero falso sconosciuto vuoto mancante nessuno \
    verdadeiro desconhecido vazio nenhum waar onwaar onbekend leeg geen ukendt ukjent okänd saknas \
    tuntematon tyhjä prawda nieznany brak neznámý ismeretlen necunoscut bilinmiyor нет неизвестно άγνωστο";

/// Words that stand for something else, of which some are IDs in a file whose IDs are words.
pub(super) fn word(value: &str) -> Option<Finding> {
    if value.len() > LONGEST {
        return None;
    }
    if is_calc_error(value) {
        return Some(Finding::Sure(Damage::SheetError));
    }
    // A digit at either end is in nearly every ID, and in none of these.
    let ends = [value.as_bytes().first(), value.as_bytes().last()];
    if ends.into_iter().flatten().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if SURE
        .split_whitespace()
        .any(|word| value.eq_ignore_ascii_case(word))
    {
        return Some(Finding::Sure(Damage::Placeholder));
    }
    let is_abbreviation = || {
        let mut parts = value.split(['/', '.', ' ']).filter(|part| !part.is_empty());
        let one = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
        value.contains(['/', '.']) && matches!(parts.clone().count(), 2 | 3) && parts.all(one)
    };
    let small = value.to_lowercase();
    (PERHAPS.split_whitespace().any(|word| word == small) || is_abbreviation())
        .then_some(Finding::Doubt(Kind::Placeholder))
}

/// `Err:502` and what other languages make of it.
fn is_calc_error(value: &str) -> bool {
    const WORDS: [&str; 14] = [
        "err",
        "error",
        "erreur",
        "erro",
        "errore",
        "fehler",
        "fout",
        "fejl",
        "feil",
        "fel",
        "virhe",
        "b\u{142}\u{105}d",
        "chyba",
        "ошибка",
    ];
    let bytes = value.as_bytes();
    let [.., b'5', tens, ones] = bytes else {
        return false;
    };
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return false;
    }
    let word = value[..value.len() - 3].trim_end();
    word.strip_suffix(':')
        .is_some_and(|word| WORDS.contains(&word.trim_end().to_lowercase().as_str()))
}
