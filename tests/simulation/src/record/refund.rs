//! What was written of each refund, and what no writing may ever do to one.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::chain::address::{AddressKey, EvmAddress};
use shared::payment::{CLAIM_SECONDS, Status};

use super::{MARGIN, Written, number, text};
use crate::chain::{SimChain, Tx};
use crate::kind;

/// A refund as its payment's item says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refund {
    /// Its place among its payment's refunds.
    pub number: u64,
    /// The hash of its claim link's secret, which no other refund has.
    pub secret: String,
    /// The coin's place in the settings.
    pub coin: usize,
    /// How much.
    pub units: u128,
    /// When it was asked for.
    pub requested_at: u64,
    /// Where to.
    pub address: Option<String>,
    /// When the merchant confirmed that.
    pub confirmed_at: Option<u64>,
    /// How far the chain was scanned then.
    pub scanned: Option<u64>,
    /// The transaction that the merchant named.
    pub named: Option<String>,
    /// When it was taken back.
    pub withdrawn_at: Option<u64>,
    /// The transaction that it was.
    pub paid_by: Option<String>,
    /// What went back of the coin before.
    pub earlier: u128,
    /// By these transactions.
    pub earlier_txs: Vec<String>,
}

/// The refunds of a payment's item, by coin.
pub fn read(item: &Value) -> BTreeMap<String, Refund> {
    let refunds = item["refunds"]["M"].as_object();
    let read = |(coin, row): (&String, &Value)| (coin.clone(), Refund::read(coin, &row["M"]));
    refunds.into_iter().flatten().map(read).collect()
}

fn units(item: &Value, name: &str) -> u128 {
    text(item, name).parse().unwrap_or(0)
}

fn optional(item: &Value, name: &str) -> Option<String> {
    item[name]["S"].as_str().map(str::to_owned)
}

