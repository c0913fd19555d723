//! Code, `template.yaml` and the router of `cargo lambda watch` agree: what one of them has, the others have too.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use local::template::{Product, document};
use serde_json::{Value, json};
use shared::chain::Chains;
use shared::http::routes::{ROUTES, Route};
use tests::golden;

/// What each function may do to which table or index. More than this needs a reason, and a change here.
const RIGHTS: [(&str, &str); 26] = [
    ("create-payment", "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem"),
    (
        "list-payments",
        "PaymentsTable BatchGetItem GetItem, PaymentsTable/index/by_merchant Query, \
         PaymentsTable/index/by_status Query, KeysTable GetItem UpdateItem, AccountsTable GetItem",
    ),
    ("get-payment", "PaymentsTable GetItem, KeysTable GetItem UpdateItem, AccountsTable GetItem UpdateItem"),
    ("cancel-payment", "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem"),
    (
        "accept-late",
        "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem, \
         AddressesTable PutItem",
    ),
    (
        "explain-payment",
        "PaymentsTable GetItem, KeysTable GetItem UpdateItem, AccountsTable GetItem, ChainsTable BatchGetItem",
    ),
    (
        "sweep-wallets",
        "AddressesTable Query, PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem",
    ),
    (
        "list-wallets",
        "PaymentsTable GetItem, AddressesTable Query, KeysTable GetItem UpdateItem, AccountsTable GetItem",
    ),
    (
        "request-refund",
        "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem, \
         AddressesTable PutItem",
    ),
    ("list-transfers", "PaymentsTable GetItem, KeysTable GetItem UpdateItem, AccountsTable GetItem"),
    ("list-refunds", "PaymentsTable GetItem, KeysTable GetItem UpdateItem, AccountsTable GetItem"),
    (
        "confirm-refund",
        "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem, \
         AddressesTable PutItem, ChainsTable BatchGetItem DeleteItem PutItem",
    ),
    (
        "name-refund-transaction",
        "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem, \
         AddressesTable PutItem, ChainsTable DeleteItem PutItem",
    ),
    (
        "withdraw-refund",
        "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem, \
         AddressesTable PutItem",
    ),
    ("refund-page", "PaymentsTable GetItem PutItem, AddressesTable PutItem"),
    (
        "simulate-payment",
        "PaymentsTable GetItem PutItem, KeysTable GetItem UpdateItem, AccountsTable GetItem UpdateItem, \
         AddressesTable PutItem, ChainsTable BatchGetItem",
    ),
    (
        "no-route",
        "PaymentsTable BatchGetItem GetItem PutItem, PaymentsTable/index/by_merchant Query, \
         PaymentsTable/index/by_status Query, KeysTable GetItem UpdateItem, AccountsTable GetItem UpdateItem, \
         AddressesTable PutItem Query, ChainsTable BatchGetItem DeleteItem PutItem",
    ),
    ("pay-page", "PaymentsTable GetItem, AccountsTable GetItem, ChainsTable BatchGetItem"),
    ("payment-state", "PaymentsTable GetItem, AccountsTable GetItem, ChainsTable BatchGetItem"),
    (
        "choose-coin",
        "PaymentsTable BatchGetItem GetItem PutItem, AccountsTable GetItem UpdateItem, \
         AddressesTable PutItem, ChainsTable BatchGetItem",
    ),
    (
        "expire-payments",
        "PaymentsTable GetItem PutItem, PaymentsTable/index/due Query Scan, \
         ChainsTable DeleteItem GetItem PutItem Query",
    ),
    (
        "watch-chain",
        "PaymentsTable GetItem PutItem, AddressesTable PutItem Query, \
         ChainsTable DeleteItem GetItem PutItem Query UpdateItem",
    ),
    (
        "reconcile-chains",
        "PaymentsTable GetItem, AddressesTable Scan UpdateItem, ChainsTable GetItem Query UpdateItem",
    ),
    ("refresh-rates", "ChainsTable PutItem UpdateItem"),
    ("count-volume", "AccountsTable PutItem UpdateItem"),
    ("note-wallets", "PaymentsTable GetItem, AccountsTable GetItem UpdateItem, AddressesTable UpdateItem"),
];

/// Settings that a deployment leaves alone: for tests, for `local`, or given by Lambda itself.
const NOT_DEPLOYED: [&str; 11] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "CLOCK_OFFSET_SECONDS",
    "COINBASE_URL",
    "COINGECKO_URL",
    "FIXED_RATES",
    "KRAKEN_URL",
];

