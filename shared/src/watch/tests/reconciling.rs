//! What a chain paid and holds is compared with the record: a difference made on purpose is told, and nothing else.

use std::sync::atomic::AtomicU64;

use super::chain::{Fault, Paid};
use super::world::{FULL, Payer, World};
use crate::chain::rpc::RpcError;
use crate::chain::{Chains, CoinId};
use crate::clock::Clock;
use crate::moment::DAY_SECONDS;
use crate::money::{Cents, Units};
use crate::payment::{Code, Payment, TransferId};
use crate::reconcile::{Difference, ReconcileError, Reconciled, Reconciler, What, read_again};
use crate::store::{Look, StoreError, TouchedBlock, TouchedTransfer};
use crate::wallet::Balance;
use crate::watch::{Span, WatchList};

async fn reconcile(world: &World) -> Reconciled {
    let (reconciled, ran) = try_reconcile(world, Clock::stopped(world.now())).await;
    ran.unwrap();
    reconciled
}

/// A run that may fail, and what it came to by then.
async fn try_reconcile(world: &World, clock: Clock) -> (Reconciled, Result<(), ReconcileError>) {
    let (chain, source, store) = (&world.chain, &world.node, &world.store);
    let mut reconciled = Reconciled::default();
    let ran = Reconciler { chain, source, store, clock }.run(&mut reconciled).await;
    (reconciled, ran)
}

async fn given(world: &World, payment: &Payment) {
    let claimed = world.store.claim_address(&payment.addresses()[0], payment.id().code()).await;
    assert!(claimed.unwrap());
}

/// A payment, paid in two blocks and counted.
async fn paid() -> (World, Payer) {
    let (mut world, payer) = World::with_payment().await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![payer.pays(1, FULL / 2)]);
    world.node.mine(vec![payer.pays(2, FULL / 2)]);
    world.node.mine_empty(20);
    world.run().await;
    assert_eq!(world.payment(&payer).await.received(), Cents(10_000));
    wallet(&world, &payer).await;
    (world, payer)
}

fn coin(name: &str) -> CoinId {
    CoinId::new(name).unwrap()
}

/// What was noted of the payer's address.
async fn looked(world: &World, payer: &Payer) -> Look {
    let address = world.payment(payer).await.addresses()[0].address.clone();
    let given = world.store.given(&address).await.unwrap().unwrap();
    given.looks.get(&world.chain.id).cloned().unwrap_or_default()
}

/// Notes where money lies, as the function does that follows the payments; tells what is known of the payer's address.
async fn wallet(world: &World, payer: &Payer) -> (Payment, Option<Balance>) {
    let found = world.store.find_payment(payer.code).await.unwrap().unwrap();
    let owner = found.payment.owner();
    for wallet in found.payment.wallets() {
        world.store.note_wallet(&owner, payer.code, &wallet, found.version()).await.unwrap();
    }
    let (noted, _) = world.store.wallets(&owner, None, 9).await.unwrap();
    let noted = noted.into_iter().find(|noted| noted.code == payer.code);
    (found.payment, noted.and_then(|noted| noted.balances.get(&world.chain.coins[0].id).cloned()))
}

fn of(code: Code, what: What) -> Difference {
    Difference { code, what }
}

#[tokio::test]
async fn a_chain_and_a_record_that_agree_differ_in_nothing() {
    let (mut world, payer) = paid().await;
    for _ in 0..3 {
        let done = reconcile(&world).await;
        assert_eq!((done.blocks, done.addresses, done.differences), (2, 1, vec![]));
    }
    // What the address holds is noted beside it.
    assert_eq!(looked(&world, &payer).await.balances.get(&coin("ETH")), Some(&Units(FULL)));
    // Money on its way, money taken away, and a chain that moves on are no differences.
    world.node.mine(vec![payer.pays(3, FULL)]);
    world.run().await;
    assert_eq!(reconcile(&world).await.differences, []);
    world.node.mine_empty(20);
    world.node.swept.set(true);
    world.node.nonce.set(1);
    world.accept_rate("ETH", 2_500).await;
    world.run().await;
    let done = reconcile(&world).await;
    assert_eq!((done.blocks, done.differences), (3, vec![]));
    let look = looked(&world, &payer).await;
    assert_eq!((look.balances.get(&coin("ETH")), look.has_sent), (Some(&Units(0)), true));
    // Who has sent once may always hold less: nobody asks again.
    world.node.nonce.set(0);
    assert_eq!(reconcile(&world).await.differences, []);
}

