//! Where prices come from: public APIs, each asked once a minute, or a table of fixed prices where there is no network.

mod coinbase;
mod coingecko;
mod http;
mod kraken;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use self::coinbase::Coinbase;
use self::coingecko::CoinGecko;
use self::http::Http;
use self::kraken::Kraken;
use super::{LEAST_SOURCES, NoRate, Quotation, Source, accept};
use crate::clock::Clock;
use crate::moment::Timestamp;
use crate::money::Rate;
use crate::settings::optional;

/// The sources answer within a fraction of a second; a slower one is left out, and the others decide in time.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What is asked when the deployment says nothing else.
const DEFAULT_SOURCES: &str = "kraken,coinbase,coingecko";

/// Prices by symbol.
type Quotations = BTreeMap<String, Quotation>;

/// Where this deployment gets its prices.
#[derive(Clone, Debug)]
pub struct Sources(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Prices that nobody quotes, for a machine without a network.
    Fixed(BTreeMap<String, Rate>),
    Live(Http, Vec<Feed>),
}

#[derive(Clone, Debug)]
enum Feed {
    Kraken(Kraken),
    Coinbase(Coinbase),
    CoinGecko(CoinGecko),
}

/// Why the settings name no usable sources.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSources {
    /// A name that is no source.
    #[error("RATE_SOURCES names the unknown source {0:?}")]
    Unknown(String),
    /// Too few could ever agree.
    #[error("RATE_SOURCES must be `fixed` or name at least {LEAST_SOURCES} sources")]
    TooFew,
    /// The table of fixed prices is unreadable.
    #[error("FIXED_RATES must be an object of symbols and positive decimal prices as strings")]
    FixedRates,
    /// The HTTP client cannot be set up.
    #[error("the client for price sources cannot be set up")]
    Client(#[from] reqwest::Error),
}

/// Why a source gave no price. Nothing that it sent is part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Its answer took longer than the timeout.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or it broke.
    #[error("it could not be reached")]
    Unreachable,
    /// It answered, not with success.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Its answer is larger than any that we ask for.
    #[error("its answer is larger than {} bytes", http::MAX_BODY_BYTES)]
    TooLarge,
    /// Its answer has another shape than the documented one.
    #[error("its answer holds no prices")]
    Unreadable,
}

impl Sources {
    /// As `RATE_SOURCES`, `FIXED_RATES` and the sources' addresses in the environment say.
    pub fn from_env() -> Result<Sources, InvalidSources> {
        let names = optional("RATE_SOURCES");
        let names = names.as_deref().unwrap_or(DEFAULT_SOURCES);
        if names == "fixed" {
            return Sources::fixed(optional("FIXED_RATES").as_deref().unwrap_or("{}"));
        }
        let address = |source| match source {
            Source::Kraken => optional("KRAKEN_URL"),
            Source::Coinbase => optional("COINBASE_URL"),
            Source::CoinGecko => optional("COINGECKO_URL"),
        };
        Sources::live(names, address, TIMEOUT)
    }

    /// Fixed prices, from a JSON object of symbols and decimal texts.
    pub fn fixed(json: &str) -> Result<Sources, InvalidSources> {
        let texts: BTreeMap<String, String> =
            serde_json::from_str(json).map_err(|_| InvalidSources::FixedRates)?;
        let price = |(symbol, text): (String, String)| Some((symbol, text.parse().ok()?));
        let rates: Option<BTreeMap<String, Rate>> = texts.into_iter().map(price).collect();
        rates.map(|rates| Sources(Kind::Fixed(rates))).ok_or(InvalidSources::FixedRates)
    }

    fn live(
        names: &str,
        address: impl Fn(Source) -> Option<String>,
        timeout: Duration,
    ) -> Result<Sources, InvalidSources> {
        let source = |name: &str| Source::ALL.into_iter().find(|source| source.name() == name);
        let sources = names
            .split(',')
            .map(str::trim)
            .map(|name| source(name).ok_or_else(|| InvalidSources::Unknown(name.to_owned())))
            .collect::<Result<BTreeSet<Source>, _>>()?;
        if sources.len() < LEAST_SOURCES {
            return Err(InvalidSources::TooFew);
        }
        let feeds = sources.into_iter().map(|source| Feed::new(source, address(source).as_deref()));
        Ok(Sources(Kind::Live(Http::new(timeout)?, feeds.collect())))
    }