#[test]
fn every_function_is_deployed_and_every_deployed_function_exists() {
    let deployed: Vec<_> = product().functions.into_iter().map(|function| function.binary).collect();
    let unique: BTreeSet<_> = deployed.iter().cloned().collect();
    assert_eq!(unique, crates().into_keys().collect());
    let several = |binary: &&String| deployed.iter().filter(|other| other == binary).count() > 1;
    let several: BTreeSet<_> = unique.iter().filter(several).collect();
    assert_eq!(several, BTreeSet::from([&"watch-chain".to_owned()]), "a function is deployed twice");
}

/// What the events must be answered with is a test of its own.
#[test]
fn every_function_has_sample_events_with_their_replies() {
    let events = golden::events(&root().join("events"));
    let shown: BTreeSet<_> = events.iter().map(|(function, _)| function.clone()).collect();
    assert_eq!(shown, crates().into_keys().collect());
    for (_, event) in events {
        assert!(event.with_extension("reply.json").is_file(), "{}", event.display());
    }
}

#[test]
fn every_function_has_a_trigger() {
    for function in product().functions {
        let triggers = function.routes.len() + function.schedules.len() + function.streams.len();
        assert!(triggers > 0, "nothing ever calls {}", function.name);
    }
}

#[test]
fn every_route_of_the_code_is_deployed_and_no_other() {
    assert_eq!(routes(), promised(&[""]));
}

/// The router of `cargo lambda watch` knows nothing of slashes, so that each route is there with one too (R10).
#[test]
fn cargo_lambda_watch_serves_the_routes_of_the_template() {
    let mut expected = BTreeSet::new();
    for (method, path, function) in promised(&["", "/"]) {
        if path == "$default" {
            // Its router has no default; these two match what nothing else does, whatever the method.
            expected.insert((None, "/".to_owned(), function.clone()));
            expected.insert((None, "/{*rest}".to_owned(), function));
        } else {
            expected.insert((Some(method), path, function));
        }
    }
    assert_eq!(watch_router(), expected);
}

/// The routes of the code with each of the endings, and the one that takes all else.
fn promised(endings: &[&str]) -> BTreeSet<(String, String, String)> {
    let with = |route: &Route| {
        let Route { method, path, function, .. } = *route;
        endings.iter().map(move |ending| (method.to_owned(), format!("{path}{ending}"), function.to_owned()))
    };
    let mut promised: BTreeSet<_> = ROUTES.iter().flat_map(with).collect();
    promised.insert(("ANY".into(), "$default".into(), "no-route".into()));
    promised
}

#[test]
fn the_clock_and_the_stream_call_the_tasks() {
    let product = product();
    for task in ["expire-payments", "refresh-rates", "watch-chain"] {
        for function in product.functions.iter().filter(|function| function.binary == task) {
            let schedules = function.schedules.iter().map(|schedule| schedule.every.as_secs());
            assert_eq!(schedules.collect::<Vec<_>>(), [60], "{}", function.name);
        }
    }
    for follower in ["count-volume", "note-wallets"] {
        let [stream] = product.function(follower).unwrap().streams.as_slice() else {
            panic!("{follower} reads one stream")
        };
        assert_eq!(stream.table, "PaymentsTable");
    }
    let daily = &product.function("reconcile-chains").unwrap().schedules;
    assert_eq!(daily.iter().map(|schedule| schedule.every.as_secs()).collect::<Vec<_>>(), [86_400]);
}

#[test]
fn r14_only_the_first_time_a_payment_is_paid_is_counted() {
    let product = product();
    let [filter] = product.function("count-volume").unwrap().streams[0].filters.as_slice() else {
        panic!("count-volume has one filter")
    };
    let paid = json!({"paid_at": {"N": "1773066600"}});
    let unpaid = json!({"status": {"S": "pending"}});
    let record = |old: &Value, new: &Value| json!({"dynamodb": {"OldImage": old, "NewImage": new}});
    assert!(filter.matches(&record(&unpaid, &paid)));
    assert!(!filter.matches(&record(&paid, &paid)));
    assert!(!filter.matches(&record(&unpaid, &unpaid)));
    assert!(filter.matches(&json!({"dynamodb": {"NewImage": paid}})));
}

#[test]
fn only_payments_to_which_something_was_sent_are_looked_at_for_wallets() {
    let product = product();
    let [filter] = product.function("note-wallets").unwrap().streams[0].filters.as_slice() else {
        panic!("note-wallets has one filter")
    };
    let record = |image: &Value| json!({"dynamodb": {"NewImage": image}});
    assert!(filter.matches(&record(&json!({"transfer_count": {"N": "1"}}))));
    assert!(!filter.matches(&record(&json!({"paid_at": {"N": "1773066600"}}))));
}

#[test]
fn without_a_node_no_chain_is_watched() {
    let product = Product::read(&text(), &BTreeMap::new()).unwrap();
    assert!(product.functions.iter().all(|function| function.binary != "watch-chain"));
}

