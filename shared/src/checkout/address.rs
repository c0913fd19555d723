//! Giving a payment its address of a family: one index of the merchant's extended key, however often it is asked for (R24).

use std::time::Duration;

use super::{not_offered, xpub};
use crate::account::Account;
use crate::app::App;
use crate::chain::Family;
use crate::chain::address::{AddressError, ExtendedKey};
use crate::http::{ApiError, Result};
use crate::payment::{Code, GivenAddress, Payment};
use crate::store::{Found, Market, Turn, Watched};

/// Addresses tried: the next is taken if another account's counter on the same key gave one out already.
const CLAIMS: usize = 5;

/// An address is acknowledged this soon after its stamp, or stamped again: watchers look back two minutes, no further.
const STAMP_SECONDS: u64 = 30;

/// Stamps tried before giving up on a table that slow.
const STAMPS: usize = 3;

/// How long one caller has to make the address before another may: many times what it takes.
const TURN_SECONDS: u64 = 5;

/// Between two looks of the others whether there is an address.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Looks at most: a little longer than a turn, so that one whose process died is waited for.
const LOOKS: u32 = 65;

/// Turns waited for: more have failed for a reason.
const TURNS: usize = 2;

/// The payment, perhaps read again, and its address of `family`, which others may have made meanwhile.
pub(super) async fn give(
    app: &App,
    account: &Account,
    found: Found,
    family: Family,
    market: &Market,
) -> Result<(Found, GivenAddress)> {
    let xpub = xpub(app, account, found.payment.mode(), family).ok_or_else(not_offered)?;
    let key: ExtendedKey = xpub.parse().map_err(|error: AddressError| ApiError::internal(error))?;
    let found = own_turn(app, found, family).await?;
    let given = match found.payment.address_of(family.name()).cloned() {
        Some(given) => given,
        None => make(app, &key, &found.payment, family, market).await?,
    };
    Ok((found, given))
}

/// The payment as it is when the caller may make its address, or when it has one.
async fn own_turn(app: &App, mut found: Found, family: Family) -> Result<Found> {
    let code = found.payment.id().code();
    let holder = format!("{:016x}", u64::from_be_bytes(app.random().map_err(ApiError::internal)?));
    let mut looks = 0..LOOKS;
    for _ in 0..TURNS {
        let now = app.clock.now();
        let turn = app.store.take_turn(code, family.name(), &holder, now, now.plus(TURN_SECONDS)).await?;
        let until = match turn {
            Turn::First => return Ok(found),
            Turn::Next => return again(app, code).await,
            Turn::Taken(until) => until,
        };
        while app.clock.now() < until {
            looks.next().ok_or(ApiError::Busy)?;
            app.clock.pause(LOOK_AGAIN).await;
            found = again(app, code).await?;
            if found.payment.address_of(family.name()).is_some() {
                return Ok(found);
            }
        }
    }
    Err(ApiError::Busy)
}

async fn again(app: &App, code: Code) -> Result<Found> {
    app.store.find_payment(code).await?.ok_or(ApiError::PaymentNotFound)
}

/// Derives, claims and, for live money, lists the next address of the extended key.
async fn make(
    app: &App,
    key: &ExtendedKey,
    payment: &Payment,
    family: Family,
    market: &Market,
) -> Result<GivenAddress> {
    let code = payment.id().code();
    for claim in 0..CLAIMS {
        let taker = format!("{code}#{}#{claim}", family.name());
        let index = app.store.next_index(&key.fingerprint(), &taker).await?;
        let address = family.address(key, index, payment.mode()).map_err(ApiError::internal)?;
        let given =
            GivenAddress { family: family.name().to_owned(), address, xpub: key.fingerprint(), index };
        if app.store.claim_address(&given, code).await? {
            if payment.is_live() {
                list(app, &given, code, market).await?;
            }
            return Ok(given);
        }
    }
    Err(ApiError::Busy)
}

async fn list(app: &App, given: &GivenAddress, code: Code, market: &Market) -> Result<()> {
    for _ in 0..STAMPS {
        let listed_at = app.clock.now();
        let heights = market.heights.clone();
        let watched = Watched { address: given.address.clone(), code, listed_at, heights };
        app.store.list_address(&given.family, &watched).await?;
        if app.clock.now().since(listed_at) < STAMP_SECONDS {
            return Ok(());
        }
    }
    Err(ApiError::Busy)
}
