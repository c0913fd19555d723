//! Quotes: a coin amount for the dollars still due, at a rate that is held for a while (R20, R21).

use crate::chain::CoinId;
use crate::moment::Timestamp;
use crate::money::{Cents, Decimals, Rate, Units};

/// How long a rate is held (R20).
pub const QUOTE_SECONDS: u64 = 15 * 60;

/// A quote asked for again this soon is a second click on the same button, not a wish for another rate.
const SAME_CLICK_SECONDS: u64 = 10;

/// How far a block's time may lie before the moment at which its money was really sent.
const BLOCK_TIME_SKEW_SECONDS: u64 = 60;

/// Quotes kept; then the oldest goes, and what it prices keeps its price. More than a payer needs in ten days, few enough
/// for one item.
pub(super) const QUOTES_KEPT: usize = 100;

/// A promise: `units` of `coin` settle `usd` if first seen before `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// In which coin.
    pub coin: CoinId,
    /// What was due when it was made.
    pub usd: Cents,
    /// Decimals of the coin's unit.
    pub decimals: Decimals,
    /// What settles that, rounded up.
    pub units: Units,
    /// The rate that it was made from: the market's, less the payment's spread.
    pub rate: Rate,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends; earlier than planned if a newer one of the coin replaced it.
    pub until: Timestamp,
}

/// The quotes of one payment, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotes {
    kept: Vec<Quote>,
    /// How many were ever made.
    issued: u64,
}

impl Quote {
    /// Whether the two are one promise, which may have been cut short since.
    pub fn is(&self, other: &Quote) -> bool {
        self.coin == other.coin && self.issued_at == other.issued_at
    }
}

impl Quotes {
    /// From the record.
    pub(crate) fn restore(kept: Vec<Quote>, issued: u64) -> Quotes {
        Quotes { kept, issued }
    }

    /// How many were ever made.
    pub(crate) fn issued(&self) -> u64 {
        self.issued
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Quote> {
        self.kept.iter()
    }

    /// The newest of the coin, whether or not it still holds.
    pub fn newest(&self, coin: &CoinId) -> Option<&Quote> {
        self.kept.iter().rev().find(|quote| quote.coin == *coin)
    }

    /// The quote of the coin that held at `moment`.
    ///
    /// Block times are coarser than ours: money that seems to have come just before the first quote belongs to that one,
    /// and before a payment's very first quote, which brings its address, no money comes at all.
    pub fn holding(&self, coin: &CoinId, moment: Timestamp) -> Option<&Quote> {
        let mut of_coin = self.kept.iter().filter(|quote| quote.coin == *coin);
        let first = of_coin.next()?;
        let newest = of_coin.take_while(|quote| quote.issued_at <= moment).last().unwrap_or(first);
        let is_very_first = self.kept.len() < QUOTES_KEPT && self.kept.first() == Some(newest);
        let begun = is_very_first || newest.issued_at <= moment.plus(BLOCK_TIME_SKEW_SECONDS);
        (begun && moment < newest.until).then_some(newest)
    }

    /// Whether a quote of the coin that was made by then was for exactly so much.
    pub(super) fn asked_exactly(&self, coin: &CoinId, units: Units, by: Timestamp) -> bool {
        let mut begun = self.kept.iter().filter(|quote| quote.coin == *coin && quote.issued_at <= by);
        begun.any(|quote| quote.units == units)
    }

    /// Whether a quote of the coin held at some time between two moments.
    pub(super) fn held_between(&self, coin: &CoinId, from: Timestamp, to: Timestamp) -> bool {
        let mut begun = self.kept.iter().filter(|quote| quote.coin == *coin && quote.issued_at <= to);
        begun.any(|quote| from < quote.until)
    }

    /// Whether a quote would be the second of one click: the first one stands.
    pub(super) fn has_same_click(&self, quote: &Quote) -> bool {
        let now = quote.issued_at;
        self.newest(&quote.coin).is_some_and(|former| {
            let is_same_click = now < former.issued_at.plus(SAME_CLICK_SECONDS);
            is_same_click && now < former.until && former.usd == quote.usd
        })
    }

    /// Adds a quote made at `now`, which ends the coin's former one. Whoever relies on one that is forgotten has kept it.
    pub(super) fn issue(&mut self, quote: Quote) {
        let former = self.kept.iter_mut().rev().find(|former| former.coin == quote.coin);
        if let Some(former) = former {
            former.until = former.until.min(quote.issued_at);
        }
        self.kept.push(quote);
        self.issued = self.issued.saturating_add(1);
        let surplus = self.kept.len().saturating_sub(QUOTES_KEPT);
        self.kept.drain(..surplus);
    }
}
