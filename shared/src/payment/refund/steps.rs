//! What asks for, claims, confirms and sees a refund, and what that does to its payment (R16, R23).

use std::collections::BTreeMap;

use super::{
    Claim, ClaimHash, Confirmation, Earlier, MeantRefund, REFUNDS_OF_A_COIN, Refund, RefundId, RefundReport,
    RefundStatus,
};
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
    /// Not more than this: what counted, less what went back.
    pub most: Units,
    /// What that is worth, exactly.
    pub worth: Credit,
    /// How much, unless the merchant says: the excess of an overpaid payment, which is nothing once it went back, and all
    /// of any other.
    pub usual: Units,
    /// How deep the transaction must lie: as deep as the money that came.
    pub confirmations_required: u32,
}

/// What counted in one coin.
struct Counted {
    refundable: Refundable,
    credit: Credit,
}

impl Counted {
    fn nothing(coin: &CoinId, chain: &ChainId, decimals: Decimals) -> Counted {
        let refundable = Refundable {
            coin: coin.clone(),
            chain: chain.clone(),
            decimals,
            most: Units(0),
            worth: Credit::zero(),
            usual: Units(0),
            confirmations_required: 0,
        };
        Counted { refundable, credit: Credit::zero() }
    }
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

    /// The name of one of its refunds.
    pub fn refund_id(&self, refund: &Refund) -> RefundId {
        RefundId { code: self.id().code(), number: refund.number }
    }

    /// One of its refunds as whoever looks now sees it.
    pub fn meant(&self, refund: &Refund) -> MeantRefund {
        MeantRefund { coin: refund.coin.clone(), id: self.refund_id(refund), units: refund.units }
    }

    /// The refund that a command means, unless another one has its place by now.
    pub fn refund_meant(&self, meant: &MeantRefund) -> Result<&Refund, Refusal> {
        let refund = self.refund(&meant.coin).ok_or(Refusal::NoRefund)?;
        if self.meant(refund) == *meant { Ok(refund) } else { Err(Refusal::OtherRefund) }
    }

    fn refund_meant_mut(&mut self, meant: &MeantRefund) -> Result<&mut Refund, Refusal> {
        self.refund_meant(meant)?;
        self.progress.refunds.get_mut(&meant.coin).ok_or(Refusal::NoRefund)
    }

    /// Where a refund stands at `now`.
    pub fn refund_status(&self, refund: &Refund, now: Timestamp) -> RefundStatus {
        refund.status(self.local(now))
    }

    /// Refunds that a chain has still to show: confirmed, and not yet deep enough.
    pub fn refunds_awaited(&self) -> impl Iterator<Item = &Refund> {
        self.refunds().filter(|refund| refund.confirmation.is_some() && refund.completed_at().is_none())
    }

    /// Whether a refund may still take what lies at the payment's addresses on a chain: whoever moves that away takes it
    /// from the refund.
    pub fn needs_money_on(&self, chain: &ChainId, now: Timestamp) -> bool {
        let mut here = self.refunds().filter(|refund| refund.chain == *chain);
        here.any(|refund| self.refund_status(refund, now).is_under_way())
    }

    /// Whether an address was given out for this payment, on whichever chain.
    pub fn owns_address(&self, address: &str) -> bool {
        self.progress.addresses.iter().any(|given| given.address.eq_ignore_ascii_case(address))
    }

    /// When what had come was seen to have gone back: the last of the refunds that it took.
    pub fn refunded_at(&self) -> Option<Timestamp> {
        let at = self.refunds().filter_map(Refund::ended_at).max();
        at.filter(|_| self.progress.ending == Some(Ending::Refunded))
    }

    /// How much of a coin went back by now.
    pub fn given_back(&self, coin: &CoinId) -> Units {
        self.refund(coin).map_or(Units(0), Refund::given_back)
    }

    /// Dollars that went back by now, as the chain proved (R16): each refund at what its units were worth when it was
    /// asked for, exactly; the sum is rounded down to cents.
    pub fn refunded(&self) -> Cents {
        let counted = self.counted_by_coin();
        self.refunds().map(|refund| worth_given_back(refund, &counted)).sum::<Credit>().floor()
    }

