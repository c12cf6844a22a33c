//! Bad lines are named, each with its problem.

use super::*;

#[test]
fn each_kind_of_damage_is_reported_with_its_line() {
    let text = "accountId,newAccountId,customerId,locationId,serviceId,profile,note\n\
        1.23457E+11,B-0001,,,,,sci\n\
        A-1,1-Mar,,,,,date\n\
        A-2,#N/A,,,,,sheet\n\
        null,B-0002,,,,,keyword\n\
        A-3,NULL,,,,,placeholder\n\
        A-4,B-0003\n\
        A-5,B-0004,,,,,x,y\n\
        \"A-6\"x,B-0005,,,,,stray\n\
        A-7,,,,S-1,Auto,profile\n\
        A\u{a0}8,B-0006,,,,,nbsp\n\
        A\t9,B-0007,,,,,tab\n\
        ..,B-0008,,,,,dots\n\
        ,B-0009,,,,,nobody\n\
        A-10,,,L-1,,,location\n\
        accountId,newAccountId,customerId,locationId,serviceId,profile,note\n\
        A-11,,,,\"\",auto,empty\n\
        A-12, \"B-0010\",,,,,late\n\
        A-13,B\u{fffd}0011,,,,,lost\n\
        A-14,B-0012,,,,,nul\0\n\
        ,,,,,,\n\
        A-15,,,,,,nothing\n\
        A-16,B-1,,,,,short\n\
        A-17,Mu\u{308}ller,,,,,nfd\n";
    let found = codes(text, &plume());
    let expected = [
        (2, "spreadsheet_scientific"),
        (3, "spreadsheet_date"),
        (3, "short_account"),
        (4, "spreadsheet_error"),
        (5, "forbidden_keyword"),
        (6, "placeholder"),
        (7, "ragged"),
        (8, "ragged"),
        (9, "text_after_quote"),
        (10, "unknown_profile"),
        (11, "invisible_character"),
        (12, "control_character"),
        (13, "dots"),
        (14, "no_customer"),
        (15, "asks_nothing_of_location"),
        (16, "header_again"),
        (17, "empty_service_id"),
        (18, "stray_quote"),
        (19, "replacement_character"),
        (20, "nul"),
        (22, "asks_nothing"),
        (23, "short_account"),
        (24, "combining_character"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn checks_follow_the_limits_of_the_system() {
    let line = |n: usize| format!("accountId,newAccountId\nA-1,{}\n", "\u{1F600}".repeat(n));
    assert_eq!(codes(line(255), &plume()), []);
    assert_eq!(codes(line(256), &plume()), [(2, "too_long")]);
    assert_eq!(codes(line(35), &adobe()), []);
    assert_eq!(codes(line(36), &adobe()), [(2, "too_long")]);
    assert_eq!(
        codes("accountId,newAccountId\nA-1,B[1]\n", &adobe()),
        [(2, "forbidden_character")]
    );
    let plume_file = "accountId,newAccountId,serviceId\nA-1,B-1,\nA-2,B-2,S\n";
    assert_eq!(codes(plume_file, &adobe()), [(3, "no_locations")]);
    let resellers = "accountId,newAccountId,resellerId\nA,B,own\nA,B,R-1\nA,B,\n";
    assert_eq!(codes(resellers, &cockpit()), [(4, "no_reseller")]);
    let clear = "accountId,newAccountId,resellerId\nA,,own\n";
    assert_eq!(codes(clear, &cockpit()), [(2, "asks_nothing")]);
    let allowing = Rules {
        allow_clear: true,
        ..cockpit()
    };
    let table = open_with(clear, &Settings::default(), &allowing).unwrap();
    assert_eq!(
        rows_of(&table)[0].change.as_ref().unwrap().new_account,
        NewAccount::Clear
    );
}

#[test]
fn guids_are_lowercased_if_the_system_uses_guids() {
    let text = "customerId,newAccountId,resellerId\n\
                ABCDEF00-0000-4000-8000-00000000000A,N,0000000A-0000-4000-8000-000000000001\n\
                Not-A-Guid,N,OWN\n";
    let ids = |rules: &Rules| {
        let table = open_with(text, &Settings::default(), rules).unwrap();
        let rows = rows_of(&table).into_iter().filter_map(|row| row.change);
        rows.map(|change| {
            let reseller = change.reseller.map(|reseller| reseller.to_string());
            (change.customer.unwrap().to_string(), reseller)
        })
        .collect::<Vec<_>>()
    };
    let reseller = "0000000a-0000-4000-8000-000000000001".to_owned();
    assert_eq!(
        ids(&cockpit()),
        [
            (
                "abcdef00-0000-4000-8000-00000000000a".to_owned(),
                Some(reseller)
            ),
            ("Not-A-Guid".to_owned(), Some("own".to_owned())),
        ]
    );
    let spelled = "ABCDEF00-0000-4000-8000-00000000000A";
    assert_eq!(ids(&adobe())[0], (spelled.to_owned(), None));
}

#[test]
fn quoted_empty_service_id_is_an_error_if_other_text_is_unquoted() {
    let header = "accountId,serviceId,profile\n";
    let of = |line: &str| codes(format!("{header}{line}\n"), &plume());
    assert_eq!(of("A-1,\"\",auto"), [(2, "empty_service_id")]);
    assert_eq!(of("\"A-1\",\"\",\"auto\""), []);
    assert_eq!(of("1001,\"\",\"auto\""), []);
    assert_eq!(of("A-1,,auto"), []);
}

#[test]
fn spreadsheet_damage_is_recognised_in_number_columns() {
    let of = |text: &str| codes(format!("accountId,newAccountId\n{text}"), &plume());
    assert_eq!(
        of("00012345,BB0001\n11112345,BB0002\n22212345,BB0003\n12345,BB0004\n"),
        [(5, "lost_zeros")]
    );
    let rounded = "1111222233334440,BB0001\n1111222233335550,BB0002\n1111222233336660,BB0003\n";
    let expected = [2, 3, 4].map(|line| (line, "spreadsheet_rounded"));
    assert_eq!(of(rounded), expected);
    assert_eq!(of(&format!("{rounded}1111222233335551,BB0004\n")), []);
    let same = "1111222233334440,BB0001\n".repeat(3);
    assert_eq!(of(&same), []);
    assert_eq!(of("12E5,BB0001\nA-1,BB0002\n"), []);
    assert_eq!(
        of("12E5,BB0001\n1234,BB0002\n1235,BB0003\n"),
        [(2, "spreadsheet_scientific")]
    );
    assert_eq!(
        of("12E5,BB0001\n1.2E+11,BB0002\n"),
        [(2, "perhaps_scientific"), (3, "spreadsheet_scientific")]
    );
}
