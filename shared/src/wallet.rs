//! What lies at a merchant's addresses, as the payments say: for the wallet that has to find and move it.
//!
//! Pure. It is worked out from a payment anew each time, so that noting it twice or late changes nothing.

pub mod batch;

use std::collections::BTreeMap;

use crate::chain::{ChainId, CoinId};
use crate::money::Units;
use crate::payment::{GivenAddress, MerchantId, Mode, Payment, TransferState};

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

    fn wallet(&self, given: &GivenAddress) -> Wallet {
        let mut received = BTreeMap::new();
        for transfer in self.transfers().filter(|one| one.movement().address == given.address) {
            let movement = transfer.movement();
            let none = || Received { chain: movement.chain.clone(), units: Units(0) };
            let sum: &mut Received = received.entry(movement.coin.clone()).or_insert_with(none);
            match self.state(transfer) {
                TransferState::Counted => sum.units = sum.units.plus(movement.units),
                TransferState::Seen | TransferState::Confirming | TransferState::Lost => {}
            }
        }
        Wallet { given: given.clone(), received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::tests::{chosen, counted};

    #[test]
    fn what_counts_is_summed_and_an_address_without_transfers_is_no_wallet() {
        assert_eq!(chosen().wallets(), []);
        let twice = counted(&counted(&chosen(), 0, 3, 60), 1, 2, 70);
        let wallets = twice.wallets();
        let [wallet] = wallets.as_slice() else { panic!("{wallets:?}") };
        let units: Vec<_> = wallet.received.values().map(|received| received.units).collect();
        assert_eq!((units, wallet.has_money(), wallet.given.index), (vec![Units(5)], true, 0));
    }
}
