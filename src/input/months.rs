//! The names of the months in the languages of Europe, as spreadsheets write them into dates.
//!
//! Promise: a name is recognised in full, and by its first three letters or more; with and without its diacritics.

use std::collections::HashMap;
use std::sync::OnceLock;
use unicode_normalization::UnicodeNormalization;

/// One language on each line, from January on; a month with two forms has both, joined by `/`.
const NAMES: &str = "\
january february march april may june july august september october november december
januar/jänner februar/feber märz/mrz april mai juni juli august september oktober november dezember
janvier/janv février/févr mars avril/avr mai juin juillet/juil août septembre octobre novembre décembre
enero febrero marzo abril mayo junio julio agosto septiembre/setiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
januari februari maart/mrt april mei juni juli augustus september oktober november december
januar februar marts april maj juni juli august september oktober november december
januari februari mars april maj juni juli augusti september oktober november december
tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu heinäkuu elokuu syyskuu lokakuu marraskuu joulukuu
styczeń/stycznia luty/lutego marzec/marca kwiecień/kwietnia maj/maja czerwiec/czerwca lipiec/lipca sierpień/sierpnia wrzesień/września październik/października listopad/listopada grudzień/grudnia
leden/ledna únor/února březen/března duben/dubna květen/května červen/června červenec/července srpen/srpna září říjen/října listopad/listopadu prosinec/prosince
január február marec/marca apríl/apríla máj/mája jún/júna júl/júla august september október november december
január február március április május június július augusztus szeptember október november december
ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie
siječanj/siječnja veljača/veljače ožujak/ožujka travanj/travnja svibanj/svibnja lipanj/lipnja srpanj/srpnja kolovoz rujan/rujna listopad studeni/studenoga prosinac/prosinca
januar februar marec april maj junij julij avgust september oktober november december
јануар фебруар март април мај јун јул август септембар октобар новембар децембар
януари февруари март април май юни юли август септември октомври ноември декември
январь/января февраль/февраля март/марта апрель/апреля май/мая июнь/июня июль/июля август/августа сентябрь/сентября октябрь/октября ноябрь/ноября декабрь/декабря
січень/січня лютий/лютого березень/березня квітень/квітня травень/травня червень/червня липень/липня серпень/серпня вересень/вересня жовтень/жовтня листопад/листопада грудень/грудня
студзень люты сакавік красавік май чэрвень ліпень жнівень верасень кастрычнік лістапад снежань
ιανουάριος φεβρουάριος μάρτιος απρίλιος μάιος ιούνιος ιούλιος αύγουστος σεπτέμβριος οκτώβριος νοέμβριος δεκέμβριος
ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
jaanuar veebruar märts aprill mai juuni juuli august september oktoober november detsember
janvāris februāris marts aprīlis maijs jūnijs jūlijs augusts septembris oktobris novembris decembris
sausis/sausio vasaris/vasario kovas/kovo balandis/balandžio gegužė/gegužės birželis/birželio liepa/liepos rugpjūtis/rugpjūčio rugsėjis/rugsėjo spalis/spalio lapkritis/lapkričio gruodis/gruodžio
gener febrer març abril maig juny juliol agost setembre octubre novembre desembre
xaneiro febreiro marzo abril maio xuño xullo agosto setembro outubro novembro decembro
urtarrila otsaila martxoa apirila maiatza ekaina uztaila abuztua iraila urria azaroa abendua
janúar febrúar mars apríl maí júní júlí ágúst september október nóvember desember
januar februar mars april mai juni juli august september oktober november desember
eanáir feabhra márta aibreán bealtaine meitheamh iúil lúnasa meánfómhair deireadh samhain nollaig
ionawr chwefror mawrth ebrill mai mehefin gorffennaf awst medi hydref tachwedd rhagfyr
janar shkurt mars prill maj qershor korrik gusht shtator tetor nëntor dhjetor
jannar frar marzu april mejju ġunju lulju awwissu settembru ottubru novembru diċembru";

/// Returns a word in lower case, without diacritics, for comparisons.
fn folded(word: &str) -> String {
    let small = word.chars().flat_map(char::to_lowercase);
    let plain = small
        .nfd()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c));
    plain.collect()
}

/// Returns all beginnings of at least three letters, each with the number of the first month that has it.
fn beginnings() -> &'static HashMap<String, u8> {
    static BEGINNINGS: OnceLock<HashMap<String, u8>> = OnceLock::new();
    BEGINNINGS.get_or_init(|| {
        let mut all = HashMap::new();
        let languages = NAMES.lines();
        for (name, month) in languages.flat_map(|names| names.split_whitespace().zip(1..)) {
            for form in name.split('/').map(folded) {
                let mut beginning = String::new();
                for (at, letter) in form.chars().enumerate() {
                    beginning.push(letter);
                    if at >= 2 {
                        all.entry(beginning.clone()).or_insert(month);
                    }
                }
            }
        }
        all
    })
}

/// Returns the month that a word names, as a number from 1. If the word names several months in several languages, returns
/// one of them.
pub(super) fn month(word: &str) -> Option<u8> {
    let word = word.strip_suffix('.').unwrap_or(word);
    // Nearly all values are excluded here, before anything is allocated.
    if !(3..=24).contains(&word.len()) || !word.chars().all(char::is_alphabetic) {
        return None;
    }
    beginnings().get(&folded(word)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_every_language_are_known_in_full_and_short() {
        for (word, number) in [
            ("Mar", 3),
            ("MAR", 3),
            ("mrz", 3),
            ("M\u{e4}r.", 3),
            ("avr", 4),
            ("ene", 1),
            ("gen", 1),
            ("mrt", 3),
            ("ago", 8),
            ("f\u{e9}vr", 2),
            ("fevr", 2),
            ("ao\u{fb}t", 8),
            ("aout", 8),
            ("sty", 1),
            ("\u{fa}no", 2),
            ("kv\u{11b}", 5),
            ("tammi", 1),
            ("okt", 10),
            ("dic", 12),
            ("out", 10),
            ("maj", 5),
            ("янв", 1),
            ("сен", 9),
            ("Ιαν", 1),
            ("m\u{e1}j", 5),
            ("Aralık", 12),
            ("september", 9),
            ("Sept", 9),
            ("січ", 1),
        ] {
            assert_eq!(month(word), Some(number), "{word}");
        }
        for word in [
            "ABC", "CRM", "ma", "mar1", "B", "", "januarys", "xyz", "Tot",
        ] {
            assert_eq!(month(word), None, "{word}");
        }
        assert_eq!(NAMES.lines().count(), 36);
        for line in NAMES.lines() {
            assert_eq!(line.split_whitespace().count(), 12, "{line}");
        }
    }
}