impl Refund {
    fn read(coin: &str, row: &Value) -> Refund {
        let earlier = &row["earlier"]["M"];
        let txs = earlier["txs"]["L"].as_array();
        let named = optional(row, "tx");
        Refund {
            number: number(row, "number").unwrap_or(0),
            secret: text(row, "secret").to_owned(),
            coin: kind::place(coin),
            units: units(row, "units"),
            requested_at: number(row, "at").unwrap_or(0),
            address: optional(row, "address"),
            confirmed_at: number(row, "confirmed_at"),
            scanned: number(row, "scanned"),
            withdrawn_at: number(row, "withdrawn_at"),
            paid_by: paid_by(row, named.as_deref()),
            named,
            earlier: units(earlier, "units"),
            earlier_txs: txs
                .into_iter()
                .flatten()
                .filter_map(|tx| tx["S"].as_str())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// How much of the coin went back.
    pub fn given_back(&self) -> u128 {
        self.earlier + if self.paid_by.is_some() { self.units } else { 0 }
    }

    /// Whether it can still take money at `now`, by every clock.
    fn is_under_way(&self, now: u64) -> bool {
        let waits = self.address.is_some() || now + MARGIN < self.requested_at + CLAIM_SECONDS;
        self.withdrawn_at.is_none() && self.paid_by.is_none() && waits
    }

    /// How many of a transaction's outputs are what was confirmed: that address, those units.
    pub fn outputs(&self, tx: &Tx) -> usize {
        let is_it = |paid: &&crate::chain::Paid| {
            let address = self.address.as_ref().is_some_and(|address| *address == paid.address);
            address && paid.units == self.units && paid.coin == self.coin
        };
        tx.pays.iter().filter(is_it).count()
    }

    /// Whether a transaction is this refund's: out of the payment's own pockets, or named.
    pub fn owns(&self, payment: &Written, tx: &Tx, chain: &SimChain) -> bool {
        self.named.as_ref() == Some(&tx.id) || is_from(payment, tx, chain)
    }

    fn is_after_confirmation(&self, tx: &Tx, chain: &SimChain) -> bool {
        let Some(confirmed_at) = self.confirmed_at else { return false };
        let is_after = |header: &shared::chain::block::Header| {
            header.timestamp.0 > confirmed_at || self.scanned.is_some_and(|scanned| header.number > scanned)
        };
        tx.pays.iter().any(|paid| chain.held_by(&paid.key).iter().any(is_after))
    }
}

/// The transaction that a refund is by its item: the first of its own that was deep enough.
fn paid_by(row: &Value, named: Option<&str>) -> Option<String> {
    let seen = row["seen"]["M"].as_object()?;
    let deep = seen.iter().filter_map(|(tx, sighting)| {
        let sighting = &sighting["M"];
        let own = sighting["own"]["BOOL"] == true || named == Some(tx.as_str());
        own.then_some((number(sighting, "deep_since")?, tx))
    });
    deep.min().map(|(_, tx)| tx.clone())
}

/// Whether a transaction spends what was paid to a payment.
fn is_from(payment: &Written, tx: &Tx, chain: &SimChain) -> bool {
    let is_account = |address: &String| {
        address.parse::<EvmAddress>().is_ok_and(|address| AddressKey(address.0) == tx.from)
    };
    let spends_ours =
        |output| chain.paid(output).is_some_and(|paid| payment.addresses.contains(&paid.address));
    payment.addresses.iter().any(is_account) || tx.spends.iter().any(spends_ours)
}

/// A write of a payment, and what the world was like then.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// As it was written before.
    pub old: &'a Written,
    /// As it is written now.
    pub new: &'a Written,
    /// The chain.
    pub chain: &'a SimChain,
    /// How deep money must lie.
    pub depth: u32,
    /// The true time.
    pub now: u64,
}

impl Change<'_> {
    /// What is wrong with what the write makes of the payment's refunds.
    pub fn wrong(&self) -> Vec<String> {
        let (old, new) = (self.old, self.new);
        let is_there = |coin: &String| new.refunds.contains_key(coin);
        let mut rules = vec![(old.refunds.keys().all(is_there), "a refund was forgotten")];
        for (coin, refund) in &new.refunds {
            let before = old.refunds.get(coin);
            let same = before.filter(|before| before.secret == refund.secret);
            rules.extend(same.map(|same| (goes_on(same, refund), "a step of a refund was taken back")));
            if same.is_none() {
                rules.extend(self.begins(before, refund));
            }
            rules.extend(self.goes_back(same, refund));
        }
        let accepts = old.accepted_at.is_none() && new.accepted_at.is_some();
        let stands = |refund: &Refund| refund.is_under_way(self.now) || refund.given_back() > 0;
        let stand = old.refunds.values().any(stands);
        rules.push((!accepts || !stand, "late money was accepted that goes back"));
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what.to_owned()).collect()
    }

    /// Of a refund that was asked for just now.
    fn begins(&self, before: Option<&Refund>, refund: &Refund) -> [(bool, &'static str); 3] {
        let ends = [Status::Expired, Status::Cancelled, Status::Refunded, Status::Paid, Status::Overpaid];
        let status = self.old.status.is_some_and(|status| ends.contains(&status));
        let is_over = before.is_none_or(|before| !before.is_under_way(self.now));
        let is_kept = before.is_none_or(|before| before.given_back() <= refund.earlier);
        [
            (is_over, "a refund replaced one under way"),
            (status, "a refund was asked for of a payment that goes on (R16)"),
            (is_kept, "what went back was forgotten"),
        ]
    }

    /// Of the money itself.
    fn goes_back(&self, same: Option<&Refund>, refund: &Refund) -> [(bool, &'static str); 3] {
        let was_confirmed = same.is_some_and(|same| same.confirmed_at.is_some());
        let is_step = same.is_none() || (refund.confirmed_at.is_some() && !was_confirmed);
        let received = self.chain.received(&self.new.addresses, refund.coin, self.depth);
        let known = same.and_then(|same| same.paid_by.as_ref());
        let paid_by = refund.paid_by.as_ref().filter(|tx| known != Some(tx));
        [
            (!is_step || is_there(self.new, refund), "more goes back than may (R16)"),
            (refund.given_back() <= received, "more went back than ever came"),
            (
                paid_by.is_none_or(|tx| self.is_paid(refund, tx)),
                "a refund is complete that the chain did not pay",
            ),
        ]
    }

    /// Whether the chain once paid a refund by that transaction: exactly those units to exactly that address, as deep as
    /// it takes, after the confirmation, out of the payment's pockets or as it was named.
    fn is_paid(&self, refund: &Refund, tx: &str) -> bool {
        let Some(tx) = self.chain.tx(tx) else { return false };
        let deep = tx.pays.first().is_some_and(|paid| self.chain.deepest(&paid.key) >= self.depth);
        let is_new = !refund.earlier_txs.contains(&tx.id);
        let is_it = refund.outputs(tx) > 0 && refund.owns(self.new, tx, self.chain);
        deep && is_new && is_it && refund.is_after_confirmation(tx, self.chain)
    }
}

/// Nothing that was said of a refund is taken back, and one that is taken back is never confirmed.
fn goes_on(old: &Refund, new: &Refund) -> bool {
    let kept = |old: Option<&String>, new: Option<&String>| old.is_none() || old == new;
    let settled = |old: Option<u64>, new: Option<u64>| old.is_none() || old == new;
    old.units == new.units
        && kept(old.address.as_ref(), new.address.as_ref())
        && settled(old.confirmed_at, new.confirmed_at)
        && settled(old.withdrawn_at, new.withdrawn_at)
        && (new.paid_by.is_some() || old.paid_by.is_none())
        && (new.confirmed_at.is_none() || (new.withdrawn_at.is_none() && new.address.is_some()))
        && (new.paid_by.is_none() || new.confirmed_at.is_some())
        && old.earlier == new.earlier
}

/// Whether what goes back of a coin counts.
fn is_there(payment: &Written, refund: &Refund) -> bool {
    let of_coin = payment.transfers.values().filter(|held| held.counts && held.coin == refund.coin);
    refund.earlier + refund.units <= of_coin.map(|held| held.units).sum()
}
