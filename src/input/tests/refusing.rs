//! Files that cannot be read are refused with a code, a line and a next step.

use super::*;
use std::fmt::Write as _;

#[test]
fn unreadable_file_is_rejected_with_a_code_and_a_next_step() {
    let utf16: Vec<u8> = "accountId,newAccountId\nA,B\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "empty_file"),
        (b"\xEF\xBB\xBF".to_vec(), "empty_file"),
        (b"\n\n".to_vec(), "empty_file"),
        (utf16, "utf16_without_mark"),
        (b"PK\x03\x04 and so on".to_vec(), "binary_file"),
        (vec![1, 2, 3, 0, 7, 0, 0, 9, 200, 0, 1], "binary_file"),
        (b"A-1,B-1\nA-2,B-2\n".to_vec(), "no_header"),
        (b"accountId,newAccountId\n".to_vec(), "no_rows"),
        (b"accountId,newAccountId\n \n\r\n".to_vec(), "no_rows"),
        (b"accountId,name\nA,B\n".to_vec(), "missing_column"),
        (b"newAccountId,name\nA,B\n".to_vec(), "missing_column"),
        (b"#accountId,newAccountId\nA,B\n".to_vec(), "near_column"),
        (
            b"# from the CRM\naccountId,newAccountId\nA,B\n".to_vec(),
            "no_header",
        ),
        (
            b"account_id,newAccountId,AccountID\nA,B,C\n".to_vec(),
            "duplicate_column",
        ),
        (
            b"accountId,newAccountId,name,name\nA,B,C,D\n".to_vec(),
            "duplicate_column",
        ),
        (
            b"accountId,\"newAccountId\nA,B\n".to_vec(),
            "unclosed_quote",
        ),
        (
            [
                b"accountId,newAccountId".to_vec(),
                b",x".repeat(2000),
                b"\nA\n".to_vec(),
            ]
            .concat(),
            "too_many_columns",
        ),
    ];
    for (bytes, code) in cases {
        let error = open(&bytes).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(
            !error.help().is_empty() && error.problems()[0].message.contains(&error.to_string())
        );
    }
    let error = open_with(
        "accountId,newAccountId\nA,B\n",
        &Settings::default(),
        &cockpit(),
    )
    .map(|_| ());
    assert_eq!(error.unwrap_err().code(), "no_reseller");
    let dir = Dir::new();
    let error = Table::open(dir.0.path(), "dir", &Settings::default(), &plume()).map(|_| ());
    assert_eq!(error.unwrap_err().code(), "directory");
    let nowhere = dir.0.path().join("nowhere");
    let error = Table::open(&nowhere, "nowhere", &Settings::default(), &plume()).map(|_| ());
    assert_eq!(error.unwrap_err().code(), "unreadable");
}

/// The rows before the error, and the error.
fn failing(bytes: impl AsRef<[u8]>, settings: &Settings) -> (usize, InputError) {
    failing_by(64, bytes, settings)
}

fn failing_by(
    block_bytes: usize,
    bytes: impl AsRef<[u8]>,
    settings: &Settings,
) -> (usize, InputError) {
    let table = open_with(bytes, settings, &plume())
        .unwrap()
        .with_block_bytes(block_bytes);
    let mut good = 0;
    for row in table.rows().unwrap() {
        match row {
            Ok(_) => good += 1,
            Err(error) => return (good, error),
        }
    }
    panic!("no error");
}

#[test]
fn error_in_the_middle_of_a_file_is_reported_with_its_line() {
    let none = Settings::default();
    let (_, error) = failing("accountId,newAccountId\nA,\"B\nC,D\n", &none);
    assert!(
        matches!(error, InputError::UnclosedQuote { line: 2, .. }),
        "{error}"
    );
    let (good, error) = failing("accountId,newAccountId\nA,B\nC,\"D\nE,F\n", &none);
    assert!(
        matches!(error, InputError::UnclosedQuote { line: 3, .. }),
        "{error}"
    );
    assert_eq!(good, 1);
    let (_, error) = failing(b"accountId,newAccountId\nA,B\nM\xFCller,D\n", &none);
    assert!(
        matches!(
            error,
            InputError::BadByte {
                line: 3,
                offset: 28,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("0xFC"), "{error}");
    let shift_jis = Settings {
        encoding: Some("shift_jis".into()),
        ..Settings::default()
    };
    let (_, error) = failing(b"accountId,newAccountId\nA,B\nM\xFF,D\n", &shift_jis);
    assert!(
        matches!(
            error,
            InputError::BadByte {
                line: 3,
                offset: 28,
                ..
            }
        ),
        "{error}"
    );
    let long = format!(
        "accountId,newAccountId\nA,B\nC,{}\nE,F\n",
        "x".repeat(3 << 20)
    );
    let (_, error) = failing(&long, &none);
    assert!(
        matches!(error, InputError::RecordTooLong { line: 3, .. }),
        "{error}"
    );
    let long = long.replace("C,", "C,\"");
    let (_, error) = failing(&long, &none);
    assert!(
        matches!(error, InputError::UnclosedQuote { line: 3, .. }),
        "{error}"
    );
}

#[test]
fn truncated_compressed_file_is_reported_with_its_last_line() {
    let mut text = "accountId,newAccountId\n".to_owned();
    for n in 0..200_000_u32 {
        writeln!(text, "A{},B{n}", n.wrapping_mul(2_654_435_761)).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    for packed in [
        gzip.finish().unwrap(),
        zstd::encode_all(text.as_bytes(), 1).unwrap(),
    ] {
        let (good, error) = failing_by(1 << 14, &packed[..packed.len() / 2], &Settings::default());
        assert!(matches!(error, InputError::Truncated { .. }), "{error}");
        assert!(
            good > 50_000 && error.line() as usize > good,
            "{error} after {good}"
        );
    }
}
