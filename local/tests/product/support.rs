//! What the tests share: a template of small functions, and starting the product with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use local::{Local, Options};
use reqwest::Client;
use serde_json::{Value, json};

/// Generous, because the machine may be busy; nothing waits this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The first four tables are where the program `local` makes its demo merchant and the samples of the events.
pub const TEMPLATE: &str = r#"
Globals:
  Function: { Environment: { Variables: {
    ACCOUNTS_TABLE: !Ref Accounts, KEYS_TABLE: !Ref Keys, PAYMENTS_TABLE: !Ref Payments, ADDRESSES_TABLE: !Ref Addresses } } }
Resources:
  Payments:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{ AttributeName: code, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: code, AttributeType: S }]
  Addresses:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{ AttributeName: bucket, KeyType: HASH }, { AttributeName: stamp, KeyType: RANGE }]
      AttributeDefinitions: [{ AttributeName: bucket, AttributeType: S }, { AttributeName: stamp, AttributeType: S }]
  Accounts:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{ AttributeName: account, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: account, AttributeType: S }]
  Keys:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{ AttributeName: key_hash, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: key_hash, AttributeType: S }]
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }
  Echo:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: echo } }
    Properties:
      Timeout: 20
      Environment: { Variables: { TABLE: !Ref Things, MODE: template } }
      Events:
        Things: { Type: HttpApi, Properties: { Method: POST, Path: "/things/{id}" } }
        Rest: { Type: HttpApi }
        Tick: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 minute) } }
  Hasty:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: echo } }
    Properties:
      Timeout: 1
      Events: { Hasty: { Type: HttpApi, Properties: { Method: GET, Path: /sleep } } }
  Slow:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: echo } }
    Properties:
      Timeout: 20
      Events:
        Tick:
          Type: ScheduleV2
          Properties: { ScheduleExpression: rate(1 minute), Input: '{"do":"sleep","seconds":1}' }
  Single:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: echo } }
    Properties: { ReservedConcurrentExecutions: 1 }
  Broken:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: echo } }
    Properties: { Environment: { Variables: { FAIL_INIT: "yes" } } }
  Missing:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: no-such-program } }
  Told:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: echo } }
    Properties:
      Environment: { Variables: { OUT: "" } }
      Events:
        Things:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Things.StreamArn
            StartingPosition: TRIM_HORIZON
            BatchSize: 10
            FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"]}' }] }
"#;

/// The folder of the example programs, beside the tests' own.
pub fn programs() -> PathBuf {
    let ours = std::env::current_exe().unwrap();
    let folder = ours.parent().and_then(Path::parent).unwrap().join("examples");
    assert!(folder.join("echo").exists(), "`cargo test` builds the examples; `--test` alone does not");
    folder
}

pub fn options(folder: &Path) -> Options {
    let template = folder.join("template.yaml");
    std::fs::write(&template, TEMPLATE).unwrap();
    Options { template, binaries: Some(programs()), ..Options::default() }
}

pub async fn start() -> Local {
    let folder = tempfile::tempdir().unwrap();
    Local::start(options(folder.path())).await.unwrap()
}

/// Calls the database as an SDK would.
pub async fn database(endpoint: &str, operation: &str, request: &Value) -> Value {
    let authorization = "AWS4-HMAC-SHA256 Credential=a/20260101/eu-north-1/dynamodb/aws4_request, \
                         SignedHeaders=host, Signature=a";
    let response = Client::new()
        .post(endpoint)
        .header("X-Amz-Target", format!("DynamoDB_20120810.{operation}"))
        .header("Content-Type", "application/x-amz-json-1.0")
        .header("Authorization", authorization)
        .header("X-Amz-Date", "20260101T000000Z")
        .body(request.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200, "{operation}");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Writes an item of the table `Things`.
pub async fn put(endpoint: &str, id: &str, n: u32) {
    let item = json!({ "id": { "S": id }, "n": { "N": n.to_string() } });
    database(endpoint, "PutItem", &json!({ "TableName": "Things", "Item": item })).await;
}

/// Whether a process is there and not a zombie.
pub fn is_alive(pid: u64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

/// How often a function has printed this.
pub fn printed(local: &Local, function: &str, text: &str) -> usize {
    let line =
        |line: &&String| line.starts_with(&format!("{function} ")) && line.ends_with(&format!("| {text}"));
    local.log().iter().filter(line).count()
}

/// Returns when a function has been called so often.
pub async fn called(local: &Local, function: &str, times: usize) {
    let enough = async {
        while printed(local, function, "called") < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.unwrap_or_else(|_| panic!("{function} is not called"));
}

/// Returns when the process has ended.
pub async fn ended(pid: u64) {
    let gone = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("process {pid} goes on"));
}
