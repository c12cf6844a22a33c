//! `idshift log`: what is on record about one line of a run, or about the run itself.

use super::options::{Console, LogOptions};
use crate::run::{
    CommandError, Exit, KeptRun, LineStory, Logged, RunStory, Selection, announce, catalog, choose,
    document, given_by, log_words,
};
use crate::ui;
use serde_json::Value;

pub(super) fn run(options: &LogOptions, console: Console) -> Result<Exit, CommandError> {
    let typed = &options.settings.typed;
    let run = find(options)?;
    let ledger = run.whole_ledger()?;
    if options.run.is_none() && !console.output.quiet {
        announce("log", &ledger);
    }
    let body = match options.line {
        None => {
            let story = RunStory::of(typed, &ledger)?;
            if !console.output.json {
                print_run(&story);
            }
            story.document()
        }
        Some(line) => {
            let story = LineStory::of(typed, (&run, &ledger), line)?;
            if !console.output.json {
                print_line(&story);
            }
            story.document()
        }
    };
    if console.output.json {
        ui::out_as_is(&document(Exit::Success, body));
    }
    Ok(Exit::Success)
}

fn find(options: &LogOptions) -> Result<KeptRun, CommandError> {
    let typed = &options.settings.typed;
    let (catalog, _) = catalog(typed)?;
    if let Some(run) = &options.run {
        return Ok(catalog.find(run)?);
    }
    let wanted = Selection {
        command: "log",
        words: "run",
        fits: &|_, _| true,
        is_asked: false,
    };
    choose(&catalog, wanted, &given_by(typed)?)
}

fn row(name: &str, words: &str) {
    ui::out(&format!("{name:<9} {}", ui::visible(words)));
}

fn print_line(story: &LineStory) {
    let body = story.document();
    row(
        "line",
        &format!(
            "{} of {}, run {} ({})",
            story.line, story.input, story.run, story.command
        ),
    );
    let asked = story.asked.iter();
    let asked: Vec<String> = asked.map(|(name, text)| format!("{name} {text}")).collect();
    row("asked", &asked.join(", "));
    row(
        "customer",
        &match story.customer() {
            None => body["outcome"]["reason"]
                .as_str()
                .map_or("not known yet", |reason| match reason {
                    "nothing_asked" | "invalid" => "none was looked for",
                    _ => "none was found",
                })
                .to_owned(),
            Some((id, how)) => format!("{id}, {}", found(how)),
        },
    );
    for write in body["writes"].as_array().into_iter().flatten() {
        let at = write["at"].as_str().unwrap_or_default();
        row("write", &format!("{at}  {}", write_words(write)));
        row("", &answer_words(write));
    }
    let outcome = &body["outcome"];
    if outcome.is_null() {
        row(
            "outcome",
            "none yet: the line was not begun, or not completed",
        );
    } else {
        let text = |name: &str| outcome[name].as_str().unwrap_or_default().to_owned();
        let reason = Some(text("reason")).filter(|reason| !reason.is_empty());
        let reason = reason.map_or_else(String::new, |reason| format!("/{reason}"));
        let words = format!("{}  {}{reason}", text("finished_at"), text("status"));
        row(
            "outcome",
            &format!("{words}, after {} ms", outcome["duration_ms"]),
        );
        if !text("message").is_empty() {
            row("", &text("message"));
        }
    }
    print_log("calls", &story.logged);
}

fn found(how: &str) -> &'static str {
    match how {
        "customer_id" => "named by customerId",
        "account_id" => "found by accountId",
        "account_id_and_customer_id" => "found by accountId, and the same as customerId",
        "new_account_id" => "found by newAccountId",
        _ => "known from the record of this run or of an earlier one",
    }
}

/// Returns what a write changes, such as `account ID A → B`.
fn write_words(write: &Value) -> String {
    let names = [
        ("account_id", "account ID"),
        ("service_id", "service ID"),
        ("profile", "profile"),
    ];
    let shown = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let sides = names.iter().filter_map(|(key, name)| {
        let (before, after) = (&write["before"][key], &write["after"][key]);
        // A write that does not send a location's service ID or profile leaves it unchanged.
        let is_sent = *key == "account_id" || !after.is_null();
        let has = !write["before"].get(key)?.is_null() || !after.is_null();
        (is_sent && has).then(|| format!("{name} {} → {}", shown(before), shown(after)))
    });
    let sides: Vec<String> = sides.collect();
    let location = write["location_id"].as_str();
    let location = location.map_or_else(String::new, |id| format!(" of location {id}"));
    let temporary = if write["kind"] == "temporary" {
        " (temporary)"
    } else {
        ""
    };
    format!(
        "attempt {}: {}{location}{temporary}, correlation {}",
        write["attempt"],
        sides.join(", "),
        write["correlation_id"].as_str().unwrap_or_default()
    )
}

fn answer_words(write: &Value) -> String {
    let answer = match &write["http_status"] {
        Value::Null => "no answer".to_owned(),
        status => format!("answer {status}"),
    };
    let verdict = match write["verdict"].as_str() {
        Some("applied") => "it took effect",
        Some("not_applied") => "it did not take effect",
        _ => "it is not known whether it took effect",
    };
    match write["decided_by"].as_str() {
        Some("not_sent") => "it was not sent".to_owned(),
        Some("read_back") => format!("{answer}; read back: {verdict}"),
        _ => format!("{answer}: {verdict}"),
    }
}

fn print_run(story: &RunStory) {
    let text = |name: &str| story.body[name].as_str().unwrap_or_default();
    row(
        "run",
        &format!("{} ({} of {})", text("run"), text("command"), text("input")),
    );
    row(
        "target",
        &format!("{} {}", text("system"), text("base_url")),
    );
    for session in story.body["sessions"].as_array().into_iter().flatten() {
        let of = |name: &str| session[name].as_str().unwrap_or_default();
        let calls = &session["calls"];
        let words = format!(
            "{}  process {} on {}: {} to find, {} to read, {} to write",
            of("started_at"),
            session["pid"],
            of("host"),
            calls["find"],
            calls["read"],
            calls["write"]
        );
        row("session", &words);
    }
    let cause = Some(text("cause")).filter(|cause| !cause.is_empty());
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    let words = format!("{} (phase {}){cause}", text("state"), text("phase"));
    row("state", &words);
    row("ended", text("finished_at"));
    print_log("events", &story.logged);
}

fn print_log(name: &str, logged: &Logged) {
    for file in &logged.files {
        row(name, &format!("from {}", file.display()));
    }
    if let Some(why) = &logged.missing {
        row(name, why);
    }
    for record in &logged.records {
        let day = record.text("time").get(..10).unwrap_or_default();
        let words = log_words(record.text("time"), |name| record.value(name));
        ui::out(&format!("  {day} {words}"));
    }
}
