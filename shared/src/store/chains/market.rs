//! The market as it is now: accepted rates, and why there are none.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::cursor::read_fresh_at;
use super::malformed;
use crate::chain::ChainId;
use crate::moment::Timestamp;
use crate::money::Rate;
use crate::payment::Code;
use crate::rates::{MAX_AGE_SECONDS, NoRate};
use crate::store::attribute::{Item, n, number, s, text};
use crate::store::{Found, Store, StoreError, failed, is_done};

/// Before a symbol: its newest accepted rate.
const PRICED: &str = "rate_";

/// Before a symbol: why the last run accepted none.
const UNPRICED: &str = "none_";

/// A coin is offered so long after its chain was last read to a young tip (R24).
const READ_SECONDS: u64 = 30 * 60;

/// What a quote needs to know of the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Market {
    /// Accepted rates by symbol, none older than five minutes (R20).
    pub rates: BTreeMap<String, Rate>,
    /// Why a symbol had none in the last run.
    pub unpriced: BTreeMap<String, NoRate>,
    /// How far each chain was scanned.
    pub heights: BTreeMap<ChainId, u64>,
    /// When each chain was last read to a young tip; 0 while it never was, or parted from its node's.
    pub read_at: BTreeMap<ChainId, Timestamp>,
}

impl Market {
    /// The rate of a symbol, or why there is none.
    pub fn rate(&self, symbol: &str) -> Result<Rate, NoRate> {
        let why = || self.unpriced.get(symbol).copied().unwrap_or(NoRate::Stale);
        self.rates.get(symbol).copied().ok_or_else(why)
    }

    /// Whether a chain was read lately enough that live money is taken on it (R24).
    pub fn is_current(&self, chain: &ChainId, now: Timestamp) -> bool {
        self.read_at.get(chain).is_some_and(|read_at| now.since(*read_at) <= READ_SECONDS)
    }
}

impl Store {
    /// The market now, and how far the chains were scanned: one request.
    pub async fn market(&self, chains: &[ChainId], now: Timestamp) -> Result<Market, StoreError> {
        let (chains_table, wanted) = self.wanted_of_market(chains)?;
        let mut found = self.batch_of(HashMap::from([(chains_table.to_owned(), wanted)])).await?;
        self.read_market(found.remove(chains_table).unwrap_or_default(), now)
    }

    /// The payment under `code`, ready to be changed, and the market: one request, by the consistent state of the payment.
    pub async fn payment_and_market(
        &self,
        code: Code,
        chains: &[ChainId],
        now: Timestamp,
    ) -> Result<(Option<Found>, Market), StoreError> {
        let (chains_table, of_market) = self.wanted_of_market(chains)?;
        let payments_table = &self.tables.payments;
        let key = HashMap::from([("code".to_owned(), s(code.to_string()))]);
        let of_payment = KeysAndAttributes::builder().keys(key).consistent_read(true).build();
        let of_payment = of_payment.map_err(|error| StoreError::Malformed(error.to_string()))?;
        let wanted =
            HashMap::from([(chains_table.to_owned(), of_market), (payments_table.clone(), of_payment)]);
        let mut found = self.batch_of(wanted).await?;
        let market = self.read_market(found.remove(chains_table).unwrap_or_default(), now)?;
        let item = found.remove(payments_table).unwrap_or_default().into_iter().next();
        let payment = match item {
            Some(item) => Some(Found::of(item)?),
            None => None,
        };
        Ok((payment, market))
    }

