//! Damaged values, by what is wrong with them.

use super::cases::{below, check, errors};
use super::*;
use Severity::{Error, Warning};
use std::fmt::Write as _;

#[test]
fn formulas_in_ids_are_errors_and_text_formulas_are_warnings() {
    check(vec![
        (
            "text form",
            "accountId,newAccountId\nA-1001,=\"00456789\"\n\"=\"\"A-1002\"\"\",BB-00002\n".into(),
            vec![(2, Warning, "text_formula"), (3, Warning, "text_formula")],
        ),
        (
            "any other formula",
            "accountId,newAccountId\nA-1001,\"=HYPERLINK(\"\"https://crm.example/20001\"\",\"\"20001\"\")\"\nA-1002,=A1&B1\n=B7,BB-00003\n".into(),
            errors(2..=4, "formula"),
        ),
        (
            "service IDs are free text",
            "accountId,serviceId\nA-1001,=Home\n".into(),
            vec![(2, Warning, "formula")],
        ),
        (
            "apostrophes",
            "accountId,newAccountId,note\nA-1001,'+4930123456,typo\nA-1002,'-200001,x\nA-1003,'@handle,x\n".into(),
            errors(2..=4, "escaped_value"),
        ),
        (
            "of no spreadsheet's fault",
            "accountId,newAccountId\n-12,-120000\n@x,@handle\n".into(),
            vec![],
        ),
    ]);
    let table = open("accountId,newAccountId\nA-1001,=\"00456789\"\n").unwrap();
    assert_eq!(moves(&rows_of(&table))[0].2, "00456789");
}

#[test]
fn placeholders_and_spreadsheet_errors_are_reported() {
    let of = |values: &[&str]| {
        let lines = (1001..).zip(values);
        let lines = lines.map(|(n, value)| format!("A-{n};{value}"));
        let good = ["A-9998;CRM-00001", "A-9999;CRM-00002"].map(str::to_owned);
        below("accountId;newAccountId", lines.chain(good))
    };
    let placeholders = [
        "[NULL]",
        "(blank)",
        "---------",
        "N/A",
        "nil",
        "NaT",
        "N.A.",
        "<leer>",
        "CRM-20...",
        "unbekannt",
        "k.A.",
        "Desconocido",
        "vac\u{ed}o",
        "???",
        "n/d",
        "s/d",
        "TBD",
        "inconnu",
        "sin datos",
        "Keine Angabe",
        "no-disponible",
        "brak",
        "brak danych",
        "\u{43d}\u{435}\u{442} \u{434}\u{430}\u{43d}\u{43d}\u{44b}\u{445}",
        "\u{4e0d}\u{660e}",
        "x",
        "?",
        "unknown!",
    ];
    let mistakes = [
        "Err:502",
        "#VALEUR!",
        "#NOMBRE?",
        "#N/D",
        "#\u{417}\u{41d}\u{410}\u{427}!",
        "Fehler:508",
        "########",
    ];
    let all = |text: String, code| {
        let found = judged(&text, &plume());
        let errors: Vec<u32> = found
            .iter()
            .filter(|(_, severity, _)| *severity == Error)
            .map(|(line, ..)| *line)
            .collect();
        assert!(
            found
                .iter()
                .all(|(_, severity, found)| *severity == Warning || *found == code),
            "{found:?}"
        );
        errors
    };
    assert_eq!(
        all(of(&placeholders), "placeholder"),
        (2..30).collect::<Vec<u32>>()
    );
    assert_eq!(
        all(of(&mistakes), "spreadsheet_error"),
        (2..9).collect::<Vec<u32>>()
    );
    // In a column of words, a word is no placeholder. One word among many numbers does not make it a column of words.
    check(vec![
        (
            "words",
            "accountId,newAccountId\nA-1001,berlin\nA-1002,unknown\nA-1003,madrid\n".into(),
            vec![],
        ),
        (
            "another word",
            "accountId,newAccountId\nA-1001,CRM-00001\nA-1002,k.A.\nA-1003,CRM-00003\nA-1004,besetzt\n".into(),
            vec![(3, Error, "placeholder"), (3, Warning, "short_account")],
        ),
    ]);
}

