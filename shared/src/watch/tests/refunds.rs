//! A refund is what a chain shows: exactly the units, exactly there, out of the payment's own pockets or as named.

use super::chain::{Paid, written};
use super::meanwhile::Meanwhile;
use super::world::{FULL, FULL_BITCOIN, Payer, World};
use crate::chain::CoinId;
use crate::chain::address::AddressKey;
use crate::money::{Cents, Units};
use crate::payment::{ClaimSecret, Event, MeantRefund, Payment, RefundStatus, Status};
use crate::store::{AwaitedPayout, StoreError};

/// Where the payer wants the money.
const BACK: AddressKey = AddressKey([0xbb; 20]);

const SECRET: [u8; 16] = [5; 16];

/// A cancelled payment whose half has come, and a confirmed refund of it.
struct Refunding {
    world: World,
    payer: Payer,
    coin: &'static str,
    units: u128,
}

impl Refunding {
    async fn on(chain: &str) -> Refunding {
        let refunding = Refunding::paid_on(chain).await;
        refunding.confirm(&refunding.payer).await;
        refunding
    }

    /// The same before anything goes back.
    async fn paid_on(chain: &str) -> Refunding {
        let (mut world, payer) = World::with_payment_on(chain, Cents(10_000)).await;
        let (coin, units) = if chain == "bitcoin" { ("BTC", FULL_BITCOIN / 2) } else { ("ETH", FULL / 2) };
        world.node.mine(vec![Paid { coin, ..payer.pays(1, units) }]);
        world.node.mine_empty(11);
        world.run().await;
        Refunding { world, payer, coin, units }
    }

    /// Another payment whose half came, and which is to go back to the same address.
    async fn beside(&mut self, payer: Payer) -> Payer {
        self.world.node.mine(vec![Paid { coin: self.coin, ..payer.pays(9, self.units) }]);
        self.world.node.mine_empty(11);
        self.world.run().await;
        self.confirm(&payer).await;
        payer
    }

    async fn confirm(&self, payer: &Payer) {
        self.change_of(payer, Event::Cancel).await;
        let mut bytes = SECRET;
        bytes[0] = u8::from(payer.code != self.payer.code);
        let secret = ClaimSecret::new(bytes).hash();
        self.change_of(payer, Event::RequestRefund { coin: self.coin(), units: None, secret }).await;
        self.change_of(payer, Event::ClaimRefund { secret, address: self.address() }).await;
        let world = &self.world;
        world.store.await_payout(&world.chain.id, &self.awaited(payer), world.now()).await.unwrap();
        let scanned = Some(world.node.best().number);
        let meant = self.meant(payer).await;
        let confirm = Event::ConfirmRefund { meant, address: self.address(), scanned };
        self.change_of(payer, confirm).await;
    }

    /// The refund as the payer's merchant sees it.
    async fn meant(&self, payer: &Payer) -> MeantRefund {
        let payment = self.world.payment(payer).await;
        payment.meant(payment.refund(&self.coin()).unwrap())
    }

    fn awaited(&self, payer: &Payer) -> AwaitedPayout {
        AwaitedPayout {
            code: payer.code.to_string(),
            coin: self.coin.to_owned(),
            address: self.address(),
            units: self.units.to_string(),
            requested_at: self.world.now().0,
        }
    }

    fn coin(&self) -> CoinId {
        CoinId::new(self.coin).unwrap()
    }

    fn address(&self) -> String {
        written(&self.world.chain, BACK)
    }

    async fn change(&self, event: Event) {
        self.change_of(&self.payer, event).await;
    }

    async fn change_of(&self, payer: &Payer, event: Event) {
        let now = self.world.now();
        let change = |payment: &Payment| Ok::<_, StoreError>(payment.apply(event.clone(), now).unwrap());
        self.world.store.change_payment(payer.code, change).await.unwrap();
    }

    /// The refund as the merchant's wallet sends it from the payment's address.
    fn out_of_payment(&self, tx: u64) -> Paid {
        let from = Some(self.payer.address);
        Paid { coin: self.coin, to: BACK, from, spends: Some(1), ..self.payer.pays(tx, self.units) }
    }

    /// The same out of other pockets.
    fn out_of_elsewhere(&self, tx: u64) -> Paid {
        Paid { from: Some(AddressKey([3; 20])), spends: Some(999), ..self.out_of_payment(tx) }
    }

    async fn mine(&mut self, paid: Paid, more: u64) -> Payment {
        self.world.node.mine(vec![paid]);
        self.world.node.mine_empty(more);
        self.world.run().await;
        self.world.payment(&self.payer).await
    }

    fn status(&self, payment: &Payment) -> RefundStatus {
        payment.refund_status(payment.refund(&self.coin()).unwrap(), self.world.now())
    }

