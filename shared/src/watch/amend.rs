//! Money that was found by balances, and the transactions that turn out to have brought it: never both (R37).
//!
//! A list of transactions that was not whole leaves money unexplained, which is recorded by its block. When the transaction
//! is found after all, what it brought is taken from that: in the same step in which the transaction is told.

use std::collections::BTreeSet;

use super::{Source, Watcher, follow};
use crate::chain::block::{Found, ScannedBlock};
use crate::chain::evm::scan::{native_coin, unexplained};
use crate::chain::{Chain, Coin, Family, Internal};
use crate::money::Units;
use crate::payment::Code;
use crate::store::{StoreError, TouchedTransfer};

/// What a block holds, and what was noted of it that this explains.
#[derive(Clone, Debug)]
pub(super) struct Amended {
    pub(super) scanned: ScannedBlock<Code>,
    /// Noted money that is told under other names now.
    pub(super) replaced: Vec<TouchedTransfer>,
}

impl<S: Source> Watcher<'_, S> {
    /// The same for a block that is read for the first time, as far as anybody knows: only where balances are compared may
    /// a part of it be noted by a run that died.
    pub(super) async fn amended_where_compared(
        &self,
        scanned: ScannedBlock<Code>,
    ) -> Result<Amended, StoreError> {
        match self.chain.internal {
            Internal::Balances => self.amended(scanned).await,
            Internal::Unseen | Internal::Traces => Ok(Amended { scanned, replaced: Vec::new() }),
        }
    }

    /// What a block holds beside what was noted of it before: a read more, for blocks that hold native money for us.
    pub(super) async fn amended(&self, scanned: ScannedBlock<Code>) -> Result<Amended, StoreError> {
        let as_it_is = |scanned| Amended { scanned, replaced: Vec::new() };
        let (Family::Evm { .. }, Some(coin)) = (self.chain.family, native_coin(self.chain)) else {
            return Ok(as_it_is(scanned));
        };
        if scanned.found.iter().all(|found| found.movement.coin != coin.id) {
            return Ok(as_it_is(scanned));
        }
        let (height, hash) = (scanned.header.number, follow::kept(scanned.header.hash));
        let noted = self.store.noted_of(&self.chain.id, height, hash).await?;
        Ok(amend((self.chain, coin), scanned, &noted))
    }
}

/// The same, pure.
fn amend(
    (chain, coin): (&Chain, &Coin),
    mut scanned: ScannedBlock<Code>,
    noted: &[TouchedTransfer],
) -> Amended {
    let by_balance = format!("{}:balance:", chain.id);
    let is_open = |transfer: &&TouchedTransfer| transfer.coin == coin.id.as_str() && !transfer.replaced;
    let (differences, transactions): (Vec<_>, Vec<_>) =
        noted.iter().filter(is_open).partition(|transfer| transfer.id.starts_with(&by_balance));
    let mut all = Vec::new();
    let mut replaced = Vec::new();
    let addresses: BTreeSet<String> = scanned.found.iter().map(|it| it.movement.address.clone()).collect();
    for address in addresses {
        let here = |transfer: &&&TouchedTransfer| transfer.address == address;
        let sides = Sides {
            chain: (chain, coin),
            height: scanned.header.number,
            differences: differences.iter().filter(here).copied().collect(),
            transactions: transactions.iter().filter(here).copied().collect(),
        };
        let (of_address, rest) =
            std::mem::take(&mut scanned.found).into_iter().partition(|it| it.movement.address == address);
        scanned.found = rest;
        replaced.extend(sides.settle(&by_balance, of_address, &mut all));
    }
    scanned.found = all;
    Amended { scanned, replaced }
}

/// What was noted of native money to one address in one block.
struct Sides<'a> {
    chain: (&'a Chain, &'a Coin),
    height: u64,
    /// What no transaction explained.
    differences: Vec<&'a TouchedTransfer>,
    /// What transactions brought.
    transactions: Vec<&'a TouchedTransfer>,
}

impl Sides<'_> {
    /// Adds to `all` what is to be told of what was `found`; gives what is told no more.
    fn settle(
        &self,
        by_balance: &str,
        found: Vec<Found<Code>>,
        all: &mut Vec<Found<Code>>,
    ) -> Vec<TouchedTransfer> {
        let (_, coin) = self.chain;
        let is_difference = |it: &Found<Code>| it.movement.key.starts_with(by_balance);
        let (difference, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(is_difference);
        let is_noted = |it: &Found<Code>| self.transactions.iter().any(|noted| noted.id == it.movement.key);
        let native = rest.iter().filter(|it| it.movement.coin == coin.id);
        let news = sum(native.clone().filter(|it| !is_noted(it)).map(|it| it.units.0));
        let is_seen = |noted: &&&TouchedTransfer| native.clone().any(|it| it.movement.key == noted.id);
        let unseen = sum(self.transactions.iter().filter(|it| !is_seen(it)).map(|it| units(it)));
        let recorded = sum(self.differences.iter().map(|it| units(it)));
        let to = rest.iter().chain(&difference).next();
        let to = to.and_then(|it| Some((it.movement.watched, it.movement.address.parse().ok()?)));
        all.extend(rest);
        let left = match difference.first() {
            Some(new) if self.differences.is_empty() => new.units.0.saturating_sub(unseen),
            Some(new) => new.units.0.saturating_sub(unseen).min(recorded),
            None => recorded.saturating_sub(news),
        };
        // The same again, with all that is known by now: it stands.
        let stands = !self.differences.is_empty() && left == recorded;
        if stands {
            let is_noted =
                |it: &Found<Code>| self.differences.iter().any(|noted| noted.id == it.movement.key);
            all.extend(difference.into_iter().filter(is_noted));
            return Vec::new();
        }
        if let Some((watched, address)) = to.filter(|_| left > 0) {
            all.push(unexplained(self.chain, self.height, (address, Units(left)), watched));
        }
        self.differences.iter().map(|it| TouchedTransfer { replaced: true, ..(*it).clone() }).collect()
    }
}

