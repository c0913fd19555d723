//! Choosing a coin: which are offered, a new address if one is needed, and a quote (R19, R20, R24).

mod address;

use crate::account::{Account, AccountState};
use crate::app::App;
use crate::chain::{Chain, ChainId, Coin, CoinId, Family};
use crate::http::{ApiError, Result};
use crate::json::Usd;
use crate::moment::Timestamp;
use crate::money::{Rate, Units};
use crate::pay::{NotOffered, OfferedCoin, Offers};
use crate::payment::{Code, Event, InvalidParameter, Mode, Offer, Payment};
use crate::store::{Found, Market};

/// A payment whose coin was chosen, and the market by which it was.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The payment as it is now.
    pub payment: Payment,
    /// Rates and heights of that moment.
    pub market: Market,
}

/// The coins that `payment` can be paid in now, and why not in the others.
pub async fn offers(app: &App, payment: &Payment, now: Timestamp) -> Result<Offers> {
    let account =
        app.accounts.known(&app.store, payment.merchant(), now).await?.ok_or(ApiError::PaymentNotFound)?;
    if account.state == AccountState::Disabled {
        return Ok(Offers::default());
    }
    let chains: Vec<ChainId> = app.settings.chains.iter().map(|chain| chain.id.clone()).collect();
    Ok(offers_in(&app.store.market(&chains, now).await?, app, &account, payment, now))
}

/// The same after a choice, by the market of that choice: nothing is read again.
pub async fn offers_after(app: &App, chosen: &Chosen, now: Timestamp) -> Result<Offers> {
    let payment = &chosen.payment;
    let account =
        app.accounts.known(&app.store, payment.merchant(), now).await?.ok_or(ApiError::PaymentNotFound)?;
    Ok(offers_in(&chosen.market, app, &account, payment, now))
}

fn offers_in(market: &Market, app: &App, account: &Account, payment: &Payment, now: Timestamp) -> Offers {
    let mut offers = Offers::default();
    for (chain, coin) in app.settings.chains.coins() {
        match accepted_rate(market, app, account, payment, (chain, coin), now) {
            Ok(rate) => offers.coins.push(OfferedCoin {
                coin: coin.id.clone(),
                chain: chain.id.clone(),
                rate: payment.terms().rate(rate),
            }),
            Err(why) => offers.refused.push((coin.id.clone(), why)),
        }
    }
    offers
}

/// The market's rate at which a coin is offered, or why it is not: the one place that decides it.
fn accepted_rate(
    market: &Market,
    app: &App,
    account: &Account,
    payment: &Payment,
    (chain, coin): (&Chain, &Coin),
    now: Timestamp,
) -> std::result::Result<Rate, NotOffered> {
    if xpub(app, account, payment.mode(), chain.family).is_none() {
        return Err(NotOffered::NoExtendedKey);
    }
    if !payment.accepts(coin.minimum) {
        return Err(NotOffered::BelowMinimum { least: format!("{} USD", Usd(coin.minimum)) });
    }
    is_watched(payment, chain, market, now)?;
    let rate = market.rate(&coin.rate_symbol).map_err(NotOffered::NoRate)?;
    let (least, price) = (chain.family.least(), payment.terms().rate(rate));
    // An amount that no number holds is refused as that, when it is chosen.
    let is_dust = Units::worth(payment.still_due(), price, coin.decimals).is_ok_and(|units| units < least);
    if is_dust {
        return Err(NotOffered::BelowMinimum {
            least: format!("{} {}", least.display(coin.decimals), coin.id),
        });
    }
    Ok(rate)
}

/// Chooses a coin for the payment under `code`, or renews its quote.
pub async fn choose(app: &App, code: Code, coin: &CoinId, now: Timestamp) -> Result<Chosen> {
    let family = app.settings.chains.coin(coin).map(|(chain, _)| chain.family);
    let chains = family.map(|family| chains_of(app, family)).unwrap_or_default();
    let (found, market) = app.store.payment_and_market(code, &chains, now).await?;
    choose_by(app, found.ok_or(ApiError::PaymentNotFound)?, market, coin, now).await
}

/// The same for a payment that was read already.
pub async fn choose_for(app: &App, found: Found, coin: &CoinId, now: Timestamp) -> Result<Chosen> {
    let (chain, _) = app.settings.chains.coin(coin).ok_or_else(not_offered)?;
    found.payment.may_choose(coin, now)?;
    let market = app.store.market(&chains_of(app, chain.family), now).await?;
    choose_by(app, found, market, coin, now).await
}

async fn choose_by(app: &App, found: Found, market: Market, coin: &CoinId, now: Timestamp) -> Result<Chosen> {
    let payment = &found.payment;
    let (chain, coin) = app.settings.chains.coin(coin).ok_or_else(not_offered)?;
    payment.may_choose(&coin.id, now)?;
    let account =
        app.accounts.known(&app.store, payment.merchant(), now).await?.ok_or(ApiError::PaymentNotFound)?;
    if account.state == AccountState::Disabled {
        return Err(ApiError::AccountDisabled);
    }
    let refused = |why| ApiError::NotOffered { coin: coin.id.clone(), why };
    let rate = accepted_rate(&market, app, &account, payment, (chain, coin), now).map_err(refused)?;
    let (found, address) = match payment.address_of(chain.family.name()).cloned() {
        Some(given) => (found, given),
        // In a box, for it is the larger part of a choice and is done once.
        None => Box::pin(address::give(app, &account, found, chain.family, &market)).await?,
    };
    let offer = Offer { coin: coin.id.clone(), decimals: coin.decimals, rate, address };
    let chosen =
        app.store.change_found(found, |payment| Ok(payment.apply(Event::Choose(offer.clone()), now)?));
    let payment: Result<Payment> = chosen.await;
    Ok(Chosen { payment: payment?, market })
}

fn chains_of(app: &App, family: Family) -> Vec<ChainId> {
    app.settings.chains.of_family(family).map(|chain| chain.id.clone()).collect()
}

/// A live coin is offered only where somebody watches, and lately: otherwise its money would not be seen (R24).
fn is_watched(
    payment: &Payment,
    chain: &Chain,
    market: &Market,
    now: Timestamp,
) -> std::result::Result<(), NotOffered> {
    if !payment.is_live() || market.is_current(&chain.id, now) {
        return Ok(());
    }
    Err(if market.heights.contains_key(&chain.id) { NotOffered::NotCurrent } else { NotOffered::NotWatched })
}

fn not_offered() -> ApiError {
    InvalidParameter::new("coin", "is not offered for this payment").into()
}

/// Test payments never get an address of an account's own key (contract, section 4).
fn xpub<'a>(app: &'a App, account: &'a Account, mode: Mode, family: Family) -> Option<&'a str> {
    match mode {
        Mode::Live => account.xpubs.get(family.name()).map(String::as_str),
        Mode::Test => app.settings.test_xpub.as_deref(),
    }
}
