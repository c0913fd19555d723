//! Whatever no route of the API serves: 404 for an unknown path, 405 for a wrong method (R10).
//!
//! An HTTP API has no routes that end in a slash. Such calls come here and are served by the very code of their function.

use shared::app::App;
use shared::http::{self, ApiError, Call, routes};

fn main() -> http::Outcome {
    http::serve_public(no_route)
}

async fn no_route(app: &App, call: Call<()>) -> http::Result {
    let (method, path) = call.target();
    let Some((route, parameters)) = routes::slashed(method, path) else { return refuse(path) };
    let call = call.with_path(parameters);
    match route.function {
        "create-payment" => {
            create_payment::create_payment(app, call.authenticate(app, create_payment::SCOPE).await?).await
        }
        "list-payments" => {
            list_payments::list_payments(app, call.authenticate(app, list_payments::SCOPE).await?).await
        }
        "get-payment" => {
            get_payment::get_payment(app, call.authenticate(app, get_payment::SCOPE).await?).await
        }
        "cancel-payment" => {
            cancel_payment::cancel_payment(app, call.authenticate(app, cancel_payment::SCOPE).await?).await
        }
        "accept-late" => {
            accept_late::accept_late(app, call.authenticate(app, accept_late::SCOPE).await?).await
        }
        "explain-payment" => {
            explain_payment::explain_payment(app, call.authenticate(app, explain_payment::SCOPE).await?).await
        }
        "request-refund" => {
            request_refund::request_refund(app, call.authenticate(app, request_refund::SCOPE).await?).await
        }
        "list-refunds" => {
            list_refunds::list_refunds(app, call.authenticate(app, list_refunds::SCOPE).await?).await
        }
        "list-transfers" => {
            list_transfers::list_transfers(app, call.authenticate(app, list_transfers::SCOPE).await?).await
        }
        "confirm-refund" => {
            confirm_refund::confirm_refund(app, call.authenticate(app, confirm_refund::SCOPE).await?).await
        }
        "name-refund-transaction" => {
            name_refund_transaction::name_refund_transaction(
                app,
                call.authenticate(app, name_refund_transaction::SCOPE).await?,
            )
            .await
        }
        "withdraw-refund" => {
            withdraw_refund::withdraw_refund(app, call.authenticate(app, withdraw_refund::SCOPE).await?).await
        }
        "list-wallets" => {
            list_wallets::list_wallets(app, call.authenticate(app, list_wallets::SCOPE).await?).await
        }
        "sweep-wallets" => {
            sweep_wallets::sweep_wallets(app, call.authenticate(app, sweep_wallets::SCOPE).await?).await
        }
        "simulate-payment" => {
            simulate_payment::simulate_payment(app, call.authenticate(app, simulate_payment::SCOPE).await?)
                .await
        }
        "refund-page" => refund_page::refund_page(app, call).await,
        "pay-page" => pay_page::pay_page(app, call).await,
        "payment-state" => payment_state::payment_state(app, call).await,
        "choose-coin" => choose_coin::choose_coin(app, call).await,
        _ => Err(ApiError::PathNotFound),
    }
}

fn refuse(path: &str) -> http::Result {
    let methods = routes::methods(path);
    if methods.is_empty() {
        return Err(ApiError::PathNotFound);
    }
    Err(ApiError::MethodNotAllowed { allow: methods.join(", ") })
}
