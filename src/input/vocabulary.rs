//! The words in names of columns, in the main European languages, and the function that cuts a name into its words.
//!
//! Only `map` uses them, for guesses that a person confirms.

use unicode_normalization::UnicodeNormalization;

/// What a word of a column's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Concept {
    /// What something becomes.
    New,
    /// What something is now.
    Old,
    /// An account.
    Account,
    /// A customer.
    Customer,
    /// The CRM, or another system that has keys of its own.
    Crm,
    /// One of the systems that idshift writes to.
    System,
    /// A location.
    Location,
    /// A service.
    Service,
    /// A profile.
    Profile,
    /// A reseller.
    Reseller,
    /// `ID`.
    Id,
    /// A number, a code, a key.
    Number,
    /// An article or a preposition.
    Filler,
    /// A word that makes the column something else: a name, a date, a state.
    Other,
    /// No known word.
    Unknown,
}

/// Suffixes that Salesforce and other systems add to the names of fields.
const SUFFIXES: [&str; 6] = ["c", "pc", "r", "x", "e", "mdt"];

/// Words, without accents and in lower case. A word that ends in `*` stands for all words with this beginning.
const WORDS: &[(Concept, &str)] = &[
    (
        Concept::New,
        "new future target to after migrated replacement neu neue neuer neues neuen kuenftig* kunftig* ziel \
         nouveau nouvel nouvelle futur cible nuevo nueva destino nuovo nuova novo nova nieuw nieuwe ny nya \
         nytt nye uusi uuden now nowy nowa nowe novy nove uj nou noua",
    ),
    (
        Concept::Old,
        "old current present existing previous former legacy original source from before alt alte alter altes \
         alten aktuell* bisherig* derzeit* jetzig* quelle ancien ancienne actuel actuelle antiguo antigua \
         actual viejo vieja vecchio vecchia attuale precedente antigo antiga atual oud oude huidig* gammal \
         gammalt gamla gammel gamle nuvarande nuvaerende vanha vanhan nykyinen stary stara stare obecny \
         obecna dotychczasow* puvodni stavajici regi jelenlegi vechi vechiul",
    ),
    (
        Concept::Account,
        "account acct acc accnt konto kontos compte cuenta conto conta rekening kontot tili tilin konta uctu \
         ucet fiok szamla cont",
    ),
    (
        Concept::Customer,
        "customer customers cust client subscriber kunde kunden kund teilnehmer abonnent abonne cliente \
         abonado suscriptor abbonato assinante klant klanten abonnee kundens asiakas* asiakkaan klient* \
         abonent* zakazni* ugyfel* elofizeto* clientului abonat* klijent* kupac",
    ),
    (
        Concept::Crm,
        "crm erp sap salesforce sfdc hubspot dynamics netsuite zoho siebel external extern* internal billing",
    ),
    (Concept::System, "plume adobe vip vipm cloudcockpit cockpit"),
    (
        Concept::Location,
        "location site standort* emplacement localisation ubicacion localizacion sede sito posizione \
         localizacao locatie vestiging* plats lokation lokasjon sted sijainti* lokaliz* lokalita umisteni \
         telephely* locatia",
    ),
    (
        Concept::Service,
        "service svc dienst dienste dienstes servicio servizio servico tjanst tjeneste palvelu* uslug* sluzb* \
         szolgaltatas* serviciu*",
    ),
    (
        Concept::Profile,
        "profile profil perfil profilo profiel profiili profilu",
    ),
    (
        Concept::Reseller,
        "reseller partner dealer wiederverkaeufer wiederverkaufer haendler handler revendeur partenaire \
         revendedor distribuidor rivenditore wederverkoper aterforsaljare forhandler jalleenmyyja* sprzedawc* \
         odsprzedawc* prodejc* viszontelado* revanzator*",
    ),
    (
        Concept::Id,
        "id ids identifier identifiant identificador identificativo identificatore identifikator \
         identifikation identyfikator* identifikator* kennung guid uuid uid ident tunnus tunniste azonosito* \
         identificator* idnr",
    ),
    (
        Concept::Number,
        "number no nr num nbr key code ref reference nummer nummern schluessel schlussel referenz numero cle \
         codigo clave referencia codice chiave riferimento chave sleutel referentie kod nyckel referens \
         noegle nogle nokkel numeron koodi avain numer numeru klucz cislo klic szam szama kulcs numar numarul \
         cod",
    ),
    (
        Concept::Filler,
        "of the for in a an unique de du des la le les l d del della dello di il el do da dos van het een von \
         der die das dem fur fuer av af till til",
    ),
    (
        Concept::Other,
        "name names namn navn naam nom nombre nome nimi nazwa nazev nev nume type typ tipo tyyppi status \
         state stato estado etat tila stav date datum fecha data dato time zeit created updated modified \
         email mail phone telefon* telephone tel mobile handy fax street strasse rue calle via city stadt ort \
         ville ciudad citta zip plz postal postcode country land pays pais paese address adresse direccion \
         indirizzo adres adress owner manager parent contact kontakt contacto contatto count anzahl total sum \
         amount balance saldo description beschreibung comment kommentar note notes bemerkung group gruppe \
         gruppo grupo groupe category kategorie segment bank iban bic vat tax steuer* price preis plan \
         contract vertrag vertrags order invoice rechnung* facture url flag language sprache region vendor \
         supplier product produkt device serial mac",
    ),
];

/// Letters between two words of a compound.
const LINKS: [&str; 6] = ["", "s", "n", "en", "es", "e"];
/// The minimum length of a word in a compound, in bytes.
const SHORTEST: usize = 2;

