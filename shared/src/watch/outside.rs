//! Money outside of the chain: seen before a block holds it, gone again, or driven out by a rival (R15, R20).
//!
//! What a node says of unconfirmed transactions is shown and never counted.

use std::collections::{BTreeMap, BTreeSet};

use super::tell::{Fate, by_payment, noted};
use super::{Run, Source, WatchError, WatchList, follow};
use crate::chain::block::{Found, Mempool, OutPoint, ScannedBlock};
use crate::moment::Timestamp;
use crate::payment::Code;
use crate::store::{Cursor, Rival, Sighting, TouchedBlock, TouchedTransfer};

/// New sightings taken in by one run: whoever sends more at once is seen a minute later, or in a block.
const MAX_NEW: usize = 2_000;

/// What a run knows to lie outside of the chain, and what it found inside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    sightings: BTreeMap<String, Sighting>,
    inside: BTreeSet<String>,
}

impl Outside {
    pub(super) fn new(sightings: Vec<Sighting>) -> Outside {
        let by_id = |sighting: Sighting| (sighting.transfer.id.clone(), sighting);
        Outside { sightings: sightings.into_iter().map(by_id).collect(), inside: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sightings.is_empty()
    }

    /// The outputs whose spending decides about a transfer.
    pub(super) fn outputs(&self) -> Vec<OutPoint> {
        self.sightings.values().flat_map(|sighting| sighting.transfer.spends()).collect()
    }

    /// Whether the payment of an unconfirmed transfer does not know of it yet.
    fn is_news(&self, id: &str) -> bool {
        let is_known = self.sightings.get(id).is_some_and(|known| known.told && !known.gone);
        !is_known && !self.inside.contains(id)
    }

    /// Notes that a block of the chain holds these.
    pub(super) fn is_inside(&mut self, block: &TouchedBlock) {
        self.inside.extend(block.transfers.iter().map(|transfer| transfer.id.clone()));
    }
}

impl<S: Source> Run<'_, S> {
    /// Lets go of what lies in a block now. Before the cursor moves, so that a run that dies here is repeated.
    pub(super) async fn came_in(
        &self,
        outside: &mut Outside,
        block: &TouchedBlock,
    ) -> Result<(), WatchError> {
        outside.is_inside(block);
        for transfer in &block.transfers {
            if outside.sightings.contains_key(&transfer.id) {
                self.forget(outside, transfer).await?;
            }
        }
        Ok(())
    }

    /// Keeps an eye on transfers that were taken out of a block: their rivals may be confirmed.
    pub(super) async fn went_out(
        &self,
        outside: &mut Outside,
        block: &TouchedBlock,
    ) -> Result<(), WatchError> {
        for transfer in block.transfers.iter().filter(|transfer| !transfer.inputs.is_empty()) {
            let at = self.started_at.0;
            let lost = Sighting { transfer: transfer.clone(), at, gone: true, told: true, rival: None };
            self.note(outside, lost).await?;
        }
        Ok(())
    }

    /// Notes rivals that a block holds.
    pub(super) async fn meet_rivals(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        scanned: &ScannedBlock<Code>,
    ) -> Result<(), WatchError> {
        let rival = Rival { height: scanned.header.number, hash: follow::kept(scanned.header.hash) };
        for spent in &scanned.spent {
            let is_rivalled = |sighting: &&Sighting| {
                let other = sighting.transfer.tx != spent.tx_id;
                other && sighting.transfer.spends().any(|outpoint| outpoint == spent.outpoint)
            };
            let rivalled: Vec<_> = outside.sightings.values().filter(is_rivalled).cloned().collect();
            for sighting in rivalled {
                self.claim(cursor).await?;
                self.note(outside, Sighting { rival: Some(rival), ..sighting }).await?;
            }
        }
        Ok(())
    }

