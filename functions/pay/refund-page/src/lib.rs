//! `GET` and `POST /refund/{code}/{secret}`: the page on which a payer says where a refund goes.
//!
//! The secret alone opens it. An address is typed, looked at once more, and then settled.

use shared::app::App;
use shared::chain::Chain;
use shared::http::{self, Call, Reply};
use shared::pay::{ClaimPage, Form};
use shared::payer;
use shared::payment::{ClaimSecret, Event, Payment, Refund, RefundStatus, Refusal};
use shared::refunds;
use shared::store::Found;

/// Answers the call.
pub async fn refund_page(app: &App, call: Call<()>) -> http::Result {
    let answered = match call.target() {
        ("POST", _) => claim(app, &call).await,
        _ => show(app, &call).await,
    };
    Ok(answered.unwrap_or_else(|error| payer::claim_refusal(error, &call.request_id)))
}

async fn show(app: &App, call: &Call<()>) -> http::Result {
    let (found, secret) = find(app, call).await?;
    page(app, call, &found.payment, &secret, Form::Empty)
}

async fn claim(app: &App, call: &Call<()>) -> http::Result {
    let (found, secret) = find(app, call).await?;
    let (text, sure) = (call.field("address")?.unwrap_or_default(), call.field("sure")?);
    let refund = refund(&found.payment, &secret, call)?;
    let chain = chain(app, refund)?;
    let address = match chain.destination(&text, found.payment.mode()) {
        Ok(address) => address,
        Err(problem) => {
            return page(app, call, &found.payment, &secret, Form::Wrong { text, problem });
        }
    };
    if found.payment.owns_address(&address) {
        return page(app, call, &found.payment, &secret, Form::Own { text });
    }
    if sure.as_deref() != Some("yes") {
        return page(app, call, &found.payment, &secret, Form::Look { address });
    }
    let path = refunds::claim_path(found.payment.id().code(), &secret);
    let event = Event::ClaimRefund { secret: secret.hash(), address };
    let decide = |payment: &Payment| Ok(payment.apply(event.clone(), call.at)?);
    refunds::change(app, found, call.at, decide).await?;
    Reply::see_other(&path)
}

/// The payment of the link; whatever is wrong with the link, it is the same to whoever tries it.
async fn find(app: &App, call: &Call<()>) -> http::Result<(Found, ClaimSecret)> {
    let secret = call.parameter("secret").and_then(|text| text.parse::<ClaimSecret>().ok());
    let (Ok(code), Some(secret)) = (call.code(), secret) else { return Err(Refusal::NoClaim.into()) };
    let found = app.store.find_payment(code).await?.ok_or(Refusal::NoClaim)?;
    refund(&found.payment, &secret, call)?;
    Ok((found, secret))
}

fn refund<'a>(payment: &'a Payment, secret: &ClaimSecret, call: &Call<()>) -> http::Result<&'a Refund> {
    let known = payment.refund_of_secret(secret.hash()).ok_or(Refusal::NoClaim)?;
    match payment.refund_status(known, call.at) {
        RefundStatus::Requested
        | RefundStatus::Claimed
        | RefundStatus::Confirmed
        | RefundStatus::Sent
        | RefundStatus::Completed => Ok(known),
        RefundStatus::Expired | RefundStatus::Withdrawn => Err(Refusal::NoClaim.into()),
    }
}

fn chain<'a>(app: &'a App, refund: &Refund) -> http::Result<&'a Chain> {
    refunds::place(app, refund.coin()).map(|(chain, _)| chain)
}

fn page(app: &App, call: &Call<()>, payment: &Payment, secret: &ClaimSecret, form: Form) -> http::Result {
    let refund = refund(payment, secret, call)?;
    let path = refunds::claim_path(payment.id().code(), secret);
    let page = ClaimPage::new(payment, refund, chain(app, refund)?, &path, form, call.at);
    payer::claim_page(&page)
}
