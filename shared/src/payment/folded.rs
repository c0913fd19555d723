//! Transfers that are not in hand, as what they come to: a payment is as quick to read with a million of them as with one.
//!
//! A transfer is folded when others are newer, whatever its state, and unfolded when a chain says something of it. Both are
//! exact: what folding adds, unfolding takes away, and every rule that asks about all transfers asks these sums too.

use std::collections::BTreeMap;

use super::{Payment, Pin, Sequence, Standing, Transfer, TransferId, TransferState};
use crate::chain::{ChainId, CoinId};
use crate::moment::Timestamp;
use crate::money::{Credit, Decimals, Units};

/// Transfers that are shown with their payment: the newest. The others can be asked for.
pub const TRANSFERS_SHOWN: usize = 100;

/// Moments, or heights, that are told apart. Beyond these the lowest become one, or those after the moment that matters.
const STEPS: usize = 32;

/// How many, and what they are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) credit: Credit,
}

/// Those in time and those that are late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) in_time: Sum,
    pub(crate) late: Sum,
}

/// What happened from one moment up to another, in seconds; or what lies from one height up to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) sums: Sums,
}

/// Sums by moment or height, lowest first; no two steps overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps(pub(crate) Vec<Step>);

/// What came to one address in one coin, and had to lie that deep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) coin: CoinId,
    pub(crate) chain: ChainId,
    pub(crate) decimals: Decimals,
    pub(crate) address: String,
    pub(crate) required: u32,
}

/// How much of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Transfers of any state.
    pub(crate) count: u64,
    /// Those that count.
    pub(crate) counted: u64,
    pub(crate) units: Units,
    pub(crate) credit: Credit,
}

/// All that is known of the transfers that are not in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// How many there are.
    pub(crate) count: u64,
    /// Those that count, by the moment at which they were deep enough.
    pub(crate) counted: Steps,
    /// Those that are there and do not count yet.
    pub(crate) coming: Sums,
    /// How many of those in time have no price yet.
    pub(crate) unpriced: u64,
    /// Those that may come back, by the moment at which they were missed.
    pub(crate) lost: Steps,
    pub(crate) groups: BTreeMap<GroupKey, Group>,
    /// Those in time by the height of their first block, by chain.
    pub(crate) heights: BTreeMap<ChainId, Steps>,
    /// The latest report.
    pub(crate) sequence: Sequence,
}

/// What one transfer adds.
struct Share {
    class: Class,
    is_in_time: bool,
    credit: Option<Credit>,
    group: GroupKey,
    units: Units,
    height: Option<u64>,
    sequence: Sequence,
}

/// Which of the sums it is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Counted(Timestamp),
    Coming,
    Lost(Timestamp),
    /// It is recorded, and part of none.
    Neither,
}

impl Share {
    /// Whether it is money in time whose price is missing.
    fn is_unpriced(&self) -> bool {
        self.class == Class::Coming && self.is_in_time && self.credit.is_none()
    }
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { count: 0, credit: Credit::zero() }
    }
}

impl Sum {
    fn add(&mut self, credit: Option<&Credit>) {
        self.count = self.count.saturating_add(1);
        if let Some(credit) = credit {
            self.credit = self.credit.plus(credit);
        }
    }

    /// Of nothing the sum is nothing, whatever was rounded on the way.
    fn take(&mut self, credit: Option<&Credit>) {
        self.count = self.count.saturating_sub(1);
        self.credit = match credit {
            _ if self.count == 0 => Credit::zero(),
            Some(credit) => self.credit.less(credit),
            None => self.credit.clone(),
        };
    }

    fn join(&mut self, other: &Sum) {
        self.count = self.count.saturating_add(other.count);
        self.credit = self.credit.plus(&other.credit);
    }
}

impl Sums {
    fn of(&mut self, is_in_time: bool) -> &mut Sum {
        if is_in_time { &mut self.in_time } else { &mut self.late }
    }

    /// Those that can make a payment paid.
    pub(crate) fn settling(&self, late_too: bool) -> Vec<&Sum> {
        if late_too { vec![&self.in_time, &self.late] } else { vec![&self.in_time] }
    }

    pub(crate) fn count(&self) -> u64 {
        self.in_time.count.saturating_add(self.late.count)
    }
}

impl Steps {
    fn add(&mut self, at: u64, is_in_time: bool, credit: Option<&Credit>) {
        let place = self.0.partition_point(|step| step.to < at);
        if self.0.get(place).is_none_or(|step| step.from > at) {
            self.0.insert(place, Step { from: at, to: at, sums: Sums::default() });
        }
        if let Some(step) = self.0.get_mut(place) {
            step.sums.of(is_in_time).add(credit);
        }
    }

    fn take(&mut self, at: u64, is_in_time: bool, credit: Option<&Credit>) {
        let place = self.0.partition_point(|step| step.to < at);
        if let Some(step) = self.0.get_mut(place) {
            step.sums.of(is_in_time).take(credit);
            if step.sums.count() == 0 {
                self.0.remove(place);
            }
        }
    }

