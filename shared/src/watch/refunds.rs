//! Refunds that a chain shows: money out of a payment's own pockets, or of the transaction that its merchant names, to
//! the very address that was confirmed (R16).

use std::collections::BTreeMap;

use super::tell::Fate;
use super::{Run, Source, WatchError, Watcher};
use crate::chain::CoinId;
use crate::chain::block::{Origin, Payout};
use crate::money::Units;
use crate::payment::{Event, Payment, RefundReport, TransferId};
use crate::store::{AwaitedPayout, StoreError, TouchedBlock, TouchedPayout};

/// Payouts of one sum to one address looked at in a block: whoever sends himself more of them gains nothing.
const ALIKE: usize = 16;

/// A few of each kind, so that a block full of the same payout is no work.
pub(super) fn few(payouts: &[Payout]) -> Vec<Payout> {
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    let is_one_of_few = |payout: &&Payout| {
        let alike = seen.entry((payout.to.clone(), payout.units.0, payout.coin.clone())).or_default();
        *alike = alike.saturating_add(1);
        *alike <= ALIKE
    };
    payouts.iter().filter(is_one_of_few).cloned().collect()
}

impl<S: Source> Watcher<'_, S> {
    /// Where blocks would show these refunds.
    pub(super) fn destinations(&self, awaited: &[AwaitedPayout]) -> Vec<Vec<u8>> {
        awaited.iter().filter_map(|payout| self.destination(payout)).collect()
    }

    fn destination(&self, awaited: &AwaitedPayout) -> Option<Vec<u8>> {
        self.chain.family.destination(&awaited.address).ok()
    }
}

impl<S: Source> Run<'_, S> {
    /// What of a block's payouts may be a refund.
    pub(super) async fn refunds_among(
        &self,
        payouts: &[Payout],
        awaited: &[AwaitedPayout],
    ) -> Result<Vec<TouchedPayout>, WatchError> {
        let mut found: Vec<TouchedPayout> = Vec::new();
        for payout in payouts {
            let is_alike = |other: &&Payout| {
                (&other.tx_id, &other.to, &other.coin, other.units)
                    == (&payout.tx_id, &payout.to, &payout.coin, payout.units)
            };
            let outputs = payouts.iter().filter(is_alike).count();
            let fits = |awaited: &&AwaitedPayout| {
                let is_exact = awaited.units == payout.units.0.to_string();
                let is_coin = awaited.coin == payout.coin.as_str();
                is_exact && is_coin && self.watcher.destination(awaited).as_ref() == Some(&payout.to)
            };
            for awaited in awaited.iter().filter(fits) {
                let code = awaited.code.parse().map_err(|_| malformed())?;
                let Some(payment) = self.watcher.store.payment(code).await? else { continue };
                let from_payment = self.comes_from(&payment, &payout.from);
                let (awaited, tx) = (awaited.clone(), payout.tx_id.clone());
                let outputs = u32::try_from(outputs).unwrap_or(u32::MAX);
                let touched = TouchedPayout { awaited, tx, from_payment, outputs };
                match found.iter_mut().find(|known| known.is_of(&touched)) {
                    Some(known) => known.from_payment |= from_payment,
                    None => found.push(touched),
                }
            }
        }
        Ok(found)
    }

    /// Whether money came out of what was paid to a payment.
    fn comes_from(&self, payment: &Payment, from: &Origin) -> bool {
        let chain = &self.watcher.chain;
        match from {
            Origin::Account(key) => {
                let own = payment.address_of(chain.family.name());
                own.is_some_and(|own| chain.family.address_key(&own.address).is_ok_and(|own| own == *key))
            }
            Origin::Outputs(spent) => spent.iter().any(|outpoint| {
                payment.transfer(&TransferId::new(format!("{}:{outpoint}", chain.id))).is_some()
            }),
        }
    }

    /// Tells payments of refunds in a block; whether nothing more is to be told of any of them.
    pub(super) async fn tell_refunds(&self, block: &TouchedBlock, fate: Fate) -> Result<bool, WatchError> {
        let mut all_told = true;
        for payout in &block.payouts {
            match self.tell_refund(payout, fate).await {
                Ok(told) => all_told &= told,
                Err(WatchError::Store(error)) => {
                    tracing::error!(code = payout.awaited.code, %error, "a payment could not be told of a refund");
                    all_told = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all_told)
    }

    async fn tell_refund(&self, payout: &TouchedPayout, fate: Fate) -> Result<bool, WatchError> {
        let (store, chain) = (self.watcher.store, self.watcher.chain);
        let code = payout.awaited.code.parse().map_err(|_| malformed())?;
        let Some(found) = store.find_payment(code).await? else { return Ok(true) };
        let depth = chain.depth(found.payment.terms().due());
        let report = RefundReport {
            coin: CoinId::new(&payout.awaited.coin).ok_or_else(malformed)?,
            tx_id: payout.tx.clone(),
            address: payout.awaited.address.clone(),
            units: Units(payout.awaited.units.parse().map_err(|_| malformed())?),
            from_payment: payout.from_payment,
            outputs: payout.outputs,
            sequence: self.sequence(fate.is_there()),
            at: self.started_at,
            standing: self.standing(fate, depth),
        };
        let takes = |payment: &Payment| takes(payment, &report);
        let is_taken = takes(&found.payment);
        if is_taken && fate.is_there() && !self.claim_for(payout).await? {
            tracing::warn!(
                code = payout.awaited.code,
                tx = payout.tx,
                "the transaction is another refund already"
            );
            return Ok(true);
        }
        let see = |payment: &Payment| payment.apply(Event::RefundSeen(report.clone()), self.started_at);
        let Ok(next) = see(&found.payment) else { return Ok(true) };
        self.keep_watching(&found.payment, &next).await?;
        // A chain is never refused. A transaction that was named meanwhile is claimed first, by the next run.
        let told = |payment: &Payment| {
            let is_new = takes(payment) && !is_taken;
            if is_new {
                Err(StoreError::Contended)
            } else {
                Ok(see(payment).unwrap_or_else(|_| payment.clone()))
            }
        };
        let payment = store.change_found(found, told).await?;
        let Some(refund) = payment.refund(&report.coin) else { return Ok(true) };
        if refund.completed_at().is_some() {
            store.forget_payout(&chain.id, &payout.awaited).await?;
        }
        Ok(!fate.is_there() || refund.is_settled(&payout.tx))
    }

    async fn claim_for(&self, payout: &TouchedPayout) -> Result<bool, StoreError> {
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        store.claim_transaction(chain, &payout.tx, &payout.awaited, payout.outputs).await
    }
}

/// Whether a transaction that pays a refund is that refund, and not only like it.
fn takes(payment: &Payment, report: &RefundReport) -> bool {
    let refund = payment.refund(&report.coin);
    let paid = refund.filter(|refund| refund.is_paid_by(&report.address, report.units));
    paid.is_some_and(|refund| refund.takes(&report.tx_id, report.from_payment))
}

fn malformed() -> StoreError {
    StoreError::Malformed("a refund in a block".to_owned())
}
