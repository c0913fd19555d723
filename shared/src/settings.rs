//! What a deployment decides, read from the environment once when a function starts.

use std::collections::BTreeMap;

use crate::chain::{Chains, InvalidChains};
use crate::money::{BasisPoints, Cents};

/// Settings that every function shares. What only one function needs, it reads itself with [`required`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The base of links, without a trailing slash; `None` takes the API's own address.
    pub public_url: Option<String>,
    /// The domain in which each API has the name of its id.
    pub api_domain: String,
    /// Chains and coins.
    pub chains: Chains,
    /// The extended public key from which test payments get their addresses; `None` offers them no coin.
    pub test_xpub: Option<String>,
    /// What an account pays unless it has its own terms (R14).
    pub fees: FeeSettings,
    /// How much may be missing from what is due (R21).
    pub tolerance: BasisPoints,
    /// Calls that may wait for news at a time: a quarter of the executions that the deployment has.
    pub waits: u64,
    /// Whether prices come from a fixed table and not from a market: payers are told.
    pub fixed_rates: bool,
}

/// The terms of R14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeSettings {
    /// The share of the amount.
    pub rate: BasisPoints,
    /// Not less than this.
    pub minimum: Cents,
    /// Free of fees up to this much paid in a month; zero is off.
    pub free_volume: Cents,
}

/// Why a function does not start.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A setting that must be there is not.
    #[error("the setting {0} is missing")]
    Missing(&'static str),
    /// A setting that cannot be read.
    #[error("the setting {0} is not a number in its range")]
    Invalid(&'static str),
    /// A setting that is no JSON object of texts; what it holds may be secret and is not repeated.
    #[error("the setting {0} is not a JSON object of URLs by chain")]
    NoUrls(&'static str),
    /// The list of chains is wrong.
    #[error(transparent)]
    Chains(#[from] InvalidChains),
}

impl Settings {
    /// Reads them all; a deployment with a wrong one does not start.
    pub fn from_env() -> Result<Settings, SettingsError> {
        Ok(Settings {
            public_url: optional("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            api_domain: optional("API_DOMAIN").unwrap_or_default(),
            chains: Chains::parse(optional("CHAINS").as_deref().unwrap_or("[]"))?,
            test_xpub: optional("TEST_XPUB"),
            fees: FeeSettings {
                rate: basis_points("FEE_BASIS_POINTS", 100)?,
                minimum: Cents(number("FEE_MINIMUM_CENTS", 0)?),
                free_volume: Cents(number("FREE_VOLUME_CENTS", 0)?),
            },
            tolerance: basis_points("TOLERANCE_BASIS_POINTS", 0)?,
            waits: number("CONCURRENCY", 10)?.div_euclid(4),
            fixed_rates: optional("RATE_SOURCES").as_deref() == Some("fixed"),
        })
    }
}

/// The setting's text; an empty one counts as none.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The setting's text, or the reason not to start.
pub fn required(name: &'static str) -> Result<String, SettingsError> {
    optional(name).ok_or(SettingsError::Missing(name))
}

/// The setting as URLs by the chain whose node answers there; none is an empty one.
pub fn urls(name: &'static str) -> Result<BTreeMap<String, String>, SettingsError> {
    let json = optional(name).unwrap_or_else(|| "{}".to_owned());
    serde_json::from_str(&json).map_err(|_| SettingsError::NoUrls(name))
}

/// The setting as a number, or its default.
pub fn number(name: &'static str, default: u64) -> Result<u64, SettingsError> {
    optional(name).map_or(Ok(default), |text| text.parse().map_err(|_| SettingsError::Invalid(name)))
}

fn basis_points(name: &'static str, default: u64) -> Result<BasisPoints, SettingsError> {
    BasisPoints::new(number(name, default)?).ok_or(SettingsError::Invalid(name))
}
