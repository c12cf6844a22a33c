//! Recognises words that stand in the place of an ID.

use super::doubt::DoubtKind;
use super::finding::{Damage, Finding};
use std::collections::HashSet;
use std::sync::OnceLock;

/// The maximum length of such a word in ASCII, in bytes.
pub(super) const LONGEST: usize = 24;

/// Words that stand for a missing value, and are no IDs in any file.
const SURE: &str = "null nil nan nat none n/a n.a. n.a undefined true false wahr falsch";

/// Words for "unknown", "empty", "missing", "none", "not applicable", "true" and "false" in the languages of Europe and in
/// Japanese, Chinese and Korean; a `_` stands for any separator between words.
const PERHAPS: &str = "x xx xxx na nd nv ka tbd tba tbc todo pending unknown empty blank missing unset void dummy test \
    not_available not_applicable not_set not_assigned not_known not_found no_data no_value no_id to_be_defined to_do \
    unbekannt leer fehlt keine keiner kein entfällt offen folgt keine_angabe keine_daten nicht_vorhanden nicht_bekannt ohne \
    ohne_angabe kein_eintrag kein_wert entf nicht_verfügbar nicht_zutreffend \
    vrai faux inconnu inconnue vide manquant manquante aucun aucune néant sans sans_objet non_disponible non_renseigné \
    non_applicable non_défini pas_de_données à_définir \
    verdadero desconocido desconocida vacío vacio falta ninguno ninguna sin_datos sin_dato sin_valor sin_asignar sin_definir \
    no_disponible no_aplica por_definir pendiente \
    vero falso sconosciuto sconosciuta vuoto mancante nessuno nessuna non_definito non_disponibile non_presente nessun_dato dato_mancante \
    da_definire \
    verdadeiro desconhecido desconhecida vazio vazia nenhum nenhuma sem_dados sem_valor não_disponível não_se_aplica a_definir \
    waar onwaar onbekend leeg geen ontbreekt niet_beschikbaar niet_bekend niet_van_toepassing nvt \
    ukendt tom mangler ingen ikke_oplyst ikke_tilgængelig ukjent okänd okänt saknas tomt inga ej_angivet ej_tillgänglig \
    tuntematon tyhjä puuttuu ei_tietoa ei_tiedossa ei_saatavilla \
    prawda nieznany nieznana nieznane brak brak_danych brak_id puste pusty nie_dotyczy nie_podano \
    neznámý neznámé neznámá neuvedeno chybí žádný prázdný není neznámy neuvedené chýba žiadny \
    ismeretlen üres hiányzik nincs nincs_adat nincs_megadva necunoscut lipsă gol fără_date nu_este nespecificat \
    nepoznato nepoznat nema prazno neznano ni_podatka bilinmiyor yok boş belirtilmemiş veri_yok \
    нет неизвестно неизвестен пусто отсутствует не_указан не_указано нет_данных невідомо немає порожньо не_вказано немає_даних \
    неизвестен няма липсва непознато άγνωστο άγνωστος κενό κανένα δεν_υπάρχει nezināms nav nežinoma nėra teadmata puudub \
    不明 なし 無し 未定 未設定 未登録 該当なし 空白 未知 无 無 空 暂无 未填 미정 없음 미상 불명";

/// Checks whether a value is a word that stands for a missing ID, or an error. In a file in which IDs are words, some of
/// these words are IDs.
pub(super) fn word(value: &str) -> Option<Finding> {
    let most = if value.is_ascii() { LONGEST } else { 48 };
    if value.len() > most {
        return None;
    }
    if is_calc_error(value) {
        return Some(Finding::Sure(Damage::SheetError));
    }
    // Nearly every ID has a digit at one of its ends, and none of these words has.
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
        let mut parts = value
            .split(['/', '.', ' ', '\\'])
            .filter(|part| !part.is_empty());
        let one = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
        value.contains(['/', '.', '\\']) && matches!(parts.clone().count(), 2 | 3) && parts.all(one)
    };
    (is_absence(value) || is_abbreviation()).then_some(Finding::Doubt(DoubtKind::Placeholder))
}

/// Whether a value is one of the words for a missing value, in any case and with any separators.
fn is_absence(value: &str) -> bool {
    static WORDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let has_digit = |byte: u8| byte.is_ascii_digit();
    if value.bytes().any(has_digit) {
        return false;
    }
    let words = WORDS.get_or_init(|| PERHAPS.split_whitespace().collect());
    let small = value.to_lowercase();
    let ends = |c: char| matches!(c, '!' | '?' | '.' | '*' | '_' | ' ' | '-' | '#' | ':');
    let bare = small.trim_matches(ends);
    words.contains(bare) || words.contains(&*bare.replace([' ', '-', '.', '\u{A0}'], "_"))
}

/// Whether a value is `Err:502`, or its form in another language.
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
