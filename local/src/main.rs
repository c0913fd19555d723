//! `cargo local`: the whole product on one machine, from the command line.
#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use local::demo::{self, DemoError, Keys};
use local::samples::{self, SampleError};
use local::{Data, DatabaseOnly, FIXED_RATES, Local, Options, StartError, write_private};
use shared::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where the product answers unless it is told otherwise.
const PORT: u16 = 8787;

/// Where `cargo lambda watch` answers unless it is told otherwise.
const LAMBDA_WATCH_URL: &str = "http://127.0.0.1:9000";

/// Runs the whole product on this machine: database, functions, HTTP, schedules and streams.
#[derive(Parser)]
#[command(name = "cargo local", disable_version_flag = true)]
struct Arguments {
    /// Port of the product [default: 8787, or the next free one].
    #[arg(long)]
    port: Option<u16>,
    /// Folder of the data; it survives restarts.
    #[arg(long, default_value = ".data", value_name = "DIR")]
    data: PathBuf,
    /// Start the database alone, for `cargo lambda` and other tools.
    #[arg(long)]
    database_only: bool,
    /// Port of the database [default: the one after the product's, or the next free one].
    #[arg(long)]
    database_port: Option<u16>,
    /// Put the time of everything ahead, so that ten days can be tried.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    clock_offset: u64,
    /// Ethereum node to watch; without one the chain is not watched.
    #[arg(long, env = "CRYPTOGAP_RPC_URL", value_name = "URL")]
    rpc_url: Option<String>,
    /// Node of another chain of `--chains`; may be there several times.
    #[arg(long = "node", value_name = "CHAIN=URL", value_parser = node)]
    nodes: Vec<(String, String)>,
    /// File with the chains and coins, instead of the template's.
    #[arg(long, env = "CRYPTOGAP_CHAINS", value_name = "FILE")]
    chains: Option<PathBuf>,
    /// Extended public key that receives the demo merchant's live payments: of its EVM account, or `bitcoin=zpub…` and
    /// `litecoin=zpub…`; may be there several times.
    #[arg(long, env = "CRYPTOGAP_LIVE_XPUB", value_name = "XPUB", value_delimiter = ',', value_parser = live_xpub)]
    live_xpub: Vec<(String, String)>,
    /// Where prices come from.
    #[arg(long, env = "CRYPTOGAP_RATES", value_enum, default_value_t = Rates::Fixed)]
    rates: Rates,
    /// The prices in USD that `--rates fixed` uses.
    #[arg(long, env = "CRYPTOGAP_FIXED_RATES", value_name = "JSON", default_value = FIXED_RATES)]
    fixed_rates: String,
    /// Run another template than the repository's.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Run the functions' programs of this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Print what the functions print.
    #[arg(long)]
    verbose: bool,
}

impl Arguments {
    fn wanted_port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }

    fn wanted_database_port(&self) -> u16 {
        let next = Some(self.wanted_port()).filter(|port| *port != 0).and_then(|port| port.checked_add(1));
        self.database_port.or(next).unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rates {
    /// A fixed table; nothing is asked.
    Fixed,
    /// Kraken, Coinbase and CoinGecko.
    Live,
}

/// What the user is told when the product cannot go on.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("the samples cannot be written: {0}")]
    Samples(#[from] SampleError),
    #[error("{path} cannot be used: {problem}")]
    Chains { path: String, problem: String },
    #[error("--fixed-rates is not a JSON object of prices: {0}")]
    Rates(serde_json::Error),
    #[error("{path} cannot be written: {problem}")]
    Settings { path: String, problem: std::io::Error },
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    // To the database every condition that does not hold is a warning; to us it is an answer.
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("dynoxide", LevelFilter::ERROR);
    let terminal = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry().with(terminal).with(levels).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Before anything starts, so that no moment is left in which a signal would leave processes behind.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let asked_to_end = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let serving = async move {
        if arguments.database_only { serve_database(&arguments).await } else { serve(&arguments).await }
    };
    tokio::pin!(asked_to_end);
    let running = tokio::select! {
        started = serving => started?,
        () = &mut asked_to_end => return Ok(()),
    };
    asked_to_end.await;
    match running {
        Running::Product(local) => local.shutdown().await,
        Running::Database(database) => database.shutdown().await,
    }
    Ok(())
}

enum Running {
    Product(Box<Local>),
    Database(DatabaseOnly),
}

async fn serve(arguments: &Arguments) -> Result<Running, Failure> {
    let local = Local::start(options(arguments)?).await?;
    let file = arguments.data.join("env");
    let known = demo::read(&file)?;
    let keys = demo::demo(&local.store(), known, &arguments.live_xpub).await?;
    demo::write(&file, local.base_url(), &keys)?;
    print_banner(arguments, &local, &keys);
    Ok(Running::Product(Box::new(local)))
}

async fn serve_database(arguments: &Arguments) -> Result<Running, Failure> {
    let database = DatabaseOnly::start(&options(arguments)?).await?;
    let file = arguments.data.join("env");
    let keys = demo::demo(&database.store(), demo::read(&file)?, &arguments.live_xpub).await?;
    demo::write(&file, LAMBDA_WATCH_URL, &keys)?;
    samples::prepare(&database.store(), Clock::default().now()).await?;
    let settings = arguments.data.join("functions.env");
    let public_url = ("PUBLIC_URL".to_owned(), LAMBDA_WATCH_URL.to_owned());
    let variables = database.environment().iter().map(|(name, value)| (name.clone(), value.clone()));
    let lines = variables.chain([public_url]).map(|(name, value)| format!("{name}='{value}'\n"));
    write_private(&settings, lines.collect::<Vec<_>>().concat().as_bytes())
        .map_err(|problem| Failure::Settings { path: settings.display().to_string(), problem })?;
    say_if_moved(arguments.wanted_database_port(), database.dynamodb_endpoint(), "--database-port");
    println!("DynamoDB   {}", database.dynamodb_endpoint());
    println!("Test key   {}", keys.test);
    println!("Data       {}", arguments.data.display());
    println!();
    println!("Serve the functions with");
    println!("  cargo lambda watch --invoke-address 127.0.0.1 --env-file {}", settings.display());
    Ok(Running::Database(database))
}

fn options(arguments: &Arguments) -> Result<Options, Failure> {
    let defaults = Options::default();
    Ok(Options {
        port: arguments.wanted_port(),
        port_moves: arguments.port.is_none(),
        database_port: arguments.wanted_database_port(),
        // Whoever takes any port for the product takes any for the database too.
        database_port_moves: arguments.database_port.is_none() && arguments.wanted_database_port() != 0,
        data: Data::Folder(arguments.data.clone()),
        environment: environment(arguments)?,
        schedules: true,
        clock_offset_seconds: arguments.clock_offset,
        rpc_url: arguments.rpc_url.clone(),
        nodes: arguments.nodes.iter().cloned().collect(),
        verbose: arguments.verbose,
        show_build: true,
        template: arguments.template.clone().unwrap_or(defaults.template),
        binaries: arguments.binaries.clone(),
        ..Options::default()
    })
}

fn node(text: &str) -> Result<(String, String), String> {
    let (chain, url) = text.split_once('=').ok_or("must be a chain's name, `=` and a URL")?;
    Ok((chain.to_owned(), url.to_owned()))
}

fn live_xpub(text: &str) -> Result<(String, String), &'static str> {
    let (family, xpub) = text.split_once('=').unwrap_or(("evm", text));
    match family {
        "evm" | "bitcoin" | "litecoin" => Ok((family.to_owned(), xpub.to_owned())),
        _ => Err("must be an extended key, or `evm`, `bitcoin` or `litecoin`, `=` and one"),
    }
}

