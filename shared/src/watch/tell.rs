//! Telling payments what a block holds for them, or held.

use std::collections::{BTreeMap, BTreeSet};

use super::noted::{self, Rest, Step};
use super::{Run, Source, TELL_SECONDS, WatchError, follow};
use crate::chain::block::{self, ScannedBlock};
use crate::chain::{CoinId, Depth};
use crate::moment::{Minute, Timestamp};
use crate::money::{Cents, Credit, Decimals, Rate, Units};
use crate::payment::{BlockAt, Code, Movement, Payment, Price, Report, Standing, TransferId, TransferState};
use crate::store::{
    BlockHash, BlockState, Found, RestPlace, StoreError, TRANSFERS_TOLD, TouchedBlock, TouchedTransfer,
    Watched, parts,
};

/// What a block makes itself can be spent a hundred blocks later, and wallets show it as theirs after one more.
const COINBASE_CONFIRMATIONS: u32 = 101;

/// Transfers that one payment is told of at once: with those, it is written some ten times.
const TOLD_AT_ONCE: usize = 500;

/// What of a scanned block is noted.
pub(super) fn touched(scanned: &ScannedBlock<Code>) -> TouchedBlock {
    TouchedBlock {
        height: scanned.header.number,
        hash: follow::kept(scanned.header.hash),
        time: scanned.header.timestamp,
        transfers: scanned.found.iter().map(touched_transfer).collect(),
        payouts: Vec::new(),
    }
}

/// What of money that was found is noted.
pub(super) fn touched_transfer(found: &block::Found<Code>) -> TouchedTransfer {
    TouchedTransfer {
        code: found.movement.watched.to_string(),
        id: found.movement.key.clone(),
        coin: found.movement.coin.to_string(),
        decimals: found.movement.decimals.get(),
        tx: found.movement.tx_id.clone(),
        address: found.movement.address.clone(),
        units: found.units.0.to_string(),
        coinbase: found.is_coinbase,
        inputs: found.inputs.iter().map(ToString::to_string).collect(),
        replaced: false,
    }
}

/// Accepted rates that transfers waited for, by transfer.
type Rates = BTreeMap<TransferId, (Minute, Rate)>;

/// What became of transfers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A block of the chain holds them.
    Found(BlockAt),
    /// The block that held them is gone.
    Lost(BlockAt),
    /// They were seen outside of any block at that time.
    Seen(Timestamp),
    /// They are no longer to be seen.
    Gone,
    /// A transaction that spends the same outputs is confirmed.
    Replaced,
}

impl Fate {
    /// Of one run's reports, what is there is later than what is gone.
    pub(super) fn is_there(self) -> bool {
        match self {
            Fate::Found(_) | Fate::Seen(_) | Fate::Replaced => true,
            Fate::Lost(_) | Fate::Gone => false,
        }
    }
}

