//! One endpoint, one binary: a function names its handler and the scope it needs; what all share is here.

mod call;
mod error;
mod etag;
mod event;
mod paging;
mod refund;
mod reply;
pub mod routes;
mod transfers;
mod view;
pub mod wait;
pub mod wallets;

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Request, Service, lambda_runtime, service_fn};

use crate::app::{self, App};
use crate::keys::Scope;
use crate::metric;
use event::Target;
use reply::Answer;

pub use call::{Call, Caller};
pub use error::ApiError;
pub use etag::ETag;
pub use paging::ListQuery;
pub use refund::{Asked, OneRefund, Payable, Plain, RefundView, Refunds};
pub use reply::Reply;
pub use transfers::{Position, TransfersQuery};
pub use view::{OneExplanation, OnePayment, PageView, PaymentView, TransferView, TransfersPage};

/// What a handler returns.
pub type Result<T = Reply> = std::result::Result<T, ApiError>;

/// What a function's `main` returns.
pub type Outcome = std::result::Result<(), app::Error>;

/// Serves `handler` until Lambda stops us. Every call that it sees carries a valid key with `scope`.
pub fn serve<F>(
    scope: Scope,
    handler: impl Fn(&'static App, Call<Caller>) -> F + Copy + Send + Sync,
) -> Outcome
where
    F: Future<Output = Result> + Send,
{
    serve_with(
        move |app, call: Call<()>| async move { handler(app, call.authenticate(app, scope).await?).await },
    )
}

/// Serves `handler` to everybody: no key is asked for.
pub fn serve_public<F>(handler: impl Fn(&'static App, Call<()>) -> F + Copy + Send + Sync) -> Outcome
where
    F: Future<Output = Result> + Send,
{
    serve_with(move |app, call: Call<()>| async move {
        call.check_form()?;
        handler(app, call).await
    })
}

fn serve_with<F>(handler: impl Fn(&'static App, Call<()>) -> F + Copy + Send + Sync) -> Outcome
where
    F: Future<Output = Result> + Send,
{
    app::run(move |app| async move {
        app.store.open_connection().await;
        let serve = move |event: LambdaEvent<LambdaRequest>| {
            let (event, target) = event::separate(event);
            Adapter::from(service_fn(move |request| answer(app, handler, request, target.clone())))
                .call(event)
        };
        lambda_runtime::run(service_fn(serve)).await
    })
}

/// A handler's panic is this call's 500, not the process's end.
async fn answer<F>(
    app: &'static App,
    handler: impl Fn(&'static App, Call<()>) -> F,
    request: Request,
    target: Target,
) -> std::result::Result<Answer, Infallible>
where
    F: Future<Output = Result> + Send,
{
    let call = Call::of_event(request, target, app.clock.now());
    let request_id = call.request_id.clone();
    let handled = AssertUnwindSafe(async { handler(app, call).await }).catch_unwind().await;
    metric::left_out(&app.store, app.clock);
    let result = handled.unwrap_or(Err(ApiError::Panicked));
    let reply = result.unwrap_or_else(|error| error.into_reply(&request_id));
    Ok(Answer(reply.into_response(&request_id)))
}