    /// Makes two steps one where that is least missed: those after `pivot`, which may stand where they stand, from the
    /// newest; else the oldest.
    fn shorten(&mut self, pivot: Option<u64>) {
        while self.0.len() > STEPS {
            let after = pivot.map_or(self.0.len(), |pivot| self.0.partition_point(|step| step.to <= pivot));
            let two_after = self.0.len().saturating_sub(after) >= 2;
            let first = if two_after { self.0.len().saturating_sub(2) } else { 0 };
            let later = self.0.remove(first.saturating_add(1));
            if let Some(step) = self.0.get_mut(first) {
                step.to = later.to;
                step.sums.in_time.join(&later.sums.in_time);
                step.sums.late.join(&later.sums.late);
            }
        }
    }

    pub(crate) fn sums(&self) -> impl Iterator<Item = &Sums> {
        self.0.iter().map(|step| &step.sums)
    }

    fn count(&self) -> u64 {
        self.sums().fold(0, |count, sums| count.saturating_add(sums.count()))
    }
}

impl Folded {
    /// Exact dollars of those that count, late ones too.
    pub(crate) fn credit(&self) -> Credit {
        self.settling_credit(true)
    }

    /// Exact dollars of those that can make the payment paid.
    pub(crate) fn settling_credit(&self, late_too: bool) -> Credit {
        let sums = self.counted.sums().flat_map(|sums| sums.settling(late_too));
        sums.map(|sum| sum.credit.clone()).sum()
    }

    /// Exact dollars of those in time that are there, counted or not.
    pub(crate) fn coming_credit(&self) -> Credit {
        [self.settling_credit(false), self.coming.in_time.credit.clone()].into_iter().sum()
    }

    /// The greatest height at which any of them lies that came in time; that of the lowest ones may be that of a higher one.
    pub(crate) fn last_height_in_time(&self, chain: &ChainId) -> Option<u64> {
        self.heights.get(chain)?.0.last().map(|step| step.to)
    }

    pub(crate) fn has_late_money(&self) -> bool {
        self.coming.late.count > 0 || self.counted.sums().any(|sums| sums.late.count > 0)
    }

    pub(crate) fn is_money_there(&self) -> bool {
        self.coming.count() > 0 || self.counted.count() > 0
    }

    fn add(&mut self, share: &Share) {
        let Share { is_in_time, credit, .. } = share;
        self.count = self.count.saturating_add(1);
        match share.class {
            Class::Counted(since) => self.counted.add(since.0, *is_in_time, credit.as_ref()),
            Class::Coming => self.coming.of(*is_in_time).add(credit.as_ref()),
            Class::Lost(at) => self.lost.add(at.0, *is_in_time, None),
            Class::Neither => {}
        }
        if share.is_unpriced() {
            self.unpriced = self.unpriced.saturating_add(1);
        }
        let none = || Group { count: 0, counted: 0, units: Units(0), credit: Credit::zero() };
        let group = self.groups.entry(share.group.clone()).or_insert_with(none);
        group.count = group.count.saturating_add(1);
        if let (Class::Counted(_), Some(credit)) = (share.class, credit) {
            group.counted = group.counted.saturating_add(1);
            group.units = group.units.plus(share.units);
            group.credit = group.credit.plus(credit);
        }
        if let Some(height) = share.height.filter(|_| *is_in_time) {
            self.heights.entry(share.group.chain.clone()).or_default().add(height, true, None);
        }
        self.sequence = self.sequence.max(share.sequence);
    }

    fn take(&mut self, share: &Share) {
        let Share { is_in_time, credit, .. } = share;
        self.count = self.count.saturating_sub(1);
        match share.class {
            Class::Counted(since) => self.counted.take(since.0, *is_in_time, credit.as_ref()),
            Class::Coming => self.coming.of(*is_in_time).take(credit.as_ref()),
            Class::Lost(at) => self.lost.take(at.0, *is_in_time, None),
            Class::Neither => {}
        }
        if share.is_unpriced() {
            self.unpriced = self.unpriced.saturating_sub(1);
        }
        if let Some(height) = share.height.filter(|_| *is_in_time)
            && let Some(heights) = self.heights.get_mut(&share.group.chain)
        {
            heights.take(height, true, None);
        }
        self.heights.retain(|_, heights| !heights.0.is_empty());
        let Some(group) = self.groups.get_mut(&share.group) else { return };
        group.count = group.count.saturating_sub(1);
        if let (Class::Counted(_), Some(credit)) = (share.class, credit) {
            group.counted = group.counted.saturating_sub(1);
            group.units = group.units.minus(share.units);
            group.credit = if group.counted == 0 { Credit::zero() } else { group.credit.less(credit) };
        }
        if group.count == 0 {
            self.groups.remove(&share.group);
        }
    }
}

impl Payment {
    /// How many transfers were ever reported, wherever they lie.
    pub fn transfers_total(&self) -> u64 {
        let in_hand = u64::try_from(self.progress.transfers.len()).unwrap_or(u64::MAX);
        self.progress.folded.count.saturating_add(in_hand)
    }