    /// Looks at what waits for a block, once the chain is scanned to its tip: what is new, what is gone, and for whom
    /// there is no way back.
    ///
    /// `mempool` was read before the tip, so that what is in neither is nowhere.
    pub(super) async fn look_outside(
        &self,
        cursor: &Cursor,
        list: &WatchList,
        outside: &mut Outside,
        mempool: &Mempool,
    ) -> Result<(), WatchError> {
        match self.watcher.source.unconfirmed(mempool, list).await {
            Ok(found) => self.see(cursor, outside, found).await?,
            Err(error) => {
                tracing::warn!(chain = %self.watcher.chain.id, %error, "unconfirmed transactions could not be read");
            }
        }
        let known: Vec<Sighting> = outside.sightings.values().cloned().collect();
        for sighting in known {
            if outside.inside.contains(&sighting.transfer.id) {
                self.forget(outside, &sighting.transfer).await?;
            } else if !mempool.holds(&sighting.transfer.tx) {
                self.miss(cursor, outside, sighting).await?;
            }
        }
        Ok(())
    }

    /// Tells payments what was seen for them.
    async fn see(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        found: Vec<Found<Code>>,
    ) -> Result<(), WatchError> {
        let mut new: BTreeMap<u64, Vec<TouchedTransfer>> = BTreeMap::new();
        let is_news = |found: &&Found<Code>| outside.is_news(&found.movement.key);
        let news: Vec<_> = found.iter().filter(is_news).take(MAX_NEW).collect();
        for found in news {
            let known = outside.sightings.get(&found.movement.key);
            let at = known.map_or(self.started_at.0, |known| known.at);
            let transfer = noted(found);
            let rival = known.and_then(|known| known.rival);
            let seen = Sighting { transfer: transfer.clone(), at, gone: false, told: false, rival };
            self.claim(cursor).await?;
            self.note(outside, seen).await?;
            new.entry(at).or_default().push(transfer);
        }
        for (at, transfers) in new {
            for (code, transfers) in by_payment(&transfers)? {
                if self.told(code, &transfers, Fate::Seen(Timestamp(at))).await? {
                    self.note_told(outside, &transfers).await?;
                }
            }
        }
        Ok(())
    }

    /// A transfer that is nowhere: gone, or driven out for good.
    async fn miss(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        sighting: Sighting,
    ) -> Result<(), WatchError> {
        let code = sighting.transfer.code.parse().map_err(|_| WatchError::Address)?;
        let transfer = sighting.transfer.clone();
        if !sighting.gone || !sighting.told {
            self.claim(cursor).await?;
            self.note(outside, Sighting { gone: true, told: false, ..sighting.clone() }).await?;
            if self.told(code, &[&transfer], Fate::Gone).await? {
                self.note_told(outside, &[&transfer]).await?;
            }
        }
        let Some(rival) = sighting.rival else { return Ok(()) };
        if cursor.hash_at(rival.height).is_some_and(|hash| hash != rival.hash) {
            return self.note(outside, Sighting { rival: None, gone: true, ..sighting }).await;
        }
        let blocks = self.shown.saturating_add(1).saturating_sub(rival.height);
        if blocks >= u64::from(self.watcher.chain.deepest()) {
            self.claim(cursor).await?;
            if self.told(code, &[&transfer], Fate::Replaced).await? {
                self.forget(outside, &transfer).await?;
            }
        }
        Ok(())
    }

    /// Whether a payment could be told; one that cannot must not keep the others from being told.
    async fn told(&self, code: Code, transfers: &[&TouchedTransfer], fate: Fate) -> Result<bool, WatchError> {
        match self.tell(code, transfers, fate).await {
            Ok(_) => Ok(true),
            Err(WatchError::Store(error)) => {
                tracing::error!(%code, %error, "a payment could not be told what waits for it");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn note_told(
        &self,
        outside: &mut Outside,
        transfers: &[&TouchedTransfer],
    ) -> Result<(), WatchError> {
        for transfer in transfers {
            let known = outside.sightings.get(&transfer.id).cloned();
            if let Some(sighting) = known {
                self.note(outside, Sighting { told: true, ..sighting }).await?;
            }
        }
        Ok(())
    }

    async fn note(&self, outside: &mut Outside, sighting: Sighting) -> Result<(), WatchError> {
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        store.put_sighting(chain, &sighting, self.sequence_number(), self.started_at).await?;
        outside.sightings.insert(sighting.transfer.id.clone(), sighting);
        Ok(())
    }

    async fn forget(&self, outside: &mut Outside, transfer: &TouchedTransfer) -> Result<(), WatchError> {
        self.watcher.store.delete_sighting(&self.watcher.chain.id, transfer).await?;
        outside.sightings.remove(&transfer.id);
        Ok(())
    }
}
