//! Filter patterns of event sources: which records a function wants.

use std::collections::BTreeMap;

use serde_json::Value;

/// What one level of a record must look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    fields: BTreeMap<String, Field>,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Nested(Pattern),
    /// One of these must match.
    AnyOf(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Equals(Value),
    Prefix(String),
    AnythingBut(Vec<Value>),
    Exists(bool),
}

impl Pattern {
    /// Reads a pattern, or says what in it is not understood.
    pub fn read(pattern: &Value) -> Result<Pattern, String> {
        let fields = pattern.as_object().ok_or("a pattern must be an object")?;
        let read = |(name, value): (&String, &Value)| {
            let field = match value {
                Value::Object(_) => Field::Nested(Pattern::read(value)?),
                Value::Array(rules) => {
                    Field::AnyOf(rules.iter().map(Rule::read).collect::<Result<Vec<_>, String>>()?)
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(format!("`{name}` must be a list of what may match, or an object"));
                }
            };
            Ok((name.clone(), field))
        };
        Ok(Pattern { fields: fields.iter().map(read).collect::<Result<_, String>>()? })
    }

    /// Whether every field named here matches the record.
    pub fn matches(&self, record: &Value) -> bool {
        self.fields.iter().all(|(name, field)| match (field, record.get(name)) {
            (Field::AnyOf(rules), value) => rules.iter().any(|rule| rule.matches(value)),
            (Field::Nested(pattern), Some(value)) => pattern.matches(value),
            // So that `exists: false` below an absent object holds.
            (Field::Nested(pattern), None) => pattern.matches(&Value::Null),
        })
    }
}

impl Rule {
    fn read(rule: &Value) -> Result<Rule, String> {
        let Some(comparison) = rule.as_object() else { return Ok(Rule::Equals(rule.clone())) };
        let mut entries = comparison.iter();
        let rule = match (entries.next(), entries.next()) {
            (Some((name, value)), None) => match (name.as_str(), value) {
                ("exists", Value::Bool(wanted)) => Some(Rule::Exists(*wanted)),
                ("prefix", Value::String(prefix)) => Some(Rule::Prefix(prefix.clone())),
                ("anything-but", Value::Array(values)) => Some(Rule::AnythingBut(values.clone())),
                ("anything-but", Value::String(_) | Value::Number(_)) => {
                    Some(Rule::AnythingBut(vec![value.clone()]))
                }
                _ => None,
            },
            _ => None,
        };
        rule.ok_or_else(|| format!("the comparison {comparison:?} is not understood here"))
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Rule::Exists(wanted), value) => *wanted == value.is_some(),
            (Rule::Equals(wanted), Some(value)) => wanted == value,
            (Rule::Prefix(prefix), Some(Value::String(text))) => text.starts_with(prefix),
            (Rule::AnythingBut(values), Some(value)) => !values.contains(value),
            (Rule::Equals(_) | Rule::Prefix(_) | Rule::AnythingBut(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, record: &Value) -> bool {
        Pattern::read(pattern).unwrap().matches(record)
    }

    #[test]
    fn every_field_must_match_one_of_its_rules() {
        let pattern = json!({ "eventName": ["INSERT", "MODIFY"], "dynamodb": { "NewImage": { "live": { "BOOL": [true] } } } });
        let record = |name: &str, live: bool| json!({ "eventName": name, "dynamodb": { "NewImage": { "live": { "BOOL": live } } } });
        assert!(matches(&pattern, &record("MODIFY", true)));
        assert!(!matches(&pattern, &record("REMOVE", true)));
        assert!(!matches(&pattern, &record("MODIFY", false)));
        assert!(!matches(&pattern, &json!({ "eventName": "MODIFY" })));
    }

    #[test]
    fn comparisons_are_understood() {
        let absent = json!({ "a": { "b": [{ "exists": false }] } });
        assert!(matches(&absent, &json!({})));
        assert!(!matches(&absent, &json!({ "a": { "b": 1 } })));
        let prefix = json!({ "a": [{ "prefix": "x" }] });
        assert!(matches(&prefix, &json!({ "a": "xy" })));
        assert!(!matches(&prefix, &json!({ "a": "yx" })));
        let other = json!({ "a": [{ "anything-but": ["x"] }] });
        assert!(matches(&other, &json!({ "a": "y" })));
        assert!(!matches(&other, &json!({ "a": "x" })));
        assert!(!matches(&other, &json!({})));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for pattern in [json!([]), json!({ "a": "x" }), json!({ "a": [{ "numeric": [">", 1] }] })] {
            assert!(Pattern::read(&pattern).is_err(), "{pattern}");
        }
    }
}
