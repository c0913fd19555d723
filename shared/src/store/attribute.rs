//! Attribute values, short to write and checked to read.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::StoreError;

/// An item as the table holds it.
pub type Item = HashMap<String, AttributeValue>;

/// A string.
pub fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A whole number.
pub fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A list of strings.
pub fn texts<'a>(all: impl Iterator<Item = &'a str>) -> AttributeValue {
    AttributeValue::L(all.map(s).collect())
}

/// An update that sets these attributes and removes those that may be there and are not set. What else the item holds, which
/// another version put there, stays (R45).
pub fn setting(update: UpdateItemFluentBuilder, set: Item, removable: &[&str]) -> UpdateItemFluentBuilder {
    let gone = removable.iter().filter(|name| !set.contains_key(**name));
    let (mut update, mut removes) = (update, Vec::new());
    for (place, name) in gone.enumerate() {
        removes.push(format!("#gone{place}"));
        update = update.expression_attribute_names(format!("#gone{place}"), *name);
    }
    let mut sets = Vec::new();
    for (place, (name, value)) in set.into_iter().enumerate() {
        sets.push(format!("#set{place} = :set{place}"));
        update = update.expression_attribute_names(format!("#set{place}"), name);
        update = update.expression_attribute_values(format!(":set{place}"), value);
    }
    let remove = if removes.is_empty() { String::new() } else { format!(" REMOVE {}", removes.join(", ")) };
    update.update_expression(format!("SET {}{remove}", sets.join(", ")))
}

/// The string under `name`, which must be there.
pub fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, StoreError> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| StoreError::Malformed(format!("`{name}` is no string")))
}

/// The map that a value is, if it is one.
pub fn as_map(value: &mut AttributeValue) -> Option<&mut Item> {
    if let AttributeValue::M(map) = value { Some(map) } else { None }
}

/// The number under `name`, which must be there.
pub fn number<N: std::str::FromStr>(item: &Item, name: &str) -> Result<N, StoreError> {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| StoreError::Malformed(format!("`{name}` is no number")))
}

/// The number under `name`, if it is there.
pub fn optional_number<N: std::str::FromStr>(item: &Item, name: &str) -> Result<Option<N>, StoreError> {
    if item.contains_key(name) { number(item, name).map(Some) } else { Ok(None) }
}
