//! What addresses hold, compared with what came to them by the record, and noted for their owners.
//!
//! A chain with accounts tells what an address holds. On a chain with outputs it is the sum of those that the record knows
//! and that nobody spent yet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::difference::{self, came};
use super::{RUN_SECONDS, ReconcileError, Run};
use crate::chain::address::AddressKey;
use crate::chain::block::{Header, OutPoint};
use crate::chain::rpc::{Limit, RpcError, limit};
use crate::chain::{Asset, Chain, CoinId};
use crate::money::Units;
use crate::payment::{Code, GivenAddress, Payment};
use crate::store::{Given, Look};
use crate::wallet::{Balance, outpoint};
use crate::watch::Source;

/// Pages of addresses looked at in one run at most, of a thousand items each.
const PAGES: usize = 10;

/// Addresses that are looked at together: their payments are read at once.
const AT_ONCE: usize = 16;

/// Outputs of an address that a node is asked about at most. An address with more keeps what was noted of it.
const OUTPUTS: usize = 2_000;

/// Unspent outputs noted with a balance at most: a sweep of them is the next look's reason to note others.
const NOTED_OUTPUTS: usize = 100;

/// What an address holds, by coin.
type Holds = BTreeMap<CoinId, Held>;

/// Of one coin.
#[derive(Clone, Debug)]
struct Held {
    units: Units,
    unspent: BTreeSet<OutPoint>,
}

/// An address of a live payment that is looked at.
struct Looked<'a> {
    key: AddressKey,
    given: &'a Given,
    payment: Payment,
    holds: Holds,
    /// Whether it ever sent anything itself.
    has_sent: bool,
}

