//! `GET /api/v1/payments/{id}/explain`: why a payment stands where it stands, as data and as sentences.

use shared::app::App;
use shared::explain::Explanation;
use shared::http::{self, Call, Caller, OneExplanation, Reply};
use shared::keys::Scope;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn explain_payment(app: &App, call: Call<Caller>) -> http::Result {
    let payment = call.payment(app).await?;
    Reply::ok(&OneExplanation::new(Explanation::new(&payment, &app.settings.chains, call.at)))
}
