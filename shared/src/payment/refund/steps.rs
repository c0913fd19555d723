//! What asks for, claims, confirms and sees a refund, and what that does to its payment (R16, R23).

use std::collections::BTreeMap;

use super::{Claim, ClaimHash, Confirmation, Refund, RefundReport, RefundStatus};
use crate::chain::{ChainId, CoinId};
use crate::moment::Timestamp;
use crate::money::{Cents, Credit, Decimals, Units};
use crate::payment::{Ending, Movement, Payment, Refusal, Status};

/// Money in one coin that can go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refundable {
    /// The coin.
    pub coin: CoinId,
    /// Its chain.
    pub chain: ChainId,
    /// Decimals of its unit.
    pub decimals: Decimals,
    /// Not more than this.
    pub most: Units,
    /// How deep the transaction must lie: as deep as the money that came.
    pub confirmations_required: u32,
}

/// What counted in one coin.
struct Counted {
    refundable: Refundable,
    credit: Credit,
}

impl Payment {
    /// The newest refund of each coin.
    pub fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.progress.refunds.values()
    }

    /// The newest refund of a coin.
    pub fn refund(&self, coin: &CoinId) -> Option<&Refund> {
        self.progress.refunds.get(coin)
    }

    /// The refund whose claim link has that secret.
    pub fn refund_of_secret(&self, secret: ClaimHash) -> Option<&Refund> {
        self.refunds().find(|refund| refund.secret == secret)
    }

    /// Where a refund stands at `now`.
    pub fn refund_status(&self, refund: &Refund, now: Timestamp) -> RefundStatus {
        refund.status(self.local(now))
    }

    /// Refunds that a chain has still to show: confirmed, and not yet deep enough.
    pub fn refunds_awaited(&self) -> impl Iterator<Item = &Refund> {
        self.refunds().filter(|refund| refund.confirmation.is_some() && refund.completed_at().is_none())
    }

    /// Whether an address was given out for this payment, on whichever chain.
    pub fn owns_address(&self, address: &str) -> bool {
        self.progress.addresses.iter().any(|given| given.address.eq_ignore_ascii_case(address))
    }

    /// When what had come was seen to have gone back: the last of the refunds that it took.
    pub fn refunded_at(&self) -> Option<Timestamp> {
        let ended = self.refunds().filter(|refund| refund.gives_all_back());
        let at = ended.filter_map(Refund::completed_at).max();
        at.filter(|_| self.progress.ending == Some(Ending::Refunded))
    }

    /// What can go back at `now`, by coin: all that counted of a payment that ended, the excess of an overpaid one.
    pub fn refundable(&self, now: Timestamp) -> Result<Vec<Refundable>, Refusal> {
        let counted = self.counted_by_coin();
        let status = self.status(now);
        let all: Vec<_> = match status {
            Status::Expired | Status::Cancelled | Status::Refunded => {
                counted.into_values().map(|counted| counted.refundable).collect()
            }
            Status::Overpaid => self.excess(&counted, now),
            Status::KycRequired | Status::Pending | Status::PartiallyPaid | Status::Paid => Vec::new(),
        };
        let some: Vec<_> = all.into_iter().filter(|coin| coin.most > Units(0)).collect();
        if some.is_empty() { Err(Refusal::NothingToRefund { status }) } else { Ok(some) }
    }

    /// The excess in each coin, at the ratio at which the coin was credited, less what goes back of it in others.
    fn excess(&self, counted: &BTreeMap<CoinId, Counted>, now: Timestamp) -> Vec<Refundable> {
        let going_back = |coin: &CoinId| -> Cents {
            let others = self.refunds().filter(|refund| refund.coin != *coin);
            let standing = others.filter(|refund| self.refund_status(refund, now).stands());
            let worth = standing.filter_map(|refund| {
                let Counted { refundable, credit } = counted.get(&refund.coin)?;
                Some(credit.portion(refund.units, refundable.most))
            });
            worth.sum::<Credit>().ceil()
        };
        let of_coin = |Counted { refundable, credit }: &Counted| {
            let excess = self.overpaid().minus(going_back(&refundable.coin));
            Refundable { most: credit.units_worth(excess, refundable.most), ..refundable.clone() }
        };
        counted.values().map(of_coin).collect()
    }

    fn counted_by_coin(&self) -> BTreeMap<CoinId, Counted> {
        let mut all: BTreeMap<CoinId, Counted> = BTreeMap::new();
        for transfer in self.counted() {
            let Movement { coin, chain, decimals, units, confirmations_required, .. } = transfer.movement();
            let known = all.entry(coin.clone()).or_insert_with(|| Counted {
                refundable: Refundable {
                    coin: coin.clone(),
                    chain: chain.clone(),
                    decimals: *decimals,
                    most: Units(0),
                    confirmations_required: 0,
                },
                credit: Credit::zero(),
            });
            let sum = &mut known.refundable;
            sum.most = sum.most.plus(*units);
            sum.confirmations_required = sum.confirmations_required.max(*confirmations_required);
            let credit = transfer.credit(self.quotes()).unwrap_or(Credit::zero());
            known.credit = [known.credit.clone(), credit].into_iter().sum();
        }
        all
    }

    /// What can go back in `coin`.
    fn refundable_in(&self, coin: &CoinId, now: Timestamp) -> Result<Refundable, Refusal> {
        let status = self.status(now);
        let of_coin = self.refundable(now)?.into_iter().find(|refundable| refundable.coin == *coin);
        of_coin.ok_or(Refusal::NothingToRefund { status })
    }

    /// Asks for a refund. The same secret again is our own write, retried.
    pub(in crate::payment) fn request_refund(
        &mut self,
        coin: &CoinId,
        units: Option<Units>,
        secret: ClaimHash,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if let Some(known) = self.refund(coin) {
            let status = self.refund_status(known, now);
            if known.secret == secret {
                return Ok(());
            }
            if status.stands() {
                return Err(Refusal::RefundStands { status });
            }
        }
        let Refundable { coin, chain, decimals, most, confirmations_required } =
            self.refundable_in(coin, now)?;
        let units = units.unwrap_or(most);
        if units > most || units == Units(0) {
            return Err(Refusal::MoreThanRefundable);
        }
        let (reason, requested_at) = (self.status(now), self.local(now));
        let refund = Refund {
            coin: coin.clone(),
            chain,
            decimals,
            units,
            confirmations_required,
            reason,
            secret,
            requested_at,
            claim: None,
            confirmation: None,
            named_tx: None,
            withdrawn_at: None,
            sightings: BTreeMap::new(),
        };
        self.progress.refunds.insert(coin, refund);
        Ok(())
    }

    /// The payer gives an address; the first one counts.
    pub(in crate::payment) fn claim_refund(
        &mut self,
        secret: ClaimHash,
        address: String,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let at = self.local(now);
        if self.owns_address(&address) {
            return Err(Refusal::OwnAddress);
        }
        let mut refunds = self.progress.refunds.values_mut();
        let refund = refunds.find(|refund| refund.secret == secret).ok_or(Refusal::NoClaim)?;
        match refund.status(at) {
            RefundStatus::Requested => {
                refund.claim = Some(Claim { address, at });
                Ok(())
            }
            RefundStatus::Claimed
            | RefundStatus::Confirmed
            | RefundStatus::Sent
            | RefundStatus::Completed => {
                if refund.address() == Some(address.as_str()) {
                    Ok(())
                } else {
                    Err(Refusal::AddressSettled)
                }
            }
            RefundStatus::Expired | RefundStatus::Withdrawn => Err(Refusal::NoClaim),
        }
    }

    /// The merchant confirms the address that the payer gave. Whether the money is still there is asked again: a
    /// re-organisation may have taken it since.
    pub(in crate::payment) fn confirm_refund(
        &mut self,
        coin: &CoinId,
        address: &str,
        scanned: Option<u64>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (at, refund) = (self.local(now), self.refund(coin).ok_or(Refusal::NoRefund)?);
        let status = refund.status(at);
        let is_confirmed = match status {
            RefundStatus::Requested | RefundStatus::Expired | RefundStatus::Withdrawn => {
                return Err(Refusal::RefundStep { status, step: "confirmed" });
            }
            RefundStatus::Claimed => false,
            RefundStatus::Confirmed | RefundStatus::Sent | RefundStatus::Completed => true,
        };
        if refund.address() != Some(address) {
            return Err(Refusal::OtherAddress);
        }
        if is_confirmed {
            return Ok(());
        }
        if refund.units > self.refundable_in(coin, now)?.most {
            return Err(Refusal::MoreThanRefundable);
        }
        let refund = self.progress.refunds.get_mut(coin).ok_or(Refusal::NoRefund)?;
        refund.confirmation = Some(Confirmation { at, scanned });
        Ok(())
    }

    /// The merchant says which transaction pays; corrected as often as it takes until one is deep enough.
    pub(in crate::payment) fn name_refund_transaction(
        &mut self,
        coin: &CoinId,
        tx_id: String,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let at = self.local(now);
        let refund = self.progress.refunds.get_mut(coin).ok_or(Refusal::NoRefund)?;
        let status = refund.status(at);
        match status {
            RefundStatus::Confirmed | RefundStatus::Sent => refund.named_tx = Some(tx_id),
            RefundStatus::Completed if refund.tx_id() == Some(tx_id.as_str()) => {}
            RefundStatus::Requested
            | RefundStatus::Claimed
            | RefundStatus::Completed
            | RefundStatus::Expired
            | RefundStatus::Withdrawn => {
                return Err(Refusal::RefundStep { status, step: "given a transaction" });
            }
        }
        self.conclude();
        Ok(())
    }

    /// The merchant takes it back, which nothing can once it is confirmed: the money may be under way.
    pub(in crate::payment) fn withdraw_refund(
        &mut self,
        coin: &CoinId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let at = self.local(now);
        let refund = self.progress.refunds.get_mut(coin).ok_or(Refusal::NoRefund)?;
        let status = refund.status(at);
        match status {
            RefundStatus::Withdrawn => Ok(()),
            RefundStatus::Requested | RefundStatus::Claimed => {
                refund.withdrawn_at = Some(at);
                Ok(())
            }
            RefundStatus::Confirmed
            | RefundStatus::Sent
            | RefundStatus::Completed
            | RefundStatus::Expired => Err(Refusal::RefundStep { status, step: "withdrawn" }),
        }
    }

    /// A chain showed a transaction that may be a refund.
    pub(in crate::payment) fn see_refund(&mut self, report: &RefundReport) {
        if let Some(refund) = self.progress.refunds.get_mut(&report.coin) {
            refund.merge(report);
        }
        self.conclude();
    }

    /// A payment that ended is refunded once every coin that counted has gone back (R16).
    ///
    /// This is an end like the others, a line that later money does not cross: only the last refund itself draws it,
    /// never a transfer, so that the order in which transfers are reported still does not show (R22).
    fn conclude(&mut self) {
        let returned = |coin: &CoinId| {
            let refund = self.refund(coin).filter(|refund| refund.gives_all_back());
            refund.is_some_and(|refund| refund.completed_at().is_some())
        };
        let any = self.progress.refunds.keys().any(returned);
        let all = self.counted().all(|transfer| returned(&transfer.movement().coin));
        match self.progress.ending {
            Some(Ending::Expired | Ending::Cancelled) if any && all => {
                self.progress.ending = Some(Ending::Refunded);
            }
            Some(Ending::Expired | Ending::Cancelled | Ending::Refunded) | None => {}
        }
    }

    /// The refund that keeps late money from being accepted: one under way, or one that is done.
    pub(in crate::payment) fn standing_refund(&self, now: Timestamp) -> Option<RefundStatus> {
        self.refunds().map(|refund| self.refund_status(refund, now)).find(|status| status.stands())
    }
}

impl Refund {
    /// Whether it was asked for because its payment had ended, and not for the excess of an overpaid one.
    fn gives_all_back(&self) -> bool {
        match self.reason {
            Status::Expired | Status::Cancelled => true,
            Status::KycRequired
            | Status::Pending
            | Status::PartiallyPaid
            | Status::Paid
            | Status::Overpaid
            | Status::Refunded => false,
        }
    }
}
