//! Metrics of a run in the text format of Prometheus, for the textfile collector of the node exporter.

use crate::regular_file;
use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The time of the last run with this metrics file that ended with exit code 0; kept when a later one fails.
const LAST_SUCCESS: &str = "idshift_last_success_timestamp_seconds";

/// How each file begins.
const BEGINNING: &str = "# HELP idshift_";
/// The maximum size of an earlier file in bytes, far more than any of them has.
const LONGEST: u64 = 1024 * 1024;

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// The summary, or the document in its place if the run could not begin.
    pub document: &'a Value,
    /// The command.
    pub command: &'a str,
    /// The exit code of the process.
    pub exit_code: u8,
    /// How long the process took.
    pub duration_ms: i64,
    /// When the process ended, in milliseconds since 1970, UTC.
    pub ended_at_ms: i64,
    /// Whether exit code 0 counts as a success of the job; not for a plan, which changes nothing.
    pub may_succeed: bool,
}

/// Writes the whole file or nothing, readable for the exporter, which is another user.
pub fn write(path: &Path, run: &Measured<'_>) -> io::Result<()> {
    let text = text(run, &before(path)?);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let everyone_reads = std::fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(everyone_reads)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Returns the metrics of the run before. Refuses any other file at this path, because it would be replaced.
fn before(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = match regular_file::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(text),
        opened => opened?,
    };
    let other = || io::Error::other("it is a file without metrics of idshift");
    let read = file.take(LONGEST).read_to_string(&mut text);
    match read {
        Ok(_) if text.is_empty() || text.starts_with(BEGINNING) => Ok(text),
        Err(why) if why.kind() != ErrorKind::InvalidData => Err(why),
        Ok(_) | Err(_) => Err(other()),
    }
}

/// A metric: name, what it means, and a value for each set of labels.
struct Metric {
    name: &'static str,
    help: &'static str,
    values: Vec<(String, f64)>,
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// A value without labels.
fn one(value: f64) -> Vec<(String, f64)> {
    vec![(String::new(), value)]
}

/// The members of an object, each with its name as a label.
fn labelled(label: &str, names: &[&str], of: &Value) -> Vec<(String, f64)> {
    let names = names.iter();
    let values = names.map(|name| (format!("{{{label}=\"{name}\"}}"), number(&of[*name])));
    values.collect()
}

fn text(run: &Measured<'_>, before: &str) -> String {
    let document = run.document;
    let mut metrics = of_every_run(run);
    if let Some(drift) = document["drift"].as_object() {
        let names: Vec<&str> = drift.keys().map(String::as_str).collect();
        metrics.push(Metric {
            name: "idshift_drift",
            help: "Lines that differed from the file, by cause.",
            values: labelled("cause", &names, &document["drift"]),
        });
    }
    let success = if run.exit_code == 0 && run.may_succeed {
        Some(seconds(run.ended_at_ms))
    } else {
        last_success(before)
    };
    metrics.extend(success.map(|at| Metric {
        name: LAST_SUCCESS,
        help: "When a run last ended with exit code 0.",
        values: one(at),
    }));
    let info = ["run", "system", "state"].map(|name| {
        let value = document[name].as_str().unwrap_or_default();
        format!("{name}=\"{}\"", escaped(value))
    });
    let info = format!(
        "{{command=\"{}\",{}}}",
        escaped(run.command),
        info.join(",")
    );
    metrics.push(Metric {
        name: "idshift_run_info",
        help: "The run that these numbers describe.",
        values: vec![(info, 1.0)],
    });
    metrics.iter().map(Metric::text).collect()
}

/// Returns the metrics that every run has.
fn of_every_run(run: &Measured<'_>) -> Vec<Metric> {
    let document = run.document;
    let statuses: Vec<&str> = crate::domain::Status::NAMES
        .iter()
        .copied()
        .chain(["half_done"])
        .collect();
    let calls = &document["calls"];
    vec![
        Metric {
            name: "idshift_lines",
            help: "Lines of the input by their outcome in the last run.",
            values: labelled("status", &statuses, &document["counts"]),
        },
        Metric {
            name: "idshift_calls",
            help: "Calls to the system in the last run, by kind.",
            values: labelled("kind", &["find", "read", "write"], calls),
        },
        Metric {
            name: "idshift_calls_retried",
            help: "Calls of the last run that repeated an earlier call.",
            values: one(number(&calls["retried"])),
        },
        Metric {
            name: "idshift_calls_throttled",
            help: "Answers of the last run that asked for a lower rate.",
            values: one(number(&calls["throttled"])),
        },
        Metric {
            name: "idshift_duration_seconds",
            help: "How long the last run took.",
            values: one(seconds(run.duration_ms)),
        },
        Metric {
            name: "idshift_exit_code",
            help: "Exit code of the last run; 0 is a success.",
            values: one(f64::from(run.exit_code)),
        },
        Metric {
            name: "idshift_finished_timestamp_seconds",
            help: "When the last run ended, successful or not.",
            values: one(seconds(run.ended_at_ms)),
        },
    ]
}

impl Metric {
    fn text(&self) -> String {
        let Self { name, help, values } = self;
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        for (labels, value) in values {
            text.push_str(&format!("{name}{labels} {value}\n"));
        }
        text
    }
}

/// Escapes a label's value as the format requires.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 have 41 bits"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn last_success(before: &str) -> Option<f64> {
    let line = before
        .lines()
        .find_map(|line| line.strip_prefix(LAST_SUCCESS));
    line?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured(document: &Value, exit_code: u8) -> Measured<'_> {
        Measured {
            document,
            command: "reconcile",
            exit_code,
            duration_ms: 1_500,
            ended_at_ms: 1_795_213_815_250,
            may_succeed: true,
        }
    }

    #[test]
    fn a_failed_run_keeps_the_time_of_the_last_success() {
        let document = json!({"counts": {"changed": 7}, "run": "a\"b"});
        let good = text(&measured(&document, 0), "");
        assert!(
            good.starts_with(BEGINNING) && good.contains("\nidshift_lines{status=\"changed\"} 7\n"),
            "{good}"
        );
        assert!(good.contains("run=\"a\\\"b\""), "{good}");
        let later = Measured {
            ended_at_ms: 1_795_300_000_000,
            ..measured(&document, 4)
        };
        let bad = text(&later, &good);
        assert!(bad.contains("\nidshift_exit_code 4\n"), "{bad}");
        assert!(
            bad.contains("\nidshift_last_success_timestamp_seconds 1795213815.25\n"),
            "{bad}"
        );
        let never = text(&later, "");
        assert!(!never.contains(LAST_SUCCESS), "{never}");
    }
}
