//! Damaged files of every class, in several languages and separators, and the severity of each line.

use super::*;
use Severity::{Blocking, Error, Warning};
use std::fmt::Write as _;

type Found = Vec<(u32, Severity, &'static str)>;

fn errors(lines: std::ops::RangeInclusive<u32>, code: &'static str) -> Found {
    lines.map(|line| (line, Error, code)).collect()
}

/// A header, and a line for each value under it.
fn below(header: &str, lines: impl Iterator<Item = String>) -> String {
    lines.fold(format!("{header}\n"), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    })
}

fn check(cases: Vec<(&str, String, Found)>) {
    for (name, text, expected) in cases {
        assert_eq!(judged(&text, &plume()), expected, "{name}:\n{text}");
    }
}

#[test]
fn lines_that_a_stray_quote_swallows_block_the_file() {
    let blocked = |line| vec![(line, Blocking, "quoted_lines")];
    check(vec![
        (
            "in the last column",
            "accountId,newAccountId,note\nA-1001,BB-2001,\"12 inch\nA-1002,BB-2002,x\nA-1003,BB-2003,x\nA-1004,BB-2004,14 inch\"\nA-1005,BB-2005,x\n".into(),
            blocked(2),
        ),
        (
            "in the middle, so that the last line's ID would go to the first",
            "accountId;note;newAccountId\r\n1001;x;200001\r\n1002;\"12 inch;200002\r\n1003;x;200003\r\n1004;14\";200004\r\n1005;x;200005\r\n".into(),
            blocked(3),
        ),
        (
            "of UUIDs, tab, one line",
            "customerId\tnewAccountId\tnote\n3f2a91bc-0000-4000-8000-00000000000a\tBB-0001\t\"x\nabcdef01-1111-4111-8111-0000000000bb\tBB-0002\ty\"\n".into(),
            blocked(2),
        ),
        (
            "a note before the key is none",
            "note,accountId,newAccountId\n\"two\nlines\",A-1001,BB-2001\n\"two\nmore, lines\",A-1002,BB-2002\n".into(),
            vec![],
        ),
        (
            "an address is none",
            "accountId,newAccountId,address\nA-1001,BB-2001,\"Main St 1\nSuite 2, Berlin, DE\"\nA-1002,BB-2002,\"10115, Berlin, DE\nx\"\n".into(),
            vec![],
        ),
    ]);
}

#[test]
fn formulas_and_their_text_form() {
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
fn headers_rulers_footers_and_preambles() {
    check(vec![
        (
            "another order",
            "accountId,newAccountId\nA-1001,BB-2001\nA-1002,BB-2002\nnewAccountId,accountId\nBB-2003,A-1003\nBB-2004,A-1004\n".into(),
            vec![(4, Error, "header_again")],
        ),
        (
            "another spelling",
            "accountId;newAccountId\nA-1001;BB-2001\nACCOUNT_ID;New Account-ID\nA-1002;BB-2002\n".into(),
            vec![(3, Error, "header_again")],
        ),
        (
            "more columns",
            "accountId;newAccountId\nA-1001;BB-2001\nnewAccountId;accountId;note\n".into(),
            vec![(3, Error, "header_again")],
        ),
        (
            "ruler",
            "accountId,newAccountId\n---------,------------\nA-1001,B-200001\n".into(),
            vec![(2, Error, "ruler")],
        ),
        (
            "ruler of a table",
            "accountId|newAccountId\n=========+\u{2500}|============\nA-1001|B-200001\n".into(),
            vec![(2, Error, "ruler")],
        ),
        (
            "count",
            "accountId,newAccountId\nA-1001,B-200001\nA-1002,B-200002\nTotal,2\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "short_account")],
        ),
        (
            "sum in German",
            "accountId;newAccountId;note\nA-1001;B-200001;x\nA-1002;B-200002;x\nSumme;;2\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "asks_nothing")],
        ),
        (
            "the number of lines in any language",
            "accountId;newAccountId\nA-1001;B-200001\nA-1002;B-200002\nYhteisluku;2\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "short_account")],
        ),
    ]);
    let error = |text: &str| open(text).map(|_| ()).unwrap_err();
    let found = error(
        "Kundenliste Stand 01.09.2026\nErsteller: Export\naccountId;newAccountId\nA-1001;B-200001\n",
    );
    assert_eq!(found.code(), "no_header");
    assert!(
        found.to_string().contains("line 3 looks like the header"),
        "{found}"
    );
    assert!(found.help().contains("--skip-rows 2"), "{}", found.help());
    let found = error("# exported\naccountId\tnewAccountId\nA-1001\tB-200001\n");
    assert!(found.help().contains("--skip-rows 1"), "{}", found.help());
    let skipping = Settings {
        skip_rows: 2,
        ..Settings::default()
    };
    let text = "Kundenliste\n\"x\"y\naccountId;newAccountId\nA-1001;B-200001\n";
    let table = open_with(text, &skipping, &plume()).unwrap();
    assert_eq!(
        moves(&rows_of(&table)),
        [(4, "A-1001".into(), "B-200001".into())]
    );
}

#[test]
fn what_stands_for_a_missing_value_or_is_an_error_of_a_spreadsheet() {
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
        (2..16).collect::<Vec<u32>>()
    );
    assert_eq!(
        all(of(&mistakes), "spreadsheet_error"),
        (2..9).collect::<Vec<u32>>()
    );
    // Where the IDs are words, a word is no placeholder.
    check(vec![(
        "words",
        "accountId,newAccountId\nA-1001,berlin\nA-1002,unknown\nA-1003,madrid\n".into(),
        vec![],
    )]);
}