#[tokio::test]
async fn money_that_left_an_address_which_never_sent_any_is_a_difference() {
    let (world, payer) = paid().await;
    world.node.swept.set(true);
    let address = world.payment(&payer).await.addresses()[0].address.clone();
    let less = What::HoldsLess { address, coin: coin("ETH"), holds: Units(0), recorded: Units(FULL) };
    for _ in 0..2 {
        assert_eq!(reconcile(&world).await.differences, [of(payer.code, less.clone())]);
    }
    assert!(less.to_string().contains("never sent"), "{less}");
    world.node.swept.set(false);
    assert_eq!(reconcile(&world).await.differences, []);
    assert!(!looked(&world, &payer).await.has_sent);
}

#[tokio::test]
async fn a_token_that_left_by_a_permit_is_none() {
    let (mut world, payer) = World::with_payment().await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![Paid { coin: "USDC", ..payer.pays(1, 5) }]);
    world.node.mine_empty(20);
    world.run().await;
    wallet(&world, &payer).await;
    world.node.swept.set(true);
    assert_eq!(reconcile(&world).await.differences, []);
    let look = looked(&world, &payer).await;
    assert_eq!(look.balances.get(&coin("USDC")), Some(&Units(0)));
}

#[tokio::test]
async fn money_that_no_watcher_saw_is_a_difference_until_it_is_read_again() {
    let (mut world, payer) = paid().await;
    world.node.pause.set(44 * DAY_SECONDS);
    world.node.mine_empty(1);
    world.cold_run().await;
    let height = world.node.mine(vec![payer.pays(3, 7)]).number;
    world.node.mine_empty(30);
    world.accept_rate("ETH", 2_500).await;
    world.cold_run().await;
    let address = world.payment(&payer).await.addresses()[0].address.clone();
    let coin = coin("ETH");
    let more = What::HoldsMore { address, coin, holds: Units(FULL + 7), recorded: Units(FULL) };
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, more.clone())]);
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, more)], "until somebody looks");
    rescan(&world, height).await;
    assert_eq!(reconcile(&world).await.differences, []);
}

/// Brings to the record what a block holds for addresses that were given out.
async fn rescan(world: &World, height: u64) {
    let mut list = WatchList::ever_given(&world.store, &world.chain).await.unwrap();
    let span = Span { from: height, to: height, tx_id: None };
    world.watcher().rescan(&mut list, span).await.unwrap();
}

/// Blocks of which a watcher told that they were empty, and one of them, long passed, that is not.
async fn missed(world: &mut World, missed: Paid) -> u64 {
    let height = world.node.mine(Vec::new()).number;
    world.node.mine_empty(20);
    world.run().await;
    world.node.replace(height, vec![missed]);
    height
}

#[tokio::test]
async fn money_that_no_watcher_saw_is_a_difference_at_an_address_that_was_emptied_too() {
    let (mut world, payer) = paid().await;
    world.node.emptied.set(world.node.best().number);
    world.node.nonce.set(1);
    world.node.mine_empty(20);
    world.run().await;
    assert_eq!(reconcile(&world).await.differences, []);
    let height = missed(&mut world, payer.pays(3, FULL / 2)).await;
    let address = world.payment(&payer).await.addresses()[0].address.clone();
    let more = What::HoldsMore { address, coin: coin("ETH"), holds: Units(FULL / 2), recorded: Units(0) };
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, more.clone())]);
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, more)], "until somebody looks");
    rescan(&world, height).await;
    for _ in 0..2 {
        assert_eq!(reconcile(&world).await.differences, []);
    }
    assert_eq!(looked(&world, &payer).await.balances.get(&coin("ETH")), Some(&Units(FULL / 2)));
}

#[tokio::test]
async fn money_that_is_recorded_only_after_a_look_saw_it_is_no_difference() {
    // The first look is the one that sees it, beside more that came and went.
    let (mut world, payer) = paid().await;
    world.node.emptied.set(world.node.best().number);
    world.node.nonce.set(1);
    let height = missed(&mut world, payer.pays(3, FULL / 2)).await;
    assert_eq!(reconcile(&world).await.differences, []);
    assert_eq!(looked(&world, &payer).await.balances.get(&coin("ETH")), Some(&Units(FULL / 2)));
    rescan(&world, height).await;
    for _ in 0..2 {
        assert_eq!(reconcile(&world).await.differences, []);
    }
}

