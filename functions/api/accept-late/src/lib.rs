//! `POST /api/v1/payments/{id}/accept-late`: takes money that came after the end as the payment (R16, R23).

use shared::app::App;
use shared::http::{self, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;
use shared::payment::{Event, Payment};

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsWrite;

/// Answers the call.
pub async fn accept_late(app: &App, call: Call<Caller>) -> http::Result {
    let found = call.find(app).await?;
    let accept =
        |payment: &Payment| -> http::Result<Payment> { Ok(payment.apply(Event::AcceptLate, call.at)?) };
    // Before the change, which after a crash between the two would not be one any more: its thirty days begin anew.
    if accept(&found.payment)? != found.payment {
        app.store.keep_watching(&found.payment, call.at).await?;
    }
    let accepted = app.store.change_found(found, accept).await?;
    Reply::ok(&OnePayment::new(&accepted, &call.base_url(app), call.at)?)
}
