//! Good files of every sort give the same rows.

use super::*;

#[test]
fn every_encoding_and_dialect_gives_the_same_rows() {
    let text =
        "Account ID;Name;new_account_id\nA-1000;M\u{fc}ller;B-1000\nA-2000;\"x;\ny\";B-2000\n";
    let expected = vec![
        (2, "A-1000".to_owned(), "B-1000".to_owned()),
        (3, "A-2000".to_owned(), "B-2000".to_owned()),
    ];
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
        [b"\xFF\xFE", &little[..]].concat(),
        [b"\xFE\xFF", &big[..]].concat(),
        text.replace('\n', "\r\n").into_bytes(),
        text.replace('\n', "\r").into_bytes(),
        text.trim_end().as_bytes().to_vec(),
        format!("{text}\n\n\r\n").into_bytes(),
        text.replace(';', "\t").into_bytes(),
        text.replace(';', "|").into_bytes(),
        text.replace(';', ",").into_bytes(),
        gzip.finish().unwrap(),
        zstd::encode_all(text.as_bytes(), 1).unwrap(),
    ] {
        assert_eq!(
            moves(&rows(&bytes)),
            expected,
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    let latin: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let settings = Settings {
        encoding: Some("windows-1252".into()),
        ..Settings::default()
    };
    let table = open_with(&latin, &settings, &plume()).unwrap();
    assert_eq!(moves(&rows_of(&table)), expected);
    let names: Vec<_> = table
        .records()
        .unwrap()
        .map(|r| r.unwrap().cells[1].clone())
        .collect();
    assert_eq!(names, ["M\u{fc}ller", "x;\ny"]);
}

#[test]
fn sep_line_and_blank_lines_are_skipped_but_counted() {
    for (text, line) in [
        ("sep=;\r\naccountId;newAccountId\r\nA;BBBBBB\r\n", 3),
        ("\n\naccountId,newAccountId\nA,BBBBBB\n", 4),
        ("accountId,newAccountId\n\n,\n\r\n\"\", \nA,BBBBBB\n", 6),
        ("accountId,newAccountId\nA,BBBBBB\n\u{1a}", 2),
        ("accountId,newAccountId\nA,BBBBBB\u{1a}", 2),
    ] {
        let found = open(text).map(|table| moves(&rows_of(&table)));
        assert_eq!(
            found.unwrap(),
            [(line, "A".to_owned(), "BBBBBB".to_owned())],
            "{text:?}"
        );
    }
}

#[test]
fn values_are_trimmed_and_not_changed_further() {
    let rows = rows("accountId,newAccountId\n  a-1 ,\u{a0}B/../ 1 \t\n\"a,\"\"1\"\"\",'x-111\n");
    let found = moves(&rows);
    assert_eq!(found[0].1, "a-1");
    assert_eq!(found[0].2, "B/../ 1");
    assert_eq!(found[1].1, "a,\"1\"");
    assert_eq!(found[1].2, "'x-111");
}

#[test]
fn mapped_column_takes_precedence_over_the_standard_name() {
    let settings = Settings {
        map: vec![(Column::NewAccountId, "crm key".into())],
        ..Settings::default()
    };
    let table = open_with(
        "accountId,newAccountId,CRM_KEY\nA,B,CCCCCC\n",
        &settings,
        &plume(),
    )
    .unwrap();
    assert_eq!(moves(&rows_of(&table))[0].2, "CCCCCC");
    assert_eq!(table.spelling(Column::NewAccountId), "CRM_KEY");
    let error = open_with("accountId,newAccountId\nA,B\n", &settings, &plume()).map(|_| ());
    assert_eq!(error.unwrap_err().code(), "mapped_column_missing");
}

#[test]
fn utf_16_file_that_is_longer_in_utf_8_is_read() {
    let mut bytes = vec![0xFF, 0xFE];
    let text = format!(
        "accountId,newAccountId,{}\nA-1,BBBBBB,客\n",
        "客".repeat(300)
    );
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    let table = open(bytes).unwrap();
    assert_eq!(rows_of(&table).len(), 1);
}
