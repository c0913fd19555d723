//! The list of addresses with money: what is asked for, and what is shown.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::{Call, Caller, Result, paging};
use crate::chain::Chains;
use crate::json::Time;
use crate::payment::{Mode, Secret};
use crate::store::{NotedWallet, Reach};
use crate::wallet::Owner;

/// Bytes of the seal over a cursor.
const SEAL: usize = 16;

/// A checked query.
#[derive(Clone, Debug)]
pub struct WalletQuery {
    /// Wallets of a page.
    pub limit: usize,
    /// After which it begins.
    pub after: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct WalletsView {
    success: bool,
    wallets: Vec<WalletView>,
    keys: Vec<KeyView>,
    limit: usize,
    has_more: bool,
    next_cursor: Option<String>,
}

/// An address with money.
#[derive(Debug, Serialize)]
struct WalletView {
    address: String,
    family: String,
    key: String,
    path: String,
    index: u32,
    payment: String,
    coins: Vec<CoinView>,
}

/// What is there of one coin.
#[derive(Debug, Serialize)]
struct CoinView {
    coin: String,
    chain: String,
    received: String,
    balance: Option<String>,
    balance_at: Option<Time>,
}

/// How far a wallet must look for the addresses of an extended key.
#[derive(Debug, Serialize)]
struct KeyView {
    key: String,
    highest_index_given_out: Option<u32>,
    highest_index_with_money: Option<u32>,
    gap_limit_needed: u32,
}

impl Caller {
    /// Whose wallets the caller sees (R4).
    pub fn owner(&self) -> Owner {
        Owner { merchant: self.account.merchant.clone(), mode: self.mode }
    }
}

impl WalletQuery {
    /// Reads the query; nothing is ever clamped (R8).
    pub fn parse(call: &Call<Caller>) -> Result<WalletQuery> {
        let limit = paging::limit(call)?;
        let after = call.query("cursor").filter(|text| !text.is_empty());
        let open = |text: String| open_cursor(&text, &call.who);
        let after =
            after.map(|text| open(text).ok_or_else(|| paging::invalid("cursor", "is not one for this list")));
        Ok(WalletQuery { limit, after: after.transpose()? })
    }
}

/// The cursor that continues after `position`: opaque and sealed, like that of every list.
pub fn cursor(caller: &Caller, position: &str) -> String {
    let seal = seal(&caller.account.secret, caller.mode, position);
    URL_SAFE_NO_PAD.encode([&seal, position.as_bytes()].concat())
}

/// The position in a cursor that was made for this caller.
pub fn open_cursor(text: &str, caller: &Caller) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sealed, position) = bytes.split_first_chunk::<SEAL>()?;
    let position = std::str::from_utf8(position).ok()?;
    (seal(&caller.account.secret, caller.mode, position) == *sealed).then(|| position.to_owned())
}

fn seal(secret: &Secret, mode: Mode, position: &str) -> [u8; SEAL] {
    let mac = secret.mac(&[b"wallets", mode.as_str().as_bytes(), position.as_bytes()]);
    mac.first_chunk().copied().unwrap_or_default()
}

impl WalletsView {
    /// The answer to `query`.
    pub fn new(
        wallets: &[NotedWallet],
        keys: Vec<(String, Reach)>,
        query: &WalletQuery,
        next_cursor: Option<String>,
        chains: &Chains,
    ) -> WalletsView {
        let with_money = wallets.iter().filter(|noted| noted.wallet.has_money());
        WalletsView {
            success: true,
            wallets: with_money.map(|noted| WalletView::new(noted, chains)).collect(),
            keys: keys.into_iter().map(|(key, reach)| KeyView::new(key, reach)).collect(),
            limit: query.limit,
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

impl WalletView {
    fn new(noted: &NotedWallet, chains: &Chains) -> WalletView {
        let given = noted.wallet.given.clone();
        WalletView {
            path: format!("0/{}", given.index),
            address: given.address,
            family: given.family,
            key: given.xpub,
            index: given.index,
            payment: noted.code.to_string(),
            coins: coins(noted, chains),
        }
    }
}

/// A coin that is configured no more has no decimals that could be shown; its payments still say what came.
fn coins(noted: &NotedWallet, chains: &Chains) -> Vec<CoinView> {
    let view = |(id, received): (_, &crate::wallet::Received)| {
        let (_, coin) = chains.coin(id)?;
        let balance = noted.balances.get(id);
        Some(CoinView {
            coin: id.to_string(),
            chain: received.chain.to_string(),
            received: received.units.display(coin.decimals),
            balance: balance.map(|balance| balance.units.display(coin.decimals)),
            balance_at: balance.map(|balance| Time(balance.at)),
        })
    };
    noted.wallet.received.iter().filter_map(view).collect()
}

impl KeyView {
    fn new(key: String, reach: Reach) -> KeyView {
        KeyView {
            key,
            highest_index_given_out: reach.given_out.checked_sub(1),
            highest_index_with_money: reach.highest_used,
            gap_limit_needed: reach.gap,
        }
    }
}
