//! What happens to a run of a watcher between its lists and its blocks, and what another version does meanwhile.

use std::task::{Context, Waker};

use serde_json::json;

use super::{POLLS, Stage};
use crate::actors::refund::{self, Link};
use crate::actors::{self, Order};
use crate::desk::{MERCHANTS, PAYERS, WATCHERS};
use crate::manner::Manner;
use crate::record::unknown;

/// Clocks differ by less.
const CLEARLY_LATER: u64 = 45;

/// Blocks that come before the run, all of which may be gone when it reads them.
const BLOCKS: usize = 2;

/// What a run does not know when it begins to read blocks.
pub(super) enum Surprise {
    /// A refund is confirmed and paid.
    Refund(Link),
    /// An address is given out and paid to.
    Address(Order),
}

impl Stage<'_> {
    /// A run read its lists; then somebody is told something and pays, and the chain puts that into a block below the tip
    /// that the run was told.
    pub(super) fn surprise(&mut self, surprise: Surprise) {
        let seat = WATCHERS[0];
        if self.running.iter().any(|(busy, _)| *busy == seat) {
            return self.go_on();
        }
        (0..BLOCKS).for_each(|_| self.mine_one());
        self.net.lock().holds = true;
        let mut run = Box::pin(actors::watch(self.world.clone(), seat, Manner::Waits));
        let mut context = Context::from_waker(Waker::noop());
        let mut polls = 0;
        while !self.net.lock().is_held {
            polls += 1;
            if polls > POLLS || run.as_mut().poll(&mut context).is_ready() {
                self.net.lock().holds = false;
                return;
            }
        }
        self.meanwhile(surprise);
        {
            let mut state = self.net.lock();
            state.holds = false;
            state.is_held = false;
        }
        self.running.push((
            seat,
            Box::pin(async move {
                run.await;
            }),
        ));
        self.go_on();
    }

    fn meanwhile(&mut self, surprise: Surprise) {
        let world = self.world.clone();
        match surprise {
            Surprise::Refund(link) => {
                let confirmed = refund::confirm(world.clone(), MERCHANTS[0], link.clone(), None);
                self.complete(MERCHANTS[0], Box::pin(confirmed));
                self.pass(CLEARLY_LATER);
                self.pay_back(&link);
            }
            Surprise::Address(order) => {
                let coin = self.random.usize(0..self.world.chain.coins.len());
                let chosen = actors::choose(world.clone(), PAYERS[0], order.clone(), coin);
                self.complete(PAYERS[0], Box::pin(chosen));
                let told = world.orders.borrow()[&order.code.to_string()].told.last().cloned();
                if let Some(told) = told {
                    self.pay_as_told(&told);
                }
            }
        }
        let depth = self.random.usize(1..=BLOCKS);
        let longer = self.random.usize(0..3);
        let mut state = self.net.lock();
        state.chain.take_away(depth);
        for _ in 0..depth + longer {
            let now = state.now;
            state.chain.mine(now, || true);
        }
        state.fault(|| format!("the last {depth} blocks are others now, while a run reads"));
        state.tell_chain();
    }

    /// Another version of a function writes a payment, or the cursor, with more than this one knows.
    pub(super) fn upgrade(&mut self) {
        let codes: Vec<String> = self.net.lock().record.payments().keys().cloned().collect();
        let place = self.random.usize(0..=codes.len());
        let chain = self.world.chain.id.as_str();
        let cursor = json!({ "chain": { "S": chain }, "entry": { "S": "cursor" } });
        let payment = codes.get(place).map(|code| ("Payments", json!({ "code": { "S": code } })));
        let (table, key) = payment.unwrap_or(("Chains", cursor));
        let mut random = self.random.fork();
        let mut state = self.net.lock();
        let Some(mut item) = state.item(table, &key) else { return };
        unknown::write(&mut item, || random.bool());
        let version = item["version"]["N"].as_str().and_then(|version| version.parse::<u64>().ok());
        item["version"] = json!({ "N": (version.unwrap_or(0) + 1).to_string() });
        state.put(table, &item);
        state.fault(|| format!("a later version writes into {table} {key}"));
    }
}