    fn wanted_of_market(&self, chains: &[ChainId]) -> Result<(&str, KeysAndAttributes), StoreError> {
        let key = |chain: &str, entry: &str| {
            HashMap::from([("chain".to_owned(), s(chain)), ("entry".to_owned(), s(entry))])
        };
        let cursors = chains.iter().map(|chain| key(chain.as_str(), "cursor"));
        let keys = cursors.chain([key("rates", "latest")]).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).build();
        Ok((&self.tables.chains, wanted.map_err(|error| StoreError::Malformed(error.to_string()))?))
    }

    /// A few items of some tables, all or none.
    async fn batch_of(
        &self,
        wanted: HashMap<String, KeysAndAttributes>,
    ) -> Result<HashMap<String, Vec<Item>>, StoreError> {
        let found =
            self.client.batch_get_item().set_request_items(Some(wanted)).send().await.map_err(failed)?;
        if found.unprocessed_keys.as_ref().is_some_and(|left| !left.is_empty()) {
            return Err(StoreError::Throttled);
        }
        Ok(found.responses.unwrap_or_default())
    }

    /// What of it cannot be read is left out: the coin cannot be chosen then, and all others can.
    fn read_market(&self, items: Vec<Item>, now: Timestamp) -> Result<Market, StoreError> {
        let mut market = Market::default();
        for item in items {
            match text(&item, "chain")? {
                "rates" => {
                    for (name, value) in &item {
                        let rate = self.readable("accepted rates", name, read_rate(name, value, now))?;
                        market.rates.extend(rate.flatten());
                        let why = self.readable("missing rates", name, read_unpriced(name, value, now))?;
                        market.unpriced.extend(why.flatten());
                    }
                }
                chain => {
                    let height = self.readable("heights of chains", chain, number(&item, "height"))?;
                    let read_at = self.readable("heights of chains", chain, read_fresh_at(&item))?;
                    market.read_at.extend(ChainId::new(chain).zip(read_at));
                    market.heights.extend(ChainId::new(chain).zip(height));
                }
            }
        }
        Ok(market)
    }

    /// Makes rates that were accepted `at` the market's, and notes why the others were not.
    ///
    /// Unless a later run was here already: two that overlap must not put the older prices over the newer.
    pub async fn put_market(
        &self,
        rates: &[(String, Rate)],
        missing: &BTreeMap<String, NoRate>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.chains)
            .key("chain", s("rates"))
            .key("entry", s("latest"));
        let mut sets = vec!["#at = :at".to_owned()];
        for (place, (symbol, rate)) in rates.iter().enumerate() {
            sets.push(format!("#r{place} = :r{place}"));
            let value = HashMap::from([("rate".to_owned(), n(rate.get())), ("at".to_owned(), n(at.0))]);
            update = update
                .expression_attribute_names(format!("#r{place}"), format!("{PRICED}{symbol}"))
                .expression_attribute_values(format!(":r{place}"), AttributeValue::M(value));
        }
        for (place, (symbol, why)) in missing.iter().enumerate() {
            sets.push(format!("#n{place} = :n{place}"));
            let value = HashMap::from([("why".to_owned(), s(why.as_str())), ("at".to_owned(), n(at.0))]);
            update = update
                .expression_attribute_names(format!("#n{place}"), format!("{UNPRICED}{symbol}"))
                .expression_attribute_values(format!(":n{place}"), AttributeValue::M(value));
        }
        let update = update
            .update_expression(format!("SET {}", sets.join(", ")))
            .condition_expression("attribute_not_exists(#at) OR #at <= :at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":at", n(at.0));
        is_done(update.send().await).map(|_| ())
    }
}

fn read_rate(
    name: &str,
    value: &AttributeValue,
    now: Timestamp,
) -> Result<Option<(String, Rate)>, StoreError> {
    let Some(symbol) = name.strip_prefix(PRICED) else { return Ok(None) };
    let accepted = value.as_m().map_err(|_| malformed(name))?;
    let rate = Rate::new(number(accepted, "rate")?).ok_or_else(|| malformed(name))?;
    let is_fresh = now.since(Timestamp(number(accepted, "at")?)) <= MAX_AGE_SECONDS;
    Ok(is_fresh.then(|| (symbol.to_owned(), rate)))
}

/// A reason from the last minutes: an older one says nothing about why there is no rate now.
fn read_unpriced(
    name: &str,
    value: &AttributeValue,
    now: Timestamp,
) -> Result<Option<(String, NoRate)>, StoreError> {
    let Some(symbol) = name.strip_prefix(UNPRICED) else { return Ok(None) };
    let told = value.as_m().map_err(|_| malformed(name))?;
    let why = NoRate::from_name(text(told, "why")?).ok_or_else(|| malformed(name))?;
    let is_fresh = now.since(Timestamp(number(told, "at")?)) <= MAX_AGE_SECONDS;
    Ok(is_fresh.then(|| (symbol.to_owned(), why)))
}