    async fn looks_for(&self) -> usize {
        self.world.store.outlying(&self.world.chain.id).await.unwrap().payouts.len()
    }
}

#[tokio::test]
async fn r16_a_refund_out_of_the_payments_own_pockets_is_sent_and_then_completed() {
    let mut refunding = Refunding::on("ethereum").await;
    let paid = refunding.out_of_payment(2);
    let sent = refunding.mine(paid, 0).await;
    assert_eq!((refunding.status(&sent), sent.recorded_status()), (RefundStatus::Sent, Status::Cancelled));
    refunding.world.node.mine_empty(11);
    refunding.world.run().await;
    let done = refunding.world.payment(&refunding.payer).await;
    assert_eq!(
        (refunding.status(&done), done.recorded_status()),
        (RefundStatus::Completed, Status::Refunded)
    );
    assert_eq!(refunding.looks_for().await, 0);
    // The sum that was received stays what it was.
    assert_eq!(done.received(), Cents(5_000));
}

#[tokio::test]
async fn r16_a_refund_that_spends_an_output_of_the_payment_is_one() {
    let mut refunding = Refunding::on("bitcoin").await;
    let paid = refunding.out_of_payment(2);
    let done = refunding.mine(paid, 0).await;
    assert_eq!(
        (refunding.status(&done), done.recorded_status()),
        (RefundStatus::Completed, Status::Refunded)
    );
    assert_eq!(refunding.looks_for().await, 0);
}

/// Strangers send dust, so that the money that goes back no longer lies in the payment's own item.
#[tokio::test]
async fn r16_a20_a_refund_that_spends_what_lies_beside_the_payments_own_item_is_one() {
    let mut refunding = Refunding::on("bitcoin").await;
    let dust = (100..260).map(|tx| Paid { coin: "BTC", ..refunding.payer.pays(tx, 1) }).collect();
    refunding.world.node.mine(dust);
    refunding.world.node.mine_empty(6);
    refunding.world.run().await;
    let in_hand = refunding.world.store.payment(refunding.payer.code).await.unwrap().unwrap();
    assert!(
        in_hand.has_folded() && in_hand.transfers().all(|transfer| transfer.movement().units == Units(1))
    );
    let paid = refunding.out_of_payment(2);
    let done = refunding.mine(paid, 0).await;
    assert_eq!(refunding.status(&done), RefundStatus::Completed);
}

#[tokio::test]
async fn r16_money_out_of_other_pockets_is_a_refund_only_if_it_is_named_before_or_after() {
    for chain in ["ethereum", "bitcoin"] {
        let mut refunding = Refunding::on(chain).await;
        let paid = refunding.out_of_elsewhere(2);
        let unnamed = refunding.mine(paid, 12).await;
        assert_eq!(refunding.status(&unnamed), RefundStatus::Confirmed, "{chain}");
        let tx_id = refunding.world.node.tx_id(2);
        let meant = refunding.meant(&refunding.payer).await;
        refunding.change(Event::NameRefundTransaction { meant, tx_id }).await;
        let named = refunding.world.payment(&refunding.payer).await;
        assert_eq!(named.recorded_status(), Status::Refunded, "{chain}");
    }
}

#[tokio::test]
async fn r16_strangers_who_pay_the_same_in_the_same_block_do_not_hide_a_refund() {
    let mut refunding = Refunding::on("ethereum").await;
    let mut paid: Vec<Paid> = (10..40).map(|tx| refunding.out_of_elsewhere(tx)).collect();
    paid.push(refunding.out_of_payment(50));
    refunding.world.node.mine(paid);
    refunding.world.node.mine_empty(12);
    refunding.world.run().await;
    let done = refunding.world.payment(&refunding.payer).await;
    assert_eq!(done.recorded_status(), Status::Refunded);
}

#[tokio::test]
async fn r16_what_was_written_late_for_a_refund_that_was_taken_back_does_not_hide_the_next() {
    let mut refunding = Refunding::on("ethereum").await;
    let now = refunding.awaited(&refunding.payer);
    let earlier = AwaitedPayout { units: "1".to_owned(), requested_at: now.requested_at - 60, ..now };
    let (store, chain) = (&refunding.world.store, &refunding.world.chain.id);
    store.await_payout(chain, &earlier, refunding.world.now()).await.unwrap();
    store.forget_payout(chain, &earlier).await.unwrap();
    store.await_payout(chain, &earlier, refunding.world.now()).await.unwrap();
    let paid = refunding.out_of_payment(2);
    let done = refunding.mine(paid, 11).await;
    assert_eq!(done.recorded_status(), Status::Refunded);
}

