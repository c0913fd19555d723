//! What a payment's transfers come to: received, due and status are worked out anew each time, never added to.

use super::{
    Ending, KycStatus, Payment, Price, Sequence, Standing, Status, Sums, Transfer, TransferId, TransferState,
};
use crate::chain::ChainId;
use crate::moment::{DAY_SECONDS, Timestamp};
use crate::money::{Cents, Credit};

/// How long money on its way, or lost and perhaps coming back, holds a payment open (R15).
pub const AWAITED_SECONDS: u64 = 3 * DAY_SECONDS;

/// Why a transfer is late (R15, R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// The payment had ended when it was first reported.
    Ended,
    /// It was not seen to wait before the ten days were over, and its block's time is after that.
    Overdue,
    /// It lies above the height at which its chain closed the window.
    AboveWindow {
        /// Where it lies.
        height: u64,
        /// The last height in time.
        last: u64,
    },
}

/// Whether a transfer waits for a block or lies in one.
fn is_there(transfer: &Transfer) -> bool {
    match transfer.standing() {
        Standing::Unconfirmed { .. } | Standing::InBlock { .. } => true,
        Standing::Lost { .. } | Standing::Replaced => false,
    }
}

impl Payment {
    /// Where it stands at `now`. Without an address, time alone expires it (R15).
    pub fn status(&self, now: Timestamp) -> Status {
        let recorded = self.recorded_status();
        let overdue = self.local(now) >= self.terms.expires_at();
        if recorded.is_open() && overdue && self.progress.addresses.is_empty() {
            return Status::Expired;
        }
        recorded
    }

    /// Where it stands by what is recorded: the same at any time until something is written.
    pub fn recorded_status(&self) -> Status {
        match self.progress.ending {
            Some(Ending::Expired) => Status::Expired,
            Some(Ending::Cancelled) => Status::Cancelled,
            Some(Ending::Refunded) => Status::Refunded,
            None if self.progress.identity.status == KycStatus::Approved => self.status_by_money(),
            None => Status::KycRequired,
        }
    }

    fn status_by_money(&self) -> Status {
        let settling = self.settling_credit();
        if !settling.covers(self.terms.due(), self.terms.tolerance) {
            return if settling.is_zero() { Status::Pending } else { Status::PartiallyPaid };
        }
        if self.received() > self.terms.due() { Status::Overpaid } else { Status::Paid }
    }

    /// When what is due had come: the moment at which the last transfer that it takes was deep enough.
    ///
    /// Worked out from the transfers, so that the order in which they were reported does not show. `None` unless paid.
    pub fn paid_at(&self) -> Option<Timestamp> {
        if !self.recorded_status().is_paid() {
            return None;
        }
        self.covered_at().max(self.progress.late_accepted_at)
    }

    /// When what had come covered what is due, if it does.
    pub(super) fn covered_at(&self) -> Option<Timestamp> {
        let in_hand = self
            .counted()
            .filter(|transfer| self.settles(transfer))
            .filter_map(|transfer| Some((transfer.deep_since?, transfer.credit(&self.progress.quotes)?)));
        let late_too = self.progress.late_accepted_at.is_some();
        let folded = self.progress.folded.counted.0.iter().flat_map(|step| {
            let sums = step.sums.settling(late_too).into_iter().filter(|sum| sum.count > 0);
            sums.map(|sum| (Timestamp(step.to), sum.credit.clone()))
        });
        let mut counted: Vec<_> = in_hand.chain(folded).collect();
        counted.sort_by_key(|(since, _)| *since);
        let mut sum = Credit::zero();
        counted.into_iter().find_map(|(since, credit)| {
            sum = sum.plus(&credit);
            sum.covers(self.terms.due(), self.terms.tolerance).then_some(since)
        })
    }