#[test]
fn dates_are_errors_or_warnings_depending_on_their_column() {
    let of = |values: &[&str]| {
        let lines = (1001..).zip(values);
        let lines = lines.map(|(n, value)| format!("A-{n},{value}"));
        below("accountId,newAccountId", lines)
    };
    let severities = |values: &[&str]| -> Vec<Severity> {
        let found = judged(of(values), &plume()).into_iter();
        found
            .filter(|(.., code)| *code == "spreadsheet_date")
            .map(|(_, severity, _)| severity)
            .collect()
    };
    assert_eq!(
        severities(&["03-avr", "1-ene", "7-gen", "1-mrt", "2-ago"]),
        [Error; 5]
    );
    assert_eq!(
        severities(&["3. M\u{e4}rz 2026", "12 sty", "4-\u{44f}\u{43d}\u{432}"]),
        [Error; 3]
    );
    assert_eq!(severities(&["CRM-10001", "CRM-10002", "1-Mar"]), [Error]);
    assert_eq!(
        severities(&["CRM-10001", "CRM-10002", "2026-03-01"]),
        [Error]
    );
    assert_eq!(
        severities(&["MAR-2001", "MAR-2002", "MAR-2003"]),
        [Warning; 3]
    );
    assert_eq!(
        severities(&["Haus-12", "Turm-2", "Anbau-333", "Juni-5", "Neil-7"]),
        [Warning],
        "names and numbers of any length"
    );
    assert_eq!(
        severities(&[
            "Haus Nord",
            "turm/2",
            "Anbau.III",
            "Juni-5",
            "O'Neil 7b",
            "Zum Adler"
        ]),
        [Warning],
        "values that are unlike each other"
    );
    assert_eq!(
        severities(&["anna", "bob", "christine", "Juni-5", "dora"]),
        [Warning],
        "words of any length"
    );
    assert_eq!(
        severities(&["A-1", "A-22", "A-333", "5-Jun", "A-55555"]),
        [Error],
        "numbers of any length"
    );
    assert_eq!(
        severities(&[
            "3f2a91bc-0000-4000-8000-00000000000a",
            "abcdef01-1111-4111-8111-0000000000bb",
            "00ffab01-1111-4111-9111-00000000ee01",
            "5-Jun"
        ]),
        [Error],
        "UUIDs"
    );
    assert_eq!(severities(&["CRM-10001", "1-Mar"]), [Error]);
    assert_eq!(severities(&["JAN-0001", "FEB-0002", "MAR-0003"]), []);
    assert_eq!(severities(&["MAR12345", "APR12345"]), []);
    let codes: Vec<String> = ["ABC", "KLM", "MAR", "XYZ", "QRS", "DEC", "TUV", "GHI"]
        .iter()
        .map(|code| format!("{code}-12"))
        .collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    assert_eq!(
        severities(&codes),
        [Warning; 2],
        "codes that begin like months by chance"
    );
}

#[test]
fn decimal_and_thousands_separators_in_numbers_are_reported() {
    check(vec![
        (
            "decimal zeros",
            "accountId,newAccountId\nA-1001,20011.0\nA-1002,20012.0\nA-1003,20013.0\n".into(),
            errors(2..=4, "decimal_zero"),
        ),
        (
            "decimal commas",
            "accountId;newAccountId\nA-1001;200110,00\nA-1002;200120,00\n".into(),
            errors(2..=3, "decimal_zero"),
        ),
        (
            "one of them",
            "accountId;newAccountId\nA-1001;200110.0\nA-1002;CRM-0001\n".into(),
            vec![(2, Warning, "decimal_zero")],
        ),
        (
            "thousands",
            "accountId;newAccountId\nA-1001;1,200,110\nA-1002;1200111\n".into(),
            vec![(2, Warning, "thousands_separator")],
        ),
    ]);
}

#[test]
fn lookalike_characters_are_errors_in_new_ids_but_not_in_old_ids() {
    let values = [
        ("\u{412}-2000001", "mixed_scripts"),
        ("B\u{2013}2000002", "typographic_character"),
        ("AT&amp;T-2004", "html_entity"),
        ("M\u{c3}\u{bc}ller", "decoded_twice"),
        ("B\u{200b}-2000003", "invisible_character"),
        ("CR\u{41c}-2000003", "mixed_scripts"),
        (
            "\u{ff23}\u{ff32}\u{ff2d}-2000003",
            "compatibility_character",
        ),
        ("CRM-20\u{ff10}\u{ff11}", "compatibility_character"),
        ("CRM-\u{2163}-001", "compatibility_character"),
        ("\u{1d400}BC-2001", "compatibility_character"),
        ("\u{212a}-2000003", "compatibility_character"),
    ];
    for (value, code) in values {
        check(vec![
            (
                "new",
                format!("accountId,newAccountId\nA-100001,{value}\nA-100002,B-2000002\n"),
                vec![(2, Error, code)],
            ),
            (
                "old",
                format!("accountId,newAccountId\n{value},B-2000001\nA-100002,B-2000002\n"),
                vec![(2, Warning, code)],
            ),
        ]);
        let usual = (0..60).map(|n| format!("A-{n},{value}{n:02}"));
        let found = judged(below("accountId,newAccountId", usual), &plume());
        assert!(
            found.iter().all(|(_, severity, _)| *severity == Warning),
            "{value}: {found:?}"
        );
    }
    for quotes in [
        "\u{201c}B-2000003\u{201d}",
        "'B-2000003'",
        "\u{201e}B-2000003\u{201c}",
        "\u{ab}B-2000003\u{bb}",
        "\"\"\"B-2000003\"\"\"",
    ] {
        let found = judged(format!("accountId,newAccountId\nA-1,{quotes}\n"), &plume());
        assert!(
            found.contains(&(2, Error, "quoted_value")),
            "{quotes}: {found:?}"
        );
    }
}

#[test]
fn each_outlier_line_gets_a_warning() {
    let mut text = "accountId,newAccountId\n".to_owned();
    for n in 0..60 {
        writeln!(text, "A-{},CRM-{}", 100_000 + n, 2_000_000 + n).unwrap();
    }
    text.push_str("A-100099,Total\nA-100098,20000098\n");
    check(vec![(
        "two of sixty-two",
        text,
        vec![
            (62, Warning, "outlier"),
            (62, Warning, "short_account"),
            (63, Warning, "outlier"),
        ],
    )]);
}
