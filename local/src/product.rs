//! The running product: everything started in order, and handed out as one value.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use dynoxide::Database;
use serde_json::Value;
use shared::app;
use shared::store::Store;
use tokio::net::TcpListener;

use crate::binaries::{BuildError, build_functions};
use crate::clock::Clock;
use crate::database::{self, DatabaseError};
use crate::folder::{Folder, FolderError};
use crate::gateway;
use crate::lambda::{InvokeError, Lambda, Setting};
use crate::log::Log;
use crate::options::{Data, Options};
use crate::schedule::Schedules;
use crate::stop::{self, Stopper};
use crate::streams::{NotDelivered, Positions, Streams};
use crate::template::{Function, Product, TemplateError};

/// The template's parameter for the Ethereum node; while it is empty, the template has no watcher.
const NODE_PARAMETER: &str = "RpcUrlEthereum";

/// The template's parameter for the nodes of all other chains; while it is empty, nothing watches them.
const NODES_PARAMETER: &str = "RpcUrls";

/// Ports that are tried where nobody asked for one.
const PORTS: usize = 100;

/// The running product. Dropping it ends every process; `shutdown` also waits for that.
pub struct Local {
    base_url: String,
    dynamodb_endpoint: String,
    product: Product,
    lambda: Lambda,
    schedules: Schedules,
    streams: Streams,
    log: Log,
    // Everything above ends when this is dropped; the folder is let go of last.
    stopper: Stopper,
    _folder: Option<Folder>,
}

