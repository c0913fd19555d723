//! Transfers: what a chain says of one movement of money, merged so that order and repetition do not matter (R22).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use super::quote::{Quote, Quotes};
use crate::chain::{ChainId, CoinId};
use crate::moment::{DAY_SECONDS, Minute, Timestamp};
use crate::money::{Credit, Decimals, Rate, Units};

/// Money that is not in a block this long after it was first seen loses the rate that was held for it (R20).
pub const HELD_RATE_SECONDS: u64 = DAY_SECONDS;

/// One movement of money, for ever: `chain:txid:vout`, `chain:txid:asset:address:k`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(String);

impl TransferId {
    /// The key that the chain's watcher gave it.
    pub fn new(key: impl Into<String>) -> TransferId {
        TransferId(key.into())
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What moves in a transfer. Of one transfer nothing of it changes but the units, which a re-organisation can change, and
/// how deep it must lie, which follows from what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Its key.
    pub id: TransferId,
    /// In which coin.
    pub coin: CoinId,
    /// Decimals of the coin's unit.
    pub decimals: Decimals,
    /// On which chain.
    pub chain: ChainId,
    /// In which transaction.
    pub tx_id: String,
    /// To which address.
    pub address: String,
    /// How much.
    pub units: Units,
    /// How deep it must lie to count, by all that the reporter knew (R22).
    pub confirmations_required: u32,
}

/// The order in which a chain's watcher learned things: later knowledge has a higher number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// A block that holds, or held, a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockAt {
    /// Its height.
    pub height: u64,
    /// The time written in it.
    pub time: Timestamp,
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// In no block, seen at that time.
    Unconfirmed {
        /// When.
        at: Timestamp,
    },
    /// In a block of the best chain.
    InBlock {
        /// Which.
        block: BlockAt,
        /// How many blocks lie on it, its own included, up to what is required.
        confirmations: u32,
    },
    /// No longer to be found: its block or its place among the unconfirmed is gone. It may come back.
    Lost {
        /// The block that held it, if one did.
        block: Option<BlockAt>,
        /// When that was noticed.
        at: Timestamp,
    },
    /// A transaction that spends the same coins is confirmed: it never comes back.
    Replaced,
}

/// What a chain's watcher says of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which transfer.
    pub movement: Movement,
    /// When, in the watcher's order.
    pub sequence: Sequence,
    /// By the watcher's clock.
    pub at: Timestamp,
    /// Where it is.
    pub standing: Standing,
    /// Accepted rates of the coin that may be needed to price it, as the market has them.
    pub rates: Vec<(Minute, Rate)>,
}

/// A transfer as a payment knows it: everything that was reported, merged.
///
/// Each part is a minimum, a maximum or a union, so that reports may come in any order, twice, or again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub(crate) movement: Movement,
    /// The earliest sighting outside a block.
    pub(crate) unconfirmed_at: Option<Timestamp>,
    /// The earliest report that it is there, by our own clock; none in what was recorded before that was kept.
    pub(crate) reported_at: Option<Timestamp>,
    /// The first block, in the watcher's order, that it was reported in.
    pub(crate) first_block: Option<(Sequence, BlockAt)>,
    /// The latest knowledge of where it is.
    pub(crate) latest: (Sequence, Standing),
    /// The earliest report of it being deep enough to count.
    pub(crate) deep_since: Option<Timestamp>,
    /// Accepted rates less the payment's spread, by minute.
    pub(crate) rates: BTreeMap<Minute, Rate>,
    /// Whether the payment had ended when the transfer was first reported.
    pub(crate) after_end: bool,
    /// Which quote prices it, once that cannot change any more.
    pub(crate) pin: Option<Pin>,
}

/// The quote by which a transfer is priced, for good: what is quoted or forgotten later changes no price (R20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// None: no quote held when it was first seen.
    pub(crate) quote: Option<Quote>,
    /// Of a transfer that is not in hand, how many quotes had been made by then: until there is another one, what is
    /// learned of the transfer can still change its quote.
    pub(crate) choices: Option<u64>,
}

/// How far a transfer has come, as the API says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// Not in a block yet.
    Seen,
    /// In a block, not deep enough or without a rate yet.
    Confirming,
    /// Counted.
    Counted,
    /// Taken away.
    Lost,
    /// The merchant's own: gas that a sweep asked for. It is no money that anybody paid (R36).
    Own,
}

impl TransferState {
    /// As written in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            TransferState::Seen => "seen",
            TransferState::Confirming => "confirming",
            TransferState::Counted => "counted",
            TransferState::Lost => "lost",
            TransferState::Own => "own",
        }
    }
}

/// What a transfer's units are worth, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price<'a> {
    /// The quote that held when it was first seen.
    Quote(&'a Quote),
    /// The accepted rate of its minute, less the payment's spread.
    Market(Rate),
    /// There is no accepted rate for that minute yet.
    Awaited(Minute),
}

impl Price<'_> {
    /// Dollars for a whole coin, where there is a rate.
    pub fn rate(&self) -> Option<Rate> {
        match self {
            Price::Quote(quote) => Some(quote.rate),
            Price::Market(rate) => Some(*rate),
            Price::Awaited(_) => None,
        }
    }
}

impl Transfer {
    pub(super) fn new(report: &Report, after_end: bool) -> Transfer {
        Transfer {
            movement: report.movement.clone(),
            unconfirmed_at: None,
            reported_at: None,
            first_block: None,
            deep_since: None,
            latest: (report.sequence, report.standing),
            rates: BTreeMap::new(),
            after_end,
            pin: None,
        }
    }

