//! `POST /api/v1/wallets/sweep`: what moves the money of many addresses to one of the merchant's, to be signed by the
//! merchant's own wallet (R24). It changes nothing here: what moved is seen on the chain.

mod order;
mod outputs;

use futures_util::future::join_all;
use serde::Serialize;
use shared::app::App;
use shared::chain::Family;
use shared::http::wallets::cursor;
use shared::http::{self, ApiError, Call, Caller, Reply};
use shared::keys::Scope;
use shared::moment::Timestamp;
use shared::money::Units;
use shared::payment::Payment;
use shared::store::NotedWallet;
use shared::wallet::batch::{Batch, Target};

use order::Order;
use outputs::Outputs;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::PaymentsWrite;

/// Wallets that one call looks at.
const WALLETS: usize = 100;

/// The answer.
#[derive(Debug, Serialize)]
struct SweepView {
    success: bool,
    sweep: Sweep,
    has_more: bool,
    next_cursor: Option<String>,
}

/// What is to be signed.
#[derive(Debug, Serialize)]
struct Sweep {
    coin: String,
    chain: String,
    to: String,
    #[serde(flatten)]
    unsigned: Unsigned,
    left_out: Vec<LeftOut>,
}

/// Money that is not moved, and why.
#[derive(Debug, Serialize)]
struct LeftOut {
    payment: String,
    because: &'static str,
}

/// A wallet with money, and the payment whose it is.
struct Full {
    noted: NotedWallet,
    payment: Payment,
}

/// By the kind of chain.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Unsigned {
    Evm {
        chain_id: u64,
        #[serde(flatten)]
        batch: Batch,
    },
    Bitcoin(Outputs),
}

/// Answers the call.
pub async fn sweep_wallets(app: &App, call: Call<Caller>) -> http::Result {
    let order = Order::parse(app, &call)?;
    let (wallets, more) = app.store.wallets(&call.who.owner(), order.after.as_deref(), WALLETS).await?;
    let coin = &order.coin.id;
    let full = wallets.into_iter().filter(|one| one.available(coin) > Units(0)).collect();
    let (full, left_out) = free(app, full, &order, call.at).await?;
    let live = call.who.mode == shared::payment::Mode::Live;
    let (unsigned, more) = match order.chain.family {
        Family::Evm { chain_id, test_chain_id } => {
            let chain_id = if live { chain_id } else { test_chain_id };
            (Unsigned::Evm { chain_id, batch: batch(&full, &order)? }, more)
        }
        Family::Bitcoin { network, test_network } => {
            let network = if live { network } else { test_network };
            let (outputs, cut) = outputs::unsigned(app, &call, &full, &order, network)?;
            (Unsigned::Bitcoin(outputs), cut.or(more))
        }
    };
    let next_cursor = more.map(|position| cursor(&call.who, &position));
    let (coin, chain) = (coin.to_string(), order.chain.id.to_string());
    let sweep = Sweep { coin, chain, to: order.to, unsigned, left_out };
    Reply::ok(&SweepView { success: true, sweep, has_more: next_cursor.is_some(), next_cursor })
}

/// What no refund needs of these wallets, and what one does: the refund spends from the very same addresses, and what is
/// under way to two places arrives at one.
async fn free(
    app: &App,
    wallets: Vec<NotedWallet>,
    order: &Order<'_>,
    now: Timestamp,
) -> http::Result<(Vec<Full>, Vec<LeftOut>)> {
    let (mut free, mut left_out) = (Vec::new(), Vec::new());
    let read = join_all(wallets.iter().map(|noted| app.store.payment(noted.code))).await;
    for (noted, payment) in wallets.into_iter().zip(read) {
        let Some(payment) = payment? else { continue };
        if payment.needs_money_on(&order.chain.id, now) {
            let (payment, because) = (noted.code.to_string(), "a refund is under way");
            left_out.push(LeftOut { payment, because });
        } else {
            free.push(Full { noted, payment });
        }
    }
    Ok((free, left_out))
}

fn batch(wallets: &[Full], order: &Order) -> http::Result<Batch> {
    let to =
        order.to.parse().map_err(|error: shared::chain::address::AddressError| ApiError::internal(error))?;
    let target = Target { asset: order.coin.asset.clone(), to, max_fee_per_gas: order.max_fee_per_gas };
    let mut batch = Batch::default();
    for Full { noted, .. } in wallets {
        batch.add(&noted.wallet.given, noted.available(&order.coin.id), &target);
    }
    Ok(batch)
}
