//! A deployment with one chain, whose payments are written and read through the real store.

use std::collections::BTreeMap;

use super::chain::{FakeChain, Paid, written};
use crate::chain::address::AddressKey;
use crate::chain::{Chain, Chains};
use crate::clock::Clock;
use crate::moment::Timestamp;
use crate::money::{BasisPoints, Cents, Rate};
use crate::payment::{
    Code, Event, Fee, FeePaidBy, GivenAddress, IdentityStep, KycMethod, MerchantId, Mode, Offer, Payment,
    PaymentId, Request, Terms,
};
use crate::store::testing::{Tap, tapped_store};
use crate::store::{Cursor, Store, Watched};
use crate::watch::{Outcome, WatchError, WatchList, Watcher};

/// 100 USD at 2,500 USD.
pub(super) const FULL: u128 = 40_000_000_000_000_000;

/// The same in bitcoins.
pub(super) const FULL_BITCOIN: u128 = 4_000_000;

/// Blocks before a world's first payment: more than are kept.
pub(super) const START: u64 = 200;

const CHAINS: &str = r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
    {"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"},
    {"coin":"USDC","asset":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","decimals":6,"rate":"USDC","minimum_usd":"1.00"}],
    "confirmations":[{"below_usd":"10000.00","blocks":12},{"finalized":64}]},
    {"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
    {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
    "confirmations":[{"below_usd":"1000.00","blocks":1},{"below_usd":"10000.00","blocks":2},{"blocks":6}]}]"#;

pub(super) struct World {
    pub(super) chain: Chain,
    pub(super) node: FakeChain,
    pub(super) store: Store,
    pub(super) tap: Tap,
    pub(super) list: WatchList,
    /// Seconds that the watcher's clock is ahead of the newest block's time.
    pub(super) ahead: u64,
}

/// A payment with its address.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    pub(super) code: Code,
    pub(super) address: AddressKey,
}

impl Payer {
    pub(super) fn pays(&self, tx: u64, units: u128) -> Paid {
        Paid { tx, coin: "ETH", to: self.address, units, spends: None, is_coinbase: false, from: None }
    }

    /// The same in bitcoins, spending an output.
    pub(super) fn pays_bitcoin(&self, tx: u64, units: u128, spends: u64) -> Paid {
        Paid { coin: "BTC", spends: Some(spends), ..self.pays(tx, units) }
    }
}

impl World {
    /// A chain of some age that was never watched.
    pub(super) async fn unwatched() -> World {
        World::on("ethereum").await
    }

    /// The same of one of the chains.
    pub(super) async fn on(chain: &str) -> World {
        let chain = Chains::parse(CHAINS).unwrap().named(chain).unwrap().clone();
        let node = FakeChain::new(&chain);
        node.mine_empty(START);
        let tap = Tap::default();
        let store = tapped_store(tap.clone()).await;
        World { chain, node, store, tap, list: WatchList::default(), ahead: 1 }
    }

    /// A world with one payment of 100 USD, scanned to its tip.
    pub(super) async fn with_payment() -> (World, Payer) {
        World::with_payment_on("ethereum", Cents(10_000)).await
    }

    /// The same of one of the chains and any amount.
    pub(super) async fn with_payment_on(chain: &str, amount: Cents) -> (World, Payer) {
        let mut world = World::on(chain).await;
        let payer = world.payer(1, amount).await;
        world.catch_up().await;
        world.node.mine_empty(1);
        world.catch_up().await;
        (world, payer)
    }

    /// A world whose cursor keeps as many hashes as it ever does.
    pub(super) async fn with_full_cursor() -> (World, Payer) {
        let (mut world, payer) = World::with_payment().await;
        world.node.mine_empty(130);
        world.catch_up().await;
        (world, payer)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.node.now().plus(self.ahead)
    }

    /// A payment whose payer has chosen ETH just now.
    pub(super) async fn payer(&self, number: u64, amount: Cents) -> Payer {
        let (payment, payer) = self.unlisted(number, amount).await;
        self.list_address(&payment, self.now()).await;
        payer
    }

    /// An address on the list that belongs to no payment: its blocks are noted and there is nobody to tell.
    pub(super) async fn list_nobody(&self, number: u64) -> Payer {
        let (address, code) = (address(number), Code::from_random(number));
        let (listed_at, heights) = (self.now(), BTreeMap::new());
        let watched = Watched { address: written(&self.chain, address), code, listed_at, heights };
        self.store.list_address(self.chain.family.name(), &watched).await.unwrap();
        Payer { code, address }
    }