#[tokio::test]
async fn an_output_that_is_recorded_only_after_a_look_is_no_difference() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    let height = missed(&mut world, payer.pays_bitcoin(2, 300_000, 8)).await;
    world.node.mine(vec![payer.pays_bitcoin(1, 400_000, 9)]);
    world.node.mine_empty(20);
    world.run().await;
    wallet(&world, &payer).await;
    // A look sees the outputs that are known: not this one, of which the block itself tells once.
    let id = TransferId::new(world.node.key("BTC", payer.address, 2));
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, What::NotRecorded(id))]);
    assert_eq!(reconcile(&world).await.differences, []);
    assert_eq!(looked(&world, &payer).await.balances.get(&coin("BTC")), Some(&Units(400_000)));
    rescan(&world, height).await;
    assert_eq!(reconcile(&world).await.differences, []);
    assert_eq!(looked(&world, &payer).await.balances.get(&coin("BTC")), Some(&Units(700_000)));
}

#[tokio::test]
async fn a_transfer_that_its_block_does_not_pay_is_a_difference() {
    let (world, payer) = paid().await;
    world.node.nonce.set(1);
    // The node's block of that height is another one, and nobody noticed.
    let height = world.node.best().number - 20;
    world.node.replace(height, Vec::new());
    let id = TransferId::new(world.node.key("ETH", payer.address, 2));
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, What::NotPaid(id.clone()))]);
    world.node.replace(height, vec![payer.pays(2, 5)]);
    assert_eq!(reconcile(&world).await.differences, [of(payer.code, What::OtherAmount(id))]);
    world.node.replace(height, vec![payer.pays(2, FULL / 2)]);
    assert_eq!(reconcile(&world).await.differences, []);
}

#[tokio::test]
async fn a_transfer_that_was_noted_and_never_told_is_a_difference() {
    let (mut world, payer) = paid().await;
    let (payment, other) = world.unlisted(2, Cents(10_000)).await;
    given(&world, &payment).await;
    let header = world.node.mine(vec![other.pays(3, FULL)]);
    world.node.mine_empty(20);
    world.run().await;
    // A watcher noted it and lost its way before it told the payment.
    let id = world.node.key("ETH", other.address, 3);
    note(&world, header.number, header.hash.0, &other, &id).await.unwrap();
    let differences = reconcile(&world).await.differences;
    assert!(differences.contains(&of(other.code, What::NotRecorded(TransferId::new(id)))), "{differences:?}");
    assert!(differences.iter().all(|difference| difference.code != payer.code));
}

async fn note(world: &World, height: u64, hash: [u8; 32], payer: &Payer, id: &str) -> Result<(), StoreError> {
    let transfer = TouchedTransfer {
        code: payer.code.to_string(),
        id: id.to_owned(),
        coin: "ETH".to_owned(),
        decimals: 18,
        tx: String::new(),
        address: String::new(),
        units: FULL.to_string(),
        coinbase: false,
        inputs: Vec::new(),
        replaced: false,
    };
    let block = TouchedBlock {
        height,
        hash: hash.first_chunk().copied().unwrap(),
        time: world.now(),
        transfers: vec![transfer],
        payouts: Vec::new(),
    };
    world.store.put_block(&world.chain.id, &block, None, (1, world.now()), || true).await.map(drop)
}

#[tokio::test]
async fn slow_blocks_leave_time_for_the_addresses_and_the_next_run_goes_on_behind_them() {
    let (mut world, payer) = World::with_payment().await;
    given(&world, &world.payment(&payer).await).await;
    let nobody = world.list_nobody(2).await;
    for tx in 0..310 {
        world.node.mine(vec![nobody.pays(tx, 1)]);
    }
    world.node.mine_empty(20);
    world.run().await;
    for blocks in [99, 99, 99, 13, 99] {
        // Four seconds a question: the first is about the tip, and half of 800 seconds is for the others.
        let hands: &AtomicU64 = Box::leak(Box::new(AtomicU64::new(world.now().0)));
        world.node.slow.set(Some((hands, 4)));
        let (done, ran) = try_reconcile(&world, Clock::set_by(hands)).await;
        ran.unwrap();
        assert_eq!((done.blocks, done.addresses), (blocks, 1));
    }
}