    /// What can go back at `now`, by coin: what counted of a payment that is paid or ended, less what went back already.
    pub fn refundable(&self, now: Timestamp) -> Result<Vec<Refundable>, Refusal> {
        let counted = self.counted_by_coin();
        let status = self.status(now);
        let rest = || counted.values().map(|of_coin| self.rest(of_coin, &counted)).collect();
        let all: Vec<_> = match status {
            Status::Paid | Status::Expired | Status::Cancelled | Status::Refunded => rest(),
            Status::Overpaid => self.excess(rest(), &counted, now),
            Status::KycRequired | Status::Pending | Status::PartiallyPaid => Vec::new(),
        };
        let some: Vec<_> = all.into_iter().filter(|coin| coin.most > Units(0)).collect();
        if some.is_empty() { Err(Refusal::NothingToRefund { status }) } else { Ok(some) }
    }

    /// What did not go back yet of what could.
    fn rest(&self, of_coin: &Counted, counted: &BTreeMap<CoinId, Counted>) -> Refundable {
        let Counted { refundable, credit } = of_coin;
        let most = refundable.most.minus(self.given_back(&refundable.coin));
        let went = self.refund(&refundable.coin).map(|refund| worth_given_back(refund, counted));
        let worth = went.map_or(credit.clone(), |went| credit.minus(&went));
        Refundable { most, worth, usual: most, ..refundable.clone() }
    }

    /// Of an overpaid payment its excess goes back, unless the merchant says otherwise: in each coin, at the ratio at which
    /// the coin was credited, less what went back of it in any coin and what goes back in others.
    fn excess(
        &self,
        rest: Vec<Refundable>,
        counted: &BTreeMap<CoinId, Counted>,
        now: Timestamp,
    ) -> Vec<Refundable> {
        let promised = |refund: &Refund, of: &CoinId| {
            let is_other = refund.coin != *of && self.refund_status(refund, now).is_under_way();
            refund.given_back().plus(if is_other { refund.units } else { Units(0) })
        };
        let going_back = |of: &CoinId| -> Cents {
            let worth = self.refunds().filter_map(|refund| {
                let Counted { refundable, credit } = counted.get(&refund.coin)?;
                Some(credit.portion(promised(refund, of), refundable.most))
            });
            worth.sum::<Credit>().ceil()
        };
        let of_coin = |rest: Refundable| {
            let excess = self.overpaid().minus(going_back(&rest.coin));
            let units = counted.get(&rest.coin).map_or(Units(0), |Counted { refundable, credit }| {
                credit.units_worth(excess, refundable.most)
            });
            Refundable { usual: units.min(rest.most), ..rest }
        };
        rest.into_iter().map(of_coin).collect()
    }

    fn counted_by_coin(&self) -> BTreeMap<CoinId, Counted> {
        let mut all: BTreeMap<CoinId, Counted> = BTreeMap::new();
        for transfer in self.counted() {
            let Movement { coin, chain, decimals, units, confirmations_required, .. } = transfer.movement();
            let known = all.entry(coin.clone()).or_insert_with(|| Counted::nothing(coin, chain, *decimals));
            let sum = &mut known.refundable;
            sum.most = sum.most.plus(*units);
            sum.confirmations_required = sum.confirmations_required.max(*confirmations_required);
            let credit = transfer.credit(self.quotes()).unwrap_or(Credit::zero());
            known.credit = known.credit.plus(&credit);
        }
        self.add_folded(&mut all);
        all
    }