#[test]
fn dates_are_damage_where_their_column_says_so() {
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
fn what_a_spreadsheet_does_to_a_column_of_numbers() {
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
fn a_file_that_was_cut_is_blocked() {
    let cut = |line| vec![(line, Blocking, "cut_off")];
    check(vec![
        (
            "value",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-0020002\nA-1003,CRM-00".into(),
            cut(4),
        ),
        (
            "empty",
            "accountId;newAccountId\r\nA-1001;200001\r\nA-1002;200002\r\nA-1003;".into(),
            { vec![(4, Blocking, "cut_off"), (4, Warning, "asks_nothing")] },
        ),
        (
            "no break at the end",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-0020002\nA-1003,CRM-0020003"
                .into(),
            vec![],
        ),
        (
            "lengths that vary",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-020002\nA-1003,CRM-00003"
                .into(),
            vec![],
        ),
        (
            "a break at the end",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-0020002\nA-1003,CRM-00\n"
                .into(),
            vec![],
        ),
    ]);
}

#[test]
fn characters_that_look_like_others_are_errors_in_new_ids_and_warnings_in_old_ones() {
    let values = [
        ("\u{412}-2000001", "mixed_scripts"),
        ("B\u{2013}2000002", "typographic_character"),
        ("AT&amp;T-2004", "html_entity"),
        ("M\u{c3}\u{bc}ller", "decoded_twice"),
        ("B\u{200b}-2000003", "invisible_character"),
        ("CR\u{41c}-2000003", "mixed_scripts"),
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
fn the_few_values_that_differ_are_warned_of_line_by_line() {
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

#[test]
fn names_of_columns_that_are_nearly_known_refuse_the_file() {
    let error = |text: &str| open(text).map(|_| ()).unwrap_err();
    let found = error("accountId,newAccountId\u{200b},serviceId\nA-1001,B-200001,S1\n");
    assert!(
        found.to_string().contains("U+200B (ZERO WIDTH SPACE)"),
        "{found}"
    );
    let found = error("accountId,newAcountId,serviceId\nA-1001,B-200001,S1\n");
    assert!(
        found.to_string().contains("is newAccountId meant?"),
        "{found}"
    );
    assert_eq!(found.problem().line, 1);
    for text in [
        "accountIds;customerId;newAccountId\nA;C-1;B-200001\n",
        "accountId;newAccountId;profil\nA;B-200001;x\n",
        "accountId\t\u{43d}ewAccountId\tserviceId\nA\tB-200001\tS\n",
    ] {
        assert_eq!(error(text).code(), "near_column", "{text}");
    }
    let carrying = Settings {
        carry: vec!["newAcountId".into()],
        ..Settings::default()
    };
    let text = "accountId,newAcountId,serviceId\nA-1001,B-200001,S1\n";
    assert!(open_with(text, &carrying, &plume()).is_ok());
    let without = "accountId,newAccountId\nA,B-200001\n";
    let found = open_with(without, &carrying, &plume())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(found.code(), "carried_column_missing");
    check(vec![
        (
            "two letters",
            "accountId,newAccountId,customerNo\nA-1,B-200001,7\n".into(),
            vec![(1, Warning, "column_not_read")],
        ),
        (
            "another word",
            "accountId,newAccountId,Customer,Service,Location\nA-1,B-200001,x,y,z\n".into(),
            vec![],
        ),
        (
            "one that is there",
            "accountId,newAccountId,accountId2,accountIds\nA-1,B-200001,x,y\n".into(),
            vec![],
        ),
    ]);
    // What the system does not have cannot be meant.
    let adobe_file = "accountId,newAccountId,profil,serviceIds\nA-1,B-200001,x,y\n";
    assert_eq!(judged(adobe_file, &adobe()), []);
}

#[test]
fn what_was_accepted_is_no_error_any_more() {
    let accepting = Rules {
        accept: Accept::parse(
            "placeholder,decimal_zero,quoted_value,mixed_scripts,spreadsheet_date,formula",
        )
        .unwrap(),
        ..plume()
    };
    let text = "accountId,newAccountId\nA-1,(blank)\nA-2,'x123456'\nA-3,\u{412}-2000001\nA-4,=CRM-001\nA-5,2026-03-01\n";
    let found = judged(text, &accepting);
    assert!(
        found.iter().all(|(_, severity, _)| *severity == Warning),
        "{found:?}"
    );
    let table = open_with(text, &Settings::default(), &accepting).unwrap();
    assert!(rows_of(&table).iter().all(|row| row.change.is_some()));
    // A contradiction cannot be accepted, nor can a header.
    assert!(Accept::parse("header_again").is_err());
}

#[test]
fn a_line_that_begins_with_a_hash_is_a_line_like_any_other() {
    check(vec![
        (
            "ID",
            "accountId,newAccountId\n#1234,BB-2001\nA-1002,BB-2002\n".into(),
            vec![(2, Warning, "hash_line")],
        ),
        (
            "remark",
            "accountId,newAccountId\n# a remark\nA-1002,BB-2002\n".into(),
            vec![(2, Error, "ragged"), (2, Warning, "hash_line")],
        ),
    ]);
    let all = (1000..1020).map(|n| format!("#{n},BB-{n}"));
    assert_eq!(judged(below("accountId,newAccountId", all), &plume()), []);
}

#[test]
fn padding_at_the_end_is_passed_over_or_named() {
    let passed = |text: &str| {
        let table = open(text).unwrap();
        let mut all = Passed::default();
        table
            .fold(|| (), |(), _| {}, |(), passed| all.append(passed))
            .unwrap();
        (
            rows_of(&table).len(),
            all.blank_rows,
            all.first,
            all.end_mark,
        )
    };
    assert_eq!(
        passed("accountId,newAccountId,note\r\nA-1001,B-200001,x\r\n,,\r\n,,\r\n,,\r\n"),
        (1, 3, Some(3), false)
    );
    assert_eq!(
        passed("accountId;newAccountId\n;\nA-1001;B-200001\n\"\";\" \"\n"),
        (1, 2, Some(2), false)
    );
    assert_eq!(
        passed("accountId,newAccountId\r\nA-1001,B-200001\r\n\u{1a}"),
        (1, 0, None, true)
    );
    let padded = format!(
        "accountId,newAccountId\nA-1001,B-200001\n{}",
        "\0".repeat(300)
    );
    check(vec![("zeros", padded, vec![(3, Error, "nul")])]);
}

#[test]
fn code_pages_of_dos_are_read_by_their_names() {
    let text = b"accountId,newAccountId,note\nA-1001,B-200001,M\x81ller\n";
    for label in ["cp850", "cp437", "ibm437", "850"] {
        let settings = Settings {
            encoding: Some(label.into()),
            ..Settings::default()
        };
        let table = open_with(text, &settings, &plume()).unwrap();
        let record = table.records().unwrap().next().unwrap().unwrap();
        assert_eq!(record.cells[2], "M\u{fc}ller", "{label}");
    }
    let table = open(text).unwrap();
    let error = table.rows().unwrap().find_map(Result::err).unwrap();
    assert!(
        error.help().contains("--encoding cp850"),
        "{}",
        error.help()
    );
    assert!(error.help().contains("iconv -f CP850"), "{}", error.help());
}