/// Why the product does not start. Each is a sentence for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The template's file cannot be read.
    #[error("{path} cannot be read: {problem}")]
    NoTemplate {
        /// The file.
        path: String,
        /// Why.
        problem: std::io::Error,
    },
    /// The template cannot be run.
    #[error("template.yaml: {0}")]
    Template(#[from] TemplateError),
    /// Somebody else listens there.
    #[error("port {port} is in use; choose another with {option}")]
    PortInUse {
        /// The port.
        port: u16,
        /// The option that chooses it.
        option: &'static str,
    },
    /// The system gives no port.
    #[error("port {port} cannot be listened on: {problem}")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        problem: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The functions cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What exists before the functions run: also all that `--database-only` needs.
struct Ground {
    product: Product,
    folder: Option<Folder>,
    database: Database,
    dynamodb_endpoint: String,
}

/// The database alone, for `cargo lambda watch` and other tools.
pub struct DatabaseOnly {
    endpoint: String,
    product: Product,
    environment: BTreeMap<String, String>,
    stopper: Stopper,
    _folder: Option<Folder>,
}

impl DatabaseOnly {
    /// Starts the database with the template's tables.
    pub async fn start(options: &Options) -> Result<DatabaseOnly, StartError> {
        let (stopper, stop) = stop::channel();
        let listener = listen_database(options, options.database_port).await?;
        let ground = ground(options, listener, &stop)?;
        let mut environment = BTreeMap::from(
            [("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "local")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        for function in &ground.product.functions {
            environment.extend(function.environment.clone());
        }
        environment.extend(shared_environment(options, "", &ground.dynamodb_endpoint));
        // The caller knows where the functions will answer.
        environment.remove("PUBLIC_URL");
        Ok(DatabaseOnly {
            endpoint: ground.dynamodb_endpoint,
            product: ground.product,
            environment,
            stopper,
            _folder: ground.folder,
        })
    }

    /// What functions need in their environment to use the database.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The tables, to be used as the functions do.
    pub fn store(&self) -> Store {
        app::local_store(&self.endpoint, self.product.table_names())
    }

    /// Where the database answers.
    pub fn dynamodb_endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Ends the database.
    pub async fn shutdown(self) {
        self.stopper.stop().await;
    }
}

impl Local {
    /// Starts everything and returns when calls are answered.
    pub async fn start(options: Options) -> Result<Local, StartError> {
        let (stopper, stop) = stop::channel();
        // Ports first: nobody wants to learn after compiling that one is taken.
        let gateway = if options.port_moves {
            listen_from(options.port, "--port").await?
        } else {
            listen(options.port, "--port").await?
        };
        let next = address(&gateway)?.port().checked_add(1).unwrap_or_default();
        let database = listen_database(&options, next.max(options.database_port)).await?;
        let runtime_api = listen(0, "--port").await?;
        let base_url = format!("http://{}", address(&gateway)?);
        let ground = ground(&options, database, &stop)?;
        let binaries = match &options.binaries {
            Some(folder) => folder.clone(),
            None => build_functions(&ground.product, options.show_build).await?,
        };
        let log = log(&options, ground.folder.as_ref())?;
        let clock = Clock::shifted(options.clock_offset_seconds);
        let shared = shared_environment(&options, &base_url, &ground.dynamodb_endpoint);
        let environment = |function: &Function| environment(&options, &shared, function);
        let setting = Setting { binaries, environment: &environment, log: log.clone() };
        let lambda = Lambda::start(&ground.product.functions, &setting, runtime_api, &stop)
            .map_err(|problem| StartError::Port { port: 0, problem })?;
        let positions = match &ground.folder {
            None => Positions::memory(),
            Some(folder) => {
                Positions::file(folder.positions()).map_err(|problem| folder.unusable(problem))?
            }
        };
        gateway::serve(gateway, base_url.clone(), &ground.product, lambda.clone(), clock, &stop);
        let streams = Streams::start(&ground.product, &ground.database, &lambda, &positions, &stop);
        let schedules = Schedules::new(&ground.product, lambda.clone(), clock);
        if options.schedules {
            schedules.start(&ground.product, &stop);
        }
        Ok(Local {
            base_url,
            dynamodb_endpoint: ground.dynamodb_endpoint,
            product: ground.product,
            lambda,
            schedules,
            streams,
            log,
            stopper,
            _folder: ground.folder,
        })
    }

    /// Where the product answers, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where the database answers.
    pub fn dynamodb_endpoint(&self) -> &str {
        &self.dynamodb_endpoint
    }

    /// The tables, to be used as the functions do.
    pub fn store(&self) -> Store {
        app::local_store(&self.dynamodb_endpoint, self.product.table_names())
    }

    /// What the template says.
    pub fn product(&self) -> &Product {
        &self.product
    }

    /// Calls a function directly, by its name in the template or its binary.
    pub async fn invoke(&self, function: &str, payload: Value) -> Result<Value, InvokeError> {
        self.lambda.invoke(&self.function(function)?.name, &payload).await
    }

    /// Runs a function as its schedule would, now; after the run that may be going on.
    pub async fn tick(&self, function: &str) -> Result<Value, InvokeError> {
        let function = self.function(function)?;
        self.schedules.tick(&function.name, function.schedules.first()).await
    }

    /// Returns when every change of a table made so far has been delivered.
    pub async fn streams_idle(&self) -> Result<(), NotDelivered> {
        self.streams.idle().await
    }

    /// The last lines that the functions printed, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Ends everything; returns when no process is left.
    pub async fn shutdown(self) {
        let Local { stopper, lambda, schedules, streams, .. } = self;
        drop((lambda, schedules, streams));
        stopper.stop().await;
    }

    fn function(&self, name: &str) -> Result<&Function, InvokeError> {
        self.product.function(name).ok_or_else(|| InvokeError::Unknown(name.to_owned()))
    }
}

fn ground(options: &Options, listener: TcpListener, stop: &stop::Stop) -> Result<Ground, StartError> {
    let mut parameters = options.parameters.clone();
    if let Some(url) = &options.rpc_url {
        parameters.insert(NODE_PARAMETER.into(), url.clone());
    }
    if !options.nodes.is_empty() {
        parameters.insert(NODES_PARAMETER.into(), serde_json::json!(options.nodes).to_string());
    }
    let product = read(&options.template, &parameters)?;
    let folder = match &options.data {
        Data::Memory => None,
        Data::Folder(path) => Some(Folder::take(path)?),
    };
    let file = folder.as_ref().map(Folder::database);
    let database = database::open(file.as_deref())?;
    database::create_missing(&database, &product.tables)?;
    let dynamodb_endpoint = format!("http://{}", address(&listener)?);
    database::serve(&database, listener, stop);
    Ok(Ground { product, folder, database, dynamodb_endpoint })
}

fn read(template: &Path, parameters: &BTreeMap<String, String>) -> Result<Product, StartError> {
    let text = std::fs::read_to_string(template)
        .map_err(|problem| StartError::NoTemplate { path: template.display().to_string(), problem })?;
    Ok(Product::read(&text, parameters)?)
}

async fn listen(port: u16, option: &'static str) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|problem| {
        if problem.kind() == std::io::ErrorKind::AddrInUse {
            StartError::PortInUse { port, option }
        } else {
            StartError::Port { port, problem }
        }
    })
}

/// The database's port: the one that was asked for, or, where nobody asked for one, the first free one from `from` on.
async fn listen_database(options: &Options, from: u16) -> Result<TcpListener, StartError> {
    if options.database_port_moves {
        listen_from(from, "--database-port").await
    } else {
        listen(options.database_port, "--database-port").await
    }
}

/// The first free port from this one on.
async fn listen_from(port: u16, option: &'static str) -> Result<TcpListener, StartError> {
    for port in (port..=u16::MAX).take(PORTS) {
        match listen(port, option).await {
            Err(StartError::PortInUse { .. }) => {}
            listening => return listening,
        }
    }
    Err(StartError::PortInUse { port, option })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|problem| StartError::Port { port: 0, problem })
}

fn log(options: &Options, folder: Option<&Folder>) -> Result<Log, StartError> {
    match folder {
        None => Ok(Log::memory(options.verbose)),
        Some(folder) => {
            Ok(Log::file(&folder.log(), options.verbose).map_err(|problem| folder.unusable(problem))?)
        }
    }
}

/// What every function is told, over the template's variables.
fn shared_environment(options: &Options, base_url: &str, dynamodb: &str) -> BTreeMap<String, String> {
    let mut shared = BTreeMap::from([
        ("PUBLIC_URL".to_owned(), base_url.to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), dynamodb.to_owned()),
    ]);
    if options.clock_offset_seconds != 0 {
        shared.insert("CLOCK_OFFSET_SECONDS".into(), options.clock_offset_seconds.to_string());
    }
    shared.extend(options.environment.clone());
    shared
}

/// A function's variables: the template's, then what all are told, then its own overrides.
fn environment(
    options: &Options,
    shared: &BTreeMap<String, String>,
    function: &Function,
) -> BTreeMap<String, String> {
    let mut environment = function.environment.clone();
    environment.extend(shared.clone());
    for name in [&function.binary, &function.name] {
        environment.extend(options.function_environment.get(name).cloned().unwrap_or_default());
    }
    environment
}
