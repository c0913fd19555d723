//! Every minute: follows one chain to its tip and tells payments what came (R15, R22).

use serde_json::json;
use shared::app::App;
use shared::chain::Family;
use shared::chain::evm::node::Node;
use shared::settings::required;
use shared::watch::{WatchList, Watcher};
use shared::{metric, task};
use tokio::sync::Mutex;

fn main() -> task::Outcome {
    let node = Node::new(&required("RPC_URL")?)?;
    let name = required("CHAIN")?;
    // Lambda calls one process one at a time; the lock only says so to the compiler.
    let list = Mutex::new(WatchList::default());
    task::serve(|app, _event| watch_chain(app, &name, &node, &list))
}

async fn watch_chain(app: &App, name: &str, node: &Node, list: &Mutex<WatchList>) -> task::Result {
    let chain = app.settings.chains.named(name).ok_or("CHAIN is not one of CHAINS")?;
    let Family::Evm { chain_id, .. } = chain.family else {
        return Err("CHAIN is of a family without watcher".into());
    };
    let source = node.on(chain, chain_id);
    let watcher = Watcher { chain, source: &source, store: &app.store, clock: app.clock };
    let outcome = watcher.run(&mut *list.lock().await).await?;
    let here = ("Chain", name);
    metric::seconds("WatcherLagSeconds", outcome.lag_seconds, Some(here), app.clock);
    if outcome.fork_too_deep {
        metric::count("ForkTooDeep", Some(here), app.clock);
    }
    if outcome.unreadable > 0 {
        metric::count("UnreadableTransfers", Some(here), app.clock);
    }
    Ok(json!({
        "height": outcome.height,
        "scanned": outcome.scanned,
        "found": outcome.found,
        "lost": outcome.lost,
        "caught_up": outcome.caught_up,
    }))
}
