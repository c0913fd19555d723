//! YAML with the short tags of templates, turned into the long form: `!Ref X` becomes `{"Ref": "X"}`.

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;
use serde_norway::value::TaggedValue;

/// Reads a template's text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let yaml: Yaml = serde_norway::from_str(text).map_err(|error| error.to_string())?;
    long_form(yaml)
}

fn long_form(yaml: Yaml) -> Result<Value, String> {
    match yaml {
        Yaml::Null => Ok(Value::Null),
        Yaml::Bool(value) => Ok(Value::Bool(value)),
        Yaml::Number(number) => serde_json::to_value(number).map_err(|error| error.to_string()),
        Yaml::String(text) => Ok(Value::String(text)),
        Yaml::Sequence(items) => items.into_iter().map(long_form).collect(),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                object.insert(key_text(&key)?, long_form(value)?);
            }
            Ok(Value::Object(object))
        }
        Yaml::Tagged(tagged) => tag(*tagged),
    }
}

fn tag(tagged: TaggedValue) -> Result<Value, String> {
    let tag = tagged.tag.to_string();
    let value = long_form(tagged.value)?;
    let name = tag.trim_start_matches('!');
    let value = match (name, &value) {
        // `!GetAtt Table.StreamArn` is short for a list of two.
        ("GetAtt", Value::String(path)) => match path.split_once('.') {
            Some((resource, attribute)) => json!([resource, attribute]),
            None => return Err(format!("`!GetAtt {path}` names no attribute")),
        },
        _ => value,
    };
    let name = match name {
        "Ref" | "Condition" => name.to_owned(),
        _ => format!("Fn::{name}"),
    };
    Ok(json!({ name: value }))
}

fn key_text(key: &Yaml) -> Result<String, String> {
    match key {
        Yaml::String(text) => Ok(text.clone()),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
            Err("a key of a mapping must be text".into())
        }
    }
}
