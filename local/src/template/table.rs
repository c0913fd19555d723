//! A table resource, turned into the request that creates it.

use serde_json::{Map, Value, json};

use super::{Resource, Table, TemplateError};

/// What a resource's properties and a `CreateTable` request have in common and the database needs.
const COPIED: [&str; 4] =
    ["KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

pub(super) fn read(resource: &Resource) -> Result<Table, TemplateError> {
    let name = match resource.get("Properties.TableName")? {
        None => resource.id.to_owned(),
        Some(Value::String(name)) => name,
        Some(_) => return Err(resource.wrong("Properties.TableName", "must be a text")),
    };
    resource.require("Properties.KeySchema")?;
    let mut definition = Map::new();
    definition.insert("TableName".into(), json!(name));
    definition.insert("BillingMode".into(), json!("PAY_PER_REQUEST"));
    for property in COPIED {
        if let Some(value) = resource.get(&format!("Properties.{property}"))? {
            definition.insert(property.into(), value);
        }
    }
    if let Some(view) = resource.get("Properties.StreamSpecification.StreamViewType")? {
        let stream = json!({ "StreamEnabled": true, "StreamViewType": view });
        definition.insert("StreamSpecification".into(), stream);
    }
    Ok(Table {
        logical_id: resource.id.to_owned(),
        name,
        definition: Value::Object(definition),
        time_to_live: time_to_live(resource)?,
    })
}

fn time_to_live(resource: &Resource) -> Result<Option<String>, TemplateError> {
    let path = "Properties.TimeToLiveSpecification";
    let Some(specification) = resource.get(path)? else { return Ok(None) };
    if specification.get("Enabled") == Some(&json!(false)) {
        return Ok(None);
    }
    match specification.get("AttributeName") {
        Some(Value::String(attribute)) => Ok(Some(attribute.clone())),
        _ => Err(resource.wrong(path, "AttributeName is missing")),
    }
}
