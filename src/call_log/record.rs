//! One record of the log: a time and named values in order.

use super::file::BEGINNING;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::fmt::Debug;
use tracing::field::{Field, Visit};

/// The values of a span or an event, in the order in which they were reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Adds a value; the value of an inner span replaces that of an outer one.
    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        // An inner span knows better whether one line or several are concerned.
        match name {
            "line" => self.0.retain(|(other, _)| *other != "lines"),
            "lines" => self.0.retain(|(other, _)| *other != "line"),
            _ => {}
        }
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Adds the values of an inner span.
    pub(super) fn extend(&mut self, nearer: &Self) {
        for (name, value) in &nearer.0 {
            self.set(name, value.clone());
        }
    }

    /// Adds the event's own values. The attempts of a write are several calls, so its caller's span numbers them.
    pub(super) fn close(&mut self, event: Self) {
        let is_write = event.0.contains(&("kind", "write".into()));
        let is_numbered = is_write && self.0.iter().any(|(name, _)| *name == "attempt");
        for (name, value) in event.0 {
            if !(is_numbered && name == "attempt") {
                self.set(name, value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }
}

/// One record.
#[derive(Debug)]
pub struct Record {
    /// The time in RFC 3339, UTC, with milliseconds.
    pub time: String,
    fields: Fields,
}

impl Record {
    pub(super) fn new(fields: Fields) -> Self {
        Self {
            time: Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
                .to_string(),
            fields,
        }
    }

    /// Returns the value with this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let named = self.fields.0.iter().find(|(other, _)| *other == name);
        named.map(|(_, value)| value)
    }

    /// Returns the record as one line of JSON, with its line end. Names with a dot become an object: `waited_ms.rate`.
    pub(super) fn to_line(&self, run: &str) -> String {
        let mut line = String::with_capacity(384);
        // The time contains no characters that JSON escapes.
        line.push_str(BEGINNING);
        line.push_str(&self.time);
        line.push('"');
        if !run.is_empty() {
            push(&mut line, "run", &Value::from(run));
        }
        let mut nested: Option<(&str, Map<String, Value>)> = None;
        for (name, value) in &self.fields.0 {
            let (outer, inner) = match name.split_once('.') {
                Some((outer, inner)) => (outer, Some(inner)),
                None => (*name, None),
            };
            if nested.as_ref().is_some_and(|(open, _)| *open != outer)
                && let Some((open, object)) = nested.take()
            {
                push(&mut line, open, &Value::Object(object));
            }
            match inner {
                Some(inner) => {
                    let (_, object) = nested.get_or_insert_with(|| (outer, Map::new()));
                    object.insert(inner.to_owned(), value.clone());
                }
                None => push(&mut line, name, value),
            }
        }
        if let Some((open, object)) = nested {
            push(&mut line, open, &Value::Object(object));
        }
        line.push_str("}\n");
        line
    }
}

fn push(line: &mut String, name: &str, value: &Value) {
    line.push(',');
    line.push_str(&Value::from(name).to_string());
    line.push(':');
    line.push_str(&value.to_string());
}

/// Returns a value as a user reads it: a text has no quotes.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_number_comes_from_the_caller_only_for_writes() {
        let of = |kind: &str| {
            let (mut spans, mut event) = (Fields::default(), Fields::default());
            spans.set("attempt", 3.into());
            event.set("kind", kind.into());
            event.set("attempt", 1.into());
            spans.close(event);
            Record::new(spans).get("attempt").cloned()
        };
        assert_eq!(of("write"), Some(3.into()));
        assert_eq!(of("read"), Some(1.into()));
    }

    #[test]
    fn record_is_one_line_of_json_even_with_control_characters() {
        let mut fields = Fields::default();
        fields.set("lines", "2-9".into());
        fields.set("line", 7.into());
        fields.set("customer", "a\"b\nc\u{1b}".into());
        fields.set("waited_ms.rate", 12.into());
        fields.set("waited_ms.hold", 3.into());
        fields.set("status", 204.into());
        let record = Record::new(fields);
        let line = record.to_line("r-1");
        assert_eq!(line.lines().count(), 1, "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": record.time, "run": "r-1", "line": 7, "customer": "a\"b\nc\u{1b}",
            "waited_ms": {"rate": 12, "hold": 3}, "status": 204,
        });
        assert_eq!(read, expected);
        assert!(
            line.starts_with("{\"time\":\"2") && record.time.len() == 24,
            "{line}"
        );
    }
}
