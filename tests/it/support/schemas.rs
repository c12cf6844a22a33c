//! The JSON schemas in `schemas/`: checks that a printed document conforms to its schema.
//!
//! A published schema allows unknown keys, because later versions add some. Here a key without a schema is an error,
//! because it is not documented.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
const ADDRESS: &str = "https://idshift.invalid/";
const END: &str = ".schema.json";

/// Returns all schemas, by name.
pub(crate) fn schemas() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(Path::new(FOLDER)).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let name = name.strip_suffix(END).unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect()
}

/// Fails with the errors if this document does not conform to the schema `name`.
pub(crate) fn validate(name: &str, document: &Value) {
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    for (name, mut schema) in schemas() {
        close(&mut schema, true);
        let address = format!("{ADDRESS}{name}{END}");
        compiler.add_resource(&address, schema).unwrap();
    }
    let whole = format!("{ADDRESS}whole.json");
    let closed = json!({"$ref": format!("{name}{END}"), "unevaluatedProperties": false});
    compiler.add_resource(&whole, closed).unwrap();
    let mut all = boon::Schemas::new();
    let index = compiler.compile(&whole, &mut all).unwrap();
    if let Err(error) = all.validate(document, index) {
        panic!("not as schemas/{name}{END} says: {error:#}\n{document:#}");
    }
}

/// Fails if this document does not conform to its schema.
pub(crate) fn validate_document(document: &Value) {
    validate(kind_of(document), document);
}

/// Returns the schema of a document, determined by keys that only this document has.
fn kind_of(document: &Value) -> &'static str {
    let kinds = [
        ("problems", "check"),
        ("error", "error"),
        ("changes", "plan"),
        ("runs", "runs"),
        ("live", "status"),
        ("program_version", "run"),
        ("ledger_commits", "summary"),
        ("paused", "order"),
        ("pruned", "prune"),
        ("forgotten", "forget"),
        ("imports", "import"),
        ("written", "init"),
        ("entries", "evidence"),
        ("differences", "verify"),
        ("findings", "doctor"),
        ("columns", "map"),
        ("found_by", "log-line"),
        ("sessions", "log-run"),
        ("undoes", "nothing-to-undo"),
    ];
    let kind = kinds.iter().find(|(key, _)| document.get(key).is_some());
    kind.map_or("config", |(_, name)| name)
}

/// Changes a schema so that it refuses unknown keys; `is_open`: other schemas add keys at this level.
fn close(schema: &mut Value, is_open: bool) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                // A part that several documents share is closed by each of them.
                let is_shared = matches!(key.as_str(), "overview" | "$defs" | "properties");
                close(value, is_shared);
            }
            let is_object = map.get("properties").is_some_and(Value::is_object)
                && map.get("type").is_some_and(|kind| kind == "object");
            if is_object && !is_open && !map.contains_key("additionalProperties") {
                map.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| close(one, false)),
        _ => {}
    }
}