    /// The transfers in hand, by key: all of them, unless there are many.
    pub fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.progress.transfers.values()
    }

    /// Later than everything that was reported: for chains that are simulated one payment at a time.
    pub fn next_sequence(&self) -> Sequence {
        let last = self.transfers().map(|transfer| transfer.latest.0).max().unwrap_or_default();
        let last = last.max(self.progress.folded.sequence);
        Sequence(last.0.saturating_add(1))
    }

    /// The transfer with that key, if it is in hand.
    pub fn transfer(&self, id: &TransferId) -> Option<&Transfer> {
        self.progress.transfers.get(id)
    }

    /// Counted dollars, late ones too, rounded down to cents (R21, R23).
    pub fn received(&self) -> Cents {
        self.counted_credit().floor()
    }

    /// Counted dollars beyond what is due.
    pub fn overpaid(&self) -> Cents {
        self.received().minus(self.terms.due())
    }

    /// What is not covered yet by money that is counted or on its way, rounded up to cents: the next quote's dollars.
    pub fn still_due(&self) -> Cents {
        let coming = |transfer: &&Transfer| self.is_coming(transfer);
        let credits =
            self.transfers().filter(coming).filter_map(|transfer| transfer.credit(&self.progress.quotes));
        let covered: Credit = credits.chain([self.progress.folded.coming_credit()]).sum();
        if covered.covers(self.terms.due(), self.terms.tolerance) {
            return Cents::ZERO;
        }
        covered.missing(self.terms.due())
    }

    /// Whether money is there, in time, that has no price yet. What it is worth is on its way and part of what is due, so
    /// nothing is asked for until that is known (R20).
    pub fn awaits_price(&self) -> bool {
        let in_hand = self.transfers().any(|transfer| {
            let is_unpriced = matches!(transfer.price(&self.progress.quotes), Price::Awaited(_));
            is_unpriced && self.is_coming(transfer)
        });
        in_hand || self.progress.folded.unpriced > 0
    }

    /// Whether a transfer is there, in time, and is money.
    fn is_coming(&self, transfer: &Transfer) -> bool {
        is_there(transfer) && self.is_in_time(transfer) && !self.is_own(transfer)
    }

    /// Whether a transfer is late: first seen after the payment had ended or its window had closed (R15, R23).
    pub fn is_late(&self, transfer: &Transfer) -> bool {
        !self.is_in_time(transfer)
    }

    /// Whether any money came late and is there.
    pub fn has_late_money(&self) -> bool {
        let in_hand = self.transfers().any(|transfer| match self.state(transfer) {
            TransferState::Seen | TransferState::Confirming | TransferState::Counted => {
                self.is_late(transfer)
            }
            TransferState::Lost | TransferState::Own => false,
        });
        in_hand || self.progress.folded.has_late_money()
    }

    /// How far a transfer has come.
    pub fn state(&self, transfer: &Transfer) -> TransferState {
        match transfer.state(&self.progress.quotes) {
            TransferState::Seen | TransferState::Confirming | TransferState::Counted
                if self.is_own(transfer) =>
            {
                TransferState::Own
            }
            state @ (TransferState::Seen
            | TransferState::Confirming
            | TransferState::Counted
            | TransferState::Lost
            | TransferState::Own) => state,
        }
    }

    /// Dollars for a transfer, exactly; `None` while there is no rate, and for what is no money.
    pub fn credit_of(&self, transfer: &Transfer) -> Option<Credit> {
        transfer.credit(&self.progress.quotes).filter(|_| !self.is_own(transfer))
    }

    /// Whether any transfer is there that does not count yet: the coin is settled until it does (R19).
    pub fn money_is_on_its_way(&self) -> bool {
        let in_hand = self.transfers().any(|transfer| match self.state(transfer) {
            TransferState::Seen | TransferState::Confirming => true,
            TransferState::Counted | TransferState::Lost | TransferState::Own => false,
        });
        in_hand || self.progress.folded.coming.count() > 0
    }

    /// Whether any transfer was seen that is still there.
    pub fn money_was_seen(&self) -> bool {
        let in_hand = self.transfers().any(|transfer| match self.state(transfer) {
            TransferState::Seen | TransferState::Confirming | TransferState::Counted => true,
            TransferState::Lost | TransferState::Own => false,
        });
        in_hand || self.progress.folded.is_money_there()
    }

    pub(super) fn received_covers(&self) -> bool {
        self.counted_credit().covers(self.terms.due(), self.terms.tolerance)
    }

    /// Whether a transfer was seen that is neither counted nor given up (R17).
    pub(super) fn awaits_money(&self, now: Timestamp) -> bool {
        let in_hand = self.transfers().any(|transfer| self.is_awaited(transfer, now));
        in_hand || self.is_folded_awaited(true, now)
    }

    /// Whether such a transfer came in time (R15).
    pub(super) fn awaits_money_in_time(&self, now: Timestamp) -> bool {
        let late_too = self.progress.late_accepted_at.is_some();
        let in_hand =
            self.transfers().any(|transfer| self.settles(transfer) && self.is_awaited(transfer, now));
        in_hand || self.is_folded_awaited(late_too, now)
    }

    /// The same of those that are not in hand.
    fn is_folded_awaited(&self, late_too: bool, now: Timestamp) -> bool {
        let is_coming = is_any(&self.progress.folded.coming, late_too);
        let coming = is_coming && self.local(now) < self.money_awaited_until();
        coming || self.is_folded_loss_awaited(late_too, now)
    }

    fn is_folded_loss_awaited(&self, late_too: bool, now: Timestamp) -> bool {
        self.progress.folded.lost.0.iter().any(|step| {
            let until = Timestamp(step.to).plus(AWAITED_SECONDS);
            is_any(&step.sums, late_too) && self.local(now) < until
        })
    }

    /// Whether a transfer that is not in hand was lost so lately that it may come back.
    pub fn folded_may_come_back(&self, now: Timestamp) -> bool {
        self.is_folded_loss_awaited(true, now)
    }

    /// Until when what is there and does not count is waited for.
    fn money_awaited_until(&self) -> Timestamp {
        self.terms.expires_at().plus(AWAITED_SECONDS)
    }

    fn is_awaited(&self, transfer: &Transfer, now: Timestamp) -> bool {
        let given_up_at = match (self.state(transfer), transfer.standing()) {
            (TransferState::Counted | TransferState::Own, _) | (_, Standing::Replaced) => return false,
            (TransferState::Lost, _) if self.is_own(transfer) => return false,
            (_, Standing::Lost { at, .. }) => at.plus(AWAITED_SECONDS),
            (_, Standing::Unconfirmed { .. } | Standing::InBlock { .. }) => self.money_awaited_until(),
        };
        self.local(now) < given_up_at
    }

    /// Whether a transfer can make the payment paid: in time, or accepted late.
    fn settles(&self, transfer: &Transfer) -> bool {
        self.progress.late_accepted_at.is_some() || self.is_in_time(transfer)
    }

    fn is_in_time(&self, transfer: &Transfer) -> bool {
        self.lateness(transfer).is_none()
    }

    /// Why a transfer is late; `None` for one in time.
    pub fn lateness(&self, transfer: &Transfer) -> Option<Lateness> {
        if self.is_own(transfer) { None } else { self.lateness_of_money(transfer) }
    }

    /// The same for what is known to be money.
    pub(super) fn lateness_of_money(&self, transfer: &Transfer) -> Option<Lateness> {
        if transfer.after_end {
            return Some(Lateness::Ended);
        }
        let expires_at = self.terms.expires_at();
        if transfer.unconfirmed_at.is_some_and(|at| at < expires_at) {
            return None;
        }
        let Some(block) = transfer.first_block().filter(|block| block.time <= expires_at) else {
            return Some(Lateness::Overdue);
        };
        let closed_at = self.progress.windows.get(&transfer.movement().chain).copied();
        let above = closed_at.filter(|closed_at| block.height > *closed_at);
        above.map(|last| Lateness::AboveWindow { height: block.height, last })
    }

    /// The last height in time of each chain that has closed the window (R15).
    pub fn windows(&self) -> impl Iterator<Item = (&ChainId, u64)> {
        self.progress.windows.iter().map(|(chain, height)| (chain, *height))
    }

    /// When the merchant accepted late money, if that happened.
    pub fn late_accepted_at(&self) -> Option<Timestamp> {
        self.progress.late_accepted_at
    }

    /// The greatest height at which known money in time lies: closing a window never makes that late.
    pub(super) fn last_height_in_time(&self, chain: &ChainId) -> u64 {
        let on_chain = self.transfers().filter(|transfer| transfer.movement().chain == *chain);
        let in_time = on_chain.filter(|transfer| self.is_in_time(transfer) && !self.is_own(transfer));
        let in_hand = in_time.filter_map(|transfer| Some(transfer.first_block()?.height)).max();
        in_hand.max(self.progress.folded.last_height_in_time(chain)).unwrap_or(0)
    }

    /// Those in hand that count.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers().filter(|transfer| self.state(transfer) == TransferState::Counted)
    }

    fn counted_credit(&self) -> Credit {
        self.credit(|_| true).plus(&self.progress.folded.credit())
    }

    /// Exact dollars of what can make the payment paid.
    fn settling_credit(&self) -> Credit {
        let late_too = self.progress.late_accepted_at.is_some();
        let in_hand = self.credit(|transfer| self.settles(transfer));
        in_hand.plus(&self.progress.folded.settling_credit(late_too))
    }

    /// Exact dollars of the counted transfers in hand among those that `which` names.
    fn credit(&self, which: impl Fn(&Transfer) -> bool) -> Credit {
        let named = self.counted().filter(|transfer| which(transfer));
        named.filter_map(|transfer| transfer.credit(&self.progress.quotes)).sum()
    }
}

fn is_any(sums: &Sums, late_too: bool) -> bool {
    sums.settling(late_too).iter().any(|sum| sum.count > 0)
}
