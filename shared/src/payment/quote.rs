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

/// Quotes kept; the oldest that prices nothing goes. More than a payer needs in ten days, few enough for one item.
const QUOTES_KEPT: usize = 100;

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
pub struct Quotes(Vec<Quote>);

impl Quotes {
    /// From the record.
    pub(crate) fn restore(quotes: Vec<Quote>) -> Quotes {
        Quotes(quotes)
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Quote> {
        self.0.iter()
    }

    /// The newest of the coin, whether or not it still holds.
    pub fn newest(&self, coin: &CoinId) -> Option<&Quote> {
        self.0.iter().rev().find(|quote| quote.coin == *coin)
    }

    /// The quote of the coin that held at `moment`.
    ///
    /// Block times are coarser than ours: money that seems to have come just before the first quote belongs to that one,
    /// and before a payment's very first quote, which brings its address, no money comes at all.
    pub fn holding(&self, coin: &CoinId, moment: Timestamp) -> Option<&Quote> {
        let mut of_coin = self.0.iter().filter(|quote| quote.coin == *coin);
        let first = of_coin.next()?;
        let newest = of_coin.take_while(|quote| quote.issued_at <= moment).last().unwrap_or(first);
        let is_very_first = self.0.len() < QUOTES_KEPT && self.0.first() == Some(newest);
        let begun = is_very_first || newest.issued_at <= moment.plus(BLOCK_TIME_SKEW_SECONDS);
        (begun && moment < newest.until).then_some(newest)
    }

    /// Whether a quote of the coin asked the payer for money that came between two moments: one that held then, or one made
    /// before that was for exactly so much. What was paid for it is never taken for something else.
    pub(super) fn asked_for(&self, coin: &CoinId, units: Units, from: Timestamp, to: Timestamp) -> bool {
        let mut begun = self.0.iter().filter(|quote| quote.coin == *coin && quote.issued_at <= to);
        begun.any(|quote| quote.units == units || from < quote.until)
    }

    /// Adds a quote made at `now`, which ends the coin's former one; `priced` tells which quotes money relies on.
    pub(super) fn issue(&mut self, quote: Quote, priced: impl Fn(&Quote) -> bool) {
        let now = quote.issued_at;
        let former = self.0.iter_mut().rev().find(|former| former.coin == quote.coin);
        if let Some(former) = former {
            let same_click = now < former.issued_at.plus(SAME_CLICK_SECONDS);
            if same_click && now < former.until && former.usd == quote.usd {
                return;
            }
            former.until = former.until.min(now);
        }
        self.0.push(quote);
        if self.0.len() > QUOTES_KEPT
            && let Some(idle) = self.0.iter().position(|quote| !priced(quote))
        {
            self.0.remove(idle);
        }
    }
}
