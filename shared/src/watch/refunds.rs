//! Refunds that a chain shows: money out of a payment's own pockets, or of the transaction that its merchant names, to
//! the very address that was confirmed (R16).

use std::collections::BTreeMap;

use super::tell::Fate;
use super::{Run, Source, WatchError, Watcher};
use crate::chain::CoinId;
use crate::chain::block::{Origin, Payout};
use crate::chain::psbt::MAX_INPUTS;
use crate::money::Units;
use crate::payment::{Event, Payment, Refund, RefundReport, TransferId};
use crate::store::{AwaitedPayout, StoreError, TouchedBlock, TouchedPayout};

/// Payouts out of strangers' pockets kept for one refund in a block: one of them may be named later, and whoever sends
/// himself more of them makes no work. What is known to be the refund is kept beside any number of them.
const STRANGERS: usize = 16;

/// A transaction and what it pays: several such outputs of one transaction can be several refunds.
type Paid<'a> = (&'a str, &'a [u8], &'a CoinId, u128);

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
        let mut paid: BTreeMap<Paid<'_>, Vec<&Payout>> = BTreeMap::new();
        for payout in payouts {
            let what = (payout.tx_id.as_str(), payout.to.as_slice(), &payout.coin, payout.units.0);
            paid.entry(what).or_default().push(payout);
        }
        let mut found = Vec::new();
        for awaited in awaited {
            let Some(to) = self.watcher.destination(awaited) else { continue };
            let fits = |(_, destination, coin, units): &Paid<'_>| {
                *destination == to && coin.as_str() == awaited.coin && units.to_string() == awaited.units
            };
            let fitting: Vec<_> = paid.iter().filter(|(what, _)| fits(what)).collect();
            if fitting.is_empty() {
                continue;
            }
            let code = awaited.code.parse().map_err(|_| malformed())?;
            let store = self.watcher.store;
            let spent: Vec<TransferId> = fitting
                .iter()
                .filter_map(|(_, outputs)| outputs.first())
                .flat_map(|payout| self.transfers_spent(&payout.from))
                .collect();
            let read = store.find_payment_with(code, &spent).await.map(|found| found.map(|it| it.payment));
            // A payment that nobody can read must not stop the chain; once it can be read, `rescan` finds its refund.
            let read = store.readable("payments with a refund", &awaited.code, read)?;
            let Some(payment) = read.flatten() else { continue };
            let mut strangers = 0_usize;
            for ((tx, _, coin, _), outputs) in fitting {
                let from_payment = outputs.iter().any(|payout| self.comes_from(&payment, &payout.from));
                let is_named = payment.refund(coin).and_then(Refund::named_tx) == Some(*tx);
                if !from_payment && !is_named {
                    strangers = strangers.saturating_add(1);
                    if strangers > STRANGERS {
                        continue;
                    }
                }
                let outputs = u32::try_from(outputs.len()).unwrap_or(u32::MAX);
                let (awaited, tx) = (awaited.clone(), (*tx).to_owned());
                found.push(TouchedPayout { awaited, tx, from_payment, outputs });
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
            Origin::Outputs(_) => self.transfers_spent(from).any(|id| payment.transfer(&id).is_some()),
        }
    }

    /// The transfers that a transaction would spend if its inputs were money of ours: as many as one that we make spends.
    fn transfers_spent<'a>(&'a self, from: &'a Origin) -> impl Iterator<Item = TransferId> + 'a {
        let chain = &self.watcher.chain.id;
        let spent = match from {
            Origin::Account(_) => &[][..],
            Origin::Outputs(spent) => spent,
        };
        spent.iter().take(MAX_INPUTS).map(move |outpoint| TransferId::new(format!("{chain}:{outpoint}")))
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
        let coin = CoinId::new(&payout.awaited.coin).ok_or_else(malformed)?;
        let Some(refund) = found.payment.refund(&coin) else { return Ok(true) };
        // As deep as what it gives back had to lie.
        let depth = chain.depth_asking(refund.confirmations_required());
        let report = RefundReport {
            coin,
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
