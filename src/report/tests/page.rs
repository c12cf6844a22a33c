//! The page of a run: what it says, what it must not do, and how large it gets.

use super::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Returns the texts between these marks.
fn between<'a>(page: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let parts = page.split(from).skip(1);
    parts.map(|part| part.split(to).next().unwrap()).collect()
}

/// Returns the cells of each line in the table of all lines.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let table = page.split("id=\"lines\"").nth(1).unwrap_or_default();
    let body = table.split("<tbody>").nth(1).unwrap_or_default();
    let rows = body.split("</tbody>").next().unwrap().split("</tr>");
    rows.map(|row| between(row, "<td>", "</td>"))
        .filter(|cells| !cells.is_empty())
        .collect()
}

fn would_change(line: Line) -> Outcome {
    let mut outcome = Outcome::bare(line, Status::WouldChange);
    outcome.customer = CustomerId::new(format!("customer-{line:017}")).ok();
    outcome.account.before = AccountId::new(format!("A-{line}")).ok();
    outcome.account.after = AccountId::new(format!("B-{line}")).ok();
    outcome
}

fn file_of(lines: u32) -> String {
    let mut text = "accountId,newAccountId\n".to_owned();
    for line in 2..lines + 2 {
        writeln!(text, "A-{line},B-{line}").unwrap();
    }
    text
}

#[test]
fn page_shows_user_target_times_guards_and_estimate() {
    let limits = r#"{"values":{"max_failures":"5%","canary":"5","until":"06:00","waves":"5,10%","rate":"6/s"}}"#;
    let mut run = run_with(RunKind::Apply, EIGHT, |header| {
        limits.clone_into(&mut header.settings);
        "portal 7".clone_into(&mut header.tenant);
        "ada".clone_into(&mut header.user);
        "migration-1".clone_into(&mut header.host);
        "Europe/Berlin".clone_into(&mut header.zone);
    });
    let estimate = r#"{"writes":8,"find":1,"read":0,"calls":9,"seconds":4380}"#;
    run.ledger.set_estimate(estimate).unwrap();
    run.ledger
        .seed((2..10).map(|line| Outcome {
            finished_at_ms: 1_795_213_815_000 + i64::from(line) * 1000,
            duration_ms: 120,
            status: match line {
                9 => Status::Failed(Failed::Conflict),
                _ => Status::Changed,
            },
            ..would_change(line)
        }))
        .unwrap();
    run.end(State::Finished, Some(1), "");
    run.draw();
    let page = run.page();
    for words in [
        "<h1>Finished: 7 of 8 lines changed, 1 failed</h1>",
        "ada on migration-1",
        "<code>moves.csv</code>",
        "plume at https://example.net, tenant portal 7",
        "2026-11-20 23:30:15 CET (+01:00)",
        "verifies the first 5 units before it continues; stops when more than 5% of the lines fail; \
         begins no unit after 06:00; verifies waves of 5,10% lines",
        "<th scope=\"row\">All calls</th><td>9</td>",
        "1 h 13 min",
        "<dt>Duration</dt><dd>1 s</dd>",
        "1 line: <code>conflict</code>",
        "Lines a minute, by status",
        "Measured for 8 lines: half of them took at most 120 ms",
        "idshift apply ",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    run.draw();
    assert_eq!(run.page(), page, "the same ledger makes the same page");
}

#[test]
fn page_of_interrupted_run_shows_state_and_time_zone() {
    let run = run(RunKind::Apply, EIGHT);
    run.end(State::Interrupted, Some(130), "");
    run.draw();
    let page = run.page();
    for words in [
        "2026-11-20 22:30:15 UTC",
        "<h1>Interrupted: 0 of 8 lines changed, 8 not begun</h1>",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
}

#[test]
fn sandbox_run_is_not_shown_as_a_real_system() {
    let run = run_with(RunKind::Apply, EIGHT, |header| {
        "plume in-process ".clone_into(&mut header.target);
    });
    run.draw();
    assert!(run.page().contains("no real system"), "{}", run.page());
}

#[test]
fn plan_page_shows_old_and_new_values_and_an_account_for_each_line() {
    let input = "accountId,newAccountId,customerId,serviceId\n\
                 A-2,B-2,,\n,B-3,C-3,\n,B-4,C-4,S-4\n,B-5,,\nA-6,B-6,,\n";
    let mut run = run(RunKind::Plan, input);
    let mut found = Outcome::bare(3, Status::WouldChange);
    found.customer = CustomerId::new("C-3").ok();
    found.account.after = AccountId::new("B-3").ok();
    let mut stale = Outcome::bare(4, Status::Failed(Failed::NotFound));
    stale.message = "no such customer".to_owned();
    run.ledger
        .seed([
            would_change(2),
            found,
            stale,
            Outcome::bare(5, Status::Failed(Failed::Invalid)),
        ])
        .unwrap();
    run.end(State::Planned, Some(1), "");
    run.draw();
    let page = run.page();
    assert!(page.contains("Old → new, line by line"), "{page}");
    assert!(page.contains("<h1>Plan: 2 of 5 lines would change, 2 would fail, 1 not begun</h1>"));
    let rows = rows(&page);
    let accounts: Vec<&str> = rows.iter().map(|cells| cells[1]).collect();
    assert_eq!(
        accounts,
        [
            "A-2",
            "customer C-3",
            "customer C-4",
            "none in the file",
            "A-6"
        ]
    );
    assert_eq!(rows[0][2..5], ["B-2", "", "would_change"]);
    assert_eq!(
        rows[2][2..6],
        [
            "B-4",
            "service ID → S-4",
            "failed: not_found",
            "no such customer"
        ]
    );
    let samples = between(&page, "<td class=\"account\">", "</td>");
    assert!(
        samples.len() == 3 && samples.iter().all(|one| !one.is_empty()),
        "{samples:?}"
    );
}

/// Texts that must not get into a page as they are.
const HOSTILE: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"' onmouseover=alert(1) x=",
    "</style></title></td></table>&lt;",
    "\u{202e}gnp.exe\u{2066}",
    "=HYPERLINK(\"http://example.com\")",
];

#[test]
fn no_value_becomes_markup_or_changes_the_text_direction() {
    for hostile in HOSTILE {
        let long = format!("{hostile}{}", "x".repeat(5000));
        let cell = format!("\"{}\"", hostile.replace('"', "\"\""));
        let input = format!(
            "accountId,newAccountId,customerId,locationId,serviceId,profile\n{}\n{}\n",
            [cell.as_str(); 6].join(","),
            [cell.as_str(); 6].join(",")
        );
        let settings =
            serde_json::json!({ "values": { "max_failures": hostile, hostile: hostile } });
        let mut run = run_with(RunKind::Apply, &input, |header| {
            header.settings = settings.to_string();
            for field in [
                &mut header.user,
                &mut header.host,
                &mut header.zone,
                &mut header.input_name,
                &mut header.base_url,
                &mut header.tenant,
            ] {
                long.clone_into(field);
            }
        });
        let mut outcome = would_change(2);
        outcome.status = Status::Changed;
        outcome.account.before = AccountId::new(hostile).ok();
        outcome.customer = CustomerId::new(hostile).ok();
        outcome.message.clone_from(&long);
        let mut failed = Outcome::bare(3, Status::Failed(Failed::Rejected));
        failed.message.clone_from(&long);
        run.ledger.seed([outcome, failed]).unwrap();
        run.end(State::Stopped, Some(4), &long);
        run.draw();
        let page = run.page();
        for evil in [
            "<img",
            "<script>alert",
            "\u{202e}",
            "\u{2066}",
            " onmouseover=alert(1) x=\"",
            "xxxxx&lt;/style",
        ] {
            assert!(!page.contains(evil), "{evil} of {hostile}: {page}");
        }
        assert_eq!(page.matches("</style>").count(), 1, "{hostile}");
        let titles = page.matches("</title>").count();
        assert_eq!(titles, 2, "{hostile}: the page's and the strip's");
        assert_eq!(page.matches("<script").count(), 1, "{hostile}");
        assert!(page.len() < 60_000, "{hostile}: {}", page.len());
    }
}

#[test]
fn content_policy_allows_only_the_embedded_script_and_style() {
    let run = run(RunKind::Apply, EIGHT);
    run.draw();
    let page = run.page();
    let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let script = between(&page, "<script>", "</script>");
    let style = between(&page, "<style>", "</style>");
    assert_eq!((script.len(), style.len()), (1, 1));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(style[0]),
        digest(script[0])
    );
    assert!(page.contains(&format!("content=\"{policy}\"")), "{policy}");
    for from_elsewhere in [
        "src=", "url(", "@import", "fetch(", "<link", "style=", " onclick",
    ] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
}