/// Returns the words of a column's name, in their order.
pub(super) fn concepts(name: &str) -> Vec<Concept> {
    tokens(name)
        .iter()
        .flat_map(|token| of_token(token))
        .collect()
}

/// Returns the parts of a name, cut at signs and capitals: in lower case, without accents, without what a CRM adds.
fn tokens(name: &str) -> Vec<String> {
    let mut parts: Vec<&str> = name.trim().split("__").collect();
    let is_suffix = |part: &&str| SUFFIXES.contains(&part.to_lowercase().as_str());
    if parts.len() > 1 && parts.last().is_some_and(is_suffix) {
        parts.pop();
        // The part before the field's name is the name of its package.
        parts.drain(..parts.len() - 1);
    }
    let bare = parts.join(" ");
    let signs = ["N°", "n°", "Nº", "nº", "#", "№"];
    let numbered = signs
        .iter()
        .fold(bare, |text, sign| text.replace(sign, " nr "));
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut before_is_small = false;
    let letters: Vec<char> = numbered.chars().collect();
    for (at, &c) in letters.iter().enumerate() {
        let begins_word = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let after_capital = at > 0 && letters[at - 1].is_uppercase();
        let cuts = c.is_uppercase() && (before_is_small || (after_capital && begins_word));
        if (!c.is_alphabetic() || cuts) && !token.is_empty() {
            tokens.push(std::mem::take(&mut token));
        }
        if c.is_alphabetic() {
            token.push(c);
        }
        before_is_small = c.is_lowercase();
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens.iter().map(|token| folded(token)).collect()
}

/// Returns a text in lower case, without accents.
fn folded(token: &str) -> String {
    let mut text = String::with_capacity(token.len());
    for c in token.nfkd().flat_map(char::to_lowercase) {
        match c {
            'ß' => text.push_str("ss"),
            'æ' => text.push_str("ae"),
            'ø' => text.push('o'),
            'ł' => text.push('l'),
            'đ' => text.push('d'),
            'ı' => text.push('i'),
            c if c.is_alphabetic() => text.push(c),
            // An accent, which is separate from its letter after the decomposition.
            _ => {}
        }
    }
    text
}

fn of_token(token: &str) -> Vec<Concept> {
    if let Some(concept) = word(token) {
        return vec![concept];
    }
    compound(token, 4).unwrap_or_else(|| vec![Concept::Unknown])
}

/// Returns the meaning of a known word, or of a word that begins like a known one.
fn word(token: &str) -> Option<Concept> {
    let is_it = |known: &str| match known.strip_suffix('*') {
        Some(stem) => token.starts_with(stem),
        None => token == known,
    };
    let mut all = WORDS.iter();
    let has = |words: &str| words.split_ascii_whitespace().any(is_it);
    all.find_map(|(concept, words)| has(words).then_some(*concept))
}

/// Returns the words of a compound (`Kundennummer`, `klantnummer`, `accountid`); `None`: it is not made of known words.
fn compound(token: &str, most: usize) -> Option<Vec<Concept>> {
    if most == 0 {
        return None;
    }
    let ends = token.char_indices().map(|(at, _)| at).rev();
    for end in ends.filter(|end| *end >= SHORTEST && token.len() - end >= SHORTEST) {
        let Some(first) = plain_word(&token[..end]) else {
            continue;
        };
        for link in LINKS {
            let Some(rest) = token[end..].strip_prefix(link) else {
                continue;
            };
            let rest = match plain_word(rest) {
                Some(last) => Some(vec![last]),
                None => compound(rest, most - 1),
            };
            if let Some(mut rest) = rest {
                rest.insert(0, first);
                return Some(rest);
            }
        }
    }
    None
}

/// Returns the meaning of a word in a compound. It must be a whole known word, and not so short that it occurs everywhere.
fn plain_word(token: &str) -> Option<Concept> {
    let mut all = WORDS.iter();
    let is_it = |known: &str| known.strip_suffix('*').unwrap_or(known) == token;
    all.find_map(|(concept, words)| {
        let is_known = token.len() >= SHORTEST && words.split_ascii_whitespace().any(is_it);
        (is_known && *concept != Concept::Filler).then_some(*concept)
    })
}

#[cfg(test)]
mod tests {
    use super::Concept::{Account, Customer, Filler, Id, New, Number, Old, Other, Unknown};
    use super::*;

    #[test]
    fn column_name_is_split_into_concepts() {
        for (name, words) in [
            ("Account Number", vec![Account, Number]),
            ("New_Account_ID__c", vec![New, Account, Id]),
            ("ns__Account_Number__c", vec![Account, Number]),
            ("newAccountID", vec![New, Account, Id]),
            ("CRMKey", vec![Concept::Crm, Number]),
            ("Kundennummer", vec![Customer, Number]),
            ("Neue Kunden-Nr.", vec![New, Customer, Number]),
            ("NEUEKUNDENNUMMER", vec![New, Customer, Number]),
            ("Numéro de client", vec![Number, Filler, Customer]),
            ("N° client", vec![Number, Customer]),
            ("Nuevo número de cuenta", vec![New, Number, Filler, Account]),
            ("Codice cliente", vec![Number, Customer]),
            ("klantnummer", vec![Customer, Number]),
            ("Nytt kundnummer", vec![New, Customer, Number]),
            ("Asiakasnumero", vec![Customer]),
            ("Nowy numer klienta", vec![New, Number, Customer]),
            ("Číslo zákazníka", vec![Number, Customer]),
            ("Régi ügyfélszám", vec![Old, Customer]),
            ("Account #", vec![Account, Number]),
            ("Account Name", vec![Account, Other]),
            ("Quux", vec![Unknown]),
        ] {
            assert_eq!(concepts(name), words, "{name}: {:?}", tokens(name));
        }
    }
}
