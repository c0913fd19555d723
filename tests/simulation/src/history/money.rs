//! Who pays whom: payers rightly and wrongly, merchants who give back, and what becomes of it before a block holds it.

use shared::chain::address::AddressKey;

use super::Stage;
use crate::actors::refund::Link;
use crate::actors::{Order, Told};
use crate::chain::{Output, Paid, STRANGERS, Tx};
use crate::kind::{self, Kind};
use crate::record::refund::Refund;

/// Addresses at which payers want their money back: few, so that two refunds look the same.
pub const DESTINATIONS: u8 = 2;

/// The number of the address at which payers keep their own.
const OWN: u8 = 99;

/// The account of all payers.
const PAYER: AddressKey = AddressKey([7; 20]);

/// The account of a merchant's own money.
const MERCHANT: AddressKey = AddressKey([8; 20]);

/// Payouts that a merchant sends for one refund at most, by mistake.
const PAYOUTS: usize = 2;

/// Money for somebody: coin, address, the same as watch lists know it, units.
type Sum = (usize, String, AddressKey, u128);

impl Stage<'_> {
    /// Somebody pays, rightly or not.
    pub(super) fn send(&mut self) {
        if self.kind == Kind::Bitcoin && self.random.u8(0..3) == 0 && self.unsettle() {
            return;
        }
        let told: Vec<Told> =
            self.world.orders.borrow().values().flat_map(|order: &Order| order.told.clone()).collect();
        if told.is_empty() {
            return;
        }
        // Batches: several movements in one transaction, to one payment or to several.
        let movements = [1, 1, 1, 2, 3][self.random.usize(0..5)];
        let mut sums = Vec::new();
        for _ in 0..movements {
            let told = &told[self.random.usize(0..told.len())];
            let units = self.about(told.units);
            sums.push((told.coin, told.address.clone(), self.key_of(&told.address), units));
        }
        let spends = self.strangers_own();
        let tx = self.write(sums, spends, PAYER);
        self.put_out(tx);
    }

    /// Somebody pays what he was told, in one transaction.
    pub(super) fn pay_as_told(&mut self, told: &Told) {
        let sums = vec![(told.coin, told.address.clone(), self.key_of(&told.address), told.units)];
        let spends = self.strangers_own();
        let tx = self.write(sums, spends, PAYER);
        self.put_out(tx);
    }

    /// What a payer sends who should send so much.
    fn about(&mut self, units: u128) -> u128 {
        let about = match self.random.u8(0..8) {
            0 => 1,
            1 => units / 2,
            2 => units - 1,
            3 => units + 1,
            4 => units * 2,
            5 => units / 3 + 1,
            _ => units,
        };
        about.max(1)
    }

    /// Payers pay twice what they should, or half.
    pub(super) fn pay_too_much(&mut self) {
        let orders: Vec<Order> = self.world.orders.borrow().values().cloned().collect();
        for order in orders {
            let Some(told) = order.told.last() else { continue };
            let twice = self.random.u8(0..4) > 0;
            let units = if twice { told.units * 2 } else { told.units / 2 + 1 };
            let sums = vec![(told.coin, told.address.clone(), self.key_of(&told.address), units)];
            let spends = self.strangers_own();
            let tx = self.write(sums, spends, PAYER);
            self.put_out(tx);
        }
    }

    fn key_of(&self, address: &str) -> AddressKey {
        self.world.chain.family.address_key(address).expect("an address")
    }

    /// What a stranger spends, where one spends outputs.
    fn strangers_own(&mut self) -> Vec<Output> {
        let tx = STRANGERS + self.next_tx;
        match self.kind {
            Kind::Evm => Vec::new(),
            Kind::Bitcoin => (0..self.random.u32(1..3)).map(|place| Output { tx, place }).collect(),
        }
    }

    /// A transaction as its sender signs it.
    fn write(&mut self, sums: Vec<Sum>, spends: Vec<Output>, from: AddressKey) -> Tx {
        self.next_tx += 1;
        let (number, chain) = (self.next_tx, &self.world.chain);
        let id = self.kind.tx_id(number);
        let mut pays: Vec<Paid> = Vec::new();
        for (coin, address, to, units) in sums {
            let prefix = match self.kind {
                Kind::Evm => {
                    let asset = chain.coins[coin].asset.key();
                    format!("{}:{id}:{asset}:{}:", chain.id, address.to_lowercase())
                }
                Kind::Bitcoin => format!("{}:{id}:", chain.id),
            };
            let place = pays.iter().filter(|paid| paid.key.starts_with(&prefix)).count();
            pays.push(Paid { key: format!("{prefix}{place}"), coin, address, to, units });
        }
        Tx { number, id, spends, from, pays }
    }

    fn put_out(&self, tx: Tx) {
        let mut state = self.net.lock();
        for paid in &tx.pays {
            let coin = &self.world.chain.coins[paid.coin].id;
            state.tell(|| {
                format!("{} of {coin} sent in transaction {} to {}", paid.units, tx.number, paid.address)
            });
        }
        state.chain.send(tx);
    }

    /// Something happens to what waits for a block, or did once; not if there is nothing.
    pub(super) fn unsettle(&mut self) -> bool {
        let (waiting, gone) = {
            let state = self.net.lock();
            (state.chain.waiting().to_vec(), state.chain.gone().len())
        };
        if gone > 0 && self.random.u8(0..4) == 0 {
            self.come_back(gone);
            return true;
        }
        if !waiting.is_empty() {
            let place = self.random.usize(0..waiting.len());
            self.disturb(place, &waiting[place]);
        }
        !waiting.is_empty()
    }

    /// One of so many transactions that were gone is sent again.
    fn come_back(&mut self, gone: usize) {
        let place = self.random.usize(0..gone);
        let mut state = self.net.lock();
        state.chain.come_back(place);
        state.fault(|| "a transaction that was gone is sent again".to_owned());
    }

    /// A transaction that waits is replaced, or is no longer to be seen, or another is mined that spends the same.
    fn disturb(&mut self, place: usize, former: &Tx) {
        match self.random.u8(0..7) {
            0 | 1 => self.replace(former, false),
            2 | 3 => self.replace(former, true),
            4 | 5 => {
                let mut state = self.net.lock();
                state.chain.vanish(place);
                state.fault(|| format!("transaction {} is no longer to be seen", former.number));
            }
            _ => {
                self.replace(former, true);
                self.mine_one();
            }
        }
    }

    /// Another transaction spends the same: to pay a higher fee, or to take the money back.
    fn replace(&mut self, former: &Tx, takes_back: bool) {
        let (own, to) = kind::destination(&self.world.chain, OWN);
        let sums = former.pays.iter().map(|paid| {
            let (address, to) = if takes_back { (&own, to) } else { (&paid.address, paid.to) };
            (paid.coin, address.clone(), to, paid.units)
        });
        let tx = self.write(sums.collect(), former.spends.clone(), former.from);
        self.net.lock().fault(|| format!("transaction {} replaces {}", tx.number, former.number));
        self.put_out(tx);
    }

    /// Something that was gone is mined on another branch.
    pub(super) fn revive(&mut self) {
        let gone = self.net.lock().chain.gone().len();
        if self.kind == Kind::Bitcoin && gone > 0 && self.random.u8(0..3) == 0 {
            self.come_back(gone);
        }
    }

    /// A merchant's wallet pays a refund, rightly or not.
    pub(super) fn pay_back(&mut self, link: &Link) {
        let Some(refund) = link.written(&self.world) else { return };
        let earlier = self.payouts.iter().filter(|(hash, _)| *hash == refund.secret).count();
        if earlier >= PAYOUTS {
            return;
        }
        let sums = self.about_refund(link, &refund);
        let (from, spends) = self.funds(link);
        let tx = self.write(sums, spends, from);
        self.payouts.push((refund.secret, tx.id.clone()));
        self.put_out(tx);
    }

    /// What a merchant sends who should send a refund.
    fn about_refund(&mut self, link: &Link, refund: &Refund) -> Vec<Sum> {
        let (address, to) = match self.random.u8(0..10) {
            0 => kind::destination(&self.world.chain, self.random.u8(0..DESTINATIONS)),
            _ => (link.address.clone(), self.key_of(&link.address)),
        };
        let units = match self.random.u8(0..12) {
            0 => refund.units + 1,
            1 => (refund.units - 1).max(1),
            _ => refund.units,
        };
        let outputs = if self.random.u8(0..6) == 0 { 2 } else { 1 };
        vec![(refund.coin, address, to, units); outputs]
    }

    /// Out of which pockets: mostly the payment's own.
    fn funds(&mut self, link: &Link) -> (AddressKey, Vec<Output>) {
        let pocket = if self.random.u8(0..4) == 0 { None } else { self.pocket(&link.order) };
        let Some((from, mut spends)) = pocket else { return (MERCHANT, self.strangers_own()) };
        if self.kind == Kind::Bitcoin && self.random.u8(0..4) > 0 {
            // One transaction for two refunds, out of both payments' pockets.
            let other = self.twin(link).map(|twin| twin.order);
            spends.extend(
                other.and_then(|other| self.pocket(&other)).into_iter().flat_map(|(_, spends)| spends),
            );
            spends.sort_unstable();
            spends.dedup();
        }
        (from, spends)
    }

    /// What a payment received: its account, or one of its outputs.
    fn pocket(&mut self, order: &Order) -> Option<(AddressKey, Vec<Output>)> {
        match self.kind {
            Kind::Evm => Some((self.key_of(&order.told.first()?.address), Vec::new())),
            Kind::Bitcoin => {
                let state = self.net.lock();
                let payment = state.record.payments().get(&order.code.to_string())?;
                let counted = payment.transfers.iter().filter(|(_, held)| held.counts);
                let outputs: Vec<Output> = counted.filter_map(|(id, _)| state.chain.output(id)).collect();
                drop(state);
                let place = self.random.usize(0..outputs.len().max(1));
                outputs.get(place).map(|output| (MERCHANT, vec![*output]))
            }
        }
    }
}
