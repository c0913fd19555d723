//! The functions of templates (`Ref`, `Fn::Sub`, …), as far as one machine needs them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// How deep functions may be nested: far more than anybody can read, and a cycle ends.
const DEPTH: u32 = 64;

/// The account and region that local names carry.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "local";

/// What names in the template stand for.
pub(super) struct Scope<'a> {
    template: &'a Value,
    parameters: &'a BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(template: &'a Value, parameters: &'a BTreeMap<String, String>) -> Scope<'a> {
        Scope { template, parameters }
    }

    /// `value` with its functions replaced by what they stand for.
    pub(super) fn resolve(&self, value: &Value) -> Result<Value, String> {
        self.value(value, DEPTH)
    }

    /// A property that `Globals` gives every function, not yet resolved.
    pub(super) fn global_function_property(&self, name: &str) -> Option<&Value> {
        self.template.get("Globals")?.get("Function")?.get(name)
    }

    /// Whether the named condition holds.
    pub(super) fn condition(&self, name: &str) -> Result<bool, String> {
        self.named_condition(name, DEPTH)
    }

    fn value(&self, value: &Value, depth: u32) -> Result<Value, String> {
        let depth = depth.checked_sub(1).ok_or("is nested too deep")?;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.clone()),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.value(item, depth));
                items.filter(|item| !matches!(item, Ok(Value::Null))).collect()
            }
            Value::Object(object) => match sole_entry(object) {
                Some((name, argument)) if name == "Ref" || name.starts_with("Fn::") => {
                    self.function(name, argument, depth)
                }
                Some(_) | None => self.object(object, depth),
            },
        }
    }

    fn object(&self, object: &Map<String, Value>, depth: u32) -> Result<Value, String> {
        let mut resolved = Map::new();
        for (key, value) in object {
            let value = self.value(value, depth)?;
            // `AWS::NoValue` takes the property away.
            if !value.is_null() {
                resolved.insert(key.clone(), value);
            }
        }
        Ok(Value::Object(resolved))
    }

    fn function(&self, name: &str, argument: &Value, depth: u32) -> Result<Value, String> {
        match (name, argument) {
            ("Ref", Value::String(target)) => Ok(self.reference(target, depth)?),
            ("Fn::GetAtt", Value::Array(path)) => match path.as_slice() {
                [Value::String(resource), Value::String(attribute)] => {
                    self.attribute(resource, attribute, depth).map(Value::String)
                }
                _ => Err("`GetAtt` takes a resource and an attribute".into()),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &Map::new(), depth),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(names)] => self.substitute(text, names, depth),
                _ => Err("`Sub` takes a text and a mapping".into()),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), yes, no] => {
                    let branch = if self.named_condition(condition, depth)? { yes } else { no };
                    self.value(branch, depth)
                }
                _ => Err("`If` takes a condition and two values".into()),
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(between), Value::Array(items)] => {
                    let items: Result<Vec<String>, String> =
                        items.iter().map(|item| self.text(item, depth)).collect();
                    Ok(Value::String(items?.join(between)))
                }
                _ => Err("`Join` takes a separator and a list".into()),
            },
            ("Fn::FindInMap", Value::Array(path)) => self.find_in_map(path, depth),
            _ => Err(format!("the function `{name}` is not understood here")),
        }
    }

    fn reference(&self, target: &str, depth: u32) -> Result<Value, String> {
        let pseudo = match target {
            "AWS::NoValue" => return Ok(Value::Null),
            "AWS::Region" => Some(REGION),
            "AWS::AccountId" => Some(ACCOUNT),
            "AWS::Partition" => Some("aws"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            "AWS::StackName" => Some("local"),
            "AWS::StackId" => Some("arn:aws:cloudformation:local:000000000000:stack/local"),
            _ => None,
        };
        if let Some(text) = pseudo {
            return Ok(json!(text));
        }
        if let Some(given) = self.parameters.get(target) {
            return Ok(json!(given));
        }
        if let Some(parameter) = self.template.get("Parameters").and_then(|all| all.get(target)) {
            // Nobody is asked here: a parameter without default is empty, and settings that matter are overridden.
            return Ok(parameter.get("Default").cloned().unwrap_or_else(|| json!("")));
        }
        self.physical_name(target, depth).map(Value::String)
    }

    /// What `Ref` gives for a resource: its explicit name, else its name in the template.
    fn physical_name(&self, resource: &str, depth: u32) -> Result<String, String> {
        let body = self.resource(resource)?;
        let properties = body.get("Properties");
        let named = ["TableName", "FunctionName"].iter().find_map(|name| properties?.get(name));
        named.map_or_else(|| Ok(resource.to_owned()), |name| self.text(name, depth))
    }

    fn attribute(&self, resource: &str, attribute: &str, depth: u32) -> Result<String, String> {
        let name = self.physical_name(resource, depth)?;
        let table = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}");
        match (self.resource(resource)?.get("Type").and_then(Value::as_str), attribute) {
            (Some("AWS::DynamoDB::Table"), "StreamArn") => Ok(format!("{table}/stream/local")),
            (Some("AWS::DynamoDB::Table"), "Arn") => Ok(table),
            _ => Ok(format!("{name}.{attribute}")),
        }
    }

    fn resource(&self, name: &str) -> Result<&Value, String> {
        let found = self.template.get("Resources").and_then(|all| all.get(name));
        found.ok_or_else(|| format!("`{name}` is neither a parameter nor a resource"))
    }

    /// `text` with each `${Name}`, `${Resource.Attribute}` and `${!literal}` replaced.
    fn substitute(&self, text: &str, names: &Map<String, Value>, depth: u32) -> Result<Value, String> {
        let mut parts = text.split("${");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').ok_or("has a `${` without its `}`")?;
            if let Some(literal) = name.strip_prefix('!') {
                filled.extend(["${", literal, "}"]);
            } else if let Some(value) = names.get(name) {
                filled.push_str(&self.text(value, depth)?);
            } else if let Some((resource, attribute)) = name.split_once('.') {
                filled.push_str(&self.attribute(resource, attribute, depth)?);
            } else {
                filled.push_str(&plain(&self.reference(name, depth)?)?);
            }
            filled.push_str(rest);
        }
        Ok(Value::String(filled))
    }

    fn find_in_map(&self, path: &[Value], depth: u32) -> Result<Value, String> {
        let path: Result<Vec<String>, String> = path.iter().map(|step| self.text(step, depth)).collect();
        let path = path?;
        let mappings = self.template.get("Mappings").ok_or("the template has no Mappings")?;
        let found = path.iter().try_fold(mappings, |value, step| value.get(step));
        found.cloned().ok_or_else(|| format!("there is no mapping {}", path.join(".")))
    }

    fn named_condition(&self, name: &str, depth: u32) -> Result<bool, String> {
        let condition = self.template.get("Conditions").and_then(|all| all.get(name));
        self.holds(condition.ok_or_else(|| format!("there is no condition `{name}`"))?, depth)
    }

    fn holds(&self, condition: &Value, depth: u32) -> Result<bool, String> {
        let depth = depth.checked_sub(1).ok_or("is nested too deep")?;
        let entry = condition.as_object().and_then(sole_entry);
        let all = |items: &[Value]| -> Result<Vec<bool>, String> {
            items.iter().map(|item| self.holds(item, depth)).collect()
        };
        match entry {
            Some(("Condition", Value::String(name))) => self.named_condition(name, depth),
            Some(("Fn::Not", Value::Array(one))) => Ok(!all(one)?.contains(&true)),
            Some(("Fn::And", Value::Array(items))) => Ok(!all(items)?.contains(&false)),
            Some(("Fn::Or", Value::Array(items))) => Ok(all(items)?.contains(&true)),
            Some(("Fn::Equals", Value::Array(pair))) => match pair.as_slice() {
                [left, right] => Ok(self.text(left, depth)? == self.text(right, depth)?),
                _ => Err("`Equals` takes two values".into()),
            },
            _ => Err("a condition is not understood here".into()),
        }
    }

    fn text(&self, value: &Value, depth: u32) -> Result<String, String> {
        plain(&self.value(value, depth)?)
    }
}

/// A scalar as text.
pub(super) fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("must be a text".into()),
    }
}

fn sole_entry(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    let (name, value) = entries.next()?;
    entries.next().is_none().then_some((name.as_str(), value))
}
