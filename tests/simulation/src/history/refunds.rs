//! The part of a history in which money goes back.

use std::task::{Context, Poll, Waker};

use shared::payment::Status;

use super::money::DESTINATIONS;
use super::surprise::Surprise;
use super::{POLLS, Stage};
use crate::actors::refund::{self, Link};
use crate::actors::{self, Order, Task, Wish};
use crate::desk::{DEPTHS, MERCHANTS, PAYERS, SWEEP, WATCHERS};
use crate::kind;
use crate::manner::Manner;
use crate::record::Written;

/// Steps in which money goes back.
const STEPS: std::ops::Range<usize> = 6..13;

/// What is due for another payment.
const OTHER_DUE: u64 = 10_000;

/// Runs of a watcher after which what was sent is known, or the weather is too bad.
const RUNS: usize = 2;

impl Stage<'_> {
    /// Money goes back, while everything goes wrong as before.
    pub(super) fn give_back(&mut self) {
        let are_twins = self.random.u8(0..3) == 0 && self.order_another();
        self.prepare();
        if self.to_give_back().is_empty() {
            return;
        }
        self.hasten(are_twins);
        let steps = self.random.usize(STEPS);
        for _ in 0..steps {
            self.give_back_step();
        }
        self.pay_the_rest();
    }

    /// Merchants pay most of what they confirmed, and what nobody sees now somebody must see in the end.
    fn pay_the_rest(&mut self) {
        let links = self.world.links.borrow().clone();
        for link in links.iter().filter(|link| link.confirmed) {
            if self.payout_of(link).is_none() && self.random.u8(0..4) > 0 {
                self.pay_back(link);
            }
        }
    }

    /// What was sent lies deep, its payments know, and some of them end: before, nothing can go back.
    fn prepare(&mut self) {
        self.pay_too_much();
        self.bury();
        for _ in 0..RUNS {
            self.complete_watch();
            if !self.to_give_back().is_empty() {
                break;
            }
        }
        if self.ages {
            self.complete_sweep();
        }
        let orders: Vec<Order> = self.world.orders.borrow().values().cloned().collect();
        for order in orders {
            if self.status_of(&order) == Some(Status::PartiallyPaid) && self.random.bool() {
                let cancel = Box::pin(actors::cancel(self.world.clone(), MERCHANTS[0], order));
                self.complete(MERCHANTS[0], cancel);
            }
        }
    }

    /// The first steps of most refunds, undisturbed: there is more to see in those that follow.
    fn hasten(&mut self, are_twins: bool) {
        let number = self.random.u8(0..DESTINATIONS);
        let (address, _) = kind::destination(&self.world.chain, number);
        for order in self.to_give_back() {
            let Some(coin) = self.coin_of(&order).filter(|_| are_twins || self.random.u8(0..4) > 0) else {
                continue;
            };
            let some = if are_twins { Some(self.kind.round_sum(coin)) } else { self.some_of(&order, coin) };
            let (world, units) = (self.world.clone(), some);
            let asked = refund::request(world.clone(), MERCHANTS[0], order, coin, units, address.clone());
            self.complete(MERCHANTS[0], Box::pin(asked));
        }
        let links = self.world.links.borrow().clone();
        for link in links {
            self.complete(PAYERS[0], Box::pin(refund::claim(self.world.clone(), PAYERS[0], link.clone())));
            if are_twins {
                let confirmed = refund::confirm(self.world.clone(), MERCHANTS[0], link, None);
                self.complete(MERCHANTS[0], Box::pin(confirmed));
            }
        }
    }

    /// All of what ended, and some of what is too much: the same sum for several payments.
    fn some_of(&mut self, order: &Order, coin: usize) -> Option<u128> {
        let some = (self.random.u8(0..4) > 0) == (self.status_of(order) == Some(Status::Overpaid));
        some.then(|| self.kind.round_sum(coin))
    }

    /// Another payment in the same coin, so that two refunds can be mistaken for each other; whether there is one.
    fn order_another(&mut self) -> bool {
        let (world, seat) = (self.world.clone(), MERCHANTS[0]);
        let coin = world.orders.borrow().values().find_map(|order| order.told.last().map(|told| told.coin));
        let Some(coin) = coin else { return false };
        let before: Vec<String> = world.orders.borrow().keys().cloned().collect();
        let wish = Wish { key: None, due: shared::money::Cents(OTHER_DUE) };
        self.complete(seat, Box::pin(actors::create(world.clone(), seat, wish)));
        let new = |order: &&Order| !before.contains(&order.code.to_string());
        let order = world.orders.borrow().values().find(new).cloned();
        let Some(order) = order else { return false };
        self.complete(seat, Box::pin(actors::approve(world.clone(), seat, order.clone())));
        self.complete(PAYERS[0], Box::pin(actors::choose(world, PAYERS[0], order, coin)));
        true
    }

    fn bury(&mut self) {
        let mut state = self.net.lock();
        for _ in 0..DEPTHS[1] {
            let now = state.now;
            state.chain.mine(now, || true);
        }
        state.tell_chain();
    }

    pub(super) fn complete_watch(&mut self) {
        let world = self.world.clone();
        let watch = async move {
            actors::watch(world, WATCHERS[0], Manner::Honest).await;
        };
        self.complete(WATCHERS[0], Box::pin(watch));
    }

    fn complete_sweep(&mut self) {
        if let Some(sweep) = self.task_of(SWEEP) {
            self.complete(SWEEP, sweep);
        }
    }

    /// Lets somebody who is not busy do one thing to its end.
    pub(super) fn complete(&mut self, seat: crate::net::Seat, mut task: Task) {
        if self.running.iter().any(|(busy, _)| *busy == seat) {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..POLLS {
            if let Poll::Ready(()) = task.as_mut().poll(&mut context) {
                return;
            }
        }
        panic!("a task does not end");
    }

    fn status_of(&self, order: &Order) -> Option<Status> {
        self.net.lock().record.payments().get(&order.code.to_string()).and_then(|written| written.status)
    }

    /// Payments of which something can go back.
    fn to_give_back(&self) -> Vec<Order> {
        let state = self.net.lock();
        let is_over = |written: &Written| match written.status {
            Some(Status::Paid | Status::Overpaid) => true,
            Some(Status::Expired | Status::Cancelled | Status::Refunded) => {
                written.transfers.values().any(|held| held.counts)
            }
            Some(Status::KycRequired | Status::Pending | Status::PartiallyPaid) | None => false,
        };
        let orders = self.world.orders.borrow();
        let of_record =
            |order: &&Order| state.record.payments().get(&order.code.to_string()).is_some_and(is_over);
        orders.values().filter(of_record).cloned().collect()
    }

    fn give_back_step(&mut self) {
        if !self.running.is_empty() && self.random.u8(0..10) < 4 {
            return self.go_on();
        }
        match self.random.u8(0..100) {
            0..58 => self.give_back_more(),
            58..70 => self.mine(),
            70..82 => {
                let second = self.random.u8(0..3) == 0;
                self.begin(WATCHERS[usize::from(second)]);
            }
            82..87 => self.fork(),
            87..90 => self.wait(),
            90..93 => self.accept_late(),
            93..96 if !self.running.is_empty() => self.crash(),
            _ => self.step(),
        }
    }

    fn accept_late(&mut self) {
        let orders = self.to_give_back();
        if orders.is_empty() {
            return;
        }
        let order = orders[self.random.usize(0..orders.len())].clone();
        let seat = MERCHANTS[self.random.usize(0..2)];
        self.start(seat, Box::pin(actors::accept_late(self.world.clone(), seat, order)));
    }

    /// The next thing to do about one refund.
    fn give_back_more(&mut self) {
        let orders = self.to_give_back();
        if orders.is_empty() {
            return;
        }
        let order = orders[self.random.usize(0..orders.len())].clone();
        let Some(coin) = self.coin_of(&order) else { return };
        let links = self.world.links.borrow().clone();
        let link = links.into_iter().find(|link| link.order.code == order.code && link.coin == coin);
        let (merchant, payer) = (MERCHANTS[self.random.usize(0..2)], PAYERS[self.random.usize(0..2)]);
        let world = self.world.clone();
        match link {
            None => self.ask(order, coin),
            Some(link) if link.claimed && !link.confirmed && self.random.u8(0..4) == 0 => {
                self.surprise(Surprise::Refund(link));
            }
            Some(link) if !link.confirmed && self.random.u8(0..10) == 0 => {
                let order = link.order.clone();
                self.start(merchant, Box::pin(refund::withdraw(world, merchant, order, coin, Some(link))));
            }
            Some(link) if !link.claimed => self.start(payer, Box::pin(refund::claim(world, payer, link))),
            Some(link) if !link.confirmed => self.confirm(link),
            Some(link) => self.go_on_with(&link),
        }
    }

    /// A coin in which something came.
    fn coin_of(&mut self, order: &Order) -> Option<usize> {
        let coins: Vec<usize> = {
            let state = self.net.lock();
            let payment = state.record.payments().get(&order.code.to_string())?;
            payment.transfers.values().filter(|held| held.counts).map(|held| held.coin).collect()
        };
        let place = self.random.usize(0..coins.len().max(1));
        coins.get(place).copied()
    }

    /// Asks for a refund; one whose link got lost is taken back before.
    fn ask(&mut self, order: Order, coin: usize) {
        let (world, merchant) = (self.world.clone(), MERCHANTS[self.random.usize(0..2)]);
        let is_unknown = {
            let state = self.net.lock();
            let payment = &state.record.payments()[&order.code.to_string()];
            let mut refunds = payment.refunds.values().filter(|refund| refund.coin == coin);
            refunds.any(|refund| refund.withdrawn_at.is_none() && refund.paid_by.is_none())
        };
        if is_unknown && self.random.u8(0..4) > 0 {
            return self.start(merchant, Box::pin(refund::withdraw(world, merchant, order, coin, None)));
        }
        let units = self.some_of(&order, coin);
        let (address, _) = kind::destination(&self.world.chain, self.random.u8(0..DESTINATIONS));
        self.start(merchant, Box::pin(refund::request(world, merchant, order, coin, units, address)));
    }

    /// Confirms it; now and then money is sent too early.
    fn confirm(&mut self, link: Link) {
        let (world, merchant) = (self.world.clone(), MERCHANTS[self.random.usize(0..2)]);
        if self.random.u8(0..8) == 0 {
            return self.pay_back(&link);
        }
        let named = if self.random.u8(0..5) == 0 { self.payout(&link) } else { None };
        self.start(merchant, Box::pin(refund::confirm(world, merchant, link, named)));
    }

    /// The refund of another payment that looks the same.
    pub(super) fn twin(&self, link: &Link) -> Option<Link> {
        let links = self.world.links.borrow();
        let is_other = |other: &&Link| {
            other.order.code != link.order.code && other.coin == link.coin && other.address == link.address
        };
        links.iter().find(is_other).cloned()
    }

    /// Pays what is confirmed, or says what pays it; what is paid makes room for another.
    fn go_on_with(&mut self, link: &Link) {
        if link.written(&self.world).is_some_and(|refund| refund.paid_by.is_some()) {
            return self.world.forget_link(link);
        }
        let twin = self.twin(link).filter(|_| self.random.u8(0..4) > 0);
        let mistaken = twin.and_then(|twin| self.payout_of(&twin));
        if mistaken.is_none() && self.random.u8(0..3) > 0 {
            return self.pay_back(link);
        }
        let Some(tx_id) = mistaken.or_else(|| self.payout(link)) else { return self.pay_back(link) };
        let (world, merchant) = (self.world.clone(), MERCHANTS[self.random.usize(0..2)]);
        self.start(merchant, Box::pin(refund::name(world, merchant, link.clone(), tx_id)));
    }

    /// A transaction that was sent for this refund, or for another.
    fn payout(&mut self, link: &Link) -> Option<String> {
        let own = self.payout_of(link);
        let place = self.random.usize(0..self.payouts.len().max(1));
        let any = self.payouts.get(place).map(|(_, tx_id)| tx_id.clone());
        if self.random.bool() { own.or(any) } else { any }
    }

    fn payout_of(&self, link: &Link) -> Option<String> {
        let hash = link.hash();
        self.payouts.iter().rfind(|(of, _)| *of == hash).map(|(_, tx_id)| tx_id.clone())
    }
}
