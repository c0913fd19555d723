//! The embedded DynamoDB: opened from a folder or in memory, with the template's tables, on a port of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::list_tables::ListTablesRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stop::Stop;
use crate::template::Table;

/// How often items whose time to live is over are taken out. AWS takes hours; reads must not rely on it.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Why the database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be opened.
    #[error("the database {path} cannot be opened: {problem}")]
    Unopened {
        /// The file.
        path: String,
        /// What the engine says.
        problem: String,
    },
    /// A table cannot be made from the template.
    #[error("the table {table} cannot be made: {problem}")]
    Refused {
        /// The table's name.
        table: String,
        /// What the engine says.
        problem: String,
    },
    /// A table exists with other keys or indexes than the template has now.
    #[error(
        "the table {0} in this data folder has other keys or indexes than template.yaml; \
         move the folder away or choose another one"
    )]
    Changed(String),
}

/// Opens the database file, or one in memory.
pub(crate) fn open(file: Option<&Path>) -> Result<Database, DatabaseError> {
    let opened = match file {
        None => Database::memory(),
        Some(path) => Database::new(&path.to_string_lossy()),
    };
    let path = file.map_or_else(|| "in memory".to_owned(), |path| path.display().to_string());
    let database = opened.map_err(|error| DatabaseError::Unopened { path, problem: error.to_string() })?;
    if let Some(Err(error)) = file.map(index_changes) {
        tracing::warn!(%error, "the database will slow down as its tables change");
    }
    Ok(database)
}

/// Adds the index that the engine lacks: without it, each write and each look at a stream reads all changes ever made.
fn index_changes(file: &Path) -> rusqlite::Result<()> {
    rusqlite::Connection::open(file)?.execute_batch(
        "CREATE INDEX IF NOT EXISTS local_stream_order
         ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )
}

/// Creates the tables that are not there yet; one that is there must be as the template says.
pub(crate) fn create_missing(database: &Database, tables: &[Table]) -> Result<(), DatabaseError> {
    let refused =
        |table: &Table, problem: String| DatabaseError::Refused { table: table.name.clone(), problem };
    for table in tables {
        if let Some(existing) = describe(database, &table.name) {
            if shape(&existing) != shape(&table.definition) {
                return Err(DatabaseError::Changed(table.name.clone()));
            }
            continue;
        }
        let request: CreateTableRequest = serde_json::from_value(table.definition.clone())
            .map_err(|error| refused(table, error.to_string().replace("VALIDATION:", "")))?;
        database.create_table(request).map_err(|error| refused(table, error.to_string()))?;
        if let Some(attribute) = &table.time_to_live {
            let time_to_live_specification =
                TimeToLiveSpecification { attribute_name: attribute.clone(), enabled: true };
            let request =
                UpdateTimeToLiveRequest { table_name: table.name.clone(), time_to_live_specification };
            database.update_time_to_live(request).map_err(|error| refused(table, error.to_string()))?;
        }
    }
    Ok(())
}

/// Serves the database on `listener` and takes out what has ended.
pub(crate) fn serve(database: &Database, listener: TcpListener, stop: &Stop) {
    let requested = stop.clone();
    let served = database.clone();
    stop.spawn_to_end(async move {
        let shutdown = async move { requested.requested().await };
        if let Err(error) = dynoxide::server::serve_with_shutdown(listener, served, shutdown).await {
            tracing::error!(error, "the database ended");
        }
    });
    let swept = database.clone();
    stop.spawn(async move {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            let database = swept.clone();
            match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "items past their time stay"),
                Err(error) => tracing::warn!(%error, "items past their time stay"),
            }
        }
    });
}

fn describe(database: &Database, table: &str) -> Option<Value> {
    let listed = database.list_tables(ListTablesRequest::default()).ok()?;
    if !listed.table_names.iter().any(|name| name == table) {
        return None;
    }
    let described = database.describe_table(DescribeTableRequest { table_name: table.to_owned() }).ok()?;
    serde_json::to_value(described).ok()?.get("Table").cloned()
}

/// An index: its name and keys.
type Index = (String, Vec<String>);

/// What must agree: the keys and indexes with their keys, and whether there is a stream.
fn shape(table: &Value) -> (Vec<String>, BTreeSet<Index>, bool) {
    let keys = |of: &Value| -> Vec<String> {
        let keys = of.get("KeySchema").and_then(Value::as_array);
        keys.into_iter()
            .flatten()
            .map(|key| format!("{:?}", (key.get("KeyType"), key.get("AttributeName"))))
            .collect()
    };
    let indexes = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"].into_iter();
    let indexes = indexes.filter_map(|kind| table.get(kind)?.as_array()).flatten();
    let indexes =
        indexes.map(|index| (index.get("IndexName").unwrap_or(&json!("")).to_string(), keys(index)));
    let stream = table.pointer("/StreamSpecification/StreamEnabled") == Some(&json!(true));
    (keys(table), indexes.collect(), stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(index_key: &str) -> Table {
        let definition = json!({
            "TableName": "Payments",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "code", "KeyType": "HASH" }],
            "AttributeDefinitions": [
                { "AttributeName": "code", "AttributeType": "S" },
                { "AttributeName": index_key, "AttributeType": "S" }
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by_one",
                "KeySchema": [{ "AttributeName": index_key, "KeyType": "HASH" }],
                "Projection": { "ProjectionType": "KEYS_ONLY" }
            }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" }
        });
        let time_to_live = Some("ttl".to_owned());
        Table { logical_id: "Payments".into(), name: "Payments".into(), definition, time_to_live }
    }

    #[test]
    fn tables_are_made_once_and_must_stay_as_the_template_says() {
        let database = open(None).unwrap();
        create_missing(&database, &[table("owner")]).unwrap();
        create_missing(&database, &[table("owner")]).unwrap();
        assert_eq!(
            create_missing(&database, &[table("other")]),
            Err(DatabaseError::Changed("Payments".into()))
        );
    }

    #[test]
    fn reading_changes_does_not_read_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("database");
        let _open = open(Some(&file)).unwrap();
        let connection = rusqlite::Connection::open(&file).unwrap();
        // The engine's own words for the next sequence number and for the records after one.
        let number = "CAST(sequence_number AS INTEGER)";
        for (what, rest) in [
            (format!("COALESCE(MAX({number}), 0) + 1"), String::new()),
            ("*".to_owned(), format!("AND shard_id = 's' AND {number} > 5 ORDER BY {number} ASC LIMIT 9")),
        ] {
            let query = format!(
                "EXPLAIN QUERY PLAN SELECT {what} FROM _stream_records WHERE table_name = 't' {rest}"
            );
            let plan: String = connection.query_row(&query, [], |row| row.get("detail")).unwrap();
            assert!(plan.contains("INDEX local_stream_order"), "{plan}");
        }
    }

    #[test]
    fn a_table_that_the_engine_refuses_is_named() {
        let mut broken = table("owner");
        broken.definition["KeySchema"] = json!([]);
        let error = create_missing(&open(None).unwrap(), &[broken]).unwrap_err();
        assert!(error.to_string().starts_with("the table Payments cannot be made: "), "{error}");
    }
}
