//! CoinGecko's simple prices: one call for all coins, without a key (its limit then is a few calls a minute).
//!
//! <https://docs.coingecko.com/reference/simple-price>

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::http::Http;
use super::{Quotations, SourceError, base, known};
use crate::moment::Timestamp;
use crate::rates::{Quotation, Source};

const PUBLIC_URL: &str = "https://api.coingecko.com";

/// CoinGecko's ids of coins: several coins share a symbol there, so the symbol would not do.
const IDS: [(&str, &str); 5] =
    [("BTC", "bitcoin"), ("ETH", "ethereum"), ("LTC", "litecoin"), ("USDC", "usd-coin"), ("USDT", "tether")];

/// The source, at its address.
#[derive(Clone, Debug)]
pub struct CoinGecko {
    base: String,
}

/// The price is a JSON number, and is read from its own digits: no float ever holds it.
#[derive(Deserialize)]
struct Price {
    usd: Box<RawValue>,
    last_updated_at: u64,
}

impl CoinGecko {
    /// At `address`, or at its public one.
    pub fn new(address: Option<&str>) -> CoinGecko {
        CoinGecko { base: base(address, PUBLIC_URL) }
    }

    /// The prices of those symbols that it knows.
    pub async fn quotations(
        &self,
        http: &Http,
        symbols: &BTreeSet<String>,
    ) -> Result<Quotations, SourceError> {
        let coins = known(&IDS, symbols);
        if coins.is_empty() {
            return Ok(Quotations::new());
        }
        let ids: Vec<&str> = coins.iter().map(|(_, id)| *id).collect();
        let query = "vs_currencies=usd&include_last_updated_at=true&precision=full";
        let answer =
            http.get(&format!("{}/api/v3/simple/price?ids={}&{query}", self.base, ids.join(","))).await?;
        let prices: BTreeMap<String, Box<RawValue>> = answer.json()?;
        let quotation = |(symbol, id): (&str, &str)| Some((symbol.to_owned(), quotation(prices.get(id)?)?));
        Ok(coins.into_iter().filter_map(quotation).collect())
    }
}

/// A coin that it has no price for is an empty object or has nulls.
fn quotation(coin: &RawValue) -> Option<Quotation> {
    let price: Price = serde_json::from_str(coin.get()).ok()?;
    let rate = price.usd.get().parse().ok()?;
    Some(Quotation { source: Source::CoinGecko, rate, as_of: Timestamp(price.last_updated_at) })
}
