//! `GET /api/v1/payments`: an account's payments, newest first.

use shared::app::App;
use shared::http::{self, Call, Caller, ListQuery, PageView, Reply};
use shared::keys::Scope;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsRead;

/// Answers the call.
pub async fn list_payments(app: &App, call: Call<Caller>) -> http::Result {
    let query = ListQuery::parse(&call)?;
    let page = app.store.list_payments(&query.listing, query.page, call.at).await?;
    let next_cursor = page.next.map(|position| query.cursor(&call.who.account.secret, position));
    Reply::ok(&PageView::new(&page, &query, next_cursor, &call.base_url(app), call.at)?)
}
