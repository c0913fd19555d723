//! `POST /api/v1/payments/{id}/refunds/{coin}/withdraw` and `DELETE /api/v1/payments/{id}/refunds/{coin}`: takes a refund
//! back that is not confirmed yet.

use shared::app::App;
use shared::http::{self, Call, Caller};
use shared::keys::Scope;
use shared::payment::Event;
use shared::refunds;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Refunds;

/// Answers the call.
pub async fn withdraw_refund(app: &App, call: Call<Caller>) -> http::Result {
    refunds::step(app, &call, |coin| Ok(Event::WithdrawRefund { coin: coin.clone() })).await
}
