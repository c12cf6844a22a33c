//! More than forty good files: none has a problem above a warning. Those of the first table have thirty thousand lines each.

use super::*;
use std::fmt::Write as _;

fn scrambled(n: u64) -> u64 {
    let n = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ (n >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn uuid(n: u64) -> String {
    let (a, b) = (scrambled(n), scrambled(n + 7_000_000));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a & 0xFFFF,
        b & 0xFFF,
        (b >> 12) & 0xFFF,
        scrambled(n + 9) >> 16
    )
}

/// The name, how an old ID is made, how a new one is made, and the text of a column that is carried through.
type Shape = (
    &'static str,
    fn(u64) -> String,
    fn(u64) -> String,
    &'static str,
);

#[expect(clippy::too_many_lines, reason = "a table")]
fn shapes() -> Vec<Shape> {
    vec![
        (
            "fixed",
            |n| format!("A-{n:06}"),
            |n| format!("CRM-{n:07}"),
            "x",
        ),
        ("UUIDs", uuid, |n| uuid(n + 500_000), "x"),
        (
            "UUIDs in capitals",
            |n| uuid(n).to_uppercase(),
            |n| uuid(n + 500_000).to_uppercase(),
            "x",
        ),
        (
            "GUIDs in braces",
            |n| format!("{{{}}}", uuid(n)),
            |n| format!("{{{}}}", uuid(n + 500_000)),
            "x",
        ),
        (
            "numbers of two lengths",
            |n| (50_000 + n).to_string(),
            |n| (5_950_000 + n).to_string(),
            "x",
        ),
        (
            "numbers of six lengths",
            |n| (1 + n).to_string(),
            |n| (1_000_000 + n).to_string(),
            "x",
        ),
        (
            "sixteen digits",
            |n| format!("4{:015}", scrambled(n) % 1_000_000_000_000_000),
            |n| format!("5{:015}", scrambled(n) % 1_000_000_000_000_000),
            "x",
        ),
        (
            "leading zeros",
            |n| format!("{n:010}"),
            |n| format!("{:012}", n * 7),
            "x",
        ),
        (
            "Japanese",
            |n| format!("A-{n}"),
            |n| format!("CRM{n:06}"),
            "\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{65e5}\u{672c}\u{30cd}\u{30c3}\u{30c8}",
        ),
        (
            "Japanese IDs",
            |n| format!("\u{9867}\u{5ba2}-{n:06}"),
            |n| format!("\u{30ab}\u{30b9}\u{30bf}\u{30de}\u{30fc}{n:06}"),
            "\u{6771}\u{4eac}",
        ),
        (
            "Chinese",
            |n| format!("\u{5ba2}\u{6237}{n:06}"),
            |n| format!("\u{5ba2}\u{6237}A{n:06}"),
            "\u{5317}\u{4eac}",
        ),
        (
            "Korean",
            |n| format!("\u{ace0}\u{ac1d}-{n:06}"),
            |n| format!("KR\u{ace0}\u{ac1d}{n:06}"),
            "\u{c11c}\u{c6b8}",
        ),
        (
            "umlauts",
            |n| format!("M\u{fc}ller-{n:05}"),
            |n| format!("K\u{f6}hler-{n:05}"),
            "Stra\u{df}e \u{e4}\u{f6}\u{fc}",
        ),
        (
            "Polish",
            |n| format!("\u{141}\u{f3}d\u{17a}-{n}"),
            |n| format!("Krak\u{f3}w/{n:06}"),
            "za\u{17c}\u{f3}\u{142}\u{107}",
        ),
        (
            "Russian",
            |n| format!("\u{41a}\u{43b}\u{438}\u{435}\u{43d}\u{442}-{n:06}"),
            |n| format!("\u{416}\u{41a}\u{425}-{n:06}"),
            "\u{41c}\u{43e}\u{441}\u{43a}\u{432}\u{430}",
        ),
        (
            "Greek",
            |n| format!("\u{3a0}\u{3b5}\u{3bb}-{n}"),
            |n| format!("\u{3a9}\u{3a3}-{n:06}"),
            "\u{391}\u{3b8}\u{3ae}\u{3bd}\u{3b1}",
        ),
        (
            "dots",
            |n| format!("de.berlin.{n}"),
            |n| format!("eu.de.{n:06}.x"),
            "x",
        ),
        (
            "slashes",
            |n| format!("2026/{n:06}"),
            |n| format!("DE/BE/{n:06}"),
            "a/b",
        ),
        (
            "telephone",
            |n| format!("+4930{n:06}"),
            |n| format!("+4940{n:06}"),
            "x",
        ),
        (
            "negative",
            |n| format!("-{}", n + 12),
            |n| format!("-{}", n + 900_000),
            "x",
        ),
        (
            "handles",
            |n| format!("@user{n}"),
            |n| format!("@kunde{n:05}"),
            "x",
        ),
        (
            "hash",
            |n| format!("#{}", n + 1234),
            |n| format!("#{}", n + 900_000),
            "x",
        ),
        (
            "month codes",
            |n| format!("JAN-{n:04}x"),
            |n| format!("JAN-{n:06}"),
            "x",
        ),
        (
            "months without a hyphen",
            |n| format!("MAR{n:06}"),
            |n| format!("APR{n:06}"),
            "x",
        ),
        (
            "a year as a part",
            |n| format!("2026-{n:06}"),
            |n| format!("MAI-2026-{n:06}"),
            "x",
        ),
        (
            "hexadecimal",
            |n| format!("{:012x}", scrambled(n) >> 16),
            |n| format!("{:010X}", (n << 20) + (scrambled(n) >> 44)),
            "x",
        ),
        (
            "exponents",
            |n| format!("{n}E5"),
            |n| format!("12E{n:05}"),
            "x",
        ),
        (
            "base 64",
            |n| format!("aB{:x}Z", n * 77),
            |n| format!("qQ{n:05}_-xY"),
            "x",
        ),
        (
            "e-mail",
            |n| format!("kunde{n}@example.com"),
            |n| format!("k.{n}+crm@example.org"),
            "x",
        ),
        (
            "a quoted address",
            |n| format!("A-{n:06}"),
            |n| format!("CRM-{n:07}"),
            "\"Hauptstr. 5\n10115 Berlin, Mitte, DE\"",
        ),
        (
            "ampersands",
            |n| format!("AT&T-{n:06}"),
            |n| format!("M&S;{n:06}").replace(';', "-"),
            "x",
        ),
        (
            "O'Neil",
            |n| format!("O'Neil-{n}"),
            |n| format!("D'Arc-{n:06}"),
            "x",
        ),
        (
            "brackets inside",
            |n| format!("A[{n}]x"),
            |n| format!("CRM({n:06})x"),
            "(x)",
        ),
    ]
}

fn assert_good(name: &str, text: &str, rules: &Rules) {
    assert_good_as(name, text.as_bytes(), rules, &Settings::default());
}

fn assert_good_as(name: &str, bytes: &[u8], rules: &Rules, settings: &Settings) {
    let table = open_with(bytes, settings, rules).unwrap_or_else(|why| panic!("{name}: {why}"));
    let list = checked(&table);
    let bad: Vec<_> = list
        .sorted()
        .into_iter()
        .filter(|problem| problem.severity != Severity::Warning)
        .take(3)
        .collect();
    assert!(bad.is_empty(), "{name}: {bad:?}");
}

/// Checks every third shape, so that three tests run side by side. `IDSHIFT_GOOD_LINES=100000` makes longer files.
fn assert_shapes_are_good(third: usize) {
    let lines = std::env::var("IDSHIFT_GOOD_LINES").map_or(30_000, |text| text.parse().unwrap());
    assert!(shapes().len() >= 30);
    for (name, old, new, note) in shapes().into_iter().skip(third).step_by(3) {
        let mut text = "accountId,newAccountId,note\n".to_owned();
        for n in 0..lines {
            writeln!(text, "{},{},{note}", old(n), new(n)).unwrap();
        }
        assert_good(name, &text, &plume());
    }
}

#[test]
fn valid_lines_of_any_shape_give_no_problems_first_third() {
    assert_shapes_are_good(0);
}

#[test]
fn valid_lines_of_any_shape_give_no_problems_second_third() {
    assert_shapes_are_good(1);
}

#[test]
fn valid_lines_of_any_shape_give_no_problems_last_third() {
    assert_shapes_are_good(2);
}

#[test]
fn small_valid_files_give_no_problems() {
    for (name, text) in [
        ("one line", "accountId,newAccountId\nA-1,B-200001\n".to_owned()),
        ("one line without an end", "accountId,newAccountId\nA-1,B-200001".to_owned()),
        ("two lines", "accountId;newAccountId\n1;200001\n22;200002".to_owned()),
        ("customers only", "customerId\tnewAccountId\n5f1\tB-200001\n5f2\tB-200002\n".to_owned()),
        ("services", "accountId|serviceId|profile\nA-1|Fam. M\u{fc}ller \u{2013} Haus 2|auto\nA-2|\u{201e}Zum L\u{f6}wen\u{201c} (EG)|\n".to_owned()),
        ("lines that ask for nothing", "accountId,newAccountId\nA-1,\nA-2,\n".to_owned()),
        ("blank rows", "accountId,newAccountId,note\r\nA-1,B-200001,x\r\n,,\r\n".to_owned()),
        ("a swap", "accountId,newAccountId\nA-100001,A-100002\nA-100002,A-100001\n".to_owned()),
        ("Russian, few", "accountId,newAccountId\n1,\u{410}\u{412}\u{421}-00001\n2,\u{416}\u{414}-00002\n".to_owned()),
        ("words", "accountId,newAccountId\nberlin,unbekannt\nparis,leer-haus\n".to_owned()),
    ] {
        assert_good(name, &text, &plume());
    }
    let resellers = "accountId,newAccountId,resellerId\nA-1,B-1,own\nA-2,B-2,OWN\n";
    assert_good("relationships", resellers, &cockpit());
}

/// How an ID is made.
type Id = fn(u32) -> String;

/// The language, the separator, how an old ID is made, how a new one is made.
fn languages() -> [(&'static str, &'static str, Id, Id); 12] {
    [
        (
            "Turkish",
            ";",
            |n| format!("M\u{dc}\u{15e}-{n:04}"),
            |n| format!("\u{130}ST\u{dc}\u{15e}-{n:05}"),
        ),
        (
            "Polish capitals",
            ";",
            |n| format!("SP\u{d3}\u{141}KA {n}"),
            |n| format!("P\u{d3}\u{141}NOC-{n:05}"),
        ),
        (
            "Czech",
            ";",
            |n| format!("Z\u{c1}K/{n}/2025"),
            |n| format!("KO\u{10c}\u{160}\u{cd}/{n:05}/2026"),
        ),
        (
            "Thai",
            "\t",
            |n| format!("\u{e25}\u{e39}\u{e01}-{n}"),
            |n| format!("\u{e19}\u{e49}\u{e33}-{n:05}"),
        ),
        (
            "Arabic",
            ",",
            |n| format!("\u{639}\u{645}\u{64a}\u{644}-{n}"),
            |n| format!("\u{632}\u{628}\u{648}\u{646}-{n:05}"),
        ),
        (
            "Hebrew",
            "|",
            |n| format!("\u{5dc}\u{5e7}\u{5d5}\u{5d7}-{n}"),
            |n| format!("\u{5d7}\u{5d3}\u{5e9}-{n:05}"),
        ),
        (
            "Vietnamese",
            ",",
            |n| format!("Nguy\u{1ec5}n-{n}"),
            |n| format!("Tr\u{1ea7}n-{n:05}"),
        ),
        (
            "Hindi",
            ",",
            |n| format!("\u{928}\u{92f}\u{93e}-{n}"),
            |n| format!("\u{917}\u{94d}\u{930}\u{93e}-{n:05}"),
        ),
        (
            "Catalan",
            ";",
            |n| format!("Paral\u{b7}lel-{n}"),
            |n| format!("Col\u{b7}legi-{n:05}"),
        ),
        (
            "Japanese brackets",
            ",",
            |n| format!("\u{9867}\u{5ba2}{n}"),
            |n| format!("\u{682a}\u{5f0f}\u{ff08}\u{6771}\u{4eac}\u{ff09}{n:05}"),
        ),
        (
            "half-width Katakana",
            ",",
            |n| format!("\u{ff76}\u{ff8c}-{n}"),
            |n| format!("\u{ff7c}\u{ff77}-{n:05}"),
        ),
        (
            "numero signs",
            ";",
            |n| format!("\u{41a}\u{43b}\u{438} \u{2116}{n}"),
            |n| format!("\u{41a}\u{43b}\u{438} \u{2116}{n:05}"),
        ),
    ]
}

#[test]
fn valid_files_in_any_language_and_encoding_give_no_problems() {
    for (name, separator, old, new) in languages() {
        let text = (0..30).fold(
            format!("accountId{separator}newAccountId\r\n"),
            |text, n| text + &format!("{}{separator}{}\r\n", old(n), new(n)),
        );
        assert_good(name, &text, &plume());
        assert_good(name, &format!("\u{feff}{text}"), &plume());
        let wide: Vec<u8> = format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_good_as(name, &wide, &plume(), &Settings::default());
    }
    let as_encoding = |label: &str| Settings {
        encoding: Some(label.into()),
        ..Settings::default()
    };
    let western =
        b"accountId;newAccountId\nM\xfcller 1;Gr\xf6\xdfe-00001\nM\xfcller 2;Gr\xf6\xdfe-00002\n";
    assert_good_as(
        "windows-1252",
        western,
        &plume(),
        &as_encoding("windows-1252"),
    );
    let japanese = b"accountId,newAccountId\n\x8c\xda1,\x8a\x94\x81i\x93\x8c\x81j00001\n\x8c\xda2,\x8a\x94\x81i\x93\x8c\x81j00002\n";
    assert_good_as("Shift JIS", japanese, &plume(), &as_encoding("shift_jis"));
}

#[test]
fn valid_files_that_resemble_damage_give_no_problems() {
    for (name, text) in [
        (
            "names that begin like footers",
            "accountId,newAccountId\nM GmbH,CRM-00001\nStand GmbH,CRM-00002\nExport Meier,CRM-00003\nEnde & Sohn,\n",
        ),
        (
            "customers that are called like footers",
            "customerId,newAccountId\nStand GmbH,CRM-00001\nDatum AG,CRM-00002\nTotal,CRM-00003\n",
        ),
        (
            "service IDs in words",
            "accountId,serviceId,profile\nA-1,unknown street 5,auto\nA-2,Total,auto\nA-3,Stand 5 (Markt),auto\nA-4,x,auto\n",
        ),
        (
            "letters",
            "accountId,newAccountId\nx,y-axis\ny,x-axis\nz,z-axis\n",
        ),
        (
            "the last ones unchanged",
            "accountId;newAccountId\nA-1;CRM-00001\nA-2;CRM-00002\nA-3;\nA-4;\n",
        ),
        (
            "names and one that is like a date",
            "accountId,newAccountId\n1,Kunde Nord\n2,Kunde S\u{fc}d\n3,Mai-Haus\n4,August 12\n5,Haus 7\n",
        ),
    ] {
        assert_good(name, text, &plume());
    }
}
