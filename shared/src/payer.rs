//! What the payers' functions share: from a payment to the page or the JSON that shows it.

#[cfg(test)]
mod tests;

use askama::Template;
use lambda_http::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};

use crate::app::App;
use crate::checkout::{self, Chosen};
use crate::http::{self, ApiError, Call, Reply};
use crate::moment::Timestamp;
use crate::pay::{
    ClaimPage, Message, Offers, PayPage, PayView, can_choose, content_security_policy, unframed_policy,
};
use crate::payment::{Code, Payment};

/// What the page may ask of the browser: to write an amount to the clipboard.
const PERMISSIONS: &str =
    "camera=(), clipboard-read=(), clipboard-write=(self), geolocation=(), microphone=(), payment=(), usb=()";

/// The payment that the path names.
pub async fn payment(app: &App, call: &Call<()>) -> http::Result<Payment> {
    app.store.payment(call.code()?).await?.ok_or(ApiError::PaymentNotFound)
}

/// What its payer sees now. What is offered is read only where there is a choice.
pub async fn view(app: &App, payment: &Payment, now: Timestamp) -> http::Result<PayView> {
    let chooses = can_choose(payment, now);
    let offers = if chooses { checkout::offers(app, payment, now).await? } else { Offers::default() };
    Ok(PayView::new(payment, &app.settings.chains, &offers, now)?)
}

/// What its payer sees after choosing a coin.
pub async fn view_after(app: &App, chosen: &Chosen, now: Timestamp) -> http::Result<PayView> {
    let payment = &chosen.payment;
    let chooses = can_choose(payment, now);
    let offers = if chooses { checkout::offers_after(app, chosen, now).await? } else { Offers::default() };
    Ok(PayView::new(payment, &app.settings.chains, &offers, now)?)
}

/// The JSON that keeps a page current.
pub fn state(view: &PayView) -> http::Result {
    Ok(readable_anywhere(Reply::ok(view)?))
}

/// 303 to a payment's page.
pub fn back_to(code: Code) -> http::Result {
    Reply::see_other(&format!("/pay/{code}")).map(readable_anywhere)
}

/// May be read from any origin, for it needs no credentials (R27): a frame with `sandbox` has an origin of its own, and a
/// shop with `Cross-Origin-Embedder-Policy: require-corp` frames only what allows it and has that policy too.
fn readable_anywhere(reply: Reply) -> Reply {
    reply
        .with(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))
        .with(
            HeaderName::from_static("cross-origin-embedder-policy"),
            HeaderValue::from_static("require-corp"),
        )
        .with(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        )
}

/// The page itself.
pub fn page(app: &App, view: &PayView) -> http::Result {
    let page = PayPage::new(view, app.settings.fixed_rates).map_err(ApiError::internal)?;
    html(StatusCode::OK, &page)
}

/// An error as a page, with a way back where there is a payment (R27).
pub fn refusal(error: ApiError, call: &Call<()>) -> Reply {
    let (status, _) = error.public();
    let detail = format!("{error}.");
    let (title, text) = match status {
        StatusCode::NOT_FOUND => (
            "Payment not found",
            "There is no payment at this address. Check the link that the shop gave you.",
        ),
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("Something went wrong", "Your payment is safe. Please try again in a minute.")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("Not possible right now", detail.as_str()),
        _ => ("That did not work", detail.as_str()),
    };
    let known = call.code().ok().filter(|_| status != StatusCode::NOT_FOUND);
    let message = Message { title, text, back: known.map(|code| code.to_string()) };
    let reply = html(status, &message).unwrap_or_else(|_| Reply::html(status, String::new()));
    error.label(reply, &call.request_id)
}

/// The page of a claim link. A mistyped address is a 400, so that no machine takes it for accepted.
pub fn claim_page(page: &ClaimPage) -> http::Result {
    let status = if page.is_refused() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    html_with(status, page, unframed_policy())
}

/// An error on a claim link, as a page. A wrong link, an old one and none at all look the same.
pub fn claim_refusal(error: ApiError, request_id: &str) -> Reply {
    let (status, _) = error.public();
    let detail = format!("{error}.");
    let (title, text) = match status {
        StatusCode::NOT_FOUND => (
            "This link is not valid",
            "It may be mistyped, replaced by a newer one, or older than seven days. Ask the shop for a new link.",
        ),
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("Something went wrong", "Your money is safe. Please try again in a minute.")
        }
        _ => ("That did not work", detail.as_str()),
    };
    let reply = html_with(status, &Message { title, text, back: None }, unframed_policy());
    error.label(reply.unwrap_or_else(|_| Reply::html(status, String::new())), request_id)
}

fn html(status: StatusCode, page: &impl Template) -> http::Result {
    html_with(status, page, content_security_policy()).map(readable_anywhere)
}

fn html_with(status: StatusCode, page: &impl Template, policy: String) -> http::Result {
    let body = page.render().map_err(ApiError::internal)?;
    let policy = HeaderValue::try_from(policy).map_err(ApiError::internal)?;
    Ok(Reply::html(status, body)
        .with(CONTENT_SECURITY_POLICY, policy)
        .with(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .with(HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS))
        .with(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")))
}
