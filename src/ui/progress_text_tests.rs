//! What the progress display says at each width and in each situation.

use super::progress_text::{plain, state, two_lines};
use super::snapshot::{End, Snapshot, Wait};
use crate::domain::{Failed, Status};
use crate::engine::Reason;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

fn reason(reason: Failed, lines: u64, first_line: u32, message: &str) -> Reason {
    Reason {
        status: Status::Failed(reason),
        lines,
        first_line,
        message: message.to_owned(),
    }
}

fn apply() -> Snapshot {
    Snapshot {
        title: "apply".to_owned(),
        run: "20261120-223015-k3f9".to_owned(),
        done: 379,
        lines: 20_000,
        counts: vec![("changed", 121), ("failed", 258)],
        reasons: vec![
            reason(
                Failed::Ambiguous,
                251,
                2,
                "customer `C-1` has 3 locations: name one in `locationId`",
            ),
            reason(Failed::NotFound, 7, 40, "no customer has it"),
        ],
        calls: 4012,
        calls_per_s: Some(19.83),
        limit_per_s: Some(20.0),
        end: Some(End {
            left: Duration::from_secs(1010),
            words: "23:08 CET".to_owned(),
        }),
        elapsed: Duration::from_secs(200),
        ..Snapshot::default()
    }
}

fn waiting(seconds: u64) -> Snapshot {
    Snapshot {
        wait: Some(Wait {
            why: "the system does not answer (the connection was refused: 127.0.0.1:80)".to_owned(),
            left: Some(Duration::from_millis(seconds * 1000 - 400)),
            is_outage: true,
        }),
        end: None,
        ..apply()
    }
}

/// Draws the display at several widths, and checks that no line is too wide.
fn at_widths(now: &Snapshot) -> String {
    let widths = [100, 80, 60, 40, 20, 1];
    let shown = widths.map(|columns| {
        let lines = two_lines(now, columns);
        let lines = lines.map(|line| anstream::adapter::strip_str(&line).to_string());
        for line in &lines {
            assert!(line.width() < columns, "{columns}: {line}");
        }
        format!("{columns}\n{}\n{}", lines[0], lines[1])
    });
    shown.join("\n")
}

