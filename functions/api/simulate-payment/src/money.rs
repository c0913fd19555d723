//! Simulated chains: what a watcher would report of a test payment's money.

use shared::chain::{Chain, Chains, Coin, CoinId};
use shared::http::{self, ApiError};
use shared::moment::Timestamp;
use shared::money::{Cents, Rate, Units};
use shared::pay::NotOffered;
use shared::payment::{
    BlockAt, Event, InvalidParameter, Movement, Payment, Refund, RefundReport, Report, Selection, Standing,
    Transfer, TransferId, TransferState,
};
use shared::rates::NoRate;
use shared::store::Market;

use crate::scenario::{Arrival, Size};

/// Seconds between the blocks of the simulated chain.
const BLOCK_SECONDS: u64 = 12;

/// Money arrives: a transfer of the given name, again if it is known already.
pub fn arrive(
    payment: &Payment,
    arrival: &Arrival,
    new_id: [u8; 8],
    chains: &Chains,
    market: &Market,
    now: Timestamp,
) -> http::Result<Payment> {
    let no_coin = || InvalidParameter::new("scenario", "transfer needs a coin to be chosen first");
    let selected = payment.selection().ok_or_else(no_coin)?;
    let (chain, coin) = chains.coin(&selected.coin).ok_or_else(no_coin)?;
    let rate = market.rate(&coin.rate_symbol);
    let name = arrival.transfer_id.clone().unwrap_or_else(|| format!("{:016x}", u64::from_be_bytes(new_id)));
    let id = key(payment, &name, chain.id.as_str(), coin, selected);
    let movement = match payment.transfer(&id) {
        Some(known) => known.movement().clone(),
        None => Movement {
            id,
            coin: coin.id.clone(),
            decimals: coin.decimals,
            chain: chain.id.clone(),
            tx_id: name,
            address: selected.address.clone(),
            units: units(payment, arrival.size, coin, rate, now)?,
            confirmations_required: 0,
        },
    };
    let movement =
        Movement { confirmations_required: depth(payment, &movement, chain, rate.ok(), now), ..movement };
    let standing = if arrival.confirmed {
        in_block(payment, &movement, now)
    } else {
        Standing::Unconfirmed { at: payment.local(now) }
    };
    report(payment, movement, standing, rate.ok(), now)
}

/// How deep a transfer must lie: as on a live chain, by the larger of what is due and what it is worth (R22).
fn depth(payment: &Payment, movement: &Movement, chain: &Chain, rate: Option<Rate>, now: Timestamp) -> u32 {
    let at = payment.local(now);
    let rates = rate.map(|rate| (at.minute(), rate)).into_iter().collect();
    let (movement, standing) = (movement.clone(), Standing::Unconfirmed { at });
    let report = Report { movement, sequence: payment.next_sequence(), at, standing, rates };
    let worth = payment.worth_with(&report).map(|worth| worth.ceil());
    chain.depth_of(payment.terms().due(), worth).confirmations()
}

/// A transfer gets its confirmations.
pub fn confirm(payment: &Payment, id: &str, now: Timestamp) -> http::Result<Payment> {
    let movement = known(payment, id)?.movement().clone();
    let standing = in_block(payment, &movement, now);
    report(payment, movement, standing, None, now)
}

/// Everything on its way gets its confirmations.
pub fn confirm_all(payment: &Payment, now: Timestamp) -> http::Result<Payment> {
    let coming = payment.transfers().filter(|transfer| match payment.state(transfer) {
        TransferState::Seen | TransferState::Confirming => true,
        TransferState::Counted | TransferState::Lost | TransferState::Own => false,
    });
    let ids: Vec<String> = coming.map(|transfer| transfer.movement().id.to_string()).collect();
    ids.iter().try_fold(payment.clone(), |payment, id| confirm(&payment, id, now))
}

/// The chain takes a transfer away.
pub fn reorg(payment: &Payment, id: &str, now: Timestamp) -> http::Result<Payment> {
    let transfer = known(payment, id)?;
    let block = match transfer.standing() {
        Standing::InBlock { block, .. } => Some(block),
        Standing::Unconfirmed { .. } => None,
        Standing::Lost { .. } | Standing::Replaced => return Ok(payment.clone()),
    };
    let standing = Standing::Lost { block, at: payment.local(now) };
    report(payment, transfer.movement().clone(), standing, None, now)
}

/// By the name that `transfer` was given, or the id that the API shows.
fn known<'a>(payment: &'a Payment, id: &str) -> http::Result<&'a Transfer> {
    let named =
        |transfer: &&Transfer| transfer.movement().tx_id == id || transfer.movement().id.as_str() == id;
    let unknown = || InvalidParameter::new("transfer_id", "is no transfer of this payment").into();
    payment.transfers().find(named).ok_or_else(unknown)
}