impl<S: Source> Run<'_, S> {
    /// Looks at the next addresses, and moves the place to go on from behind them.
    pub(super) async fn addresses(&mut self) -> Result<(), ReconcileError> {
        let (store, source) = (self.reconciler.store, self.reconciler.source);
        let header = source.header(self.settled).await?.ok_or(RpcError::Missing(self.settled))?;
        for _ in 0..PAGES {
            let (given, next) = store.given_after(self.position.after.clone()).await?;
            if !self.page(&header, self.ours(given)).await? {
                return Ok(());
            }
            self.position.after = next;
            if self.position.after.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn ours(&self, given: Vec<Given>) -> Vec<(AddressKey, Given)> {
        let family = self.reconciler.chain.family;
        let ours = given.into_iter().filter(|given| given.family == family.name());
        ours.filter_map(|given| Some((family.address_key(&given.address).ok()?, given))).collect()
    }

    /// Looks at addresses of the table, some at once; `false` when the run's time is over.
    async fn page(
        &mut self,
        header: &Header,
        ours: Vec<(AddressKey, Given)>,
    ) -> Result<bool, ReconcileError> {
        if self.is_past(RUN_SECONDS) {
            return Ok(false);
        }
        let keys: Vec<AddressKey> = ours.iter().map(|(key, _)| *key).collect();
        let source = self.reconciler.source;
        let mut balances = source.balances(header, &keys).await?.map(Vec::into_iter);
        for some in ours.chunks(AT_ONCE) {
            if self.is_past(RUN_SECONDS) {
                return Ok(false);
            }
            let balances = balances.as_mut().map(|all| all.by_ref().take(some.len()).collect());
            self.some(header, some, balances).await?;
            self.position.after = some.last().map(|(_, given)| given.place());
        }
        Ok(true)
    }

    /// Compares what a few addresses hold with what came to them, and notes it.
    async fn some(
        &mut self,
        header: &Header,
        some: &[(AddressKey, Given)],
        balances: Option<Vec<BTreeMap<CoinId, Units>>>,
    ) -> Result<(), ReconcileError> {
        let store = self.reconciler.store;
        let read = join_all(some.iter().map(|(_, given)| store.whole_payment(given.code))).await;
        let read = some.iter().zip(read).map(|((_, given), read)| self.live(given.code, read));
        let payments: Vec<Option<Payment>> = read.collect::<Result<_, _>>()?;
        let holds = match balances {
            Some(balances) => balances.into_iter().map(in_accounts).collect(),
            None => self.in_outputs(some, &payments).await?,
        };
        let mut looked = Vec::new();
        for (((key, given), payment), holds) in some.iter().zip(payments).zip(holds) {
            self.reconciled.addresses = self.reconciled.addresses.saturating_add(1);
            // Of one with more transfers than are read at once the sums at a height are not known: it keeps what was noted.
            let Some(payment) = payment.filter(|payment| !payment.has_folded()) else { continue };
            let look = given.looks.get(&self.reconciler.chain.id);
            let has_sent = look.is_some_and(|look| look.has_sent);
            looked.push(Looked { key: *key, given, payment, holds, has_sent });
        }
        self.holds_more(&looked);
        self.holds_less(header, &mut looked).await?;
        let differing: BTreeSet<Code> =
            self.reconciled.differences.iter().map(|difference| difference.code).collect();
        for looked in looked {
            let differs = differing.contains(&looked.given.code);
            self.note(&looked, differs).await?;
        }
        Ok(())
    }

    /// What lies in the outputs that the record knows, where the chain has outputs.
    async fn in_outputs(
        &self,
        some: &[(AddressKey, Given)],
        payments: &[Option<Payment>],
    ) -> Result<Vec<Holds>, ReconcileError> {
        let (chain, source) = (self.reconciler.chain, self.reconciler.source);
        let known = some.iter().zip(payments).map(|((_, given), payment)| {
            let payment = payment.as_ref().filter(|payment| !payment.has_folded())?;
            Some(outputs(payment, chain, given, self.settled)).filter(|outputs| outputs.len() <= OUTPUTS)
        });
        let known: Vec<Option<Vec<Output>>> = known.collect();
        let asked: Vec<OutPoint> = known.iter().flatten().flatten().map(|output| output.outpoint).collect();
        let Some(unspent) = self.told(source.unspent(&asked).await)? else {
            return Ok(vec![Holds::new(); some.len()]);
        };
        let unspent: BTreeSet<OutPoint> =
            asked.into_iter().zip(unspent).filter_map(|(output, is)| is.then_some(output)).collect();
        let holds = |outputs: Option<Vec<Output>>| outputs.map_or_else(Holds::new, |all| sums(all, &unspent));
        Ok(known.into_iter().map(holds).collect())
    }

    /// Money that nobody knows of.
    fn holds_more(&mut self, looked: &[Looked]) {
        let chain = self.reconciler.chain;
        for Looked { given, payment, holds, .. } in looked {
            let seen = (given.looks.get(&chain.id), self.settled);
            for (coin, held) in holds {
                let more = difference::holds_more(payment, chain, &given.address, coin, held.units, seen);
                self.reconciled.differences.extend(more);
            }
        }
    }

    /// Money that the record has and the chain does not: provable where an address never sent anything. What was sent is
    /// remembered, so that an address that was emptied is asked about once.
    async fn holds_less(&mut self, header: &Header, looked: &mut [Looked<'_>]) -> Result<(), ReconcileError> {
        let (chain, source) = (self.reconciler.chain, self.reconciler.source);
        let mut less = Vec::new();
        for looked in looked.iter_mut().filter(|looked| !looked.has_sent) {
            let Some((coin, held)) = native(chain, &looked.holds) else { continue };
            let address = &looked.given.address;
            let difference =
                difference::holds_less(&looked.payment, chain, address, coin, held.units, self.settled);
            less.extend(difference.map(|difference| (looked, difference)));
        }
        if less.is_empty() {
            return Ok(());
        }
        let keys: Vec<AddressKey> = less.iter().map(|(looked, _)| looked.key).collect();
        let Some(nonces) = self.told(source.nonces(header, &keys).await)? else { return Ok(()) };
        for ((looked, difference), nonce) in less.into_iter().zip(nonces) {
            looked.has_sent = nonce > 0;
            self.reconciled.differences.extend((nonce == 0).then_some(difference));
        }
        Ok(())
    }

    /// Notes what an address holds now, if that is news: for its owner, and for the next look. The latter last, because it
    /// says that the former is done; and not what differs from the record, which then differs until the record is right.
    async fn note(&self, looked: &Looked<'_>, differs: bool) -> Result<(), ReconcileError> {
        let (chain, store) = (self.reconciler.chain, self.reconciler.store);
        let Looked { given, payment, holds, has_sent, .. } = looked;
        let before = given.looks.get(&chain.id);
        let own = payment.addresses().iter().find(|own| own.address == given.address);
        let news: Vec<_> = holds.iter().filter(|(coin, held)| self.is_news(looked, coin, held)).collect();
        if news.is_empty() && before.is_some_and(|look| look.has_sent) == *has_sent {
            return Ok(());
        }
        for (coin, held) in news {
            let Some(own) = own else { continue };
            if !self.note_balance(payment, own, coin, held).await? {
                return Ok(());
            }
        }
        if differs {
            return Ok(());
        }
        // All of one height: what a token did not tell this time is not known.
        let balances = holds.iter().map(|(coin, held)| (coin.clone(), held.units)).collect();
        let look = Look { height: self.settled, balances, has_sent: *has_sent };
        Ok(store.note_look(&given.address, &chain.id, &look).await?)
    }

    /// Whether a coin's balance is another than was noted, or the same again after more came: what came is gone then.
    fn is_news(&self, looked: &Looked, coin: &CoinId, held: &Held) -> bool {
        let chain = self.reconciler.chain;
        let Looked { given, payment, .. } = looked;
        let before = given.looks.get(&chain.id);
        let before = before.and_then(|look| Some((look.height, *look.balances.get(coin)?)));
        let came = |height| came(payment, chain, &given.address, coin, height);
        match before {
            Some((height, units)) => units != held.units || came(height) != came(self.settled),
            None => held.units != Units(0) || came(self.settled) != Units(0),
        }
    }

    async fn note_balance(
        &self,
        payment: &Payment,
        own: &GivenAddress,
        coin: &CoinId,
        held: &Held,
    ) -> Result<bool, ReconcileError> {
        let (height, at) = (self.settled, self.started_at);
        let balance = Balance { units: held.units, height, at, unspent: held.unspent.clone() };
        Ok(self.reconciler.store.note_balance(&payment.owner(), own, coin, &balance).await?)
    }

    /// What a node says that may not know the question: not all do, and all else can be compared without it.
    fn told<T>(&self, answer: Result<Option<T>, RpcError>) -> Result<Option<T>, RpcError> {
        match answer {
            Err(error) if is_refusal(&error) => {
                tracing::warn!(chain = %self.reconciler.chain.id, %error, "the node does not tell of spending");
                Ok(None)
            }
            answer => answer,
        }
    }
}

/// Whether a node, or what stands before it, turned a question away rather than being busy or away itself: `rpcwhitelist`
/// answers 403, and some that take no batch answer what cannot be read.
fn is_refusal(error: &RpcError) -> bool {
    if limit(error) == Some(Limit::Pace) {
        return false;
    }
    match error {
        RpcError::Node { .. } | RpcError::Shape(_) => true,
        RpcError::Status(status) => (400..500).contains(status),
        RpcError::Network { .. }
        | RpcError::Address
        | RpcError::Transport(_)
        | RpcError::Paused(_)
        | RpcError::TooLarge(_)
        | RpcError::Missing(_)
        | RpcError::Moved(_)
        | RpcError::Contradicts { .. } => false,
    }
}

/// An output that pays an address of ours.
struct Output {
    coin: CoinId,
    outpoint: OutPoint,
    units: Units,
}

/// The outputs of an address in blocks up to a height, the largest first.
fn outputs(payment: &Payment, chain: &Chain, given: &Given, height: u64) -> Vec<Output> {
    let known = difference::transfers_up_to(payment, chain, &given.address, height);
    let output = known.filter_map(|transfer| {
        let movement = transfer.movement();
        let outpoint = outpoint(&movement.id)?;
        Some(Output { coin: movement.coin.clone(), outpoint, units: movement.units })
    });
    let mut outputs: Vec<Output> = output.collect();
    outputs.sort_unstable_by_key(|output| (Reverse(output.units), output.outpoint));
    outputs
}

/// What lies in those of an address's outputs that are unspent.
fn sums(outputs: Vec<Output>, unspent: &BTreeSet<OutPoint>) -> Holds {
    let mut holds = Holds::new();
    for Output { coin, outpoint, units } in outputs {
        let held = holds.entry(coin).or_insert_with(Held::nothing);
        if unspent.contains(&outpoint) {
            held.units = held.units.plus(units);
            if held.unspent.len() < NOTED_OUTPUTS {
                held.unspent.insert(outpoint);
            }
        }
    }
    holds
}

fn in_accounts(balances: BTreeMap<CoinId, Units>) -> Holds {
    balances.into_iter().map(|(coin, units)| (coin, Held { units, ..Held::nothing() })).collect()
}

impl Held {
    fn nothing() -> Held {
        Held { units: Units(0), unspent: BTreeSet::new() }
    }
}

/// The chain's own coin, which leaves an address only by what its key signs. A token can go by a mere permit of it.
fn native<'a>(chain: &Chain, holds: &'a Holds) -> Option<(&'a CoinId, &'a Held)> {
    holds.iter().find(|(id, _)| chain.coin(id).is_some_and(|coin| coin.asset == Asset::Native))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_unspent_outputs_the_first_are_noted_and_all_are_summed() {
        let coin = CoinId::new("BTC").unwrap();
        let name = |vout| OutPoint { vout, ..OutPoint::null() };
        let output = |vout| Output { coin: coin.clone(), outpoint: name(vout), units: Units(2) };
        // Every third is spent.
        let unspent: BTreeSet<OutPoint> = (0..300).filter(|vout| vout % 3 > 0).map(name).collect();
        let held = sums((0..300).map(output).collect(), &unspent).remove(&coin).unwrap();
        assert_eq!(held.units, Units(400));
        assert_eq!(held.unspent, unspent.into_iter().take(NOTED_OUTPUTS).collect());
        assert_eq!(held.unspent.len(), NOTED_OUTPUTS);
    }
}
