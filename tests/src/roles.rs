//! A proxy between each function and the database that allows what the function's role in the template allows and refuses
//! the rest, as AWS would.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails as tests do"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An action on a table or an index of one: `PaymentsTable/index/due dynamodb:Query`.
type Right = (String, String);

/// The proxy. It serves as long as the runtime that started it.
pub struct Guard {
    endpoint: String,
    inner: Arc<Inner>,
}

struct Inner {
    template: Value,
    database: OnceLock<String>,
    http: reqwest::Client,
    refused: Mutex<Vec<String>>,
}

/// What a request asks for, and the partition if it names one.
struct Wish {
    right: Right,
    partition: Option<String>,
}

impl Guard {
    /// Starts it for the roles of a template. The database starts later and is named then.
    pub async fn start(template: Value) -> Guard {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            template,
            database: OnceLock::new(),
            http: reqwest::Client::new(),
            refused: Mutex::default(),
        });
        let router = Router::new()
            .route("/{function}", axum::routing::post(pass))
            .route("/{function}/", axum::routing::post(pass))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Guard { endpoint, inner }
    }

    /// What to tell each function, so that it asks here.
    pub fn environment(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let endpoint = |name: &String| {
            let url = format!("{}/{name}", self.endpoint);
            (name.clone(), BTreeMap::from([("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url)]))
        };
        functions(&self.inner.template).iter().map(endpoint).collect()
    }

    /// Where the database is.
    pub fn guard(&self, database: &str) {
        self.inner.database.set(database.to_owned()).unwrap();
    }

    /// What functions asked for and may not.
    pub fn refused(&self) -> Vec<String> {
        self.inner.refused.lock().unwrap().clone()
    }
}

async fn pass(
    State(inner): State<Arc<Inner>>,
    Path(function): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let wishes = wishes(&inner.template, target.rsplit('.').next().unwrap(), &request);
    for wish in &wishes {
        if !is_allowed(&inner.template, &function, wish) {
            let (resource, action) = &wish.right;
            let partition = wish.partition.as_deref().unwrap_or("any partition");
            inner.refused.lock().unwrap().push(format!("{function}: {action} on {resource}, {partition}"));
            let denied = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "by its role" });
            let kind = [("content-type", "application/x-amz-json-1.0")];
            return (StatusCode::BAD_REQUEST, kind, denied.to_string()).into_response();
        }
    }
    let mut forward = inner.http.post(inner.database.get().unwrap()).body(body);
    for name in ["authorization", "content-type", "x-amz-date", "x-amz-target"] {
        forward = forward.header(name, headers.get(name).map_or("", |value| value.to_str().unwrap()));
    }
    let response = forward.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    (status, [("content-type", "application/x-amz-json-1.0")], response.bytes().await.unwrap())
        .into_response()
}

fn functions(template: &Value) -> Vec<String> {
    let resources = template["Resources"].as_object().unwrap().iter();
    let functions = resources.filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    functions.map(|(name, _)| name.clone()).collect()
}

/// The statements of a function's role about tables; the operator's key is a policy by itself.
fn statements<'a>(template: &'a Value, function: &str) -> Vec<&'a Value> {
    let policies = template["Resources"][function]["Properties"]["Policies"].as_array();
    let inline = policies.into_iter().flatten().filter_map(|policy| policy["Statement"].as_array()).flatten();
    inline.inspect(|statement| assert_eq!(statement["Effect"], "Allow")).collect()
}

fn rights(statement: &Value) -> Vec<Right> {
    let actions = one_or_many(&statement["Action"]);
    let both = one_or_many(&statement["Resource"]).iter().flat_map(|resource| {
        actions.iter().map(|action| (table_or_index(resource), action.as_str().unwrap().to_owned()))
    });
    both.collect()
}

fn is_allowed(template: &Value, function: &str, wish: &Wish) -> bool {
    let covers = |statement: &&Value| {
        let patterns = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
        let fits = |partition: &String| {
            one_or_many(patterns).iter().filter_map(Value::as_str).any(|pattern| is_like(partition, pattern))
        };
        rights(statement).contains(&wish.right)
            && (statement["Condition"].is_null() || wish.partition.as_ref().is_some_and(fits))
    };
    statements(template, function).iter().any(covers)
}

fn is_like(text: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(text == pattern, |start| text.starts_with(start))
}

fn wishes(template: &Value, operation: &str, request: &Value) -> Vec<Wish> {
    let wish = |action: &str, table: &str, index: Option<&str>, key: &Value| {
        let resource = index.map_or_else(|| table.to_owned(), |index| format!("{table}/index/{index}"));
        let schema = template["Resources"][table]["Properties"]["KeySchema"].as_array().unwrap();
        let hash =
            schema.iter().find(|key| key["KeyType"] == "HASH").unwrap()["AttributeName"].as_str().unwrap();
        let partition = key[hash]["S"].as_str().map(str::to_owned);
        Wish { right: (resource, format!("dynamodb:{action}")), partition }
    };
    let table = request["TableName"].as_str().unwrap_or_default();
    let batch = |requests: &Value| -> Vec<(String, Value)> {
        let tables = requests.as_object().unwrap().iter();
        let keys = tables.flat_map(|(table, wanted)| {
            wanted["Keys"].as_array().into_iter().flatten().map(|key| (table.clone(), key.clone()))
        });
        keys.collect()
    };
    match operation {
        "GetItem" | "UpdateItem" | "DeleteItem" => vec![wish(operation, table, None, &request["Key"])],
        "PutItem" => vec![wish(operation, table, None, &request["Item"])],
        "Query" | "Scan" => vec![wish(operation, table, request["IndexName"].as_str(), &Value::Null)],
        "BatchGetItem" => {
            let keys = batch(&request["RequestItems"]);
            keys.iter().map(|(table, key)| wish(operation, table, None, key)).collect()
        }
        "TransactWriteItems" => {
            let parts = request["TransactItems"].as_array().unwrap().iter();
            let part = |item: &Value| {
                let (kind, part) = item.as_object().unwrap().iter().next().unwrap();
                let key = if kind == "Put" { &part["Item"] } else { &part["Key"] };
                let action = if kind == "ConditionCheck" { kind.clone() } else { format!("{kind}Item") };
                wish(&action, part["TableName"].as_str().unwrap(), None, key)
            };
            parts.map(part).collect()
        }
        other => panic!("no role was thought of for {other}"),
    }
}

/// `PaymentsTable` or `PaymentsTable/index/due`; anything else, a wildcard too, is not allowed in a policy.
fn table_or_index(resource: &Value) -> String {
    if let Some(table) = resource["Fn::GetAtt"][0].as_str() {
        assert_eq!(resource["Fn::GetAtt"][1], "Arn");
        return table.to_owned();
    }
    let name = resource["Fn::Sub"].as_str().unwrap();
    assert!(!name.contains('*'), "{name}");
    name.strip_prefix("${").unwrap().replacen(".Arn}", "", 1)
}

fn one_or_many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}
