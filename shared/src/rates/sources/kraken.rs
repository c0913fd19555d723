//! Kraken's public ticker: one call for all pairs, far below its limit of about one a second.
//!
//! <https://docs.kraken.com/api/docs/rest-api/get-ticker-information>

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::http::Http;
use super::{Quotations, SourceError, base, known};
use crate::moment::Timestamp;
use crate::money::Rate;
use crate::rates::{Quotation, Source, midpoint};

const PUBLIC_URL: &str = "https://api.kraken.com";

/// Kraken's names for pairs, which are what it answers under, whichever alias it was asked by.
///
/// One pair that it does not know makes it refuse the whole call, so no others are asked for.
const PAIRS: [(&str, &str); 5] = [
    ("BTC", "XXBTZUSD"),
    ("ETH", "XETHZUSD"),
    ("LTC", "XLTCZUSD"),
    ("USDC", "USDCUSD"),
    ("USDT", "USDTZUSD"),
];

/// The source, at its address.
#[derive(Clone, Debug)]
pub struct Kraken {
    base: String,
}

/// A refusal has status 200 and no `result`.
#[derive(Deserialize)]
struct Ticker {
    result: BTreeMap<String, Box<RawValue>>,
}

/// The best ask and bid; each is a list of price and volumes.
#[derive(Deserialize)]
struct Book {
    #[serde(rename = "a")]
    ask: Vec<String>,
    #[serde(rename = "b")]
    bid: Vec<String>,
}

impl Kraken {
    /// At `address`, or at its public one.
    pub fn new(address: Option<&str>) -> Kraken {
        Kraken { base: base(address, PUBLIC_URL) }
    }

    /// The prices of those symbols that it knows.
    pub async fn quotations(
        &self,
        http: &Http,
        symbols: &BTreeSet<String>,
        asked_at: Timestamp,
    ) -> Result<Quotations, SourceError> {
        let pairs = known(&PAIRS, symbols);
        if pairs.is_empty() {
            return Ok(Quotations::new());
        }
        let names: Vec<&str> = pairs.iter().map(|(_, pair)| *pair).collect();
        let answer = http.get(&format!("{}/0/public/Ticker?pair={}", self.base, names.join(","))).await?;
        let Ticker { result } = answer.json()?;
        let as_of = answer.as_of(asked_at);
        let quotation = |(symbol, pair): (&str, &str)| {
            let rate = middle_of_book(result.get(pair)?)?;
            Some((symbol.to_owned(), Quotation { source: Source::Kraken, rate, as_of }))
        };
        Ok(pairs.into_iter().filter_map(quotation).collect())
    }
}

/// The middle of the order book, not the last trade: the ticker gives no times, and in a quiet market the last trade
/// may be hours old, while the book is as it was when the answer was made.
fn middle_of_book(pair: &RawValue) -> Option<Rate> {
    let book: Book = serde_json::from_str(pair.get()).ok()?;
    let price = |side: &[String]| side.first()?.parse::<Rate>().ok();
    Some(midpoint(price(&book.bid)?, price(&book.ask)?))
}
