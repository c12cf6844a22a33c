//! Starts the log of calls if the settings ask for one, and formats its records for a person.

use super::error::CommandError;
use crate::call_log::{self, LogFile, Record, Sinks, text};
use crate::config::Log;
use crate::ui;
use serde_json::Value;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Refuses a log file that cannot be written, before the user is asked anything. Does not create the file.
pub(super) fn check(log: &Log) -> Result<(), CommandError> {
    match &log.file {
        Some(path) => LogFile::check(path).map_err(|why| refused(path, &why)),
        None => Ok(()),
    }
}

/// Starts the log of calls; called before the first call.
pub(super) fn start(log: &Log) -> Result<(), CommandError> {
    let file = log.file.as_ref().map(|path| {
        let file = LogFile::open(path).map_err(|why| refused(path, &why))?;
        if let Some(mode) = file.was_open_to_others {
            ui::warning(&format!(
                "the log {} could be read by others (mode {mode:04o}); it has mode 0600 from now on",
                path.display()
            ));
        }
        Ok::<_, CommandError>(file)
    });
    call_log::start(Sinks {
        file: file.transpose()?,
        shown: log.shown,
        show: Box::new(|record: &Record| {
            ui::err(&words(&record.time, |name| record.get(name)));
        }),
        warn: ui::warning,
    });
    Ok(())
}

fn refused(path: &Path, why: &io::Error) -> CommandError {
    let path = path.display().to_string();
    let words = format!("the log {} cannot be written: {why}", ui::visible(&path));
    CommandError::file(words, why).with_help(
        "name another file with --log, IDSHIFT_LOG or log in idshift.toml; --log off writes none",
    )
}

/// Formats a record with this time stamp as one line for a person.
pub(crate) fn words<'a>(time: &str, value: impl Fn(&str) -> Option<&'a Value>) -> String {
    let clock = time.get(11..23).unwrap_or(time);
    let get = |name: &str| value(name).map(|value| one_line(&text(value)));
    let mut words = format!("{clock}Z");
    let mut add = |before: &str, value: Option<String>, after: &str| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(words, "{before}{value}{after}");
        }
    };
    let is_call = get("event").as_deref() == Some("call");
    if is_call {
        add(" ", get("kind"), "");
        add(" ", get("method"), "");
        add(" ", get("path"), "");
        add(" ", get("status"), "");
        add(" ", get("error"), "");
    } else {
        let in_words = |name| get(name).map(|word: String| word.replace('_', " "));
        add(" ", in_words("event"), "");
        add(" (", in_words("cause"), ")");
        add(" (", get("command"), ")");
        add(" (", in_words("phase"), ")");
        let state = get("state").map_or_else(String::new, |state| format!("{state}, "));
        add(&format!(" ({state}exit code "), get("exit_code"), ")");
        add(" from ", get("source"), "");
        add(" to ", get("to"), "");
        add(": ", get("why").or_else(|| in_words("reason")), "");
        add(" for ", get("for_ms"), " ms");
    }
    add(" ", get("ms"), " ms");
    add(", line ", get("line"), "");
    add(", lines ", get("lines"), "");
    add(", customer ", get("customer"), "");
    add(", account ID ", get("account"), "");
    if is_call {
        add(", attempt ", get("attempt"), "");
        for (name, cause) in [
            ("waited_ms.hold", "a hold"),
            ("waited_ms.token", "the token"),
            ("waited_ms.quota", "the quota"),
            ("waited_ms.rate", "the rate"),
            ("waited_ms.back_off", "the back-off"),
        ] {
            add(", waited ", get(name), &format!(" ms for {cause}"));
        }
        add(", request ", get("request_id"), "");
        add(", correlation ", get("correlation_id"), "");
    }
    words
}

/// Escapes a value, so that it cannot control the terminal or begin a new line.
fn one_line(text: &str) -> String {
    ui::visible(text).replace('\n', "\\n")
}