/// The name alone tells transfers apart, so that one given again is the same whatever coin is selected by then.
fn key(payment: &Payment, name: &str, chain: &str, coin: &Coin, selected: &Selection) -> TransferId {
    let named = payment.transfers().find(|transfer| transfer.movement().tx_id == name);
    let made = || made_key(name, chain, coin, &selected.address);
    named.map_or_else(made, |known| known.movement().id.clone())
}

/// Every key under which a transfer of that name can be known, in whichever coin it came; the name may be a key itself.
pub fn keys(payment: &Payment, name: &str, chains: &Chains) -> Vec<TransferId> {
    let of_coin = |(chain, coin): (&Chain, &Coin)| {
        let given = payment.address_of(chain.family.name())?;
        Some(made_key(name, chain.id.as_str(), coin, &given.address))
    };
    chains.coins().filter_map(of_coin).chain([TransferId::new(name)]).collect()
}

fn made_key(name: &str, chain: &str, coin: &Coin, address: &str) -> TransferId {
    TransferId::new(format!("{chain}:{name}:{}:{}:0", coin.asset.key(), address.to_lowercase()))
}

/// The block that is made now. A transfer that is in one already stays there.
fn in_block(payment: &Payment, movement: &Movement, now: Timestamp) -> Standing {
    let known = payment.transfer(&movement.id).map(Transfer::standing);
    let time = payment.local(now);
    let block = match known {
        Some(Standing::InBlock { block, .. }) => block,
        Some(Standing::Unconfirmed { .. } | Standing::Lost { .. } | Standing::Replaced) | None => {
            BlockAt { height: time.0.div_euclid(BLOCK_SECONDS), time }
        }
    };
    Standing::InBlock { block, confirmations: movement.confirmations_required }
}

fn report(
    payment: &Payment,
    movement: Movement,
    standing: Standing,
    rate: Option<Rate>,
    now: Timestamp,
) -> http::Result<Payment> {
    let local = payment.local(now);
    let rates = rate.map(|rate| (local.minute(), rate)).into_iter().collect();
    let report = Report { movement, sequence: payment.next_sequence(), at: local, standing, rates };
    Ok(payment.apply(Event::Reported(report), now)?)
}

/// The coin's units for a size: at the quote's ratio while it holds, at the market's rate after that.
fn units(
    payment: &Payment,
    size: Size,
    coin: &Coin,
    rate: Result<Rate, NoRate>,
    now: Timestamp,
) -> http::Result<Units> {
    let due = payment.terms().due();
    let usd = match size {
        Size::Share(hundredths) => due.times(hundredths, 10_000),
        Size::Usd(usd) => usd,
        Size::Rest => payment.still_due(),
    };
    let usd = usd.max(Cents(1));
    let holding = payment.quotes().holding(&coin.id, payment.local(now));
    if let Some(quote) = holding {
        return quote.units.share(usd, quote.usd).map_err(ApiError::internal);
    }
    let unpriced = |why| ApiError::NotOffered { coin: coin.id.clone(), why: NotOffered::NoRate(why) };
    let rate = rate.map_err(unpriced)?;
    Units::worth(usd, payment.terms().rate(rate), coin.decimals).map_err(ApiError::internal)
}

/// The chain shows the transaction of a confirmed refund, as deep as it must lie. One that it showed stays as it is.
pub fn refund(
    payment: &Payment,
    coin: Option<&CoinId>,
    new_id: [u8; 8],
    now: Timestamp,
) -> http::Result<Payment> {
    let named = |refund: &&Refund| coin.is_none_or(|coin| refund.coin() == coin);
    let mut awaited = payment.refunds_awaited().filter(named);
    let refund = match (awaited.next(), awaited.next()) {
        (Some(refund), None) => refund,
        (None, _) if payment.refunds().filter(named).any(|refund| refund.completed_at().is_some()) => {
            return Ok(payment.clone());
        }
        (None | Some(_), _) => {
            return Err(InvalidParameter::new("scenario", "refund needs one confirmed refund").into());
        }
    };
    let time = payment.local(now).max(refund.confirmed_at().unwrap_or_default().plus(1));
    let block = BlockAt { height: time.0.div_euclid(BLOCK_SECONDS), time };
    let confirmations = refund.confirmations_required();
    let drawn = || format!("{:016x}", u64::from_be_bytes(new_id));
    let report = RefundReport {
        coin: refund.coin().clone(),
        tx_id: refund.named_tx().map_or_else(drawn, str::to_owned),
        address: refund.address().unwrap_or_default().to_owned(),
        units: refund.units(),
        from_payment: true,
        outputs: 1,
        sequence: payment.next_sequence(),
        at: payment.local(now),
        standing: Standing::InBlock { block, confirmations },
    };
    Ok(payment.apply(Event::RefundSeen(report), now)?)
}
