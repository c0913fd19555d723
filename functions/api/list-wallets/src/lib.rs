//! `GET /api/v1/wallets`: the addresses at which money lies, and how far a wallet must look for them.

use shared::app::App;
use shared::chain::address::ExtendedKey;
use shared::http::wallets::{WalletQuery, WalletsView, cursor};
use shared::http::{self, ApiError, Call, Caller, Reply};
use shared::keys::Scope;
use shared::payment::Mode;
use shared::store::{NotedWallet, Reach};

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Wallets;

/// Answers the call.
pub async fn list_wallets(app: &App, call: Call<Caller>) -> http::Result {
    let query = WalletQuery::parse(&call)?;
    let (wallets, more) = app.store.wallets(&call.who.owner(), query.after.as_deref(), query.limit).await?;
    let next = more.map(|position| cursor(&call.who, &position));
    let keys = reaches(app, &call.who, &wallets).await?;
    Reply::ok(&WalletsView::new(&wallets, keys, &query, next, &app.settings.chains))
}

/// How far each extended key reaches: those that addresses come from now, and those that the page's came from.
async fn reaches(app: &App, who: &Caller, wallets: &[NotedWallet]) -> http::Result<Vec<(String, Reach)>> {
    let current: Vec<&String> = match who.mode {
        Mode::Live => who.account.xpubs.values().collect(),
        Mode::Test => app.settings.test_xpub.iter().collect(),
    };
    let parsed = current.into_iter().map(|xpub| xpub.parse().map_err(ApiError::internal));
    let mut keys: Vec<String> = wallets.iter().map(|noted| noted.wallet.given.xpub.clone()).collect();
    for key in parsed {
        keys.push(ExtendedKey::fingerprint(&key?));
    }
    keys.sort_unstable();
    keys.dedup();
    let mut reaches = Vec::new();
    for key in keys {
        let reach = app.store.reach(&key).await?;
        reaches.push((key, reach));
    }
    Ok(reaches)
}
