//! `POST /api/v1/test/payments/{id}/simulate`: does to a test payment what people, chains and time do to a live one.
//!
//! Everything goes through the same `apply` as the real thing (contract, section 4).

mod money;
mod scenario;

use shared::app::App;
use shared::chain::CoinId;
use shared::checkout;
use shared::http::{self, ApiError, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;
use shared::moment::Timestamp;
use shared::money::Cents;
use shared::payment::{Event, IdentityStep, InvalidParameter, Mode, Payment, Refusal, Status};
use shared::store::Found;

use scenario::{Arrival, Scenario};

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsWrite;

/// Answers the call.
pub async fn simulate_payment(app: &App, call: Call<Caller>) -> http::Result {
    if call.who.mode == Mode::Live {
        return Err(ApiError::PaymentNotFound);
    }
    let scenario = Scenario::parse(call.json()?)?;
    let found = call.find(app).await?;
    let found = with_named(app, found, &scenario).await?;
    let payment = Box::pin(play(app, found, &scenario, call.at)).await?;
    Reply::ok(&OnePayment::new(&payment, &call.base_url(app), call.at)?)
}

/// The payment with the transfer in hand that the scenario names: it may lie beside the payment's own item.
async fn with_named(app: &App, found: Found, scenario: &Scenario) -> http::Result<Found> {
    let name = match scenario {
        Scenario::Transfer(Arrival { transfer_id: Some(name), .. })
        | Scenario::Confirm(name)
        | Scenario::Reorg(name) => name,
        Scenario::Transfer(Arrival { transfer_id: None, .. })
        | Scenario::ApproveIdentity
        | Scenario::RejectIdentity
        | Scenario::ChooseCoin(_)
        | Scenario::Advance(_)
        | Scenario::Pay(_)
        | Scenario::Refund(_) => return Ok(found),
    };
    if !found.payment.has_folded() {
        return Ok(found);
    }
    let ids = money::keys(&found.payment, name, &app.settings.chains);
    let with = app.store.find_payment_with(found.payment.id().code(), &ids).await?;
    with.ok_or(ApiError::PaymentNotFound)
}

async fn play(app: &App, found: Found, scenario: &Scenario, now: Timestamp) -> http::Result<Payment> {
    match scenario {
        Scenario::ApproveIdentity => {
            change(app, found, |payment| Ok(payment.decide_identity(IdentityStep::Approve, now)?)).await
        }
        Scenario::RejectIdentity => {
            change(app, found, |payment| Ok(payment.decide_identity(IdentityStep::Reject, now)?)).await
        }
        Scenario::ChooseCoin(coin) => Box::pin(choose(app, found, coin.as_ref(), now)).await,
        Scenario::Transfer(arrival) => arrive(app, found, arrival, now).await,
        Scenario::Confirm(id) => change(app, found, |payment| money::confirm(payment, id, now)).await,
        Scenario::Reorg(id) => change(app, found, |payment| money::reorg(payment, id, now)).await,
        Scenario::Advance(seconds) => change(app, found, |payment| advance(payment, *seconds, now)).await,
        Scenario::Pay(coin) => Box::pin(pay(app, found, coin.as_ref(), now)).await,
        Scenario::Refund(coin) => {
            let new_id = app.random()?;
            change(app, found, |payment| money::refund(payment, coin.as_ref(), new_id, now)).await
        }
    }
}

async fn change(
    app: &App,
    found: Found,
    decide: impl Fn(&Payment) -> http::Result<Payment>,
) -> http::Result<Payment> {
    app.store.change_found(found, decide).await
}

/// The coin that is named, or the selected one again, or the first that is offered.
async fn choose(app: &App, found: Found, named: Option<&CoinId>, now: Timestamp) -> http::Result<Payment> {
    if let Some(coin) = named {
        return Ok(checkout::choose_for(app, found, coin, now).await?.payment);
    }
    let offers = checkout::offers(app, &found.payment, now).await?;
    let selected = found.payment.selection().map(|selected| selected.coin.clone());
    let first = offers.coins.first().map(|offer| offer.coin.clone());
    let nothing = || ApiError::NothingOffered(offers.why_none().cloned());
    let coin = selected.or(first).ok_or_else(nothing)?;
    Ok(checkout::choose_for(app, found, &coin, now).await?.payment)
}

async fn arrive(app: &App, found: Found, arrival: &Arrival, now: Timestamp) -> http::Result<Payment> {
    let market = app.store.market(&[], now).await?;
    let new_id = app.random()?;
    let chains = &app.settings.chains;
    change(app, found, |payment| money::arrive(payment, arrival, new_id, chains, &market, now)).await
}

/// Time passes; what it ends is ended before the answer.
fn advance(payment: &Payment, seconds: u64, now: Timestamp) -> http::Result<Payment> {
    let later = payment.apply(Event::Advance { seconds }, now)?;
    Ok(later.apply(Event::Expire { windows: Vec::new(), complete: true }, now)?)
}

/// Identity, confirmations of what is on its way, coin, full confirmed transfer: each step that is still to do.
async fn pay(app: &App, found: Found, coin: Option<&CoinId>, now: Timestamp) -> http::Result<Payment> {
    if coin.is_some_and(|coin| app.settings.chains.coin(coin).is_none()) {
        return Err(InvalidParameter::new("coin", "is not offered for this payment").into());
    }
    let code = found.payment.id().code();
    let status = found.payment.status(now);
    if !status.is_open() {
        return Err(Refusal::Ended { status }.into());
    }
    if status == Status::KycRequired {
        change(app, found, |payment| Ok(payment.decide_identity(IdentityStep::Approve, now)?)).await?;
    }
    let confirmed = change(app, find(app, code).await?, |payment| money::confirm_all(payment, now)).await?;
    if confirmed.still_due() == Cents::ZERO {
        return Ok(confirmed);
    }
    Box::pin(choose(app, find(app, code).await?, coin, now)).await?;
    arrive(app, find(app, code).await?, &Arrival::rest(), now).await
}

async fn find(app: &App, code: shared::payment::Code) -> http::Result<Found> {
    app.store.find_payment(code).await?.ok_or(ApiError::PaymentNotFound)
}
