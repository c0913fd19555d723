//! `GET /api/v1/payments/{id}`: one payment, by UUID or short code.

use shared::app::App;
use shared::http::{self, Call, Caller, OnePayment, Reply};
use shared::keys::Scope;

fn main() -> http::Outcome {
    http::serve(Scope::PaymentsRead, get_payment)
}

async fn get_payment(app: &App, call: Call<Caller>) -> http::Result {
    let payment = call.payment(app).await?;
    Reply::ok(&OnePayment::new(&payment, &call.base_url(app), call.at)?)
}
