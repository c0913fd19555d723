//! Money outside of the chain: seen before a block holds it, gone again, or driven out by a rival (R15, R20).
//!
//! What a node says of unconfirmed transactions is shown and never counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::join_all;

use super::noted::NotedBlock;
use super::tell::{Fate, by_payment, touched_transfer};
use super::{Run, Source, WatchError, WatchList, follow};
use crate::chain::block::{Found, Mempool, OutPoint, ScannedBlock};
use crate::moment::Timestamp;
use crate::payment::Code;
use crate::store::{Cursor, Rival, Sighting, TouchedBlock, TouchedTransfer};

/// New sightings taken in by one run: whoever sends more at once is seen a minute later, or in a block.
const MAX_NEW: usize = 2_000;

/// Writes under way at once.
const AT_ONCE: usize = 25;

/// What a run knows to lie outside of the chain, and what it found inside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    sightings: BTreeMap<String, Sighting>,
    /// What lies in blocks above the cursor: there, unless a block below them spends the same.
    ahead: BTreeMap<String, Sighting>,
    inside: BTreeSet<String>,
}

impl Outside {
    pub(super) fn new(sightings: Vec<Sighting>) -> Outside {
        let by_id = |sighting: Sighting| (sighting.transfer.id.clone(), sighting);
        Outside { sightings: sightings.into_iter().map(by_id).collect(), ..Outside::default() }
    }

    /// Keeps an eye on what lies in blocks that may turn out not to be the chain's: it is told when it is taken out, and
    /// the rival that drives it out may come first.
    pub(super) fn lies_ahead(&mut self, blocks: &[NotedBlock], at: Timestamp) {
        let there = blocks.iter().filter(|noted| !noted.state.gone);
        let ahead = there.flat_map(|noted| &noted.block.transfers);
        let unknown = ahead.filter(|transfer| !self.sightings.contains_key(&transfer.id));
        let taken_out = unknown.map(|transfer| (transfer.id.clone(), taken_out(transfer, at)));
        self.ahead = taken_out.collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sightings.is_empty()
    }

    /// The outputs whose spending decides about a transfer.
    pub(super) fn outputs(&self) -> Vec<OutPoint> {
        let all = self.sightings.values().chain(self.ahead.values());
        all.flat_map(|sighting| sighting.transfer.spends()).collect()
    }

    /// Transfers whose outputs somebody else spends in a block, as far as that is news.
    fn rivalled(&self, scanned: &ScannedBlock<Code>, here: Rival) -> Vec<Sighting> {
        if scanned.spent.is_empty() {
            return Vec::new();
        }
        let mut by_output: HashMap<OutPoint, Vec<&Sighting>> = HashMap::new();
        let ahead =
            self.ahead.values().filter(|sighting| !self.sightings.contains_key(&sighting.transfer.id));
        for sighting in self.sightings.values().chain(ahead).filter(|sighting| sighting.rival != Some(here)) {
            for outpoint in sighting.transfer.spends() {
                by_output.entry(outpoint).or_default().push(sighting);
            }
        }
        let mut rivalled = BTreeMap::new();
        for spent in &scanned.spent {
            let all = by_output.get(&spent.outpoint).into_iter().flatten();
            let others = all.filter(|sighting| !sighting.is_made_of(&spent.tx_id));
            let by_id = |sighting: &&Sighting| {
                (sighting.transfer.id.clone(), Sighting { rival: Some(here), ..(*sighting).clone() })
            };
            rivalled.extend(others.map(by_id));
        }
        rivalled.into_values().collect()
    }

    /// Whether the payment of an unconfirmed transfer does not know of it yet.
    fn is_news(&self, id: &str) -> bool {
        let is_known = self.sightings.get(id).is_some_and(|known| known.told && !known.gone);
        !is_known && !self.inside.contains(id)
    }