#[test]
fn blocks_are_read_again_without_comparing_balances() {
    let chain = |internal| {
        let chains = format!(
            r#"[{{"chain":"base","family":"evm","chain_id":8453,"test_chain_id":84532,"internal":"{internal}","coins":[
            {{"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}}],
            "confirmations":[{{"blocks":12}}]}}]"#
        );
        Chains::parse(&chains).unwrap().named("base").unwrap().clone()
    };
    assert_eq!(read_again(&chain("balances")), chain("none"));
    assert_eq!(read_again(&chain("traces")), chain("traces"));
}

#[tokio::test]
async fn a_day_of_litecoins_blocks_is_read_in_one_run() {
    let (mut world, _) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    reconcile(&world).await;
    world.node.mine_empty(1_100);
    world.catch_up().await;
    let (first, second) = (reconcile(&world).await, reconcile(&world).await);
    assert_eq!([(first.blocks, first.behind), (second.blocks, second.behind)], [(1_000, 100), (100, 0)]);
}

#[tokio::test]
async fn a_block_that_a_node_forgot_is_told_and_passed_over() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    reconcile(&world).await;
    world.node.mine_empty(40);
    world.run().await;
    let forgotten = world.node.best().number - 20;
    *world.node.fault.borrow_mut() = Fault::Pruned(forgotten);
    let done = reconcile(&world).await;
    assert_eq!((done.blocks, done.unread, done.addresses), (39, 1, 1));
    world.node.mine_empty(5);
    world.run().await;
    let done = reconcile(&world).await;
    assert_eq!((done.blocks, done.unread, done.addresses), (5, 0, 1), "it is told once");
}

#[tokio::test]
async fn a_node_that_lost_its_way_among_blocks_is_asked_for_them_again_and_about_addresses_at_once() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    reconcile(&world).await;
    world.node.mine_empty(1_500);
    world.catch_up().await;
    *world.node.fault.borrow_mut() = Fault::Hole(world.node.best().number - 1_400);
    // A hundred blocks, and the eleven before them that were too new for the first run.
    let first = try_reconcile(&world, Clock::stopped(world.now())).await;
    let again = try_reconcile(&world, Clock::stopped(world.now())).await;
    for ((done, ran), blocks) in [(first, 111), (again, 0)] {
        assert!(ran.is_err());
        assert_eq!((done.blocks, done.unread, done.behind, done.addresses), (blocks, 0, 1_389, 1));
    }
    // Nor is it forgotten how much waits for a node that says nothing at all.
    *world.node.fault.borrow_mut() = Fault::DiesAfter(0);
    let (away, _) = try_reconcile(&world, Clock::stopped(world.now())).await;
    assert_eq!((away.blocks, away.behind), (0, 1_389));
}

#[tokio::test]
async fn what_was_found_before_a_node_died_is_told_and_the_next_run_goes_on_there() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    reconcile(&world).await;
    let missed = world.node.mine(Vec::new()).number;
    world.node.mine_empty(40);
    world.run().await;
    // A watcher was told of an empty block that is none.
    world.node.replace(missed, vec![payer.pays_bitcoin(1, 400_000, 9)]);
    let id = TransferId::new(world.node.key("BTC", payer.address, 1));
    let differs = of(payer.code, What::NotRecorded(id));
    // It answers about its tip, the twelve blocks below that one, that one, and a few more.
    *world.node.fault.borrow_mut() = Fault::DiesAfter(20);
    let (first, ran) = try_reconcile(&world, Clock::stopped(world.now())).await;
    assert!(ran.is_err());
    assert_eq!(first.differences, [differs]);
    *world.node.fault.borrow_mut() = Fault::None;
    let second = reconcile(&world).await;
    assert_eq!((first.blocks + second.blocks, second.differences), (41, vec![]));
}

#[tokio::test]
async fn a_chain_without_balances_is_read_once_more_block_by_block() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![payer.pays_bitcoin(1, 400_000, 9)]);
    world.node.mine_empty(20);
    world.run().await;
    let first = reconcile(&world).await;
    assert!(first.blocks > 200, "{first:?}");
    assert_eq!((first.differences, reconcile(&world).await.blocks), (vec![], 0));
    world.node.mine_empty(3);
    world.run().await;
    assert_eq!(reconcile(&world).await.blocks, 3);
}

