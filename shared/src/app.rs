//! What a function holds from its first call to its last: settings, clock and tables.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use crate::callers::{Accounts, Callers};
use crate::clock::Clock;
use crate::settings::{Settings, optional, required};
use crate::store::{Store, Tables};

/// A function's error, whatever it is: Lambda logs it and starts another.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Shared by all calls of one process.
#[derive(Debug)]
pub struct App {
    /// The tables.
    pub store: Store,
    /// What the deployment decided.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// Callers that were seen lately.
    pub callers: Callers,
    /// Accounts that were read lately.
    pub accounts: Accounts,
    /// Where random bytes come from: the operating system, unless a history must be the same again.
    pub entropy: fn(&mut [u8]) -> Result<(), getrandom::Error>,
}

impl App {
    /// Reads the environment and sets up the client; nothing is connected yet.
    pub fn from_env() -> Result<App, Error> {
        let store = store_from_env()?;
        Ok(App {
            store,
            settings: Settings::from_env()?,
            clock: Clock::from_env(),
            callers: Callers::default(),
            accounts: Accounts::default(),
            entropy: getrandom::fill,
        })
    }
}

impl App {
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], getrandom::Error> {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes)?;
        Ok(bytes)
    }
}

/// Runs `serve` on one thread until Lambda stops the process.
pub fn run<F>(serve: impl FnOnce(&'static App) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
{
    log_as_json();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve(Box::leak(Box::new(App::from_env()?))).await })
}

/// One JSON line an event, without times: Lambda's log adds its own.
fn log_as_json() {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_target(false)
        .with_current_span(false)
        .init();
}

/// The five authorities that sign for AWS's endpoints. Reading the machine's whole list of them makes each start of a
/// function two thirds dearer.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// The tables that the environment names. Credentials and region come from there too, so that no
/// loader and no metadata service is needed.
pub fn store_from_env() -> Result<Store, Error> {
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let (endpoint, region) = (optional("AWS_ENDPOINT_URL_DYNAMODB"), required("AWS_REGION")?);
    Ok(store_at(endpoint.as_deref(), &region, credentials, https_from_env()?, Tables::from_env()?))
}

/// The tables of the embedded engine at `endpoint`, which asks for no credentials and speaks plain HTTP.
pub fn local_store(endpoint: &str, tables: Tables) -> Store {
    let credentials = Credentials::new("local", "local", None, None, "local");
    let http = aws_smithy_http_client::Builder::new().pool_idle_timeout(IDLE).build_http();
    store_at(Some(endpoint), "local", credentials, http, tables)
}

/// A table answers in milliseconds. What hangs longer than this is given up and asked again over another connection (R46).
const ATTEMPT: Duration = Duration::from_millis(1_500);

/// What a request may take with all its attempts: less than the shortest call may take.
const OPERATION: Duration = Duration::from_secs(6);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(1);

/// Longer than between the requests of one call, shorter than whatever lies on the way forgets a connection: a function that
/// was frozen for minutes must not begin with one that nobody else knows of any more.
const IDLE: Duration = Duration::from_secs(20);

/// A client that trusts Amazon's authorities, or those in the file that `AWS_CA_BUNDLE` names, as for AWS's own tools.
fn https_from_env() -> Result<SharedHttpClient, Error> {
    let roots = match optional("AWS_CA_BUNDLE") {
        Some(file) => std::fs::read(&file).map_err(|error| format!("AWS_CA_BUNDLE: {file}: {error}"))?,
        None => AMAZON_ROOTS.to_vec(),
    };
    let trusted = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots));
    Ok(aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(trusted.build()?)
        .build_https())
}

/// The tables of a region, or of the engine at `endpoint`.
fn store_at(
    endpoint: Option<&str>,
    region: &str,
    credentials: Credentials,
    http: SharedHttpClient,
    tables: Tables,
) -> Store {
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(http)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(OPERATION)
                .build(),
        );
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Store::new(Client::from_conf(config.build()), tables)
}