    /// A payment whose address no watcher knows yet.
    pub(super) async fn unlisted(&self, number: u64, amount: Cents) -> (Payment, Payer) {
        let now = self.now();
        let address = address(number);
        let code = Code::from_random(number);
        let id = PaymentId::new(now.0 * 1_000, [7; 10], code);
        let merchant = MerchantId::new("mer_1");
        let payment = Payment::new(id, merchant, Mode::Live, terms(amount, now));
        let steps = [IdentityStep::Start, IdentityStep::Submit, IdentityStep::Approve];
        let approved = steps
            .into_iter()
            .fold(payment, |payment, step| payment.apply(Event::Identity(step), now).unwrap());
        let given = GivenAddress {
            family: self.chain.family.name().to_owned(),
            address: written(&self.chain, address),
            xpub: "f".to_owned(),
            index: u32::try_from(number).unwrap(),
        };
        let coin = &self.chain.coins[0];
        let rate = Rate::new(2_500 * 100_000_000).unwrap();
        let offer = Offer { coin: coin.id.clone(), decimals: coin.decimals, rate, address: given };
        let chosen = approved.apply(Event::Choose(offer), now).unwrap();
        assert_eq!(self.store.insert_payment(&chosen).await.unwrap(), None);
        (chosen, Payer { code, address })
    }

    pub(super) async fn list_address(&self, payment: &Payment, listed_at: Timestamp) {
        let heights = self.store.cursor(&self.chain.id).await.unwrap();
        let heights = heights.map(|cursor| (self.chain.id.clone(), cursor.height)).into_iter().collect();
        let address = payment.addresses()[0].address.clone();
        let watched = Watched { address, code: payment.id().code(), listed_at, heights };
        self.store.list_address(self.chain.family.name(), &watched).await.unwrap();
    }

    /// The market accepts a rate, which prices what came since the former one.
    pub(super) async fn accept_rate(&self, symbol: &str, dollars: u64) {
        let minute = self.now().minute();
        self.store.put_rate(symbol, minute, Rate::new(dollars * 100_000_000).unwrap()).await.unwrap();
    }

    pub(super) fn watcher(&self) -> Watcher<'_, FakeChain> {
        Watcher {
            chain: &self.chain,
            source: &self.node,
            store: &self.store,
            clock: Clock::stopped(self.now()),
        }
    }

    pub(super) async fn try_run(&mut self) -> Result<Outcome, WatchError> {
        let mut list = std::mem::take(&mut self.list);
        let outcome = self.watcher().run(&mut list).await;
        self.list = list;
        outcome
    }

    /// A run that may fail; whether it went through.
    pub(super) async fn disturbed_run(&mut self) -> bool {
        self.try_run().await.is_ok()
    }

    pub(super) async fn run(&mut self) -> Outcome {
        self.try_run().await.unwrap()
    }

    /// A run of a process that knows nothing yet.
    pub(super) async fn cold_run(&mut self) -> Outcome {
        self.list = WatchList::default();
        self.run().await
    }

    /// Runs until the chain is scanned to its tip.
    pub(super) async fn catch_up(&mut self) {
        for _ in 0..5 {
            if self.run().await.caught_up {
                return;
            }
        }
        panic!("the watcher never catches up");
    }

    pub(super) async fn payment(&self, payer: &Payer) -> Payment {
        self.store.whole_payment(payer.code).await.unwrap().unwrap()
    }

    pub(super) async fn cursor(&self) -> Cursor {
        self.store.cursor(&self.chain.id).await.unwrap().unwrap()
    }
}

fn address(number: u64) -> AddressKey {
    let mut key = [0; 20];
    key[12..].copy_from_slice(&(number + 1_000).to_be_bytes());
    AddressKey(key)
}

fn terms(amount: Cents, created_at: Timestamp) -> Terms {
    let request = Request {
        title: "Order".to_owned(),
        description: None,
        amount,
        kyc_method: KycMethod::IdUpload,
        allow_bankid: false,
        fee_paid_by: FeePaidBy::Merchant,
        metadata: None,
    };
    let fee = Fee { usd: Cents(100), free_tier: false };
    Terms {
        request,
        fee,
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at,
        idempotency: None,
    }
}