#[test]
fn display_fits_any_width_and_omits_the_least_important_parts() {
    insta::assert_snapshot!(at_widths(&apply()), @r"
    100
    apply ░░░░░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET
    changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7
    80
    apply ░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET
    changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7
    60
    apply 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET
    changed 121 · failed 258: ambiguous 251, not_found 7
    40
    apply 379/20,000 1 % · ends 23:08 CET
    changed 121 · failed 258: ambiguous 25…
    20
    apply 379/20,000 1…
    changed 121 · fail…
    1
    ");
}

#[test]
fn second_line_shows_the_wait_reason_and_counts_down() {
    insta::assert_snapshot!(at_widths(&waiting(12)), @r"
    100
    apply ░░░░░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 %
    next call in 12 s: the system does not answer (the connection was refused: 127.0.0.1:80)
    80
    apply ░░░░░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 %
    next call in 12 s: the system does not answer (the connection was refused: 127…
    60
    apply ░░░░░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 %
    next call in 12 s: the system does not answer (the connect…
    40
    apply ░░░░░░░░░░░░░░░░░░ 379/20,000 1 %
    next call in 12 s: the system does not…
    20
    apply 379/20,000 1…
    next call in 12 s:…
    1
    ");
    assert!(at_widths(&waiting(3)).contains("next call in 3 s: "));
}

#[test]
fn display_separates_all_processes_from_this_process() {
    let shared = Snapshot {
        elsewhere: 200,
        ..apply()
    };
    for columns in [100, 70] {
        let [first, second] =
            two_lines(&shared, columns).map(|line| anstream::adapter::strip_str(&line).to_string());
        assert!(first.contains(" all processes 379/20,000 1 %"), "{first}");
        assert!(!first.contains("calls/s"), "{first}");
        assert!(
            second.starts_with("this process: changed 121 · failed 258"),
            "{second}"
        );
    }
    let line = plain(&shared);
    assert!(line.contains("all processes 379/20,000"), "{line}");
    assert!(line.contains("this process: changed 121"), "{line}");
    assert!(line.ends_with("19.8 of 20 calls/s"), "{line}");
    let asked = state(&shared);
    assert!(asked.contains("all processes: 379 of 20,000"), "{asked}");
    assert!(asked.contains("this process: changed 121"), "{asked}");
    let without = Snapshot {
        title: "worker".to_owned(),
        lines: 3,
        done: 2,
        elsewhere: 2,
        ..Snapshot::default()
    };
    let text = at_widths(&without);
    assert!(
        text.contains("this process: no line is finished yet"),
        "{text}"
    );
}

#[test]
fn no_estimate_is_shown_before_the_first_line_ends() {
    let now = Snapshot {
        title: "plan".to_owned(),
        lines: 3,
        ..Snapshot::default()
    };
    insta::assert_snapshot!(at_widths(&now), @r"
    100
    plan ░░░░░░░░░░░░░░░░░░░░░░░░ 0/3 0 %
    no line is finished yet
    80
    plan ░░░░░░░░░░░░░░░░░░░░░░░░ 0/3 0 %
    no line is finished yet
    60
    plan ░░░░░░░░░░░░░░░░░░░░░░░░ 0/3 0 %
    no line is finished yet
    40
    plan ░░░░░░░░░░░░░░░░░░░░░░░░ 0/3 0 %
    no line is finished yet
    20
    plan ░░░░░░ 0/3 0 %
    no line is finishe…
    1
    ");
}

#[test]
fn wide_characters_count_twice_and_control_characters_are_escaped() {
    let mut now = apply();
    now.reasons[0].message = "顧客番号\u{1b}[2Jは三つの場所を持っています".to_owned();
    let shown = at_widths(&now);
    assert!(!shown.contains('\u{1b}'));
    insta::assert_snapshot!(shown, @r"
    100
    apply ░░░░░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET
    changed 121 · failed 258: ambiguous 251 (line 2: 顧客番号\u{1b}[2Jは三つの場所を持っ…), not_found 7
    80
    apply ░░░░░░░░░░░░░░░░░░░░ 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET
    changed 121 · failed 258: ambiguous 251 (line 2: 顧客番号\u{1b}[…), not_found 7
    60
    apply 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET
    changed 121 · failed 258: ambiguous 251, not_found 7
    40
    apply 379/20,000 1 % · ends 23:08 CET
    changed 121 · failed 258: ambiguous 25…
    20
    apply 379/20,000 1…
    changed 121 · fail…
    1
    ");
}

#[test]
fn colour_ends_when_its_text_is_truncated() {
    let lines = two_lines(&waiting(12), 30);
    assert_eq!(lines[1].matches("\u{1b}[0m").count(), 1, "{lines:?}");
    assert!(lines[1].ends_with("\u{1b}[0m"), "{lines:?}");
}

#[test]
fn log_shows_one_line_and_signal_shows_the_full_status() {
    insta::assert_snapshot!(plain(&apply()), @"apply 379/20,000 1 % · 19.8 of 20 calls/s · ends 23:08 CET · changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7");
    insta::assert_snapshot!(plain(&waiting(12)), @"apply 379/20,000 1 % · next call in 12 s: the system does not answer (the connection was refused: 127.0.0.1:80) · changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7");
    let stopping = Snapshot {
        is_stopping: true,
        end: None,
        ..apply()
    };
    insta::assert_snapshot!(plain(&stopping), @"apply 379/20,000 1 % · 19.8 of 20 calls/s · stopping · changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7");
    let told = |now: &Snapshot| anstream::adapter::strip_str(&state(now)).to_string();
    insta::assert_snapshot!(told(&apply()), @r"
    apply 20261120-223015-k3f9
      379 of 20,000 lines (1 %) in 3 min 20 s
      changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7
      4,012 calls · 19.8 of 20 calls/s
      not waiting
      ends 23:08 CET
    ");
    insta::assert_snapshot!(told(&waiting(12)), @r"
    apply 20261120-223015-k3f9
      379 of 20,000 lines (1 %) in 3 min 20 s
      changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7
      4,012 calls
      next call in 12 s: the system does not answer (the connection was refused: 127.0.0.1:80)
      the end time is not known yet
    ");
}
