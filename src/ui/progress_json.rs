//! Progress for a program: one JSON object a line, described in `docs/json.md`.

use super::snapshot::Snapshot;
use crate::engine::Event;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The format version of these objects.
const FORMAT: u8 = 1;

/// Makes the object that says how far the run is.
pub(super) fn progress(now: &Snapshot, at: Timestamp) -> String {
    let counts: Map<String, Value> = now
        .counts
        .iter()
        .map(|(name, lines)| ((*name).to_owned(), json!(lines)))
        .collect();
    let reasons: Vec<Value> = now
        .reasons
        .iter()
        .map(|reason| {
            json!({
                "status": reason.status.name(),
                "reason": reason.status.reason(),
                "lines": reason.lines,
                "first_line": reason.first_line,
                "message": reason.message,
            })
        })
        .collect();
    let wait = now.wait.as_ref().map(
        |wait| json!({"why": wait.why, "seconds": wait.left.map(seconds), "outage": wait.is_outage}),
    );
    let end = now.end.as_ref();
    object(
        now,
        at,
        "progress",
        json!({
            "done": now.done,
            "lines": now.lines,
            "counts": counts,
            "reasons": reasons,
            "elapsed_s": seconds(now.elapsed),
            "calls": now.calls,
            "calls_per_s": now.calls_per_s.map(tenths),
            "limit_per_s": now.limit_per_s,
            "waits": wait,
            "stopping": now.is_stopping,
            "left_s": end.map(|end| seconds(end.left)),
            "ends_at": end.and_then(|end| after(at, end.left)).map(stamp),
        }),
    )
}

/// Makes the object for an event.
pub(super) fn event(now: &Snapshot, event: &Event, at: Timestamp) -> String {
    let body = match event {
        Event::Waiting {
            why,
            for_ms,
            outage,
        } => json!({
            "event": "waiting",
            "why": why,
            "seconds": for_ms.map(|ms| seconds(Duration::from_millis(ms))),
            "outage": outage,
        }),
        Event::Flowing => json!({"event": "flowing"}),
        Event::BulkRefused { why } => json!({"event": "bulk_refused", "why": why}),
        Event::NoEffect { times, why } => {
            json!({"event": "no_effect", "times": times, "why": why})
        }
        Event::WaveVerified { wave, of, lines } => {
            json!({"event": "wave_verified", "wave": wave, "of": of, "lines": lines})
        }
        Event::Stopping { why, open, .. } => {
            json!({"event": "stopping", "why": why, "units_in_progress": open})
        }
    };
    object(now, at, "event", body)
}

/// Makes an object from the members that all objects have and those of `body`.
fn object(now: &Snapshot, at: Timestamp, kind: &str, body: Value) -> String {
    let mut object = json!({
        "format": FORMAT,
        "type": kind,
        "time": stamp(at),
        "run": now.run,
        "pass": now.title,
    });
    if let (Some(all), Value::Object(body)) = (object.as_object_mut(), body) {
        all.extend(body);
    }
    object.to_string()
}

/// RFC 3339, UTC, milliseconds.
fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn after(at: Timestamp, left: Duration) -> Option<Timestamp> {
    at.checked_add(SignedDuration::try_from(left).ok()?).ok()
}

/// Returns the seconds with one decimal place.
fn seconds(time: Duration) -> f64 {
    tenths(time.as_secs_f64())
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{End, Wait};
    use super::*;
    use crate::domain::{Failed, Status};
    use crate::engine::Reason;

    #[test]
    fn each_object_is_a_line_of_its_own() {
        let at: Timestamp = "2026-11-20T22:30:15.123456Z".parse().unwrap();
        let now = Snapshot {
            title: "apply".to_owned(),
            run: "20261120-223015-k3f9".to_owned(),
            done: 379,
            elsewhere: 0,
            lines: 20_000,
            counts: vec![("changed", 121), ("failed", 258)],
            reasons: vec![Reason {
                status: Status::Failed(Failed::Ambiguous),
                lines: 258,
                first_line: 2,
                message: "customer `C-1`\nhas 3 locations".to_owned(),
            }],
            calls: 4012,
            calls_per_s: Some(19.832),
            limit_per_s: Some(20.0),
            wait: Some(Wait {
                why: "429: all calls wait".to_owned(),
                left: Some(Duration::from_millis(1234)),
                is_outage: false,
            }),
            is_stopping: false,
            end: Some(End {
                left: Duration::from_secs(1010),
                words: String::new(),
            }),
            elapsed: Duration::from_millis(200_250),
        };
        insta::assert_snapshot!(progress(&now, at), @r#"{"calls":4012,"calls_per_s":19.8,"counts":{"changed":121,"failed":258},"done":379,"elapsed_s":200.3,"ends_at":"2026-11-20T22:47:05.123Z","format":1,"left_s":1010.0,"limit_per_s":20.0,"lines":20000,"pass":"apply","reasons":[{"first_line":2,"lines":258,"message":"customer `C-1`\nhas 3 locations","reason":"ambiguous","status":"failed"}],"run":"20261120-223015-k3f9","stopping":false,"time":"2026-11-20T22:30:15.123Z","type":"progress","waits":{"outage":false,"seconds":1.2,"why":"429: all calls wait"}}"#);
        insta::assert_snapshot!(progress(&Snapshot::default(), at), @r#"{"calls":0,"calls_per_s":null,"counts":{},"done":0,"elapsed_s":0.0,"ends_at":null,"format":1,"left_s":null,"limit_per_s":null,"lines":0,"pass":"","reasons":[],"run":"","stopping":false,"time":"2026-11-20T22:30:15.123Z","type":"progress","waits":null}"#);
        let events = [
            Event::Flowing,
            Event::Waiting {
                why: "429: all calls wait".to_owned(),
                for_ms: Some(1500),
                outage: true,
            },
            Event::BulkRefused {
                why: "400".to_owned(),
            },
            Event::NoEffect {
                times: 3,
                why: "500".to_owned(),
            },
            Event::WaveVerified {
                wave: 1,
                of: 3,
                lines: 5,
            },
            Event::Stopping {
                why: "interrupted".to_owned(),
                open: 2,
                ends_waits: true,
            },
        ];
        let shown = events.map(|one| event(&now, &one, at)).join("\n");
        insta::assert_snapshot!(shown, @r#"
        {"event":"flowing","format":1,"pass":"apply","run":"20261120-223015-k3f9","time":"2026-11-20T22:30:15.123Z","type":"event"}
        {"event":"waiting","format":1,"outage":true,"pass":"apply","run":"20261120-223015-k3f9","seconds":1.5,"time":"2026-11-20T22:30:15.123Z","type":"event","why":"429: all calls wait"}
        {"event":"bulk_refused","format":1,"pass":"apply","run":"20261120-223015-k3f9","time":"2026-11-20T22:30:15.123Z","type":"event","why":"400"}
        {"event":"no_effect","format":1,"pass":"apply","run":"20261120-223015-k3f9","time":"2026-11-20T22:30:15.123Z","times":3,"type":"event","why":"500"}
        {"event":"wave_verified","format":1,"lines":5,"of":3,"pass":"apply","run":"20261120-223015-k3f9","time":"2026-11-20T22:30:15.123Z","type":"event","wave":1}
        {"event":"stopping","format":1,"pass":"apply","run":"20261120-223015-k3f9","time":"2026-11-20T22:30:15.123Z","type":"event","units_in_progress":2,"why":"interrupted"}
        "#);
    }
}
