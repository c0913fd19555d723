//! What lies at a merchant's addresses, as the payments say: for the wallet that has to find and move it.
//!
//! Pure. It is worked out from a payment anew each time, so that noting it twice or late changes nothing.

pub mod batch;

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::block::OutPoint;
use crate::chain::{ChainId, CoinId};
use crate::moment::Timestamp;
use crate::money::Units;
use crate::payment::{
    GivenAddress, MerchantId, Mode, Payment, Standing, Transfer, TransferId, TransferState,
};

/// An address and what came to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// The address, and its place under its key.
    pub given: GivenAddress,
    /// What came, by coin; a coin whose transfers were all taken back is there with nothing.
    pub received: BTreeMap<CoinId, Received>,
}

/// What came of one coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// On which chain.
    pub chain: ChainId,
    /// The sum of what counts.
    pub units: Units,
}

/// What a chain was seen to hold of a coin at an address, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// How much.
    pub units: Units,
    /// What came in blocks up to this height is part of it or gone; what came later is neither.
    pub height: u64,
    /// When that was looked at.
    pub at: Timestamp,
    /// The outputs that it lies in, where a chain has outputs: the largest of them, if they are many.
    pub unspent: BTreeSet<OutPoint>,
}

/// Whose wallets they are: an account's, in one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The account.
    pub merchant: MerchantId,
    /// Real money or a rehearsal.
    pub mode: Mode,
}

impl Wallet {
    /// Whether anything counts there.
    pub fn has_money(&self) -> bool {
        self.received.values().any(|received| received.units > Units(0))
    }
}

impl Payment {
    /// Whose its addresses are.
    pub fn owner(&self) -> Owner {
        Owner { merchant: self.merchant().clone(), mode: self.mode() }
    }

    /// Each address of the payment to which anything was ever sent.
    pub fn wallets(&self) -> Vec<Wallet> {
        let with_transfers = self.addresses().iter().map(|given| self.wallet(given));
        with_transfers.filter(|wallet| !wallet.received.is_empty()).collect()
    }

    /// What lies of a coin at one of its addresses: what the chain was last seen to hold and what came since, else all that
    /// came. Of what came in blocks that were seen nothing is added, however late the record learned of it. Of a payment
    /// with very many transfers those that are not in hand wait for the next look.
    pub fn available(&self, address: &str, coin: &CoinId, seen: Option<&Balance>) -> Units {
        let held = seen.map_or(Units(0), |balance| balance.units);
        let since = self.counted_at(address, coin).filter(|transfer| came_after(transfer, seen));
        let groups = self.progress().folded.groups.iter().filter(|_| seen.is_none());
        let folded = groups.filter(|(key, _)| key.address == address && key.coin == *coin);
        let held = folded.fold(held, |sum, (_, group)| sum.plus(group.units));
        since.fold(held, |sum, transfer| sum.plus(transfer.movement().units))
    }

    /// The outputs of an address that may be spent: those that were last seen unspent and those that came since.
    pub fn unspent(
        &self,
        address: &str,
        coin: &CoinId,
        seen: Option<&Balance>,
    ) -> impl Iterator<Item = (OutPoint, &Transfer)> {
        let counted = self.counted_at(address, coin);
        let outputs = counted.filter_map(|transfer| Some((outpoint(&transfer.movement().id)?, transfer)));
        outputs.filter(move |(output, transfer)| {
            came_after(transfer, seen) || seen.is_some_and(|balance| balance.unspent.contains(output))
        })
    }

    fn counted_at(&self, address: &str, coin: &CoinId) -> impl Iterator<Item = &Transfer> {
        self.transfers().filter(move |transfer| {
            let movement = transfer.movement();
            let is_there = movement.address == address && movement.coin == *coin;
            is_there && self.state(transfer) == TransferState::Counted
        })
    }

    fn wallet(&self, given: &GivenAddress) -> Wallet {
        let mut received = BTreeMap::new();
        for transfer in self.transfers().filter(|one| one.movement().address == given.address) {
            let movement = transfer.movement();
            let none = || Received { chain: movement.chain.clone(), units: Units(0) };
            let sum: &mut Received = received.entry(movement.coin.clone()).or_insert_with(none);
            match self.state(transfer) {
                TransferState::Counted => sum.units = sum.units.plus(movement.units),
                TransferState::Seen
                | TransferState::Confirming
                | TransferState::Lost
                | TransferState::Own => {}
            }
        }
        for (key, group) in
            self.progress().folded.groups.iter().filter(|(key, _)| key.address == given.address)
        {
            let none = || Received { chain: key.chain.clone(), units: Units(0) };
            let sum: &mut Received = received.entry(key.coin.clone()).or_insert_with(none);
            sum.units = sum.units.plus(group.units);
        }
        Wallet { given: given.clone(), received }
    }
}

/// The output that a transfer is, by its key `chain:txid:vout`; none on other chains, and for what was only simulated.
pub fn outpoint(id: &TransferId) -> Option<OutPoint> {
    let (_, outpoint) = id.as_str().split_once(':')?;
    outpoint.parse().ok()
}

/// Whether a transfer lies in a block that was not looked at yet; all do where nobody looked.
fn came_after(transfer: &Transfer, seen: Option<&Balance>) -> bool {
    match transfer.standing() {
        Standing::InBlock { block, .. } => seen.is_none_or(|balance| block.height > balance.height),
        Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::tests::{chosen, counted, lost};

    #[test]
    fn what_counts_is_summed_and_an_address_without_transfers_is_no_wallet() {
        assert_eq!(chosen().wallets(), []);
        let twice = counted(&counted(&chosen(), 0, 3, 60), 1, 2, 70);
        let wallets = twice.wallets();
        let [wallet] = wallets.as_slice() else { panic!("{wallets:?}") };
        let units: Vec<_> = wallet.received.values().map(|received| received.units).collect();
        assert_eq!((units, wallet.has_money(), wallet.given.index), (vec![Units(5)], true, 0));
    }

    fn seen(units: u128, height: u64) -> Balance {
        Balance { units: Units(units), height, at: Timestamp(0), unspent: BTreeSet::new() }
    }

    #[test]
    fn an_old_balance_hides_no_new_money_and_counts_none_twice() {
        let eth = CoinId::new("ETH").unwrap();
        // Two transfers, in the blocks 5 and 10.
        let payment = counted(&counted(&chosen(), 0, 30, 60), 1, 4, 120);
        let available = |seen: Option<&Balance>| payment.available("0xabc", &eth, seen).0;
        assert_eq!(available(None), 34, "nobody looked yet");
        assert_eq!(available(Some(&seen(0, 9))), 4, "the first was taken away, and the second came since");
        assert_eq!(available(Some(&seen(0, 10))), 0, "both were taken away");
        assert_eq!(available(Some(&seen(35, 10))), 35, "more was there than is known of");
        // A re-organisation takes what came since away, and nothing else.
        let lost = lost(&payment, 1, 4, 130);
        assert_eq!(lost.available("0xabc", &eth, Some(&seen(30, 9))).0, 30);
        assert_eq!(lost.available("0xabc", &eth, Some(&seen(0, 9))).0, 0);
    }
}