#[test]
fn up_to_20000_lines_are_shown_and_more_as_groups_with_samples() {
    for (lines, shown) in [(20_000, 20_000), (20_001, 0), (100_000, 0)] {
        let mut run = run(RunKind::Plan, &file_of(lines));
        run.ledger.seed((2..lines + 2).map(would_change)).unwrap();
        run.end(State::Planned, Some(0), "");
        run.draw();
        let page = run.page();
        assert_eq!(rows(&page).len(), shown, "{lines}");
        assert_eq!(page.contains("<script>"), shown > 0, "{lines}");
        assert!(page.len() < 3_000_000, "{lines}: {}", page.len());
        let samples = between(&page, "<td class=\"account\">", "</td>");
        assert_eq!(samples.len(), if shown > 0 { 0 } else { 200 }, "{lines}");
    }
}

#[test]
fn long_messages_are_left_out_before_lines_are() {
    let lines = 20_000;
    let mut run = run(RunKind::Apply, &file_of(lines));
    let failed = |line| Outcome {
        message: format!("{line}: {}", "the system says no; ".repeat(20)),
        status: Status::Failed(Failed::Rejected),
        ..would_change(line)
    };
    run.ledger.seed((2..lines + 2).map(failed)).unwrap();
    run.end(State::Finished, Some(1), "");
    run.draw();
    let page = run.page();
    let rows = rows(&page);
    assert_eq!(rows.len(), 20_000);
    assert_eq!(rows[0], ["2", "A-2", "B-2", "failed: rejected"]);
    assert!(page.contains("Messages and customer IDs are left out here"));
    assert!(page.contains("The first 20 of 20,000 lines"));
    assert!(page.len() < 3_000_000, "{}", page.len());
}