    /// Whether some of its transfers are not in hand.
    pub fn has_folded(&self) -> bool {
        self.progress.folded.count > 0
    }

    /// The transfers in hand, newest first.
    pub fn newest_transfers(&self) -> Vec<&Transfer> {
        let mut all: Vec<&Transfer> = self.transfers().collect();
        all.sort_unstable_by(|one, other| other.age().cmp(&one.age()));
        all
    }

    /// The transfers that are shown with the payment: the newest, by key.
    pub fn shown_transfers(&self) -> impl Iterator<Item = &Transfer> {
        let mut shown = self.newest_transfers();
        shown.truncate(TRANSFERS_SHOWN);
        shown.sort_unstable_by_key(|transfer| &transfer.movement.id);
        shown.into_iter()
    }

    /// What a transfer adds to the sums; none for one that stays in hand. That is one of which nobody can say when it
    /// counted, and one that may be the merchant's own: what comes later decides which of those are.
    fn share(&self, transfer: &Transfer) -> Option<Share> {
        if self.answers_top_up(&transfer.movement.id) { None } else { self.weighed(transfer) }
    }

    /// What a transfer that is no answer adds, or added when it was folded: a proposal that came since changes nothing of
    /// that.
    fn weighed(&self, transfer: &Transfer) -> Option<Share> {
        let class = match (transfer.state(&self.progress.quotes), transfer.standing()) {
            (TransferState::Counted, _) => Class::Counted(transfer.deep_since()?),
            (TransferState::Seen | TransferState::Confirming, _) => Class::Coming,
            (TransferState::Lost, Standing::Lost { at, .. }) => Class::Lost(at),
            (
                TransferState::Lost,
                Standing::Replaced | Standing::Unconfirmed { .. } | Standing::InBlock { .. },
            )
            | (TransferState::Own, _) => Class::Neither,
        };
        let movement = transfer.movement();
        Some(Share {
            class,
            is_in_time: self.lateness_of_money(transfer).is_none(),
            credit: transfer.credit(&self.progress.quotes),
            group: GroupKey {
                coin: movement.coin.clone(),
                chain: movement.chain.clone(),
                decimals: movement.decimals,
                address: movement.address.clone(),
                required: movement.confirmations_required,
            },
            units: movement.units,
            height: transfer.first_block().map(|block| block.height),
            sequence: transfer.latest.0,
        })
    }

    /// The transfers in hand that may be let go of, the oldest first.
    pub(crate) fn foldable(&self) -> impl Iterator<Item = &Transfer> {
        self.newest_transfers().into_iter().rev().filter(|transfer| self.share(transfer).is_some())
    }

    /// Lets go of transfers in hand; what they come to stays. They are returned with their prices: quotes may be forgotten
    /// before they are unfolded.
    pub(crate) fn fold(&mut self, ids: &[TransferId]) -> Vec<Transfer> {
        let mut folded = Vec::new();
        for id in ids {
            let Some(transfer) = self.progress.transfers.get(id) else { continue };
            let Some(share) = self.share(transfer) else { continue };
            let Some(mut transfer) = self.progress.transfers.remove(id) else { continue };
            self.progress.folded.add(&share);
            transfer.pin_until(&self.progress.quotes);
            folded.push(transfer);
        }
        let pivot = self.covered_at().map(|at| at.0);
        let Folded { counted, lost, heights, .. } = &mut self.progress.folded;
        counted.shorten(pivot);
        lost.shorten(None);
        for heights in heights.values_mut() {
            heights.shorten(None);
        }
        folded
    }

    /// Takes transfers in hand that were folded.
    pub(crate) fn unfold(&mut self, transfers: impl IntoIterator<Item = Transfer>) {
        for mut transfer in transfers {
            let id = transfer.movement.id.clone();
            if self.progress.transfers.contains_key(&id) {
                continue;
            }
            if let Some(share) = self.weighed(&transfer) {
                self.progress.folded.take(&share);
            }
            transfer.unpin(&self.progress.quotes);
            self.progress.transfers.insert(id, transfer);
        }
    }
}

impl Transfer {
    /// Its place among others: by when it was first seen.
    pub fn age(&self) -> (Timestamp, &TransferId) {
        (self.first_seen().unwrap_or_default(), &self.movement.id)
    }

    /// Keeps the price that it has by the payment's quotes, for when one of those is forgotten.
    fn pin_until(&mut self, quotes: &super::Quotes) {
        if self.pin.is_none() && self.first_seen().is_some() {
            let quote = self.held_quote(quotes).cloned();
            self.pin = Some(Pin { quote, choices: Some(quotes.issued()) });
        }
    }

    /// A price that was kept while no other quote was made is the one that it has by the payment's quotes.
    fn unpin(&mut self, quotes: &super::Quotes) {
        if let Some(pin) = &mut self.pin
            && let Some(choices) = pin.choices.take()
            && choices == quotes.issued()
        {
            self.pin = None;
        }
    }
}
