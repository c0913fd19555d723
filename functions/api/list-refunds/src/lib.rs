//! `GET /api/v1/payments/{id}/refunds`: the newest refund of each coin of a payment.

use shared::app::App;
use shared::http::{self, Call, Caller, Refunds, Reply};
use shared::keys::Scope;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn list_refunds(app: &App, call: Call<Caller>) -> http::Result {
    let payment = call.payment(app).await?;
    Reply::ok(&Refunds::new(&payment, call.at))
}
