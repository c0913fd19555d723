//! A store over a database in memory, with the tables and indexes of a deployment; for tests only.

mod faults;
mod tap;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{self, BehaviorVersion, Config, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use aws_smithy_http_client::tls;
use tokio::net::TcpListener;

pub(crate) use self::faults::Faults;
pub(crate) use self::tap::Tap;
use super::{Store, Tables};

/// An attribute of a key and its type.
type Key<'a> = (&'a str, ScalarAttributeType);

/// A key: its hash, and its range if it has one.
type Schema<'a> = (Key<'a>, Option<Key<'a>>);

/// An index: its name, key, and what it carries.
type Index<'a> = (&'a str, Schema<'a>, ProjectionType);

/// Empty tables of this test's own; they live as long as the test's runtime.
pub(crate) async fn store() -> Store {
    tapped_store(Tap::default()).await
}

/// The same, behind what refuses some of its calls.
pub(crate) async fn faulty_store(faults: &Faults) -> Store {
    store_at(&faults.before(engine().await).await, Tap::default()).await
}

/// The same, with its calls counted and cut off by `tap`.
pub(crate) async fn tapped_store(tap: Tap) -> Store {
    store_at(&engine().await, tap).await
}

/// Where an empty engine answers.
async fn engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, dynoxide::Database::memory().unwrap()));
    endpoint
}

async fn store_at(endpoint: &str, tap: Tap) -> Store {
    let tables = Tables {
        payments: "payments".to_owned(),
        keys: "keys".to_owned(),
        accounts: "accounts".to_owned(),
        addresses: "addresses".to_owned(),
        chains: "chains".to_owned(),
    };
    let config = config(endpoint).interceptor(tap);
    let store = Store::new(Client::from_conf(config.build()), tables);
    create_tables(&store).await;
    store
}

impl Store {
    /// Takes from a payment what no payment is without.
    pub(crate) async fn break_payment(&self, code: crate::payment::Code) {
        let update = self.client.update_item().table_name(&self.tables.payments);
        let update =
            update.key("code", super::attribute::s(code.to_string())).update_expression("REMOVE title");
        update.send().await.unwrap();
    }

    /// Gives back what [`Store::break_payment`] took.
    pub(crate) async fn mend_payment(&self, code: crate::payment::Code) {
        let update = self.client.update_item().table_name(&self.tables.payments);
        let update =
            update.key("code", super::attribute::s(code.to_string())).update_expression("SET title = :title");
        update.expression_attribute_values(":title", super::attribute::s("Order")).send().await.unwrap();
    }
}

/// A store that nobody answers for: every call of it fails.
pub(crate) fn unreachable_store() -> Store {
    let names = || "none".to_owned();
    let tables =
        Tables { payments: names(), keys: names(), accounts: names(), addresses: names(), chains: names() };
    // Port 1 is reserved and has no listener.
    let config = config("http://127.0.0.1:1").retry_config(RetryConfig::disabled());
    Store::new(Client::from_conf(config.build()), tables)
}

fn config(endpoint: &str) -> config::Builder {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http)
}

async fn create_tables(store: &Store) {
    let (string, number) = (ScalarAttributeType::S, ScalarAttributeType::N);
    let text = |name| (name, string.clone());
    let keys_only = ProjectionType::KeysOnly;
    let indexes = [
        ("by_merchant", (text("owner"), Some(text("id"))), keys_only.clone()),
        ("by_status", (text("owner_status"), Some(text("id"))), keys_only.clone()),
        ("due", (text("due_hour"), Some(("next_check", number.clone()))), keys_only),
    ];
    create_table(store, &store.tables.payments, (text("code"), None), &indexes).await;
    let by_merchant = ("by_merchant", (text("merchant"), Some(("created_at", number))), ProjectionType::All);
    create_table(store, &store.tables.keys, (text("key_hash"), None), &[by_merchant]).await;
    create_table(store, &store.tables.accounts, (text("account"), None), &[]).await;
    create_table(store, &store.tables.addresses, (text("bucket"), Some(text("stamp"))), &[]).await;
    create_table(store, &store.tables.chains, (text("chain"), Some(text("entry"))), &[]).await;
}

async fn create_table(store: &Store, name: &str, key: Schema<'_>, indexes: &[Index<'_>]) {
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .unwrap();
    let index = |(name, key, projection): &Index<'_>| {
        GlobalSecondaryIndex::builder()
            .index_name(*name)
            .set_key_schema(Some(schema(key)))
            .projection(Projection::builder().projection_type(projection.clone()).build())
            .build()
            .unwrap()
    };
    let built: Vec<GlobalSecondaryIndex> = indexes.iter().map(index).collect();
    store
        .client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes(&key, indexes)))
        .set_key_schema(Some(schema(&key)))
        .set_global_secondary_indexes((!built.is_empty()).then_some(built))
        .set_stream_specification((name == store.tables.payments).then_some(stream))
        .send()
        .await
        .unwrap();
}

fn schema((hash, range): &Schema<'_>) -> Vec<KeySchemaElement> {
    let element = |(name, _): &Key<'_>, key_type| {
        KeySchemaElement::builder().attribute_name(*name).key_type(key_type).build().unwrap()
    };
    let hash = element(hash, KeyType::Hash);
    let range = range.as_ref().map(|range| element(range, KeyType::Range));
    std::iter::once(hash).chain(range).collect()
}

/// Each attribute of any key once, as the API wants it.
fn attributes(key: &Schema<'_>, indexes: &[Index<'_>]) -> Vec<AttributeDefinition> {
    let keys = std::iter::once(key).chain(indexes.iter().map(|(_, key, _)| key));
    let all = keys.flat_map(|(hash, range)| std::iter::once(hash).chain(range));
    let once: std::collections::BTreeMap<&str, &ScalarAttributeType> =
        all.map(|(name, of_type)| (*name, of_type)).collect();
    let definition = |(name, of_type): (&str, &ScalarAttributeType)| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(of_type.clone()).build().unwrap()
    };
    once.into_iter().map(definition).collect()
}
