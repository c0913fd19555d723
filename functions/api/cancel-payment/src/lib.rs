//! `POST /api/v1/payments/{id}/cancel` and `DELETE /api/v1/payments/{id}`: withdraws a payment (R17).

use shared::app::App;
use shared::http::{self, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;
use shared::payment::Event;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsWrite;

/// Answers the call.
pub async fn cancel_payment(app: &App, call: Call<Caller>) -> http::Result {
    let cancelled = call.change(app, |payment| Ok(payment.apply(Event::Cancel, call.at)?)).await?;
    Reply::ok(&OnePayment::new(&cancelled, &call.base_url(app), call.at)?)
}
