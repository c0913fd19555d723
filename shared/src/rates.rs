//! Rates: what sources quote for a coin, and which price follows from it (R20).

mod refresh;
pub mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use refresh::{Refreshed, refresh};

use crate::moment::Timestamp;
use crate::money::Rate;

/// A price older than this says nothing about now (R20).
pub const MAX_AGE_SECONDS: u64 = 5 * 60;

/// How far a source's clock may run ahead of ours; further ahead, its time says nothing about the price's age.
const MAX_AHEAD_SECONDS: u64 = 60;

/// One source alone is believed by nobody (R20).
pub const LEAST_SOURCES: usize = 2;

/// An outlier is further from the median than one part in this many: 2 % (R20).
const OUTLIER_PARTS: u64 = 50;

/// Who quotes prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// kraken.com
    Kraken,
    /// coinbase.com
    Coinbase,
    /// coingecko.com
    CoinGecko,
}

impl Source {
    /// All there are.
    pub const ALL: [Source; 3] = [Source::Kraken, Source::Coinbase, Source::CoinGecko];

    /// Its name in settings and logs.
    pub fn name(self) -> &'static str {
        match self {
            Source::Kraken => "kraken",
            Source::Coinbase => "coinbase",
            Source::CoinGecko => "coingecko",
        }
    }
}

/// What one source says a coin is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotation {
    /// Who says so.
    pub source: Source,
    /// Dollars for one whole coin.
    pub rate: Rate,
    /// When it was so.
    pub as_of: Timestamp,
}

/// Why a coin has no rate now. `Display` completes a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NoRate {
    /// Too few sources quoted a fresh price.
    #[error("fewer than {LEAST_SOURCES} sources quote a fresh price")]
    TooFew,
    /// Enough sources quoted, and they contradict each other.
    #[error("fewer than {LEAST_SOURCES} sources agree on a price")]
    Disagreement,
    /// Prices are fixed by the settings, and this one is not among them.
    #[error("the settings fix no price for it")]
    NotFixed,
    /// Nobody has asked the sources for too long.
    #[error("its last price is more than five minutes old")]
    Stale,
}

impl NoRate {
    const ALL: [NoRate; 4] = [NoRate::TooFew, NoRate::Disagreement, NoRate::NotFixed, NoRate::Stale];

    /// As written in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            NoRate::TooFew => "too_few",
            NoRate::Disagreement => "disagreement",
            NoRate::NotFixed => "not_fixed",
            NoRate::Stale => "stale",
        }
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<NoRate> {
        NoRate::ALL.into_iter().find(|why| why.as_str() == name)
    }
}

/// The rate that follows from what the sources say: the median of those that are fresh and no outliers (R20).
pub fn accept(quotations: &[Quotation], now: Timestamp) -> Result<Rate, NoRate> {
    let fresh = one_per_source(quotations.iter().filter(|quotation| quotation.is_fresh(now)));
    if fresh.len() < LEAST_SOURCES {
        return Err(NoRate::TooFew);
    }
    median_of_agreeing(fresh).ok_or(NoRate::Disagreement)
}

/// The median without outliers, if enough are left.
fn median_of_agreeing(mut sorted: Vec<Rate>) -> Option<Rate> {
    let (lower, upper) = middle(&sorted)?;
    sorted.retain(|&rate| is_near(rate, lower) && is_near(rate, upper));
    let (lower, upper) = middle(&sorted).filter(|_| sorted.len() >= LEAST_SOURCES)?;
    Some(midpoint(lower, upper))
}

impl Quotation {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.as_of) <= MAX_AGE_SECONDS && self.as_of.since(now) <= MAX_AHEAD_SECONDS
    }
}

/// A source that is heard twice is still one source: its newest price stands. Sorted by price.
fn one_per_source<'a>(quotations: impl Iterator<Item = &'a Quotation>) -> Vec<Rate> {
    let mut newest: BTreeMap<Source, (Timestamp, Rate)> = BTreeMap::new();
    for quotation in quotations {
        let said = (quotation.as_of, quotation.rate);
        newest.entry(quotation.source).and_modify(|newest| *newest = said.max(*newest)).or_insert(said);
    }
    let mut rates: Vec<Rate> = newest.into_values().map(|(_, rate)| rate).collect();
    rates.sort_unstable();
    rates
}

/// The two prices between which the median lies; of an odd number, the middle one twice.
fn middle(sorted: &[Rate]) -> Option<(Rate, Rate)> {
    let upper = sorted.len().div_euclid(2);
    let lower = sorted.len().checked_sub(1)?.div_euclid(2);
    Some((*sorted.get(lower)?, *sorted.get(upper)?))
}

/// Whether `rate` is at most 2 % away from `median`.
///
/// Of an even number of prices both middle ones are asked: measured from the mean between them, two sources that
/// are 4 % apart would each seem only 2 % wrong.
fn is_near(rate: Rate, median: Rate) -> bool {
    let distance = u128::from(rate.get().abs_diff(median.get()));
    distance.saturating_mul(u128::from(OUTLIER_PARTS)) <= u128::from(median.get())
}

/// The mean of two prices, rounded down; as neither is zero, it is not zero.
fn midpoint(one: Rate, other: Rate) -> Rate {
    Rate::new(one.get().midpoint(other.get())).unwrap_or(one)
}