#[tokio::test]
async fn r24_what_lies_in_outputs_is_noted_and_what_came_since_is_not_hidden() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![payer.pays_bitcoin(1, 400_000, 9)]);
    world.node.mine(vec![payer.pays_bitcoin(2, 300_000, 8)]);
    world.node.mine_empty(20);
    world.run().await;
    wallet(&world, &payer).await;
    assert_eq!(reconcile(&world).await.differences, []);
    let (payment, balance) = wallet(&world, &payer).await;
    let address = payment.addresses()[0].address.clone();
    let btc = coin("BTC");
    let spendable = |payment: &Payment, balance: &Option<Balance>| {
        let unspent = payment.unspent(&address, &btc, balance.as_ref());
        let mut units: Vec<u128> = unspent.map(|(_, transfer)| transfer.movement().units.0).collect();
        units.sort_unstable();
        units
    };
    assert_eq!(balance.as_ref().map(|balance| balance.units), Some(Units(700_000)));
    assert_eq!(spendable(&payment, &balance), [300_000, 400_000]);

    // The merchant spends one of them, and more comes: counted, and in no block that was looked at.
    let stranger = world.list_nobody(7).await;
    world.node.mine(vec![stranger.pays_bitcoin(3, 1, 1)]);
    world.node.mine_empty(20);
    world.node.mine(vec![payer.pays_bitcoin(4, 50_000, 7)]);
    world.run().await;
    assert_eq!(reconcile(&world).await.differences, []);
    let (payment, balance) = wallet(&world, &payer).await;
    assert_eq!(balance.as_ref().map(|balance| balance.units), Some(Units(300_000)));
    assert_eq!(spendable(&payment, &balance), [50_000, 300_000]);
    assert_eq!(payment.available(&address, &btc, balance.as_ref()), Units(350_000));

    // What came and went between two looks is gone, though the balance is what it was.
    world.node.mine(vec![stranger.pays_bitcoin(5, 1, 4)]);
    world.node.mine_empty(20);
    world.run().await;
    assert_eq!(reconcile(&world).await.differences, []);
    let (payment, balance) = wallet(&world, &payer).await;
    assert_eq!(spendable(&payment, &balance), [300_000]);
    assert_eq!(payment.available(&address, &btc, balance.as_ref()), Units(300_000));
}

#[tokio::test]
async fn a_node_that_turns_away_questions_about_outputs_is_compared_without_them() {
    let (mut world, payer) = World::with_payment_on("bitcoin", Cents(10_000)).await;
    given(&world, &world.payment(&payer).await).await;
    world.node.mine(vec![payer.pays_bitcoin(1, 400_000, 9)]);
    world.node.mine_empty(20);
    world.run().await;
    let refusals: [fn() -> RpcError; 4] = [
        || RpcError::Status(403),
        || RpcError::Status(405),
        || RpcError::Shape("gettxout"),
        || RpcError::Node { method: "gettxout", code: -32_601, message: "Method not found".to_owned() },
    ];
    for refusal in refusals {
        world.node.refusal.set(Some(refusal));
        let done = reconcile(&world).await;
        assert_eq!((done.addresses, done.differences), (1, vec![]));
    }
    // Who is busy is asked again another day.
    let busy: [fn() -> RpcError; 2] = [|| RpcError::Status(429), || RpcError::Status(503)];
    for refusal in busy {
        world.node.refusal.set(Some(refusal));
        assert!(try_reconcile(&world, Clock::stopped(world.now())).await.1.is_err());
    }
}

#[tokio::test]
async fn a_payment_that_cannot_be_read_is_a_difference_and_holds_up_no_other() {
    let (world, payer) = paid().await;
    let (payment, other) = world.unlisted(2, Cents(10_000)).await;
    given(&world, &payment).await;
    world.store.break_payment(other.code).await;
    let done = reconcile(&world).await;
    let [Difference { code, what: What::Unreadable(_) }] = done.differences.as_slice() else {
        panic!("{done:?}")
    };
    assert_eq!((*code, done.addresses), (other.code, 2));
    assert_eq!(looked(&world, &payer).await.balances.get(&coin("ETH")), Some(&Units(FULL)));
}
