//! Telling payments what a block holds for them, or held.

use std::collections::BTreeMap;

use super::{Run, Source, WatchError, follow};
use crate::chain::block::ScannedBlock;
use crate::chain::{CoinId, Depth};
use crate::money::{Decimals, Units};
use crate::payment::{BlockAt, Code, Movement, Payment, Price, Report, Standing, TransferId, TransferState};
use crate::store::{StoreError, TouchedBlock, TouchedTransfer, Watched};

/// What of a scanned block is noted.
pub(super) fn touched(scanned: &ScannedBlock<Code>) -> TouchedBlock {
    let transfers = scanned.found.iter().map(|found| TouchedTransfer {
        code: found.movement.watched.to_string(),
        id: found.movement.key.clone(),
        coin: found.movement.coin.to_string(),
        decimals: found.movement.decimals.get(),
        tx: found.movement.tx_id.clone(),
        address: found.movement.address.clone(),
        units: found.units.0.to_string(),
    });
    TouchedBlock {
        height: scanned.header.number,
        hash: follow::kept(scanned.header.hash),
        time: scanned.header.timestamp,
        transfers: transfers.collect(),
    }
}

/// Whether a block stands or is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Found,
    Lost,
}

impl<S: Source> Run<'_, S> {
    /// Tells the payments that a block's transfers are there; whether all of them count now.
    ///
    /// A payment that cannot be told must not keep the others from being told: its block stays open and it is told again.
    pub(super) async fn tell_found(&self, block: &TouchedBlock) -> Result<bool, WatchError> {
        let mut all_count = true;
        for (code, transfers) in by_payment(block)? {
            match self.tell(code, block, &transfers, Fate::Found).await {
                Ok(Some(payment)) => all_count &= transfers.iter().all(|transfer| counts(&payment, transfer)),
                Ok(None) => {}
                Err(WatchError::Store(error)) => {
                    tracing::error!(%code, %error, "a payment could not be told what came");
                    all_count = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all_count)
    }

    /// Tells the payments that a block's transfers are gone, and forgets the block; whether all could be told.
    pub(super) async fn tell_lost(&self, block: &TouchedBlock) -> Result<bool, WatchError> {
        let mut all_told = true;
        for (code, transfers) in by_payment(block)? {
            match self.tell(code, block, &transfers, Fate::Lost).await {
                Ok(_) => {}
                Err(WatchError::Store(error)) => {
                    tracing::error!(%code, %error, "a payment could not be told what is gone");
                    all_told = false;
                }
                Err(error) => return Err(error),
            }
        }
        if all_told {
            self.watcher.store.delete_block(&self.watcher.chain.id, block).await?;
        }
        Ok(all_told)
    }

    async fn tell(
        &self,
        code: Code,
        block: &TouchedBlock,
        transfers: &[&TouchedTransfer],
        fate: Fate,
    ) -> Result<Option<Payment>, WatchError> {
        let store = self.watcher.store;
        let Some(found) = store.find_payment(code).await? else {
            tracing::error!(%code, "an address on the list belongs to no payment");
            return Ok(None);
        };
        let reports = self.reports(&found.payment, block, transfers, fate)?;
        self.keep_watching(&found.payment, &reports).await?;
        let payment =
            store.change_found(found, |payment| Ok::<_, StoreError>(self.apply(payment, &reports))).await?;
        Ok(Some(self.price(payment, reports).await?))
    }

    fn apply(&self, payment: &Payment, reports: &[Report]) -> Payment {
        let here = reports.iter().filter(|report| !is_elsewhere(payment, report));
        payment.apply_reports(here, self.started_at)
    }

    /// Adds the rates that transfers without a holding quote wait for, as far as there are any (R20).
    async fn price(&self, payment: Payment, reports: Vec<Report>) -> Result<Payment, WatchError> {
        let mut priced = Vec::new();
        for mut report in reports {
            let Some(known) = payment.transfer(&report.movement.id) else { continue };
            let Price::Awaited(minute) = known.price(payment.quotes()) else { continue };
            let Some(coin) = self.watcher.chain.coin(&report.movement.coin) else { continue };
            if let Some(rate) = self.watcher.store.rate_at(&coin.rate_symbol, minute).await? {
                report.rates.push((minute, rate));
                priced.push(report);
            }
        }
        if priced.is_empty() {
            return Ok(payment);
        }
        self.keep_watching(&payment, &priced).await?;
        let changed = self
            .watcher
            .store
            .change_payment(payment.id().code(), |payment| Ok::<_, StoreError>(self.apply(payment, &priced)));
        Ok(changed.await?.unwrap_or(payment))
    }

    /// A change after the end starts the thirty days anew (R23); before the change, which would not be one any more
    /// after a crash between the two.
    async fn keep_watching(&self, payment: &Payment, reports: &[Report]) -> Result<(), WatchError> {
        let now = self.started_at;
        if now < payment.terms().expires_at() || self.apply(payment, reports) == *payment {
            return Ok(());
        }
        let family = self.watcher.chain.family.name();
        for given in payment.addresses().iter().filter(|given| given.family == family) {
            let code = payment.id().code();
            let watched =
                Watched { address: given.address.clone(), code, listed_at: now, heights: BTreeMap::new() };
            self.watcher.store.list_address(family, &watched).await?;
        }
        Ok(())
    }

    fn reports(
        &self,
        payment: &Payment,
        block: &TouchedBlock,
        transfers: &[&TouchedTransfer],
        fate: Fate,
    ) -> Result<Vec<Report>, WatchError> {
        let chain = self.watcher.chain;
        let depth = chain.depth(payment.terms().due());
        let at = BlockAt { height: block.height, time: block.time };
        let standing = match fate {
            Fate::Found => {
                Standing::InBlock { block: at, confirmations: self.confirmations(depth, block.height) }
            }
            Fate::Lost => Standing::Lost { block: Some(at), at: self.started_at },
        };
        let report = |transfer: &&TouchedTransfer| {
            let movement = Movement {
                id: TransferId::new(&transfer.id),
                coin: CoinId::new(&transfer.coin)?,
                decimals: Decimals::new(transfer.decimals)?,
                chain: chain.id.clone(),
                tx_id: transfer.tx.clone(),
                address: transfer.address.clone(),
                units: Units(transfer.units.parse().ok()?),
                confirmations_required: depth.confirmations(),
            };
            let sequence = self.sequence(fate == Fate::Found);
            Some(Report { movement, sequence, at: self.started_at, standing, rates: Vec::new() })
        };
        let malformed = || StoreError::Malformed("a transfer of a block".into());
        transfers.iter().map(report).collect::<Option<_>>().ok_or_else(|| malformed().into())
    }

    /// Blocks on a height, its own included; a depth that wants finality is one short until the chain says so.
    fn confirmations(&self, depth: Depth, height: u64) -> u32 {
        let blocks = self.tip.number.saturating_add(1).saturating_sub(height);
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        match depth {
            Depth::Blocks(_) => blocks,
            Depth::Finalized(shown) if self.finalized.is_some_and(|finalized| height <= finalized) => {
                blocks.max(shown)
            }
            Depth::Finalized(shown) => blocks.min(shown.saturating_sub(1)),
        }
    }
}

/// Whether a report of a loss is about a block in which the payment does not know the transfer any more: it was found
/// in another one since, or its loss was told already.
fn is_elsewhere(payment: &Payment, report: &Report) -> bool {
    let Standing::Lost { block: Some(lost_in), .. } = report.standing else { return false };
    payment.transfer(&report.movement.id).is_some_and(|known| match known.standing() {
        Standing::InBlock { block, .. } => block != lost_in,
        Standing::Lost { .. } | Standing::Replaced => true,
        Standing::Unconfirmed { .. } => false,
    })
}

fn counts(payment: &Payment, transfer: &TouchedTransfer) -> bool {
    let known = payment.transfer(&TransferId::new(&transfer.id));
    known.is_none_or(|known| payment.state(known) == TransferState::Counted)
}

fn by_payment(block: &TouchedBlock) -> Result<BTreeMap<Code, Vec<&TouchedTransfer>>, WatchError> {
    let mut all: BTreeMap<Code, Vec<&TouchedTransfer>> = BTreeMap::new();
    for transfer in &block.transfers {
        let code = transfer
            .code
            .parse()
            .map_err(|_| StoreError::Malformed("`code` of a block's transfer".into()))?;
        all.entry(code).or_default().push(transfer);
    }
    Ok(all)
}
