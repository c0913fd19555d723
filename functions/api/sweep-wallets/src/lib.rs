//! `POST /api/v1/wallets/sweep`: what moves the money of many addresses to one of the merchant's, to be signed by the
//! merchant's own wallet (R24). What moved is seen on the chain; what is kept is the gas that it proposes to send, so that it
//! is not taken for a payer's money (R36).

mod order;
mod outputs;

use futures_util::future::try_join_all;
use serde::Serialize;
use shared::app::App;
use shared::chain::{Asset, CoinId, Family};
use shared::http::wallets::cursor;
use shared::http::{self, ApiError, Call, Caller, Reply};
use shared::keys::Scope;
use shared::moment::Timestamp;
use shared::money::Units;
use shared::payment::{Code, Event, Payment};
use shared::store::NotedWallet;
use shared::wallet::batch::{Batch, Target, TopUp};

use order::Order;
use outputs::Outputs;

/// What a key needs to call this.
pub const SCOPE: Scope = Scope::Wallets;

/// Wallets that one call looks at.
const WALLETS: usize = 100;

/// Proposals written at the same time.
const AT_ONCE: usize = 16;

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
    let full = full(app, wallets, coin).await?;
    let (full, left_out) = free(full, &order, call.at);
    let live = call.who.mode == shared::payment::Mode::Live;
    let (unsigned, more) = match order.chain.family {
        Family::Evm { chain_id, test_chain_id } => {
            let chain_id = if live { chain_id } else { test_chain_id };
            let batch = batch(&full, &order)?;
            propose(app, &full, &batch, &order, call.at).await?;
            (Unsigned::Evm { chain_id, batch }, more)
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

impl Full {
    /// What lies there, as far as that is known: only the payment knows what came after the chain was looked at.
    fn available(&self, coin: &CoinId) -> Units {
        let Full { noted, payment } = self;
        payment.available(&noted.wallet.given.address, coin, noted.balances.get(coin))
    }
}

/// Those of the wallets that hold some of the coin.
async fn full(app: &App, wallets: Vec<NotedWallet>, coin: &CoinId) -> http::Result<Vec<Full>> {
    let known: Vec<NotedWallet> = wallets.into_iter().filter(|noted| noted.knows(coin)).collect();
    let payments = try_join_all(known.iter().map(|noted| app.store.whole_payment(noted.code))).await?;
    let both = known.into_iter().zip(payments);
    let full = both.filter_map(|(noted, payment)| Some(Full { noted, payment: payment? }));
    Ok(full.filter(|full| full.available(coin) > Units(0)).collect())
}

/// What no refund needs of these wallets, and what one does: the refund spends from the very same addresses, and what is
/// under way to two places arrives at one.
fn free(wallets: Vec<Full>, order: &Order, now: Timestamp) -> (Vec<Full>, Vec<LeftOut>) {
    let is_needed = |full: &Full| full.payment.needs_money_on(&order.chain.id, now);
    let (needed, free): (Vec<Full>, Vec<Full>) = wallets.into_iter().partition(is_needed);
    let left_out =
        |full: Full| LeftOut { payment: full.noted.code.to_string(), because: "a refund is under way" };
    (free, needed.into_iter().map(left_out).collect())
}

/// Notes the gas that the merchant is told to send, before anybody is told: a top-up that nobody knows of counts as a
/// payer's money. What was proposed a while ago and not sent yet needs no write.
async fn propose(
    app: &App,
    wallets: &[Full],
    batch: &Batch,
    order: &Order<'_>,
    now: Timestamp,
) -> http::Result<()> {
    for some in proposals(wallets, batch, order, now).chunks(AT_ONCE) {
        let noted = some.iter().map(|(code, event)| {
            let propose = |payment: &Payment| Ok::<_, ApiError>(payment.apply(event.clone(), now)?);
            app.store.change_payment(*code, propose)
        });
        try_join_all(noted).await?;
    }
    Ok(())
}

/// What a batch proposes that its payments do not know yet. A coin that is not accepted is not seen, whoever sends it.
fn proposals(wallets: &[Full], batch: &Batch, order: &Order, now: Timestamp) -> Vec<(Code, Event)> {
    let native = order.chain.coins.iter().find(|coin| coin.asset == Asset::Native);
    let Some(coin) = native.map(|coin| &coin.id) else { return Vec::new() };
    let proposal = |top_up: &TopUp| {
        let units = Units(top_up.value.as_deref()?.parse().ok()?);
        let full = wallets.iter().find(|full| full.noted.wallet.given.address == top_up.to)?;
        let event = Event::ProposeTopUp { coin: coin.clone(), address: top_up.to.clone(), units };
        let next = full.payment.apply(event.clone(), now).ok()?;
        (next != full.payment).then_some((full.noted.code, event))
    };
    batch.top_ups.iter().filter_map(proposal).collect()
}

fn batch(wallets: &[Full], order: &Order) -> http::Result<Batch> {
    let to =
        order.to.parse().map_err(|error: shared::chain::address::AddressError| ApiError::internal(error))?;
    let target = Target { asset: order.coin.asset.clone(), to, max_fee_per_gas: order.max_fee_per_gas };
    let mut batch = Batch::default();
    for full in wallets {
        batch.add(&full.noted.wallet.given, full.available(&order.coin.id), &target);
    }
    Ok(batch)
}