    /// Keeps the quote by which it is priced, whatever is quoted later.
    pub(super) fn pin(&mut self, quotes: &Quotes) {
        if self.pin.is_none() && self.first_seen().is_some() {
            self.pin = Some(Pin { quote: self.held_quote(quotes).cloned(), choices: None });
        }
    }

    pub(super) fn merge(&mut self, report: Report) {
        let earlier = |known: Option<Timestamp>, at| Some(known.map_or(at, |known: Timestamp| known.min(at)));
        match report.standing {
            Standing::Unconfirmed { .. } | Standing::InBlock { .. } => {
                self.reported_at = earlier(self.reported_at, report.at);
            }
            Standing::Lost { .. } | Standing::Replaced => {}
        }
        let block = match report.standing {
            Standing::Unconfirmed { at } => {
                self.unconfirmed_at = earlier(self.unconfirmed_at, at);
                None
            }
            Standing::InBlock { block, confirmations } => {
                // By the report's own measure: what others asked for must not depend on which came first.
                if confirmations >= report.movement.confirmations_required {
                    self.deep_since = earlier(self.deep_since, report.at);
                }
                Some(block)
            }
            Standing::Lost { block, .. } => block,
            Standing::Replaced => None,
        };
        if let Some(block) = block {
            let reported = (report.sequence, block);
            self.first_block = Some(self.first_block.map_or(reported, |known| known.min(reported)));
        }
        let reported = (report.sequence, report.standing);
        let required = report.movement.confirmations_required;
        match reported.cmp(&self.latest) {
            Ordering::Greater => self.movement.confirmations_required = required,
            // The same look, told again with the price that was missing: less is asked for than of an unknown sum.
            Ordering::Equal => {
                let known = &mut self.movement.confirmations_required;
                *known = required.min(*known);
            }
            Ordering::Less => {}
        }
        if reported >= self.latest {
            self.latest = reported;
            // In another block a contract may pay another sum in the very same transaction.
            self.movement.units = report.movement.units;
        }
        for (minute, rate) in report.rates {
            self.rates.entry(minute).or_insert(rate);
        }
    }

    /// What moves.
    pub fn movement(&self) -> &Movement {
        &self.movement
    }

    /// Where it is, by the latest knowledge.
    pub fn standing(&self) -> Standing {
        self.latest.1
    }

    /// When it was first seen: the earliest of its first block's time, its sighting and the first report of it (R20). A
    /// miner's clock may be two hours ahead; what was reported by then is not newer than the report.
    pub fn first_seen(&self) -> Option<Timestamp> {
        let in_block = self.first_block.map(|(_, block)| block.time);
        in_block.into_iter().chain(self.unconfirmed_at).chain(self.reported_at).min()
    }

    /// When it was first reported to be there.
    pub fn reported_at(&self) -> Option<Timestamp> {
        self.reported_at
    }

    /// The first block it was in.
    pub fn first_block(&self) -> Option<BlockAt> {
        self.first_block.map(|(_, block)| block)
    }

    /// When it was first reported deep enough.
    pub fn deep_since(&self) -> Option<Timestamp> {
        self.deep_since
    }

    /// When it was first seen outside a block.
    pub fn unconfirmed_at(&self) -> Option<Timestamp> {
        self.unconfirmed_at
    }

    /// Blocks on it, its own included, up to what is required.
    pub fn confirmations(&self) -> u32 {
        match self.standing() {
            Standing::InBlock { confirmations, .. } => {
                confirmations.min(self.movement.confirmations_required)
            }
            Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => 0,
        }
    }

    /// Which rate it has (R20).
    pub fn price<'a>(&'a self, quotes: &'a Quotes) -> Price<'a> {
        let first_seen = self.first_seen().unwrap_or_default();
        let in_block = self.first_block().map(|block| block.time);
        let priced_at = match in_block {
            Some(block) if block.since(first_seen) > HELD_RATE_SECONDS => block,
            Some(_) | None => match self.held_quote(quotes) {
                Some(quote) => return Price::Quote(quote),
                None => first_seen,
            },
        };
        let minute = priced_at.minute();
        self.rates.get(&minute).map_or(Price::Awaited(minute), |rate| Price::Market(*rate))
    }

    /// The quote that held when it was first seen. Miners' clocks are coarse: a block may claim to be older than the quote
    /// under which we saw its transaction wait.
    pub(super) fn held_quote<'a>(&'a self, quotes: &'a Quotes) -> Option<&'a Quote> {
        if let Some(pin) = &self.pin {
            return pin.quote.as_ref();
        }
        let first_seen = self.first_seen().unwrap_or_default();
        let holding = |at| quotes.holding(&self.movement.coin, at);
        holding(first_seen).or_else(|| self.unconfirmed_at.and_then(holding))
    }

    /// Dollars for it, exactly; `None` while there is no rate.
    pub fn credit(&self, quotes: &Quotes) -> Option<Credit> {
        let Movement { units, decimals, .. } = self.movement;
        match self.price(quotes) {
            Price::Quote(quote) => Some(Credit::quoted(units, quote.usd, quote.units)),
            Price::Market(rate) => Some(Credit::market(units, rate, decimals)),
            Price::Awaited(_) => None,
        }
    }

    /// How far it has come, if it is money: which of them is not is known to the payment.
    pub(super) fn state(&self, quotes: &Quotes) -> TransferState {
        match self.standing() {
            Standing::Unconfirmed { .. } => TransferState::Seen,
            Standing::InBlock { .. } if self.confirmations() < self.movement.confirmations_required => {
                TransferState::Confirming
            }
            Standing::InBlock { .. } => match self.price(quotes) {
                Price::Quote(_) | Price::Market(_) => TransferState::Counted,
                Price::Awaited(_) => TransferState::Confirming,
            },
            Standing::Lost { .. } | Standing::Replaced => TransferState::Lost,
        }
    }
}