    /// The same of those that are not in hand.
    fn add_folded(&self, all: &mut BTreeMap<CoinId, Counted>) {
        for (key, group) in self.progress.folded.groups.iter().filter(|(_, group)| group.counted > 0) {
            let nothing = || Counted::nothing(&key.coin, &key.chain, key.decimals);
            let known = all.entry(key.coin.clone()).or_insert_with(nothing);
            let sum = &mut known.refundable;
            sum.most = sum.most.plus(group.units);
            sum.confirmations_required = sum.confirmations_required.max(key.required);
            known.credit = known.credit.plus(&group.credit);
        }
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
        let known = self.refund(coin);
        if known.is_some_and(|known| known.secret == secret) {
            return Ok(());
        }
        let status = known.map(|known| self.refund_status(known, now));
        if let Some(status) = status.filter(|status| status.is_under_way()) {
            return Err(Refusal::RefundStands { status });
        }
        let earlier = known.map(Refund::next_earlier).unwrap_or_default();
        if earlier.tx_ids.len() >= REFUNDS_OF_A_COIN {
            return Err(Refusal::TooManyRefunds);
        }
        let Refundable { coin, chain, decimals, most, worth, usual, confirmations_required } =
            self.refundable_in(coin, now)?;
        let units = units.unwrap_or(usual);
        if units > most || units == Units(0) {
            return Err(Refusal::MoreThanRefundable);
        }
        let (reason, requested_at) = (self.status(now), self.local(now));
        let last = self.refunds().map(|refund| refund.number).max().unwrap_or(0);
        let refund = Refund {
            number: last.saturating_add(1),
            coin: coin.clone(),
            chain,
            decimals,
            units,
            worth: Some(worth.portion(units, most)),
            confirmations_required,
            reason,
            secret,
            requested_at,
            claim: None,
            confirmation: None,
            named_tx: None,
            withdrawn_at: None,
            sightings: BTreeMap::new(),
            earlier,
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
        meant: &MeantRefund,
        address: &str,
        scanned: Option<u64>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (at, refund) = (self.local(now), self.refund_meant(meant)?);
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
        if refund.units > self.refundable_in(&meant.coin, now)?.most {
            return Err(Refusal::MoreThanRefundable);
        }
        let refund = self.refund_meant_mut(meant)?;
        refund.confirmation = Some(Confirmation { at, scanned });
        Ok(())
    }

    /// The merchant says which transaction pays; corrected as often as it takes until one is deep enough.
    pub(in crate::payment) fn name_refund_transaction(
        &mut self,
        meant: &MeantRefund,
        tx_id: String,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let at = self.local(now);
        let refund = self.refund_meant_mut(meant)?;
        let status = refund.status(at);
        match status {
            RefundStatus::Confirmed | RefundStatus::Sent => {
                if refund.earlier.tx_ids.contains(&tx_id) {
                    return Err(Refusal::PaidAnother);
                }
                refund.named_tx = Some(tx_id);
            }
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
        meant: &MeantRefund,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let at = self.local(now);
        let refund = self.refund_meant_mut(meant)?;
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

    /// A payment that ended is refunded once all that counted has gone back, in every coin to the last unit (R16).
    ///
    /// This is an end like the others, a line that later money does not cross: only a refund itself draws it, never a
    /// transfer, so that the order in which transfers are reported still does not show (R22). What does show is whether a
    /// transfer counts before the last refund is complete: then it has to go back first, and after that it is late.
    fn conclude(&mut self) {
        let counted = self.counted_by_coin();
        let went_back =
            |(coin, counted): (&CoinId, &Counted)| self.given_back(coin) >= counted.refundable.most;
        let all = !counted.is_empty() && counted.iter().all(went_back);
        match self.progress.ending {
            Some(Ending::Expired | Ending::Cancelled) if all => self.progress.ending = Some(Ending::Refunded),
            Some(Ending::Expired | Ending::Cancelled | Ending::Refunded) | None => {}
        }
    }

    /// The refund that keeps late money from being accepted: one under way, or one that is done.
    pub(in crate::payment) fn standing_refund(&self, now: Timestamp) -> Option<RefundStatus> {
        let gives = |refund: &Refund| {
            let status = self.refund_status(refund, now);
            let gave = refund.given_back() > Units(0);
            if gave && !status.is_under_way() { RefundStatus::Completed } else { status }
        };
        self.refunds().map(gives).find(|status| status.stands())
    }
}

/// What the completed refunds of a coin were worth. What was not kept of those of old is worked out by what counts now.
fn worth_given_back(refund: &Refund, counted: &BTreeMap<CoinId, Counted>) -> Credit {
    let by_now = || {
        let Some(Counted { refundable, credit }) = counted.get(&refund.coin) else { return Credit::zero() };
        credit.portion(refund.given_back().min(refundable.most), refundable.most)
    };
    refund.worth_given_back().unwrap_or_else(by_now)
}

impl Refund {
    /// When it, or the last one before it, was completed of those that end a payment: not of those that gave back what
    /// came after the end.
    fn ended_at(&self) -> Option<Timestamp> {
        self.completed_at().filter(|_| self.reason != Status::Refunded).max(self.earlier.ended_at)
    }

    /// What the next refund of the coin has to know of this one and those before it.
    fn next_earlier(&self) -> Earlier {
        let mut tx_ids = self.earlier.tx_ids.clone();
        tx_ids.extend(self.completed().map(|(tx_id, _)| tx_id.to_owned()));
        let units = self.given_back();
        let worth = self.worth_given_back().filter(|_| units > Units(0));
        Earlier { units, worth, tx_ids, ended_at: self.ended_at() }
    }
}
