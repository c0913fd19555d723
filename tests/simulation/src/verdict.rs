//! The end of a history: what is recorded must be what the chain says, neither more nor less.

mod refund;
mod streams;

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use shared::moment::Timestamp;
use shared::money::Cents;
use shared::payment::{Payment, Status, TransferState};

use crate::actors::World;
use crate::chain::{Block, Paid, Tx};
use crate::desk::{STAGE, depth};
use crate::kind::CENT;

/// Reads every payment that was acknowledged, and compares.
pub fn judge(world: &World, now: Timestamp) {
    let orders = world.orders.borrow();
    let mut payments = Vec::new();
    for (code, order) in orders.iter() {
        let store = &world.apps[STAGE].store;
        let mut reading = pin!(store.payment(order.code));
        let read = reading.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(Some(payment))) = read else {
            world.net.lock().violation(format!("payment {code}: acknowledged and not there"));
            continue;
        };
        let found = compare(world, order.due, &payment, now);
        let mut state = world.net.lock();
        state.journal.ends.push(payment.recorded_status());
        for what in found {
            state.violation(format!("payment {code}, in the end: {what}"));
        }
        payments.push(payment);
    }
    let mut wrong = streams::wallets(world, &payments);
    wrong.extend(streams::volume(world));
    let mut state = world.net.lock();
    wrong.extend(refund::unseen(&state));
    for what in wrong {
        state.violation(what);
    }
}

fn compare(world: &World, due: Cents, payment: &Payment, now: Timestamp) -> Vec<String> {
    let state = world.net.lock();
    let ours = |paid: &Paid| payment.addresses().iter().any(|given| given.address == paid.address);
    let worth = |paid: &Paid| paid.units * state.record.worth[paid.coin];
    let canonical: Vec<(&Block, &Tx, &Paid)> =
        state.chain.paid_at_depth(depth(due)).filter(|(_, _, paid)| ours(paid)).collect();
    let mut wrong = refund::outside(&state, payment);
    let counted = payment.transfers().filter(|transfer| payment.state(transfer) == TransferState::Counted);
    let counted: BTreeMap<String, u128> =
        counted.map(|transfer| (transfer.movement().id.to_string(), transfer.movement().units.0)).collect();
    let expected: BTreeMap<String, u128> =
        canonical.iter().map(|(_, _, paid)| (paid.key.clone(), paid.units)).collect();
    if counted != expected {
        wrong.push(format!("counted {counted:?}, but the chain paid {expected:?} (R22)"));
        return wrong;
    }
    let all: u128 = canonical.iter().map(|(_, _, paid)| worth(paid)).sum();
    let cents = Cents(u64::try_from(all / CENT).unwrap_or(u64::MAX));
    if payment.received() != cents {
        wrong.push(format!("received {:?}, but the chain paid {cents:?} (R21)", payment.received()));
    }
    // In time beyond doubt: never in another block, and as high as the lowest tip any watcher was told since.
    let ends = payment.terms().expires_at();
    let closes = state.lowest_tip_since(ends);
    // Or seen to wait before its end.
    let in_time = canonical.iter().filter(|(block, _, paid)| {
        let height = closes.is_none_or(|closes| block.header.number <= closes);
        let never_moved = state.chain.held_by(&paid.key).len() == 1;
        let in_block = height && block.header.timestamp <= ends && never_moved;
        in_block || refund::was_seen_in_time(&state, payment, &paid.key)
    });
    let in_time: u128 = in_time.map(|(_, _, paid)| worth(paid)).sum();
    let due = u128::from(due.0) * CENT;
    let status = payment.recorded_status();
    let overdue = now >= ends.plus(2 * crate::desk::MOST_SKEW_SECONDS);
    let fits = match status {
        Status::KycRequired => payment.addresses().is_empty(),
        Status::Pending => all == 0 && !overdue,
        Status::PartiallyPaid => all > 0 && all < due && !overdue,
        Status::Paid => all >= due && all < due + CENT,
        Status::Overpaid => all >= due + CENT,
        // Whoever ended it may have had a clock ahead of everybody's.
        Status::Expired => now.plus(crate::desk::MOST_SKEW_SECONDS) >= ends && in_time < due,
        Status::Cancelled => payment.cancelled_at().is_some(),
        Status::Refunded => refund::is_refunded(world, payment),
    };
    if !fits {
        wrong.push(format!(
            "is {status:?}, with {all} of {due} parts paid, {in_time} in time, overdue: {overdue}"
        ));
    }
    wrong
}
