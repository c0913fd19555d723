//! The embedded database, called in this process: the SDK's requests in, its answers out.

use std::fmt;

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the database says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A database in memory.
#[derive(Clone)]
pub struct Engine(Database);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(…)")
    }
}

impl Engine {
    /// Without tables.
    pub fn new() -> Engine {
        Engine(Database::memory().expect("a database in memory"))
    }

    /// Does `operation`, named as in the SDK's `x-amz-target`.
    pub fn ask(&self, operation: &str, body: &str) -> Answer {
        let database = &self.0;
        let done = match operation {
            "PutItem" => call(body, |request| database.put_item(request)),
            "GetItem" => call(body, |request| database.get_item(request)),
            "DeleteItem" => call(body, |request| database.delete_item(request)),
            "UpdateItem" => call(body, |request| database.update_item(request)),
            "Query" => call(body, |request| database.query(request)),
            "Scan" => call(body, |request| database.scan(request)),
            "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
            "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
            "CreateTable" => call(body, |request| database.create_table(request)),
            other => Err(DynoxideError::ValidationException(format!("{other} is no part of the simulation"))),
        };
        match done {
            Ok(body) => Answer { status: 200, body },
            Err(error) => Answer { status: error.status_code(), body: error.to_json() },
        }
    }
}

fn call<Request: DeserializeOwned, Response: Serialize>(
    body: &str,
    run: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<String> {
    let unreadable = |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
    let request = serde_json::from_str(body).map_err(unreadable)?;
    serde_json::to_string(&run(request)?).map_err(unreadable)
}
