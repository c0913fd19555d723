//! Attribute values, short to write and checked to read.

use std::collections::HashMap;

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

/// The string under `name`, which must be there.
pub fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, StoreError> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| StoreError::Malformed(format!("`{name}` is no string")))
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