    /// The accepted rate of each symbol, or why there is none.
    ///
    /// Fixed prices are accepted as they are, here and nowhere else: the operator answers for them, not a median.
    pub async fn rates(&self, symbols: &BTreeSet<String>) -> BTreeMap<String, Result<Rate, NoRate>> {
        match &self.0 {
            Kind::Fixed(rates) => {
                tracing::warn!("prices are fixed by the settings and follow no market");
                let rate = |symbol| rates.get(symbol).copied().ok_or(NoRate::NotFixed);
                symbols.iter().map(|symbol| (symbol.clone(), rate(symbol))).collect()
            }
            Kind::Live(http, feeds) => {
                // The sources live in the world's time, also where a trial shifts the product's clock.
                let clock = Clock::default();
                let quoted = quotations(http, feeds, symbols, clock.now()).await;
                let now = clock.now();
                let accepted = |symbol| {
                    let of_symbol: Vec<Quotation> =
                        quoted.iter().filter_map(|quotations| quotations.get(symbol)).copied().collect();
                    accept(&of_symbol, now)
                };
                symbols.iter().map(|symbol| (symbol.clone(), accepted(symbol))).collect()
            }
        }
    }
}

/// Asks all at once; what one of them does or fails to do leaves the others standing.
async fn quotations(
    http: &Http,
    feeds: &[Feed],
    symbols: &BTreeSet<String>,
    asked_at: Timestamp,
) -> Vec<Quotations> {
    let ask = async |feed: &Feed| {
        let source = feed.source().name();
        let answer = feed.quotations(http, symbols, asked_at).await;
        let quoted =
            answer.inspect_err(|reason| tracing::warn!(source, %reason, "a price source failed")).ok()?;
        for symbol in symbols.iter().filter(|symbol| !quoted.contains_key(*symbol)) {
            tracing::warn!(source, symbol, "a price source does not quote this price");
        }
        Some(quoted)
    };
    join_all(feeds.iter().map(ask)).await.into_iter().flatten().collect()
}

impl Feed {
    fn new(source: Source, address: Option<&str>) -> Feed {
        match source {
            Source::Kraken => Feed::Kraken(Kraken::new(address)),
            Source::Coinbase => Feed::Coinbase(Coinbase::new(address)),
            Source::CoinGecko => Feed::CoinGecko(CoinGecko::new(address)),
        }
    }

    fn source(&self) -> Source {
        match self {
            Feed::Kraken(_) => Source::Kraken,
            Feed::Coinbase(_) => Source::Coinbase,
            Feed::CoinGecko(_) => Source::CoinGecko,
        }
    }

    async fn quotations(
        &self,
        http: &Http,
        symbols: &BTreeSet<String>,
        asked_at: Timestamp,
    ) -> Result<Quotations, SourceError> {
        match self {
            Feed::Kraken(kraken) => kraken.quotations(http, symbols, asked_at).await,
            Feed::Coinbase(coinbase) => coinbase.quotations(http, symbols, asked_at).await,
            Feed::CoinGecko(coingecko) => coingecko.quotations(http, symbols).await,
        }
    }
}

/// The symbols that are asked for and that a source has a name for, each with that name.
fn known<'a>(
    names: &'a [(&'static str, &'static str)],
    symbols: &'a BTreeSet<String>,
) -> Vec<(&'static str, &'static str)> {
    names.iter().filter(|(symbol, _)| symbols.contains(*symbol)).copied().collect()
}

/// Addresses are given with or without a trailing slash.
fn base(address: Option<&str>, public: &str) -> String {
    address.unwrap_or(public).trim_end_matches('/').to_owned()
}
