//! The end of a history's refunds and sightings: what the chain paid back is closed, and what is nowhere is said to be.

use shared::payment::{Payment, Price, Standing, Status, TransferState};

use crate::actors::World;
use crate::chain::{Block, Tx};
use crate::desk::depth;
use crate::net::State;
use crate::record::refund::Refund;
use crate::record::{Story, Written};

/// Refunds that the chain paid beyond doubt and that nobody saw.
pub fn unseen(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    for (code, payment) in state.record.payments() {
        for refund in payment.refunds.values().filter(|refund| refund.paid_by.is_none()) {
            let Some(story) = state.record.story(&refund.secret) else { continue };
            let deep = state.chain.paid_at_depth(depth(payment.due));
            let mut paid = deep.filter(|(block, tx, _)| pays(state, payment, story, (block, tx)));
            if let Some((block, tx, _)) = paid.next() {
                let (height, id) = (block.header.number, &tx.id);
                wrong.push(format!(
                    "payment {code}, in the end: {id} in block {height} is a refund and nobody saw it"
                ));
            }
        }
    }
    wrong
}

/// Whether a transaction in a block that was mined after the confirmation is this refund, and can be no other's.
fn pays(state: &State, payment: &Written, story: &Story, (block, tx): (&Block, &Tx)) -> bool {
    let Story { refund, confirmed_by } = story;
    let confirmed_at = refund.confirmed_at.unwrap_or(u64::MAX);
    let is_after =
        confirmed_by.is_some_and(|made| block.made > made) && block.header.timestamp.0 > confirmed_at;
    let is_own = refund.owns(payment, tx, &state.chain) && !refund.earlier_txs.contains(&tx.id);
    let same = |other: &&Story| {
        let Refund { address, units, coin, .. } = &other.refund;
        other.refund.confirmed_at.is_some()
            && (address, units, coin) == (&refund.address, &refund.units, &refund.coin)
    };
    is_after && is_own && (1..=refund.outputs(tx)).contains(&state.record.stories().filter(same).count())
}

/// What is said of transfers that lie in no block of the best chain, and is not so.
pub fn outside(state: &State, payment: &Payment) -> Vec<String> {
    let chain = &state.chain;
    let mut wrong = Vec::new();
    for transfer in payment.transfers() {
        let id = transfer.movement().id.as_str();
        let Some(tx) = chain.tx(&transfer.movement().tx_id) else { continue };
        let is_inside =
            chain.blocks().iter().any(|block| block.txs.iter().any(|other| other.number == tx.number));
        if is_inside {
            continue;
        }
        match transfer.standing() {
            Standing::Replaced => {}
            // Its rival came after it was known: nothing brings it back, and nothing waits for it.
            Standing::Lost { .. } => {
                let known = state.record.first_written(id);
                if chain.rival(tx).is_some_and(|rival| known.is_some_and(|known| rival.made > known)) {
                    wrong.push(format!("{id} is waited for, but block has what replaced it (R15)"));
                }
            }
            Standing::Unconfirmed { .. } | Standing::InBlock { .. } => {
                wrong.push(format!("{id} is said to be there and is nowhere"));
            }
        }
    }
    wrong
}

/// Whether all that a refunded payment had before its last refund went back.
pub fn is_refunded(world: &World, payment: &Payment) -> bool {
    let Some(refunded_at) = payment.refunded_at().filter(|_| payment.recorded_status() == Status::Refunded)
    else {
        return false;
    };
    let margin = 2 * crate::desk::MOST_SKEW_SECONDS;
    world.chain.coins.iter().all(|coin| {
        let before = payment.transfers().filter(|transfer| {
            let is_counted = payment.state(transfer) == TransferState::Counted;
            // What had no rate yet then did not count.
            let is_priced = matches!(transfer.price(payment.quotes()), Price::Quote(_));
            let is_before = transfer.deep_since().is_some_and(|since| since.plus(margin) < refunded_at);
            transfer.movement().coin == coin.id && is_counted && is_priced && is_before
        });
        let counted: u128 = before.map(|transfer| transfer.movement().units.0).sum();
        payment.given_back(&coin.id).0 >= counted
    })
}

/// Whether a transfer was seen to wait before the payment's time was over.
pub fn was_seen_in_time(state: &State, payment: &Payment, id: &str) -> bool {
    let written = state.record.payments().get(&payment.id().code().to_string());
    let seen_at = written.and_then(|written| written.transfers.get(id)?.unconfirmed_at);
    seen_at.is_some_and(|at| at < payment.terms().expires_at().0)
}
