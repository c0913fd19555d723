//! `GET /api/v1/payments/{id}/explain`: why a payment stands where it stands, as data and as sentences.

use shared::app::App;
use shared::checkout;
use shared::explain::Explanation;
use shared::http::{self, Call, Caller, OneExplanation, Reply};
use shared::keys::Scope;
use shared::money::Cents;
use shared::pay::Offers;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn explain_payment(app: &App, call: Call<Caller>) -> http::Result {
    let payment = call.payment(app).await?;
    // Before identity is approved too, so that a merchant learns in time that nothing could be chosen.
    let is_open = payment.status(call.at).is_open() && payment.still_due() > Cents::ZERO;
    let offers = if is_open { checkout::offers(app, &payment, call.at).await? } else { Offers::default() };
    Reply::ok(&OneExplanation::new(Explanation::new(&payment, &app.settings.chains, &offers, call.at)))
}
