//! The JSON schema of procedure files, from the types that read them: `procedures/schema.json`.

use std::borrow::Cow;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::bench::Rate;
use super::model::{Procedure, Span};

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span of time with its unit: `250us`, `10ms`, `30s`, `10m`, `1m 30s`.",
            "pattern": "^[0-9]+ ?[a-z]+( ?[0-9]+ ?[a-z]+)*$",
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Requests per second; `\"inf\"` sends all at once.",
            "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "const": "inf" }],
        })
    }
}

/// TOML has no null: a key that may be absent is only not required.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Procedure>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema.insert("title".to_owned(), "A procedure of tracegate".into());
    let mut schema = schema.to_value();
    // The generator forgets that the keys of a map are names.
    schema["properties"]["gaps"]["propertyNames"] = serde_json::json!({ "$ref": "#/$defs/Lane" });
    schema
}

/// `docs/keys.md`: the schema for people.
fn page(schema: &Value) -> String {
    let mut text = "# Keys of a procedure\n\nWritten from `procedures/schema.json`, and this from `src/procedure/model.rs`. A key that is not here is an error. [authoring.md](authoring.md) shows how they play together.\n".to_owned();
    section(schema, "", schema, &mut text);
    text
}

/// One table of the file and the tables inside it.
fn section(schema: &Value, path: &str, table: &Value, text: &mut String) {
    let heading = if path.is_empty() { "On top" } else { path };
    *text += &format!("\n## {heading}\n\n{}\n\n", described(table));
    *text += "| key | value | where absent | meaning |\n| --- | --- | --- | --- |\n";
    let required: Vec<&Value> = table["required"].as_array().into_iter().flatten().collect();
    let mut inner = Vec::new();
    for (key, property) in table["properties"].as_object().into_iter().flatten() {
        let target = resolved(schema, property);
        let below = if target["type"] == "array" { resolved(schema, &target["items"]) } else { target };
        if below["type"] == "object" {
            inner.push((key, target, below));
        }
        let absent = match (&property["default"], required.contains(&&Value::from(key.as_str()))) {
            (_, true) => "an error".to_owned(),
            (Value::Null | Value::Object(_), false) => String::new(),
            (default, false) => format!("`{default}`"),
        };
        let meaning = format!("{}{}", described(property), choices(below));
        *text += &format!("| `{key}` | {} | {absent} | {meaning} |\n", kind(schema, target));
    }
    for (key, target, below) in inner {
        let outer = path.trim_matches(['[', ']']);
        let name = if outer.is_empty() { key.clone() } else { format!("{outer}.{key}") };
        let by_pair = below["additionalProperties"]["patternProperties"].as_object();
        let pairs = by_pair.and_then(|patterns| patterns.values().next()).unwrap_or(&Value::Null);
        if pairs.is_object() {
            section(schema, &format!("[{name}.LANE] PAIR"), resolved(schema, pairs), text);
        } else if below["additionalProperties"] == false {
            let double = target["type"] == "array";
            section(schema, &if double { format!("[[{name}]]") } else { format!("[{name}]") }, below, text);
        }
    }
}

fn resolved<'a>(schema: &'a Value, part: &'a Value) -> &'a Value {
    let name = part["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    name.map_or(part, |name| &schema["$defs"][name])
}

fn described(part: &Value) -> String {
    part["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn kind(schema: &Value, part: &Value) -> String {
    match part["type"].as_str() {
        Some("array") => format!("list of {}", kind(schema, resolved(schema, &part["items"]))),
        Some("object") => "table".to_owned(),
        Some("string") if part["pattern"].is_string() => "time".to_owned(),
        Some(name) => name.to_owned(),
        None if part["oneOf"].is_array() => "word".to_owned(),
        None if part["const"].is_string() => format!("`{}`", part["const"]),
        None => {
            let choices = part["anyOf"].as_array().into_iter().flatten();
            choices.map(|choice| kind(schema, resolved(schema, choice))).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// The words that a key takes, with what each means.
fn choices(part: &Value) -> String {
    let words = part["oneOf"].as_array().into_iter().flatten();
    let words: Vec<String> = words
        .map(|word| {
            let meaning = described(word);
            format!("`{}`: {}", word["const"].as_str().unwrap(), meaning.trim_end_matches('.'))
        })
        .collect();
    if words.is_empty() { String::new() } else { format!(" {}.", words.join("; ")) }
}

/// Compares a committed file with what it is made from, or writes it.
fn committed(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TRACEGATE_WRITE_PAGE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, text, "{file} is stale: TRACEGATE_WRITE_PAGE=1 cargo test --lib schema");
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    committed("procedures/schema.json", &(serde_json::to_string_pretty(&schema()).unwrap() + "\n"));
}

#[test]
fn the_page_of_keys_is_that_of_the_schema() {
    committed("docs/keys.md", &page(&schema()));
}

/// A key without a description would stand on the page without a meaning.
#[test]
fn every_key_says_what_it_means() {
    let schema = schema();
    let tables = std::iter::once(&schema).chain(schema["$defs"].as_object().unwrap().values());
    for (key, property) in tables.filter_map(|table| table["properties"].as_object()).flatten() {
        assert!(property["description"].is_string(), "{key}: {property}");
    }
}
