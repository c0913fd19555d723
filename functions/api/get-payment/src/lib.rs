//! `GET /api/v1/payments/{id}`: one payment, by UUID or short code.

use shared::app::App;
use shared::http::{self, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn get_payment(app: &App, call: Call<Caller>) -> http::Result {
    let payment = call.payment(app).await?;
    Reply::ok(&OnePayment::new(&payment, &call.base_url(app), call.at)?)
}
