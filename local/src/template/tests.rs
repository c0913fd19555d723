//! What is read from a template, and what is said about one that cannot be read.

use serde_json::json;

use super::*;

const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  PublicUrl: { Type: String, Default: "" }
  Fee: { Type: Number, Default: 100 }
  Node: { Type: String }
  Protect: { Type: String, Default: "no" }
Mappings:
  Chains: { ethereum: { id: 1 } }
Conditions:
  Protected: !Equals [!Ref Protect, "yes"]
  Open: !Not [!Condition Protected]
Globals:
  Function:
    Timeout: 10
    MemorySize: 256
    Environment:
      Variables:
        PAYMENTS_TABLE: !Ref Payments
        KEYS_TABLE: !Ref Keys
        FEE: !Ref Fee
        MODE: !If [Protected, strict, open]
        PUBLIC_URL: !Ref PublicUrl
Resources:
  Payments:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{ AttributeName: code, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: code, AttributeType: S }]
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }
      SSESpecification: !If [Protected, { SSEEnabled: true }, !Ref AWS::NoValue]
      TimeToLiveSpecification: { AttributeName: ttl, Enabled: true }
  Keys:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "${AWS::StackName}-keys"
      KeySchema: [{ AttributeName: key_hash, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: key_hash, AttributeType: S }]
  Vault:
    Type: AWS::DynamoDB::Table
    Condition: Protected
  Api:
    Type: AWS::Serverless::HttpApi
  GetPayment:
    Type: AWS::Serverless::Function
    Metadata:
      BuildMethod: rust-cargolambda
      BuildProperties: { Binary: get-payment }
    Properties:
      Timeout: 5
      Environment:
        Variables:
          MODE: mine
          WHERE: !Sub ["${Name}@${Payments.Arn}${!x}", { Name: !Join ["-", [a, !Ref Fee]] }]
          CHAIN_ID: !FindInMap [Chains, ethereum, id]
      Events:
        Get: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: get, Path: "/payments/{id}" } }
        Rest: { Type: HttpApi, Properties: { ApiId: !Ref Api } }
  WatchEthereum:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: watch-chain } }
    Properties:
      ReservedConcurrentExecutions: 1
      Environment: { Variables: { RPC_URL: !Ref Node } }
      Events:
        Tick: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(5 minutes) } }
        Off: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 hour), State: DISABLED } }
        Changes:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Payments.StreamArn
            StartingPosition: TRIM_HORIZON
            BatchSize: 10
            MaximumRetryAttempts: 3
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: { Filters: [{ Pattern: '{"eventName":["MODIFY"]}' }] }
"#;

fn product() -> Product {
    Product::read(TEMPLATE, &BTreeMap::new()).unwrap()
}

#[test]
fn tables_become_requests_that_create_them() {
    let tables = product().tables;
    let names: Vec<_> = tables.iter().map(|table| (table.logical_id.as_str(), table.name.as_str())).collect();
    assert_eq!(names, [("Payments", "Payments"), ("Keys", "local-keys")]);
    assert_eq!(
        tables[0].definition,
        json!({
            "TableName": "Payments",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "code", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "code", "AttributeType": "S" }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" }
        })
    );
    assert_eq!(tables[0].time_to_live.as_deref(), Some("ttl"));
    assert_eq!(tables[1].time_to_live, None);
}

#[test]
fn a_functions_settings_override_the_globals() {
    let product = product();
    let get = product.function("GetPayment").unwrap();
    assert_eq!((get.timeout, get.memory_mb, get.concurrency), (Duration::from_secs(5), 256, None));
    let expected = [
        ("CHAIN_ID", "1"),
        ("FEE", "100"),
        ("KEYS_TABLE", "local-keys"),
        ("MODE", "mine"),
        ("PAYMENTS_TABLE", "Payments"),
        ("PUBLIC_URL", ""),
        ("WHERE", "a-100@arn:aws:dynamodb:local:000000000000:table/Payments${x}"),
    ];
    let got: Vec<_> = get.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(got, expected);
    let watch = product.function("watch-chain").unwrap();
    assert_eq!((watch.name.as_str(), watch.concurrency), ("WatchEthereum", Some(1)));
    assert_eq!((watch.environment["MODE"].as_str(), watch.environment["RPC_URL"].as_str()), ("open", ""));
}

#[test]
fn parameters_can_be_given() {
    let given = BTreeMap::from([("Protect".to_owned(), "yes".to_owned())]);
    let template = TEMPLATE.replace("Condition: Protected", "Condition: Open");
    let product = Product::read(&template, &given).unwrap();
    assert_eq!(product.function("watch-chain").unwrap().environment["MODE"], "strict");
    assert_eq!(product.tables.len(), 2, "a resource whose condition fails is left out");
}

#[test]
fn programs_are_named_whatever_the_conditions() {
    let template = TEMPLATE.replace(
        "    Metadata: { BuildProperties: { Binary: watch-chain } }",
        "    Condition: Protected\n    Metadata: { BuildProperties: { Binary: watch-chain } }",
    );
    let product = Product::read(&template, &BTreeMap::new()).unwrap();
    assert_eq!(product.function("watch-chain"), None);
    assert_eq!(product.programs.into_iter().collect::<Vec<_>>(), ["get-payment", "watch-chain"]);
}

#[test]
fn triggers_are_routes_schedules_and_streams() {
    let product = product();
    let get = product.function("get-payment").unwrap();
    let call = Route::Call { method: "GET".into(), path: "/payments/{id}".into() };
    assert_eq!(get.routes, [call, Route::Default]);
    let watch = product.function("watch-chain").unwrap();
    assert_eq!(watch.schedules, [Schedule { every: Duration::from_mins(5), input: None }]);
    let [stream] = watch.streams.as_slice() else { panic!("{:?}", watch.streams) };
    assert_eq!((stream.table.as_str(), stream.batch, stream.retries), ("Payments", 10, Some(3)));
    assert!(stream.reports_failures);
    assert!(stream.filters[0].matches(&json!({ "eventName": "MODIFY" })));
    assert!(!stream.filters[0].matches(&json!({ "eventName": "INSERT" })));
}

#[test]
fn an_error_names_the_resource_and_the_property() {
    let cases = [
        ("Binary: get-payment", "Other: x", "GetPayment: Metadata.BuildProperties.Binary: is missing"),
        ("Timeout: 5", "Timeout: soon", "GetPayment: Properties.Timeout: must be a whole number"),
        (
            "rate(5 minutes)",
            "cron(0 0 * * ? *)",
            "WatchEthereum: Properties.Events.Tick.ScheduleExpression: `cron(0 0 * * ? *)` is not understood; \
             `rate(1 minute)` and its like are",
        ),
        ("Method: get, ", "", "GetPayment: Properties.Events.Get.Method: is missing"),
        (
            "KEYS_TABLE: !Ref Keys",
            "KEYS_TABLE: !Ref Kyes",
            "GetPayment: Globals.Function.Environment: `Kyes` is neither a parameter nor a resource",
        ),
        ("!Equals [!Ref Protect, \"yes\"]", "!Condition Open", "Vault: Condition: is nested too deep"),
        (
            "rate(5 minutes)",
            "!Base64 x",
            "WatchEthereum: Properties.Events: the function `Fn::Base64` is not understood here",
        ),
    ];
    for (from, to, expected) in cases {
        let broken = TEMPLATE.replace(from, to);
        assert_ne!(broken, TEMPLATE, "{from}");
        let error = Product::read(&broken, &BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert!(matches!(Product::read("a: [", &BTreeMap::new()), Err(TemplateError::Unreadable(_))));
}
