//! What each event does to a payment: the only way in which one changes.

use super::{
    Deferral, Ending, Event, IdentityStep, Mode, Offer, Payment, Progress, QUOTE_SECONDS, Quote, Refusal,
    Report, Selection, Status, Transfer, Window,
};
use crate::chain::CoinId;
use crate::moment::Timestamp;
use crate::money::{Cents, Credit, Units};

/// First and longest wait before an overdue payment that money holds open is looked at again.
const FIRST_WAIT_SECONDS: u64 = 60;
const LONGEST_WAIT_SECONDS: u64 = 30 * 60;

impl Payment {
    /// The payment after all that a chain reports at once: the same as one report after the other, in one step.
    #[must_use]
    pub fn apply_reports<'a>(
        &self,
        reports: impl IntoIterator<Item = &'a Report>,
        now: Timestamp,
    ) -> Payment {
        let mut next = self.clone();
        for report in reports {
            next.report(report.clone());
        }
        next.touch(self, now);
        next
    }

    /// The payment after `event`.
    ///
    /// The same event twice is the same as once, because a write that was retried looks to its writer like somebody
    /// else's. Money is recorded whatever the status: it is never forgotten.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<Payment, Refusal> {
        let mut next = self.clone();
        match event {
            Event::Identity(step) => next.identify(step, now)?,
            Event::Choose(offer) => next.choose(offer, now)?,
            Event::Cancel => next.cancel(now)?,
            Event::Expire { windows, complete } => next.expire(windows, complete, now),
            Event::AcceptLate => next.accept_late(now)?,
            Event::RequestRefund { coin, units, secret } => next.request_refund(&coin, units, secret, now)?,
            Event::ClaimRefund { secret, address } => next.claim_refund(secret, address, now)?,
            Event::ConfirmRefund { meant, address, scanned } => {
                next.confirm_refund(&meant, &address, scanned, now)?;
            }
            Event::NameRefundTransaction { meant, tx_id } => {
                next.name_refund_transaction(&meant, tx_id, now)?;
            }
            Event::WithdrawRefund { meant } => next.withdraw_refund(&meant, now)?,
            // Nothing that anybody sees of the payment changes by that, so that it is no change of it.
            Event::ProposeTopUp { coin, address, units } => {
                next.propose_top_up(coin, address, units, now)?;
                return Ok(next);
            }
            Event::RefundSeen(report) => next.see_refund(&report),
            Event::Advance { seconds } => next.advance(seconds)?,
            Event::Reported(report) => next.report(report),
        }
        next.touch(self, now);
        Ok(next)
    }

    /// Notes when it changed, if it did.
    fn touch(&mut self, before: &Payment, now: Timestamp) {
        if *self != *before {
            self.progress.updated_at = self.local(now).max(before.progress.updated_at);
        }
    }

    fn identify(&mut self, step: IdentityStep, now: Timestamp) -> Result<(), Refusal> {
        let next = self.progress.identity.step(step)?;
        let status = self.status(now);
        if next != self.progress.identity && status != Status::KycRequired {
            return Err(Refusal::Ended { status });
        }
        self.progress.identity = next;
        Ok(())
    }

    /// Whether the payer may choose `coin`, or have a new quote in it, at `now` (R19).
    pub fn may_choose(&self, coin: &CoinId, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Pending | Status::PartiallyPaid => {}
            Status::KycRequired => return Err(Refusal::IdentityRequired),
            status @ (Status::Paid
            | Status::Overpaid
            | Status::Expired
            | Status::Cancelled
            | Status::Refunded) => {
                return Err(Refusal::Ended { status });
            }
        }
        let other_coin = self.progress.selection.as_ref().is_some_and(|selected| selected.coin != *coin);
        if other_coin && self.money_is_on_its_way() {
            return Err(Refusal::CoinSettled);
        }
        if self.local(now) >= self.terms.expires_at() {
            return Err(Refusal::Ended { status: Status::Expired });
        }
        if self.awaits_price() {
            return Err(Refusal::PriceAwaited);
        }
        if self.still_due() == Cents::ZERO { Err(Refusal::NothingDue) } else { Ok(()) }
    }

    /// Whether a coin that is not offered below `minimum` is offered: it decides about a first payment only.
    pub fn accepts(&self, minimum: Cents) -> bool {
        self.money_was_seen() || self.still_due() >= minimum
    }

    fn choose(&mut self, offer: Offer, now: Timestamp) -> Result<(), Refusal> {
        self.may_choose(&offer.coin, now)?;
        let usd = self.still_due();
        let rate = self.terms.rate(offer.rate);
        let worth = Units::worth(usd, rate, offer.decimals);
        let units =
            worth.and_then(|units| units.payable(offer.decimals)).map_err(|_| Refusal::NotExpressible)?;
        let given = self.address_of(&offer.address.family).map(|given| given.address.clone());
        let address = given.unwrap_or_else(|| {
            self.progress.addresses.push(offer.address.clone());
            offer.address.address.clone()
        });
        let issued_at = self.local(now);
        let until = issued_at.plus(QUOTE_SECONDS);
        let Offer { coin, decimals, .. } = offer;
        let quote = Quote { coin: coin.clone(), usd, decimals, units, rate, issued_at, until };
        if !self.progress.quotes.has_same_click(&quote) {
            self.keep_what_was_asked_for();
        }
        let Progress { quotes, transfers, selection, .. } = &mut self.progress;
        if !quotes.has_same_click(&quote) {
            for transfer in transfers.values_mut() {
                transfer.pin(quotes);
            }
            quotes.issue(quote);
        }
        *selection = Some(Selection { coin, address });
        Ok(())
    }

    fn cancel(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Cancelled => Ok(()),
            status @ (Status::Paid | Status::Overpaid | Status::Expired | Status::Refunded) => {
                Err(Refusal::NotCancellable { status })
            }
            Status::KycRequired | Status::Pending | Status::PartiallyPaid if self.awaits_money(now) => {
                Err(Refusal::MoneyOnItsWay)
            }
            Status::KycRequired | Status::Pending | Status::PartiallyPaid => {
                self.progress.ending = Some(Ending::Cancelled);
                self.progress.cancelled_at = Some(self.local(now));
                Ok(())
            }
        }
    }

    /// Ends an overdue payment, or puts off looking again while money in time holds it open (R15).
    fn expire(&mut self, windows: Vec<Window>, complete: bool, now: Timestamp) {
        let local = self.local(now);
        let open = self.progress.ending.is_none() && self.recorded_status().is_open();
        if local < self.terms.expires_at() || !open {
            return;
        }
        for window in windows {
            let height = window.height.max(self.last_height_in_time(&window.chain));
            self.progress.windows.entry(window.chain).or_insert(height);
        }
        let closed = complete || self.progress.addresses.is_empty();
        if closed && !self.awaits_money_in_time(now) {
            self.progress.ending = Some(Ending::Expired);
            self.progress.deferral = None;
        } else if self.progress.deferral.is_none_or(|deferral| deferral.until <= local) {
            let waits = self.progress.deferral.map_or(0, |deferral| deferral.waits.saturating_add(1));
            let doubled = 2_u64.checked_pow(waits).and_then(|factor| FIRST_WAIT_SECONDS.checked_mul(factor));
            let wait = doubled.map_or(LONGEST_WAIT_SECONDS, |wait| wait.min(LONGEST_WAIT_SECONDS));
            self.progress.deferral = Some(Deferral { until: local.plus(wait), waits });
        }
    }

    /// Late money is accepted only while none of it goes back, or went.
    fn accept_late(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let goes_back = self.standing_refund(now).map(|status| Refusal::LateMoneyGoesBack { status });
        match self.status(now) {
            Status::Expired | Status::Cancelled if goes_back.is_some() => goes_back.map_or(Ok(()), Err),
            Status::Expired | Status::Cancelled if self.received_covers() => {
                self.progress.late_accepted_at = Some(self.local(now));
                self.progress.ending = None;
                Ok(())
            }
            Status::Expired | Status::Cancelled => Err(Refusal::NotCovered),
            Status::Paid | Status::Overpaid if self.progress.late_accepted_at.is_some() => Ok(()),
            status @ (Status::KycRequired
            | Status::Pending
            | Status::PartiallyPaid
            | Status::Paid
            | Status::Overpaid
            | Status::Refunded) => Err(Refusal::NothingLate { status }),
        }
    }

    fn advance(&mut self, seconds: u64) -> Result<(), Refusal> {
        match self.mode {
            Mode::Live => Err(Refusal::LiveTime),
            Mode::Test => {
                self.progress.advanced_seconds = self.progress.advanced_seconds.saturating_add(seconds);
                Ok(())
            }
        }
    }

    /// What a transfer will be worth once this is reported of it, exactly; `None` while there is no rate. How deep it must
    /// lie follows from that (R22), and is a part of the report.
    pub fn worth_with(&self, report: &Report) -> Option<Credit> {
        let known = self.progress.transfers.get(&report.movement.id).cloned();
        let mut transfer = known.unwrap_or_else(|| Transfer::new(report, false));
        transfer.merge(self.at_own_rates(report.clone()));
        transfer.credit(&self.progress.quotes)
    }

    /// Reports carry the market's rates, the same for every payment; what is pinned is the payment's own.
    fn at_own_rates(&self, mut report: Report) -> Report {
        for (_, rate) in &mut report.rates {
            *rate = self.terms.rate(*rate);
        }
        report
    }

    fn report(&mut self, report: Report) {
        let report = self.at_own_rates(report);
        let after_end = self.progress.ending.is_some();
        let id = report.movement.id.clone();
        let known =
            self.progress.transfers.entry(id.clone()).or_insert_with(|| Transfer::new(&report, after_end));
        known.merge(report);
        self.note_answer(&id);
    }

    /// Takes the steps that the payer has still to take, then decides: what a reviewer's word comes to (R18).
    pub fn decide_identity(&self, decision: IdentityStep, now: Timestamp) -> Result<Payment, Refusal> {
        let steps = self.progress.identity.steps_to_decision().iter().chain([&decision]);
        steps.into_iter().try_fold(self.clone(), |payment, step| payment.apply(Event::Identity(*step), now))
    }
}