#[test]
fn every_setting_that_the_code_reads_is_given() {
    let product = product();
    let everybody: BTreeSet<_> =
        product.functions.iter().flat_map(|f| f.environment.keys().cloned()).collect();
    let mut read = settings_read_in(&root().join("shared/src"));
    assert!(read.contains("PAYMENTS_TABLE"), "the search finds nothing");
    for (binary, folder) in crates() {
        let own = settings_read_in(&folder.join("src"));
        let runs = product.functions.iter().filter(|function| function.binary == binary);
        let given: BTreeSet<_> = runs.flat_map(|function| function.environment.keys().cloned()).collect();
        assert_eq!(own.difference(&given).collect::<Vec<_>>(), Vec::<&String>::new(), "{binary}");
        read.extend(own);
    }
    assert_eq!(read.difference(&everybody).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_chains_of_the_template_are_ones_the_code_accepts() {
    for function in product().functions {
        Chains::parse(&function.environment["CHAINS"]).unwrap();
    }
}

/// The one that the operator's command refuses for live money.
#[test]
fn c21_the_test_key_of_the_template_is_the_one_that_the_code_knows() {
    let template = document(&text()).unwrap();
    assert_eq!(template["Parameters"]["TestXpub"]["Default"], shared::chain::address::TEST_XPUB);
}

#[test]
fn a_function_may_only_do_what_its_code_does() {
    let template = document(&text()).unwrap();
    let mut granted = BTreeMap::new();
    for function in product().functions {
        let policies = &template["Resources"][&function.name]["Properties"]["Policies"];
        let rights = rights(policies);
        let same = granted.insert(function.binary, rights.clone()).is_none_or(|other| other == rights);
        assert!(same, "{} may do something else than its like", function.name);
    }
    let expected = RIGHTS.map(|(function, rights)| (function.to_owned(), rights_in_words(rights)));
    assert_eq!(granted, BTreeMap::from(expected));
}

#[test]
fn tables_outlive_mistakes() {
    let tables = resources("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 5);
    for (name, table) in tables {
        assert_eq!(table["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(table["UpdateReplacePolicy"], "Retain", "{name}");
        let properties = &table["Properties"];
        assert_eq!(properties["DeletionProtectionEnabled"], true, "{name}");
        let recovery = &properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
        assert_eq!(*recovery, true, "{name}");
        assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{name}");
        assert_eq!(properties["SSESpecification"]["Fn::If"][0], "HasCustomerManagedKey", "{name}");
    }
}

#[test]
fn every_log_ends_and_every_function_has_its_own() {
    let groups = resources("AWS::Logs::LogGroup");
    for (name, group) in &groups {
        assert_eq!(group["Properties"]["RetentionInDays"], json!({"Ref": "LogRetentionDays"}), "{name}");
    }
    let functions = resources("AWS::Serverless::Function");
    let logs =
        functions.values().map(|f| f["Properties"]["LoggingConfig"]["LogGroup"]["Ref"].as_str().unwrap());
    let logs: BTreeSet<_> = logs.collect();
    assert_eq!(logs.len(), functions.len());
    assert!(logs.iter().all(|log| groups.contains_key(*log)));
}

#[test]
fn the_access_log_has_nothing_of_the_payer() {
    let template = document(&text()).unwrap();
    let format = template["Globals"]["HttpApi"]["AccessLogSettings"]["Format"].as_str().unwrap();
    let format: Value = serde_json::from_str(format).unwrap();
    let logged: BTreeSet<_> =
        format.as_object().unwrap().values().map(|field| field.as_str().unwrap()).collect();
    let harmless = [
        "$context.integrationErrorMessage",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.responseLength",
        "$context.routeKey",
        "$context.status",
    ];
    assert_eq!(logged, BTreeSet::from(harmless));
}

#[test]
fn an_alarm_listens_to_every_function() {
    let mut heard = BTreeSet::new();
    for alarm in resources("AWS::CloudWatch::Alarm").values() {
        assert_eq!(alarm["Properties"]["AlarmActions"]["Fn::If"][0], "HasAlarmEmail");
        collect_error_metrics(alarm, &mut heard);
        // CloudWatch refuses more, and with it the whole stack.
        let metrics = alarm["Properties"]["Metrics"].as_array().map_or(0, Vec::len);
        assert!(metrics <= 11, "an alarm takes ten metrics and the expression over them");
    }
    assert_eq!(heard, resources("AWS::Serverless::Function").into_keys().collect());
}

fn collect_error_metrics(value: &Value, heard: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if value["MetricName"] == "Errors" => {
            heard.insert(object["Dimensions"][0]["Value"]["Ref"].as_str().unwrap().to_owned());
        }
        Value::Object(object) => object.values().for_each(|inner| collect_error_metrics(inner, heard)),
        Value::Array(items) => items.iter().for_each(|inner| collect_error_metrics(inner, heard)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_function_that_reads_accounts_changes_only_what_is_its_own_beside_them() {
    let template = document(&text()).unwrap();
    for (name, keys) in [("GetPayment", json!(["wait#*"])), ("NoRoute", json!(["wait#*", "xpub#*"]))] {
        let policies = template["Resources"][name]["Properties"]["Policies"].as_array().unwrap();
        let statements = policies.iter().filter_map(|policy| policy["Statement"].as_array()).flatten();
        let changes = |statement: &&Value| {
            let is_accounts =
                one_or_many(&statement["Resource"]).iter().any(|one| table_or_index(one) == "AccountsTable");
            is_accounts && one_or_many(&statement["Action"]).contains(&json!("dynamodb:UpdateItem"))
        };
        let limits: Vec<_> = statements.filter(changes).map(|statement| &statement["Condition"]).collect();
        assert_eq!(limits, [&json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}})], "{name}");
    }
}

/// Each table or index with each action that the inline statements allow; the operator's key is a policy by itself.
fn rights(policies: &Value) -> BTreeSet<(String, String)> {
    let policies = policies.as_array().map(Vec::as_slice).unwrap_or_default();
    let statements = policies.iter().filter_map(|policy| policy["Statement"].as_array()).flatten();
    let mut rights = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow");
        for resource in one_or_many(&statement["Resource"]) {
            for action in one_or_many(&statement["Action"]) {
                rights.insert((table_or_index(resource), action.as_str().unwrap().to_owned()));
            }
        }
    }
    rights
}

fn rights_in_words(words: &str) -> BTreeSet<(String, String)> {
    let mut rights = BTreeSet::new();
    for table in words.split(", ") {
        let mut words = table.split(' ');
        let name = words.next().unwrap();
        rights.extend(words.map(|action| (name.to_owned(), format!("dynamodb:{action}"))));
    }
    rights
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

fn routes() -> BTreeSet<(String, String, String)> {
    let mut routes = BTreeSet::new();
    for function in product().functions {
        for route in function.routes {
            let (method, path) = match route {
                local::template::Route::Default => ("ANY".to_owned(), "$default".to_owned()),
                local::template::Route::Call { method, path } => (method, path),
            };
            assert!(routes.insert((method, path, function.binary.clone())), "a route is there twice");
        }
    }
    routes
}

/// What the workspace's `Cargo.toml` tells `cargo lambda watch`: methods (none means all), path, function.
fn watch_router() -> BTreeSet<(Option<String>, String, String)> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let mut routes = BTreeSet::new();
    for route in metadata["metadata"]["lambda"]["watch"]["router"].as_array().unwrap() {
        let text = |field: &str| route[field].as_str().unwrap().to_owned();
        let methods = route["methods"].as_array().map_or(vec![None], |methods| {
            methods.iter().map(|method| Some(method.as_str().unwrap().to_owned())).collect()
        });
        for method in methods {
            routes.insert((method, text("path"), text("function")));
        }
    }
    routes
}

/// Every name that the Rust files below `folder` ask `shared::settings` for.
fn settings_read_in(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(settings_read_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for reader in ["optional(\"", "required(\"", "number(\"", "basis_points(\"", "urls(\""] {
                names.extend(
                    text.split(reader).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
                );
            }
        }
    }
    // Fields of bodies are read by functions of the same names.
    let is_setting = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    names.retain(|name| is_setting(name) && !NOT_DEPLOYED.contains(&name.as_str()));
    names
}

/// Each function's crate: `functions/<who calls it>/<name>`.
fn crates() -> BTreeMap<String, PathBuf> {
    let mut crates = BTreeMap::new();
    for callers in fs::read_dir(root().join("functions")).unwrap() {
        for function in fs::read_dir(callers.unwrap().path()).unwrap() {
            let function = function.unwrap();
            crates.insert(function.file_name().into_string().unwrap(), function.path());
        }
    }
    crates
}

fn resources(kind: &str) -> BTreeMap<String, Value> {
    let template = document(&text()).unwrap();
    let resources = template["Resources"].as_object().unwrap().clone();
    resources.into_iter().filter(|(_, resource)| resource["Type"] == kind).collect()
}

/// The template with every chain watched.
fn product() -> Product {
    let parameters =
        [("RpcUrlEthereum", "https://node.example"), ("RpcUrls", r#"{"base":"https://node.example"}"#)];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Product::read(&text(), &parameters).unwrap()
}

fn text() -> String {
    fs::read_to_string(root().join("template.yaml")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
