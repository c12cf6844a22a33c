//! The JSON schema of `idshift.toml`, for editors. It is generated from `settings_table.rs`: add a new setting there,
//! not here.

use super::setting::{Setting, Shape};
use super::settings_table::{COLUMNS, OAUTH2, SETTINGS};
use serde_json::{Map, Value, json};

/// Returns the schema, which is committed as `idshift.schema.json`.
pub(super) fn schema() -> Value {
    let mut profile = properties(SETTINGS);
    let mut oauth2 = properties(OAUTH2);
    oauth2.insert(
        "extra".to_owned(),
        json!({"type": "object", "additionalProperties": {"type": "string"},
               "description": "Further form fields of the token's request"}),
    );
    profile.insert(
        "oauth2".to_owned(),
        json!({"type": "object", "additionalProperties": false, "properties": oauth2,
               "description": "Client credentials"}),
    );
    let mut top = properties(SETTINGS);
    top.insert(
        "profiles".to_owned(),
        json!({"type": "object", "additionalProperties":
               {"type": "object", "additionalProperties": false, "properties": profile}}),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "idshift.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
    })
}

fn properties(settings: &[Setting]) -> Map<String, Value> {
    let in_file = settings.iter().filter(|setting| setting.is_in_file());
    in_file
        .map(|setting| {
            let mut property = match setting.shape {
                Shape::Text => json!({"type": ["string", "number"]}),
                Shape::Number(_) | Shape::Count => json!({"type": ["string", "integer"]}),
                Shape::List => json!({"type": ["string", "array"], "items": {"type": "string"}}),
                Shape::Columns => json!({"type": "object", "additionalProperties": false,
                                         "properties": properties(COLUMNS)}),
                Shape::Choice(choices) => json!({"enum": choices}),
                Shape::Truth => json!({"type": "boolean"}),
                Shape::Words => json!({"type": "array", "items": {"type": "string"}}),
            };
            property["description"] = Value::from(setting.line());
            (setting.name.to_owned(), property)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_schema_matches_the_settings_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/idshift.schema.json");
        let made = format!("{:#}\n", super::schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            made,
            "run with UPDATE_SCHEMA=1"
        );
    }
}
