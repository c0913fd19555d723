//! What can be chosen when the product is started.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::binaries::workspace;

/// Prices used where nobody asks for live ones, so that everything works offline.
pub const FIXED_RATES: &str =
    r#"{"BTC":"60000.00","ETH":"2500.00","LTC":"80.00","USDC":"1.00","USDT":"1.00"}"#;

/// Where the data lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Gone at the end: for tests.
    Memory,
    /// In a folder that survives.
    Folder(PathBuf),
}

/// How to start the product. The default suits tests: any ports, data in memory, nothing runs by itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port of the product; 0 takes any.
    pub port: u16,
    /// The port of the database; 0 takes any.
    pub database_port: u16,
    /// Takes the next free port where `port` is in use, instead of giving up.
    pub port_moves: bool,
    /// Takes the next free port where `database_port` is in use or would not come after the product's.
    pub database_port_moves: bool,
    /// Where the data lives.
    pub data: Data,
    /// The SAM template that is run.
    pub template: PathBuf,
    /// Values for the template's parameters, instead of their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Variables for every function, over the template's.
    pub environment: BTreeMap<String, String>,
    /// Variables for one function, by its name in the template or its binary; over all others.
    pub function_environment: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether schedules run by themselves; `Local::tick` runs them in any case.
    pub schedules: bool,
    /// Puts everything that tells the time ahead by so much.
    pub clock_offset_seconds: u64,
    /// The folder of the functions' programs; none builds them first.
    pub binaries: Option<PathBuf>,
    /// The Ethereum node to watch; it is given to the template as its parameter `RpcUrlEthereum`.
    pub rpc_url: Option<String>,
    /// Nodes of further chains by the chains' names; given to the template as its parameter `RpcUrls`.
    pub nodes: BTreeMap<String, String>,
    /// Prints what the functions print.
    pub verbose: bool,
    /// Shows the progress of compiling.
    pub show_build: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 0,
            database_port: 0,
            port_moves: false,
            database_port_moves: false,
            data: Data::Memory,
            template: workspace().join("template.yaml"),
            parameters: BTreeMap::new(),
            environment: BTreeMap::from(
                [("RATE_SOURCES", "fixed"), ("FIXED_RATES", FIXED_RATES)]
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            function_environment: BTreeMap::new(),
            schedules: false,
            clock_offset_seconds: 0,
            binaries: None,
            rpc_url: None,
            nodes: BTreeMap::new(),
            verbose: false,
            show_build: false,
        }
    }
}
