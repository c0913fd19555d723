//! Coinbase: the exchange's ticker, one call a product (a handful a minute; its limit is ten a second).
//!
//! USDC has no market against the dollar there, because Coinbase changes one into the other at its own price. That
//! price, from the spot endpoint, is what it quotes for USDC. It hardly ever moves from one dollar: a loss of the peg
//! beyond 2 % makes it an outlier, and below that it can shift a rate of two sources by no more than half of it.
//!
//! <https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker>
//! <https://docs.cdp.coinbase.com/coinbase-app/track-apis/prices>

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde::Deserialize;

use super::http::{Http, rfc3339};
use super::{Quotations, SourceError, base, known};
use crate::moment::Timestamp;
use crate::money::Rate;
use crate::rates::{Quotation, Source};

const PUBLIC_EXCHANGE_URL: &str = "https://api.exchange.coinbase.com";
const PUBLIC_SPOT_URL: &str = "https://api.coinbase.com";

/// The exchange's names for its markets.
const PRODUCTS: [(&str, &str); 4] =
    [("BTC", "BTC-USD"), ("ETH", "ETH-USD"), ("LTC", "LTC-USD"), ("USDT", "USDT-USD")];

/// What has a price and no market.
const SPOT_PAIRS: [(&str, &str); 1] = [("USDC", "USDC-USD")];

/// The source, at its addresses.
#[derive(Clone, Debug)]
pub struct Coinbase {
    exchange: String,
    spot: String,
}

#[derive(Deserialize)]
struct Ticker {
    price: String,
    time: String,
}

#[derive(Deserialize)]
struct Spot {
    data: SpotPrice,
}

#[derive(Deserialize)]
struct SpotPrice {
    amount: String,
}

impl Coinbase {
    /// Both parts at `address`, or each at its public one.
    pub fn new(address: Option<&str>) -> Coinbase {
        Coinbase { exchange: base(address, PUBLIC_EXCHANGE_URL), spot: base(address, PUBLIC_SPOT_URL) }
    }

    /// The prices of those symbols that it knows; an error only if it gave none of them.
    pub async fn quotations(
        &self,
        http: &Http,
        symbols: &BTreeSet<String>,
        asked_at: Timestamp,
    ) -> Result<Quotations, SourceError> {
        let products = join_all(
            known(&PRODUCTS, symbols)
                .into_iter()
                .map(async |(symbol, product)| (symbol, self.ticker(http, product).await)),
        );
        let pairs = join_all(
            known(&SPOT_PAIRS, symbols)
                .into_iter()
                .map(async |(symbol, pair)| (symbol, self.spot_price(http, pair, asked_at).await)),
        );
        let (products, pairs) = tokio::join!(products, pairs);
        let mut quotations = Quotations::new();
        let mut failure = None;
        for (symbol, answer) in products.into_iter().chain(pairs) {
            match answer {
                Ok((rate, as_of)) => {
                    quotations.insert(symbol.to_owned(), Quotation { source: Source::Coinbase, rate, as_of });
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.filter(|_| quotations.is_empty()).map_or(Ok(quotations), Err)
    }

    /// The last trade, which carries its time.
    async fn ticker(&self, http: &Http, product: &str) -> Result<(Rate, Timestamp), SourceError> {
        let answer = http.get(&format!("{}/products/{product}/ticker", self.exchange)).await?;
        let Ticker { price, time } = answer.json()?;
        let rate = price.parse().map_err(|_| SourceError::Unreadable)?;
        Ok((rate, rfc3339(&time).ok_or(SourceError::Unreadable)?))
    }

    async fn spot_price(
        &self,
        http: &Http,
        pair: &str,
        asked_at: Timestamp,
    ) -> Result<(Rate, Timestamp), SourceError> {
        let answer = http.get(&format!("{}/v2/prices/{pair}/spot", self.spot)).await?;
        let Spot { data } = answer.json()?;
        let rate = data.amount.parse().map_err(|_| SourceError::Unreadable)?;
        Ok((rate, answer.as_of(asked_at)))
    }
}