fn environment(arguments: &Arguments) -> Result<BTreeMap<String, String>, Failure> {
    let mut environment = BTreeMap::new();
    match arguments.rates {
        Rates::Live => environment.insert("RATE_SOURCES".to_owned(), "kraken,coinbase,coingecko".to_owned()),
        Rates::Fixed => {
            let prices: BTreeMap<String, String> =
                serde_json::from_str(&arguments.fixed_rates).map_err(Failure::Rates)?;
            environment.insert("FIXED_RATES".to_owned(), serde_json::json!(prices).to_string());
            environment.insert("RATE_SOURCES".to_owned(), "fixed".to_owned())
        }
    };
    if let Some(path) = &arguments.chains {
        let unusable = |problem: String| Failure::Chains { path: path.display().to_string(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        let chains: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        environment.insert("CHAINS".to_owned(), chains.to_string());
    }
    Ok(environment)
}

/// Says that a port was in use and another one was taken; 0 is any port.
fn say_if_moved(wanted: u16, url: &str, option: &str) {
    if let Some(port) = port_of(url).filter(|port| wanted != 0 && *port != wanted) {
        println!("Port {wanted} is in use; {port} is taken instead (choose one with {option})");
    }
}

fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

fn print_banner(arguments: &Arguments, local: &Local, keys: &Keys) {
    let (url, data) = (local.base_url(), arguments.data.display());
    println!();
    say_if_moved(arguments.wanted_port(), url, "--port");
    // The database follows the product: it has moved only if the port after that one is taken too.
    let follows = port_of(url).and_then(|port| port.checked_add(1)).unwrap_or_default();
    let wanted =
        if arguments.database_port.is_some() { 0 } else { follows.max(arguments.wanted_database_port()) };
    say_if_moved(wanted, local.dynamodb_endpoint(), "--database-port");
    println!("CryptoGap  {url}");
    println!("Test key   {}", keys.test);
    println!("Live key   {}", keys.live);
    println!("Data       {data}  (keys in {data}/env, functions' log in {data}/functions.log)");
    println!("Database   {}", local.dynamodb_endpoint());
    match arguments.rates {
        Rates::Fixed => println!("Prices     a fixed table, not the market: {}", arguments.fixed_rates),
        Rates::Live => println!("Prices     Kraken, Coinbase and CoinGecko"),
    }
    match &arguments.rpc_url {
        None => println!("Ethereum   not watched: live payments stay unpaid until --rpc-url names a node"),
        Some(_) => println!("Ethereum   watched through your node"),
    }
    for (chain, _) in &arguments.nodes {
        println!("Also       {chain}, watched through your node");
    }
    if arguments.clock_offset != 0 {
        println!("Clock      {} s ahead", arguments.clock_offset);
    }
    println!();
    println!("Make a payment:");
    println!("  curl -X POST {url}/api/v1/payments \\");
    println!("    -H 'X-API-Key: {}' -H 'Content-Type: application/json' \\", keys.test);
    println!("    -d '{{\"title\": \"First payment\", \"amount_usd\": 49.99}}'");
    println!();
    println!("Ctrl-C ends it; the data stays.");
}