impl<S: Source> Run<'_, S> {
    /// Tells payments that what blocks hold for them is there, as far as time allows: each payment the largest of what it
    /// has in each block first, and then everybody the rest, in turn.
    ///
    /// A payment that cannot be told must not keep the others from being told: its blocks stay open, and it is told again.
    pub(super) async fn tell_found(
        &self,
        blocks: &[TouchedBlock],
        rest: Rest,
        place: Option<&RestPlace>,
    ) -> Result<Told, WatchError> {
        let mut told = Told { open: rest.left_at, all: true, place: None };
        let Firsts { first, more } = Firsts::of(blocks, place)?;
        for (code, transfers) in self.in_turn(first) {
            match self.tell_here(code, &transfers).await? {
                Here::Untold => {
                    told.all = false;
                    told.open.extend(transfers.iter().map(|(_, block)| block.height));
                }
                Here::Told(open) => told.open.extend(open),
            }
        }
        for block in blocks.iter().filter(|block| !block.payouts.is_empty()) {
            if self.is_over(TELL_SECONDS) || !self.tell_refunds(block, Fate::Found(block.at())).await? {
                told.open.push(block.height);
            }
        }
        let mut steps: Vec<Step> = more.into_iter().chain(rest.steps).collect();
        // What nobody was told of comes first; the others are in the order of their turns already.
        steps.sort_by_cached_key(|step| (!step.untold, step.untold.then(|| step.entry.clone())));
        self.tell_rest(steps, rest.left, &mut told).await?;
        Ok(told)
    }

    /// Tells one step after the other, and notes which of them need not be told again.
    async fn tell_rest(
        &self,
        mut steps: Vec<Step>,
        behind: Option<RestPlace>,
        told: &mut Told,
    ) -> Result<(), WatchError> {
        let mut settled: BTreeMap<(u64, BlockHash), (TouchedBlock, Vec<String>)> = BTreeMap::new();
        let mut done = 0_usize;
        for step in &steps {
            if self.is_over(TELL_SECONDS) {
                break;
            }
            done = done.saturating_add(1);
            let here: Vec<_> = step.transfers.iter().map(|transfer| (transfer, step.block.at())).collect();
            let Some((first, _)) = here.first() else { continue };
            let code = first.code.parse().map_err(|_| malformed())?;
            match self.tell_here(code, &here).await? {
                Here::Told(open) if open.is_empty() => {
                    let place = (step.block.height, step.block.hash);
                    let (_, names) = settled.entry(place).or_insert_with(|| (step.block.clone(), Vec::new()));
                    names.push(noted::name(&step.entry).to_owned());
                }
                Here::Told(open) => told.open.extend(open),
                Here::Untold => {
                    told.all &= !step.untold;
                    told.open.push(step.block.height);
                }
            }
        }
        let left = steps.split_off(done);
        told.all &= left.iter().all(|step| !step.untold);
        told.open.extend(left.iter().map(|step| step.block.height));
        told.all &= !behind.as_ref().is_some_and(|place| place.untold);
        told.place = noted::place(&left, behind);
        for (block, names) in settled.into_values() {
            self.settle(&block, names).await?;
        }
        Ok(())
    }

    /// Notes that items of a block need not be told again while the block is there.
    async fn settle(&self, block: &TouchedBlock, names: Vec<String>) -> Result<(), WatchError> {
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        let mut state = store.state(chain, block.height, block.hash).await?;
        if state.is_there() && !names.iter().all(|name| state.settled.contains(name)) {
            state.settled.extend(names);
            self.put_state(block, &state).await?;
        }
        Ok(())
    }

    /// Tells a payment that blocks hold transfers of its.
    async fn tell_here(
        &self,
        code: Code,
        transfers: &[(&TouchedTransfer, BlockAt)],
    ) -> Result<Here, WatchError> {
        let fate = |transfer: &TouchedTransfer, block| {
            if transfer.replaced { Fate::Replaced } else { Fate::Found(block) }
        };
        let fates: Vec<_> = transfers.iter().map(|(it, block)| (*it, fate(it, *block))).collect();
        let Some(open) = self.tell_in_time(code, &fates).await? else { return Ok(Here::Untold) };
        let uncounted = transfers.iter().filter(|(transfer, _)| open.contains(&transfer.id));
        Ok(Here::Told(uncounted.map(|(_, block)| block.height).collect()))
    }

    fn in_turn<T>(&self, all: BTreeMap<Code, T>) -> impl Iterator<Item = (Code, T)> {
        let mut all: Vec<_> = all.into_iter().collect();
        turn(&mut all, self.started_at);
        all.into_iter()
    }

    /// Which of the transfers that a payment was told of do not count yet; `None` when it could not be told, or not any
    /// more.
    ///
    /// Of very many transfers it is told in parts, and in each run another part comes first: what there was no time for is
    /// told by the next run, and what was told stays told.
    pub(super) async fn tell_in_time(
        &self,
        code: Code,
        transfers: &[(&TouchedTransfer, Fate)],
    ) -> Result<Option<BTreeSet<String>>, WatchError> {
        // What is known under other names now goes with the first of them, and never after.
        let (replaced, others): (Vec<_>, Vec<_>) =
            transfers.iter().copied().partition(|(_, fate)| *fate == Fate::Replaced);
        let mut parts: Vec<Vec<_>> = others.chunks(TOLD_AT_ONCE).map(<[_]>::to_vec).collect();
        turn(&mut parts, self.started_at);
        match parts.first_mut() {
            Some(first) => first.extend(replaced),
            None => parts.push(replaced),
        }
        let mut open = BTreeSet::new();
        for part in parts {
            if self.is_over(TELL_SECONDS) {
                return Ok(None);
            }
            match Box::pin(self.tell(code, &part)).await {
                Ok(payment) => {
                    let uncounted = part.iter().filter(|(it, _)| !counts(payment.as_ref(), it));
                    open.extend(uncounted.map(|(it, _)| it.id.clone()));
                }
                Err(WatchError::Store(error)) => {
                    tracing::error!(%code, %error, "a payment could not be told what came");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(open))
    }

    /// Tells the payments that a block's transfers are gone, some hundreds at a time, and notes how far that came; whether
    /// all could be told.
    pub(super) async fn tell_lost(
        &self,
        block: &TouchedBlock,
        mut state: BlockState,
    ) -> Result<bool, WatchError> {
        let (mut all_told, known) = (true, state.lost.len());
        for part in parts(&block.transfers) {
            if state.lost.contains(&part.name) {
                continue;
            }
            let fates: Vec<_> = part.transfers.iter().map(|it| (*it, Fate::Lost(block.at()))).collect();
            let code = part.code.parse().map_err(|_| malformed())?;
            if self.tell_in_time(code, &fates).await?.is_some() {
                state.lost.insert(part.name);
            } else {
                all_told = false;
            }
        }
        all_told &= self.tell_refunds(block, Fate::Lost(block.at())).await?;
        if all_told {
            self.put_state(block, &BlockState { gone: true, ..BlockState::default() }).await?;
        } else if state.lost.len() > known {
            self.put_state(block, &state).await?;
        }
        Ok(all_told)
    }

    /// Tells a payment what became of its transfers; gives what it is now, if there is such a payment.
    pub(super) async fn tell(
        &self,
        code: Code,
        transfers: &[(&TouchedTransfer, Fate)],
    ) -> Result<Option<Payment>, WatchError> {
        let store = self.watcher.store;
        let ids: Vec<_> = transfers.iter().map(|(it, _)| TransferId::new(&it.id)).collect();
        let Some(found) = store.find_payment_with(code, &ids).await? else {
            tracing::error!(%code, "an address on the list belongs to no payment");
            return Ok(None);
        };
        let told = self.change(found, transfers, &Rates::new()).await?;
        let rates = self.rates(&told, transfers).await?;
        if rates.is_empty() {
            return Ok(Some(told));
        }
        let Some(found) = store.find_payment_with(code, &ids).await? else { return Ok(None) };
        Ok(Some(self.change(found, transfers, &rates).await?))
    }

    /// Tells a payment, with these rates. What is told is worked out again for each write: how deep a transfer must lie
    /// follows from the payment.
    async fn change(
        &self,
        found: Found,
        transfers: &[(&TouchedTransfer, Fate)],
        rates: &Rates,
    ) -> Result<Payment, WatchError> {
        let tell = |payment: &Payment| {
            let reports = self.reports(payment, transfers, rates)?;
            Ok::<_, StoreError>(self.apply(payment, &reports))
        };
        self.keep_watching(&found.payment, &tell(&found.payment)?).await?;
        Ok(self.watcher.store.change_found(found, tell).await?)
    }

    fn apply(&self, payment: &Payment, reports: &[Report]) -> Payment {
        let here = reports.iter().filter(|report| !is_elsewhere(payment, report));
        payment.apply_reports(here, self.started_at)
    }

    /// The rates that transfers without a holding quote wait for, as far as there are any (R20).
    async fn rates(
        &self,
        payment: &Payment,
        transfers: &[(&TouchedTransfer, Fate)],
    ) -> Result<Rates, WatchError> {
        let mut rates = Rates::new();
        for (transfer, _) in transfers {
            let id = TransferId::new(&transfer.id);
            let Some(known) = payment.transfer(&id) else { continue };
            let Price::Awaited(minute) = known.price(payment.quotes()) else { continue };
            let Some(coin) = self.watcher.chain.coin(&known.movement().coin) else { continue };
            if let Some(rate) = self.watcher.store.rate_at(&coin.rate_symbol, minute).await? {
                rates.insert(id, (minute, rate));
            }
        }
        Ok(rates)
    }

    /// A change after the end starts the thirty days anew (R23); before the change, which would not be one any more
    /// after a crash between the two.
    pub(super) async fn keep_watching(&self, payment: &Payment, next: &Payment) -> Result<(), WatchError> {
        let now = self.started_at;
        if now < payment.terms().expires_at() || next == payment {
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
        transfers: &[(&TouchedTransfer, Fate)],
        rates: &Rates,
    ) -> Result<Vec<Report>, StoreError> {
        let (chain, due) = (self.watcher.chain, payment.terms().due());
        let report = |depth: Depth, (transfer, fate): &(&TouchedTransfer, Fate)| {
            let depth = if transfer.coinbase { depth.at_least(COINBASE_CONFIRMATIONS) } else { depth };
            let id = TransferId::new(&transfer.id);
            let rates = rates.get(&id).copied().into_iter().collect();
            let movement = Movement {
                id,
                coin: CoinId::new(&transfer.coin)?,
                decimals: Decimals::new(transfer.decimals)?,
                chain: chain.id.clone(),
                tx_id: transfer.tx.clone(),
                address: transfer.address.clone(),
                units: Units(transfer.units.parse().ok()?),
                confirmations_required: depth.confirmations(),
            };
            let sequence = self.sequence(fate.is_there());
            let standing = self.standing(*fate, depth);
            Some(Report { movement, sequence, at: self.started_at, standing, rates })
        };
        let unreadable = || StoreError::Malformed("a transfer of a block".into());
        let unpriced = chain.depth_of(due, None);
        let first: Option<Vec<Report>> = transfers.iter().map(|told| report(unpriced, told)).collect();
        let worth = Worth::of(payment, &first.ok_or_else(unreadable)?);
        let depth = |told: &(&TouchedTransfer, Fate)| chain.depth_of(due, worth.with(told));
        transfers.iter().map(|told| report(depth(told), told)).collect::<Option<_>>().ok_or_else(unreadable)
    }

    pub(super) fn standing(&self, fate: Fate, depth: Depth) -> Standing {
        match fate {
            Fate::Found(block) => {
                Standing::InBlock { block, confirmations: self.confirmations(depth, block.height) }
            }
            Fate::Lost(block) => Standing::Lost { block: Some(block), at: self.started_at },
            Fate::Seen(at) => Standing::Unconfirmed { at },
            Fate::Gone => Standing::Lost { block: None, at: self.started_at },
            Fate::Replaced => Standing::Replaced,
        }
    }

    /// Blocks on a height, its own included; a depth that wants finality is one short until the chain says so.
    fn confirmations(&self, depth: Depth, height: u64) -> u32 {
        let reached = self.tip.number.min(self.reached.get());
        let blocks = u32::try_from(reached.saturating_add(1).saturating_sub(height)).unwrap_or(u32::MAX);
        match depth {
            Depth::Blocks(_) => blocks,
            Depth::Finalized(shown)
                if self.finalized.get().is_some_and(|finalized| height <= finalized.min(reached)) =>
            {
                blocks.max(shown)
            }
            Depth::Finalized(shown) => blocks.min(shown.saturating_sub(1)),
        }
    }
}

/// Begins elsewhere in each run, so that those for which there was no time come first once.
pub(super) fn turn<T>(all: &mut [T], started_at: Timestamp) {
    let turn = usize::try_from(started_at.0).unwrap_or(0);
    let first = turn.checked_rem(all.len()).unwrap_or(0);
    all.rotate_left(first);
}

/// Whether a report of a loss is about a place where the payment does not look for the transfer any more: a block, when it
/// was found in another one since or its loss was told already; or the unconfirmed, when a block holds it, or one that
/// spends the same is confirmed. A note of a sighting may be written after it was forgotten, by a request that took long.
fn is_elsewhere(payment: &Payment, report: &Report) -> bool {
    let Standing::Lost { block: lost_in, .. } = report.standing else { return false };
    payment.transfer(&report.movement.id).is_some_and(|known| match known.standing() {
        Standing::InBlock { block, .. } => lost_in != Some(block),
        Standing::Lost { .. } => lost_in.is_some(),
        Standing::Replaced => true,
        Standing::Unconfirmed { .. } => false,
    })
}

/// Whether there is no more to tell of a transfer: it counts, lies as deep as if it did, is told under other names, or nobody
/// wants to know.
fn counts(payment: Option<&Payment>, transfer: &TouchedTransfer) -> bool {
    if transfer.replaced {
        return true;
    }
    let Some(payment) = payment else { return true };
    let known = payment.transfer(&TransferId::new(&transfer.id));
    known.is_none_or(|known| match payment.state(known) {
        TransferState::Counted => true,
        TransferState::Own => known.confirmations() >= known.movement().confirmations_required,
        TransferState::Seen | TransferState::Confirming | TransferState::Lost => false,
    })
}

/// What the transfers that are told of at once are worth, each alone and by block: whoever wants a large sum to count early
/// could split it into any number of small ones, which a re-organisation of that block takes away together.
struct Worth {
    alone: BTreeMap<TransferId, Cents>,
    by_block: BTreeMap<u64, Cents>,
}

impl Worth {
    /// Of those that have a price: one that has none yet holds up no other.
    fn of(payment: &Payment, reports: &[Report]) -> Worth {
        // Blocks lately read are read again, so that one transfer may be told of twice.
        let (mut alone, mut blocks) =
            (BTreeMap::new(), BTreeMap::<u64, BTreeMap<&TransferId, Credit>>::new());
        for report in reports {
            let Some(worth) = payment.worth_with(report) else { continue };
            alone.insert(report.movement.id.clone(), worth.ceil());
            if let Standing::InBlock { block, .. } = report.standing {
                blocks.entry(block.height).or_default().insert(&report.movement.id, worth);
            }
        }
        let sum = |credits: BTreeMap<&TransferId, Credit>| credits.into_values().sum::<Credit>().ceil();
        let by_block = blocks.into_iter().map(|(height, credits)| (height, sum(credits))).collect();
        Worth { alone, by_block }
    }

    /// By what a transfer's depth is measured; `None` while its price is missing.
    fn with(&self, (transfer, fate): &(&TouchedTransfer, Fate)) -> Option<Cents> {
        let alone = self.alone.get(&TransferId::new(&transfer.id)).copied()?;
        match fate {
            Fate::Found(block) => self.by_block.get(&block.height).copied(),
            Fate::Lost(_) | Fate::Seen(_) | Fate::Gone | Fate::Replaced => Some(alone),
        }
    }
}

/// What telling came to.
pub(super) struct Told {
    /// Heights of blocks that hold something uncounted.
    pub(super) open: Vec<u64>,
    /// Whether every payment knows what it has to know.
    pub(super) all: bool,
    /// Where the next run goes on, if there was no time for all.
    pub(super) place: Option<RestPlace>,
}

/// What telling a payment came to.
enum Here {
    /// There was no time, or it cannot be told.
    Untold,
    /// It knows, and what does not count yet lies at these heights.
    Told(Vec<u64>),
}

/// What blocks hold, divided into what each payment is told at once and what is told then.
struct Firsts<'a> {
    first: BTreeMap<Code, Vec<(&'a TouchedTransfer, BlockAt)>>,
    more: Vec<Step>,
}

impl<'a> Firsts<'a> {
    fn of(blocks: &'a [TouchedBlock], place: Option<&RestPlace>) -> Result<Firsts<'a>, StoreError> {
        let mut all = Firsts { first: BTreeMap::new(), more: Vec::new() };
        for block in blocks {
            for part in parts(&block.transfers) {
                let code = part.code.parse().map_err(|_| malformed())?;
                let first = all.first.entry(code).or_default();
                if first.len().saturating_add(part.transfers.len()) <= TRANSFERS_TOLD {
                    first.extend(part.transfers.iter().map(|transfer| (*transfer, block.at())));
                } else {
                    all.more.push(Step::of(block, &part, place));
                }
            }
        }
        Ok(all)
    }
}

fn malformed() -> StoreError {
    StoreError::Malformed("`code` of a block's transfer".into())
}

/// Transfers by their payment.
pub(super) fn by_payment<'a>(
    transfers: impl IntoIterator<Item = &'a TouchedTransfer>,
) -> Result<BTreeMap<Code, Vec<&'a TouchedTransfer>>, WatchError> {
    let mut all: BTreeMap<Code, Vec<&TouchedTransfer>> = BTreeMap::new();
    for transfer in transfers {
        let code = transfer.code.parse().map_err(|_| malformed())?;
        all.entry(code).or_default().push(transfer);
    }
    Ok(all)
}