fn units(transfer: &TouchedTransfer) -> u128 {
    transfer.units.parse().unwrap_or(0)
}

fn sum(units: impl Iterator<Item = u128>) -> u128 {
    units.fold(0, u128::saturating_add)
}

#[cfg(test)]
mod tests {
    //! Each line is a block of one address: what was noted of it, what is found, and what is left of both.

    use super::*;
    use crate::chain::Chains;
    use crate::chain::address::EvmAddress;
    use crate::chain::block::{Hash256, Header, Movement};
    use crate::moment::Timestamp;

    const OURS: EvmAddress = EvmAddress([0x11; 20]);

    /// Money by a transaction of that name, or by none.
    type Money = (Option<&'static str>, u128);

    fn chain() -> Chain {
        let json = r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
            {"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}],
            "confirmations":[{"blocks":12}]}]"#;
        Chains::parse(json).unwrap().iter().next().unwrap().clone()
    }

    fn found((tx, units): &Money) -> Found<Code> {
        let chain = chain();
        let coin = native_coin(&chain).unwrap();
        let watched = Code::from_random(1);
        let Some(tx) = tx else { return unexplained((&chain, coin), 7, (OURS, Units(*units)), watched) };
        let key = format!("ethereum:{tx}:native:{}:0", OURS.to_lower_hex());
        let (coin, decimals) = (coin.id.clone(), coin.decimals);
        let (tx_id, address) = ((*tx).to_owned(), OURS.to_string());
        Found::plain(Movement { key, coin, decimals, tx_id, address, watched }, Units(*units))
    }

    /// What is to be told, and what is told no more, by units.
    fn amended(noted: &[Money], seen: &[Money]) -> (Vec<u128>, Vec<u128>) {
        let chain = chain();
        let noted: Vec<_> = noted.iter().map(|it| super::super::tell::touched_transfer(&found(it))).collect();
        let hash = Hash256([1; 32]);
        let header = Header { number: 7, hash, parent_hash: hash, timestamp: Timestamp(0) };
        let found = seen.iter().map(found).collect();
        let scanned =
            ScannedBlock { header, found, unreadable: Vec::new(), spent: Vec::new(), payouts: Vec::new() };
        let amended = amend((&chain, native_coin(&chain).unwrap()), scanned, &noted);
        let told = amended.scanned.found.iter().map(|it| it.units.0).collect();
        (told, amended.replaced.iter().map(units).collect())
    }

    const BALANCE: Option<&str> = None;
    const TX: Option<&str> = Some("0xaa");
    const OTHER: Option<&str> = Some("0xbb");

    #[test]
    fn a1_a_difference_goes_when_its_transaction_is_found() {
        assert_eq!(amended(&[(BALANCE, 50)], &[(TX, 50)]), (vec![50], vec![50]));
        assert_eq!(amended(&[(BALANCE, 50)], &[(TX, 20), (OTHER, 30)]), (vec![20, 30], vec![50]));
        // What a contract sent beside it stays.
        assert_eq!(amended(&[(BALANCE, 50)], &[(TX, 20)]), (vec![20, 30], vec![50]));
        assert_eq!(amended(&[(BALANCE, 50), (TX, 20)], &[(TX, 20), (OTHER, 50)]), (vec![20, 50], vec![50]));
    }

    #[test]
    fn a2_reading_again_never_raises_what_is_recorded() {
        // With a list that is not whole, after all of it was found.
        assert_eq!(amended(&[(TX, 50)], &[(BALANCE, 50)]), (vec![], vec![]));
        assert_eq!(amended(&[(TX, 20), (OTHER, 30)], &[(TX, 20), (BALANCE, 30)]), (vec![20], vec![]));
        assert_eq!(amended(&[(BALANCE, 50)], &[(BALANCE, 70)]), (vec![], vec![]));
        assert_eq!(amended(&[(TX, 20)], &[(BALANCE, 50)]), (vec![30], vec![]));
    }

    #[test]
    fn what_is_found_again_stays_as_it_is() {
        let both = [(TX, 20), (BALANCE, 30)];
        assert_eq!(amended(&both, &both), (vec![20, 30], vec![]));
        assert_eq!(amended(&[], &both), (vec![20, 30], vec![]));
        assert_eq!(amended(&both, &[(TX, 20)]), (vec![20], vec![]));
        // A run that died after it had noted only a part.
        assert_eq!(amended(&[(BALANCE, 30)], &both), (vec![20, 30], vec![]));
    }
}