    /// Notes that a block of the chain holds these, and `others` by their keys.
    pub(super) fn is_inside(&mut self, block: &TouchedBlock, others: Vec<String>) {
        self.inside.extend(block.transfers.iter().map(|transfer| transfer.id.clone()));
        self.inside.extend(others);
    }
}

/// A transfer that is taken out of its block, of which its payment is told by that.
fn taken_out(transfer: &TouchedTransfer, at: Timestamp) -> Sighting {
    let transfer = transfer.clone();
    Sighting { transfer, at: at.0, gone: true, told: true, ancestors: Vec::new(), rival: None }
}

impl<S: Source> Run<'_, S> {
    /// Lets go of what lies in a block now. Before the cursor moves, so that a run that dies here is repeated.
    pub(super) async fn came_in(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        block: &TouchedBlock,
    ) -> Result<(), WatchError> {
        outside.is_inside(block, Vec::new());
        let known = block.transfers.iter().filter_map(|transfer| outside.sightings.get(&transfer.id));
        let known: Vec<_> = known.cloned().collect();
        if known.is_empty() {
            return Ok(());
        }
        self.claim(cursor).await?;
        self.forget(outside, &known).await
    }

    /// Keeps an eye on transfers that were taken out of a block: their rivals may be confirmed.
    pub(super) async fn went_out(
        &self,
        outside: &mut Outside,
        block: &TouchedBlock,
    ) -> Result<(), WatchError> {
        let may_be_rivalled = |transfer: &&TouchedTransfer| {
            !transfer.inputs.is_empty() && !outside.sightings.contains_key(&transfer.id)
        };
        let lost = block.transfers.iter().filter(may_be_rivalled);
        let lost = lost.map(|transfer| taken_out(transfer, self.started_at)).collect();
        self.note(outside, lost).await
    }

    /// Notes rivals that a block holds.
    pub(super) async fn meet_rivals(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        scanned: &ScannedBlock<Code>,
    ) -> Result<(), WatchError> {
        let here = Rival { height: scanned.header.number, hash: follow::kept(scanned.header.hash) };
        let rivalled = outside.rivalled(scanned, here);
        if rivalled.is_empty() {
            return Ok(());
        }
        self.claim(cursor).await?;
        self.note(outside, rivalled).await
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
            Ok(found) => self.see(cursor, outside, &found).await?,
            Err(error) => {
                tracing::warn!(chain = %self.watcher.chain.id, %error, "unconfirmed transactions could not be read");
            }
        }
        let (came_in, outside_still): (Vec<_>, Vec<_>) =
            outside.sightings.values().cloned().partition(|it| outside.inside.contains(&it.transfer.id));
        self.forget(outside, &came_in).await?;
        let is_missing = |sighting: &Sighting| !mempool.holds(&sighting.transfer.tx);
        let missing: Vec<_> = outside_still.into_iter().filter(is_missing).collect();
        self.miss(cursor, outside, &missing).await?;
        self.give_up(cursor, outside, &missing).await
    }

    /// Tells payments what was seen for them.
    async fn see(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        found: &[Found<Code>],
    ) -> Result<(), WatchError> {
        let is_news = |found: &&Found<Code>| outside.is_news(&found.movement.key);
        let seen = |found: &Found<Code>| {
            let known = outside.sightings.get(&found.movement.key);
            let at = known.map_or(self.started_at.0, |known| known.at);
            let rival = known.and_then(|known| known.rival);
            let ancestors = found.ancestors.iter().map(ToString::to_string).collect();
            Sighting { transfer: touched_transfer(found), at, gone: false, told: false, ancestors, rival }
        };
        let news: Vec<_> = found.iter().filter(is_news).take(MAX_NEW).map(seen).collect();
        self.tell_of(cursor, outside, news, |sighting| Fate::Seen(Timestamp(sighting.at))).await
    }

    /// Tells payments what is nowhere.
    async fn miss(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        missing: &[Sighting],
    ) -> Result<(), WatchError> {
        let unknown = missing.iter().filter(|sighting| !sighting.gone || !sighting.told);
        let gone = unknown.map(|sighting| Sighting { gone: true, told: false, ..sighting.clone() }).collect();
        self.tell_of(cursor, outside, gone, |_| Fate::Gone).await
    }

    /// Gives up what is nowhere and has a rival buried as deep as it takes; a rival that is gone is none.
    async fn give_up(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        missing: &[Sighting],
    ) -> Result<(), WatchError> {
        let deepest = u64::from(self.watcher.chain.deepest());
        let (mut buried, mut freed) = (Vec::new(), Vec::new());
        for sighting in missing {
            let Some(rival) = sighting.rival else { continue };
            if cursor.hash_at(rival.height).is_some_and(|hash| hash != rival.hash) {
                let known = outside.sightings.get(&sighting.transfer.id).unwrap_or(sighting);
                freed.push(Sighting { rival: None, ..known.clone() });
            } else if cursor.height.saturating_add(1).saturating_sub(rival.height) >= deepest {
                buried.push(sighting.clone());
            }
        }
        self.note(outside, freed).await?;
        if buried.is_empty() {
            return Ok(());
        }
        self.claim(cursor).await?;
        for (code, transfers) in by_payment(buried.iter().map(|sighting| &sighting.transfer))? {
            let fates: Vec<_> = transfers.iter().map(|it| (*it, Fate::Replaced)).collect();
            if self.tell_in_time(code, &fates).await?.is_some() {
                let known: Vec<_> =
                    buried.iter().filter(|it| it.transfer.code == code.to_string()).cloned().collect();
                self.forget(outside, &known).await?;
            }
        }
        Ok(())
    }

    /// Notes sightings that their payments do not know, tells them, and notes that: in this order, so that a run that
    /// dies in between is made good by the next.
    async fn tell_of(
        &self,
        cursor: &Cursor,
        outside: &mut Outside,
        untold: Vec<Sighting>,
        fate: impl Fn(&Sighting) -> Fate,
    ) -> Result<(), WatchError> {
        if untold.is_empty() {
            return Ok(());
        }
        self.claim(cursor).await?;
        self.note(outside, untold.clone()).await?;
        for (code, transfers) in by_payment(untold.iter().map(|sighting| &sighting.transfer))? {
            let of_payment: Vec<&Sighting> = transfers
                .iter()
                .filter_map(|it| untold.iter().find(|known| known.transfer.id == it.id))
                .collect();
            let fates: Vec<_> = of_payment.iter().map(|it| (&it.transfer, fate(it))).collect();
            if self.tell_in_time(code, &fates).await?.is_some() {
                let told = of_payment.into_iter().map(|it| Sighting { told: true, ..it.clone() });
                let told = told.collect();
                self.note(outside, told).await?;
            }
        }
        Ok(())
    }

    async fn note(&self, outside: &mut Outside, sightings: Vec<Sighting>) -> Result<(), WatchError> {
        let (store, chain, run) = (self.watcher.store, &self.watcher.chain.id, self.sequence_number());
        for some in sightings.chunks(AT_ONCE) {
            let put = some.iter().map(|sighting| store.put_sighting(chain, sighting, run, self.started_at));
            join_all(put).await.into_iter().collect::<Result<(), _>>()?;
        }
        let by_id = |sighting: Sighting| (sighting.transfer.id.clone(), sighting);
        outside.sightings.extend(sightings.into_iter().map(by_id));
        Ok(())
    }

    async fn forget(&self, outside: &mut Outside, sightings: &[Sighting]) -> Result<(), WatchError> {
        let (store, chain, run) = (self.watcher.store, &self.watcher.chain.id, self.sequence_number());
        for some in sightings.chunks(AT_ONCE) {
            let delete = some.iter().map(|sighting| store.delete_sighting(chain, &sighting.transfer, run));
            join_all(delete).await.into_iter().collect::<Result<(), _>>()?;
        }
        for sighting in sightings {
            outside.sightings.remove(&sighting.transfer.id);
        }
        Ok(())
    }
}
