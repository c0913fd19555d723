//! `POST /api/v1/payments/{id}/refunds/{coin}/withdraw` and `DELETE /api/v1/payments/{id}/refunds/{coin}`: takes a refund
//! back that is not confirmed yet. Which one is meant is said in the body, or in the query of the alias.

use shared::app::App;
use shared::http::{self, Call, Caller};
use shared::keys::Scope;
use shared::payment::{Event, Fields};
use shared::refunds::{self, Meant};

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Refunds;

/// Answers the call.
pub async fn withdraw_refund(app: &App, call: Call<Caller>) -> http::Result {
    // Not every client and proxy lets a DELETE have a body.
    let meant = match call.target() {
        ("DELETE", _) => Meant::in_query(&call)?,
        _ => Meant::in_body(&Fields::parse(call.json()?)?)?,
    };
    refunds::step(app, &call, &meant, |meant| Event::WithdrawRefund { meant }).await
}
