//! Coin that a sweep told the merchant to send to an address, so that it can pay for gas: the merchant's own, and no money
//! that anybody paid (R36).
//!
//! A chain does not tell a top-up from a payment, so that the match is narrow: the chain's own coin, to that address, not
//! more than is left of what was proposed, within seven days; and never what a quote asked the payer for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Payment, Progress, Quotes, Refusal, Transfer, TransferId};
use crate::chain::CoinId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::Units;

/// How long a proposal stands (R36).
const TOP_UP_SECONDS: u64 = 7 * DAY_SECONDS;

/// A sweep asked for again within this time repeats its proposal, as long as nothing was sent for it.
const REPEATED_SECONDS: u64 = DAY_SECONDS;

/// How far a block's time may lie before a proposal that it answers.
const BLOCK_TIME_SKEW_SECONDS: u64 = 60;

/// Proposals that a payment keeps. Those that nothing answered go first; with none of these the next is not kept, and what
/// is sent for it counts.
const KEPT: usize = 8;

/// A top-up is at least this part of what was proposed: dust is not the gas that was asked for, and a proposal is answered
/// by a bounded number of transfers.
const LEAST_PART: u128 = 16;

/// Transfers noted for a proposal: the first by time. Nobody sends gas in more parts than fit.
const ANSWERS: usize = 16;

/// Transfers kept as what a forgotten quote asked for: more than a payer makes in a week.
const ASKED_FOR: usize = 64;

/// A proposal, and what came that may answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopUp {
    /// The chain's own coin.
    pub(crate) coin: CoinId,
    /// To which address.
    pub(crate) address: String,
    /// Not more than this.
    pub(crate) units: Units,
    /// When it was proposed.
    pub(crate) at: Timestamp,
    /// What came since, by transfer. What a re-organisation took keeps its place: it may come back.
    pub(crate) answers: BTreeMap<TransferId, Answer>,
    /// Transfers that a quote asked the payer for, which may be forgotten since.
    pub(crate) asked_for: BTreeSet<TransferId>,
}

/// A transfer that may answer a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) first_seen: Timestamp,
    /// The later of its block's time and its first report: it was sent before that.
    pub(crate) there_by: Timestamp,
    pub(crate) units: Units,
}

impl TopUp {
    /// Whether a transfer came after this was proposed, and in time.
    fn precedes(&self, transfer: &Transfer, first_seen: Timestamp) -> bool {
        let movement = transfer.movement();
        let is_reported_after = transfer.reported_at().is_none_or(|at| at >= self.at);
        let is_after = is_reported_after && first_seen.plus(BLOCK_TIME_SKEW_SECONDS) >= self.at;
        let is_in_time = first_seen < self.at.plus(TOP_UP_SECONDS);
        movement.coin == self.coin && movement.address == self.address && is_after && is_in_time
    }

    fn may_be(&self, units: Units) -> bool {
        units <= self.units && units.0.saturating_mul(LEAST_PART) >= self.units.0
    }

    fn note(&mut self, id: TransferId, answer: Answer) {
        self.answers.insert(id, answer);
        if self.answers.len() > ANSWERS {
            let last = self.in_order().next_back().map(|(id, _)| id.clone());
            last.and_then(|id| self.answers.remove(&id));
        }
    }

    /// Exactly what was proposed comes first: of other sums anybody can send some, to use up what was proposed.
    fn in_order(&self) -> impl DoubleEndedIterator<Item = (&TransferId, Answer)> {
        let mut all: Vec<_> = self.answers.iter().map(|(id, answer)| (id, *answer)).collect();
        all.sort_by_key(|(id, answer)| (answer.units != self.units, answer.first_seen, *id));
        all.into_iter()
    }

    /// Whether a quote asked the payer for it. What is exactly the sum that was proposed is hardly a payer's by chance: only
    /// a quote of that very sum makes it so, and not one that merely holds, which whoever has the pay link can ask for.
    fn is_asked_for(&self, id: &TransferId, answer: Answer, quotes: &Quotes) -> bool {
        let Answer { first_seen, there_by, units } = answer;
        let exactly = units == self.units;
        self.asked_for.contains(id)
            || quotes.asked_exactly(&self.coin, units, there_by)
            || (!exactly && quotes.held_between(&self.coin, first_seen, there_by))
    }

