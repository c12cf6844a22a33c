//! The form of every JSON document on standard output: one object with `format`, `version` and `exit_code`.

use super::exit_code::Exit;
use crate::report::FORMAT;
use serde_json::Value;

/// Adds what every document has to `body`, which must be an object.
pub(crate) fn document(exit: Exit, body: Value) -> String {
    let mut document = serde_json::json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "exit_code": exit as u8,
    });
    if let (Value::Object(document), Value::Object(body)) = (&mut document, body) {
        document.extend(body);
    }
    document.to_string()
}