#[tokio::test]
async fn r16_other_units_and_other_coins_are_no_refund() {
    let mut refunding = Refunding::on("ethereum").await;
    let exact = refunding.out_of_payment(2);
    let less = Paid { units: exact.units - 1, ..exact.clone() };
    let token = Paid { coin: "USDC", tx: 3, ..exact.clone() };
    let elsewhere = Paid { to: AddressKey([0xcc; 20]), tx: 4, ..exact.clone() };
    refunding.world.node.mine(vec![less, token, elsewhere]);
    refunding.world.node.mine_empty(12);
    refunding.world.run().await;
    let payment = refunding.world.payment(&refunding.payer).await;
    assert_eq!(refunding.status(&payment), RefundStatus::Confirmed);
    assert_eq!(refunding.looks_for().await, 1);
    assert_eq!(payment.refund(&refunding.coin()).unwrap().units(), Units(exact.units));
}

#[tokio::test]
async fn r16_a_reorganisation_takes_a_refund_back_and_its_return_is_seen() {
    let mut refunding = Refunding::on("ethereum").await;
    let paid = refunding.out_of_payment(2);
    refunding.mine(paid.clone(), 2).await;
    refunding.world.node.reorg(3);
    refunding.world.node.mine_empty(1);
    refunding.world.run().await;
    let back = refunding.world.payment(&refunding.payer).await;
    assert_eq!(refunding.status(&back), RefundStatus::Confirmed);
    let again = refunding.mine(paid, 11).await;
    assert_eq!(again.recorded_status(), Status::Refunded);
}

#[tokio::test]
async fn r22_a_crash_between_any_two_writes_of_a_refund_changes_nothing_in_the_end() {
    for writes in 0..12 {
        let mut refunding = Refunding::on("ethereum").await;
        refunding.world.node.mine(vec![refunding.out_of_payment(2)]);
        refunding.world.node.mine_empty(11);
        refunding.world.tap.cut_after(writes);
        let crashed = refunding.world.try_run().await.is_err();
        refunding.world.tap.restore();
        refunding.world.cold_run().await;
        let done = refunding.world.payment(&refunding.payer).await;
        assert_eq!(done.recorded_status(), Status::Refunded, "{writes} writes");
        assert_eq!(refunding.looks_for().await, 0);
        if !crashed {
            assert!(writes > 3, "nothing was written");
            return;
        }
    }
    panic!("a run writes more than expected");
}

#[tokio::test]
async fn r16_one_output_is_one_refund_and_two_are_two() {
    for (outputs, refunded) in [(1, 1), (2, 2)] {
        let mut first = Refunding::on("ethereum").await;
        let payer = first.world.payer(2, Cents(10_000)).await;
        first.world.catch_up().await;
        let second = first.beside(payer).await;
        let paid = first.out_of_elsewhere(2);
        for payer in [&first.payer, &second] {
            let (meant, tx_id) = (first.meant(payer).await, first.world.node.tx_id(2));
            first.change_of(payer, Event::NameRefundTransaction { meant, tx_id }).await;
        }
        first.world.node.mine(vec![paid; outputs]);
        first.world.node.mine_empty(12);
        first.world.run().await;
        first.world.cold_run().await;
        let mut ended = 0;
        for payer in [&first.payer, &second] {
            let is_refunded = first.world.payment(payer).await.recorded_status() == Status::Refunded;
            ended += usize::from(is_refunded);
        }
        assert_eq!(ended, refunded, "{outputs} outputs");
    }
}

/// A run has read its lists; then a refund is confirmed, and a re-organisation puts its transaction into a block of a
/// height that the run goes on to read.
#[tokio::test]
async fn a23_a_block_that_is_younger_than_the_lists_of_its_run_is_read_again() {
    // The tip that the run knows stays the chain's height, or the chain grows beyond it.
    for (chain, more) in [("ethereum", 1), ("ethereum", 4), ("bitcoin", 2)] {
        let mut refunding = Refunding::paid_on(chain).await;
        refunding.world.node.mine_empty(2);
        let mut list = std::mem::take(&mut refunding.world.list);
        let world = &refunding.world;
        let meanwhile = async {
            refunding.confirm(&refunding.payer).await;
            world.node.take_away(2);
            world.node.pause.set(60);
            world.node.mine(vec![refunding.out_of_payment(2)]);
            world.node.mine_empty(more);
        };
        let source = Meanwhile::new(&world.node, meanwhile);
        source.watcher(world).run(&mut list).await.unwrap();
        drop(source);
        refunding.world.list = list;
        refunding.world.node.mine_empty(12);
        refunding.world.run().await;
        let done = refunding.world.payment(&refunding.payer).await;
        assert_eq!(refunding.status(&done), RefundStatus::Completed, "{chain}, {more} more blocks");
    }
}