    /// Whether a transfer is among those that what was proposed is enough for, the first by time before the others.
    fn covers(&self, id: &TransferId, quotes: &Quotes) -> bool {
        let mut left = self.units;
        for (other, answer) in self.in_order() {
            if self.is_asked_for(other, answer, quotes) || answer.units > left {
                continue;
            }
            if other == id {
                return true;
            }
            left = left.minus(answer.units);
        }
        false
    }

    fn is_repeated_by(&self, other: &TopUp) -> bool {
        let is_same = self.coin == other.coin && self.address == other.address;
        let is_unanswered = self.answers.is_empty() && other.at < self.at.plus(REPEATED_SECONDS);
        is_same && other.units <= self.units && (is_unanswered || other.at == self.at)
    }
}

impl Payment {
    /// A sweep proposes to send so much of the chain's own coin to one of the payment's addresses. Repeating it raises
    /// nothing: the newest proposal replaces what is left of those before it.
    pub(super) fn propose_top_up(
        &mut self,
        coin: CoinId,
        address: String,
        units: Units,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !self.owns_address(&address) {
            return Err(Refusal::NotAnAddressOfIts);
        }
        let new = TopUp {
            coin,
            address,
            units,
            at: self.local(now),
            answers: BTreeMap::new(),
            asked_for: BTreeSet::new(),
        };
        let top_ups = &mut self.progress.top_ups;
        if top_ups.iter().any(|known| known.is_repeated_by(&new)) {
            return Ok(());
        }
        if top_ups.len() >= KEPT
            && let Some(idle) = top_ups.iter().position(|known| known.answers.is_empty())
        {
            top_ups.remove(idle);
        }
        if top_ups.len() < KEPT {
            let place = top_ups.partition_point(|known| known.at <= new.at);
            top_ups.insert(place, new);
        }
        Ok(())
    }

    /// Notes a transfer with the newest proposal before it. Called with all that is known of the transfer, so that the order
    /// of reports does not show (R22).
    pub(super) fn note_answer(&mut self, id: &TransferId) {
        if self.progress.top_ups.is_empty() {
            return;
        }
        let Some(transfer) = self.progress.transfers.get(id) else { return };
        let first_seen = transfer.first_seen().unwrap_or_default();
        let in_block = transfer.first_block().map(|block| block.time);
        let there_by = in_block.max(transfer.reported_at()).unwrap_or(first_seen);
        let answer = Answer { first_seen, there_by, units: transfer.movement().units };
        let newest = self.progress.top_ups.iter().rposition(|top_up| top_up.precedes(transfer, first_seen));
        for (place, top_up) in self.progress.top_ups.iter_mut().enumerate() {
            top_up.answers.remove(id);
            if Some(place) == newest && top_up.may_be(answer.units) {
                top_up.note(id.clone(), answer);
            }
        }
    }

    /// Before a quote may be forgotten: what it asked the payer for stays the payer's.
    pub(super) fn keep_what_was_asked_for(&mut self) {
        let Progress { top_ups, quotes, .. } = &mut self.progress;
        for top_up in top_ups {
            let asked = |(id, answer): &(&TransferId, &Answer)| top_up.is_asked_for(id, **answer, quotes);
            let asked: Vec<TransferId> =
                top_up.answers.iter().filter(asked).map(|(id, _)| id.clone()).collect();
            for id in asked {
                if top_up.asked_for.len() < ASKED_FOR {
                    top_up.asked_for.insert(id);
                }
            }
        }
    }

    /// Whether a transfer is noted with a proposal. Which of those are the merchant's own follows from all of them.
    pub(super) fn answers_top_up(&self, id: &TransferId) -> bool {
        self.progress.top_ups.iter().any(|top_up| top_up.answers.contains_key(id))
    }

    /// Whether a transfer is the merchant's own: gas that a sweep of ours asked for (R36).
    pub fn is_own(&self, transfer: &Transfer) -> bool {
        let id = &transfer.movement().id;
        self.progress.top_ups.iter().any(|top_up| top_up.covers(id, &self.progress.quotes))
    }
}
