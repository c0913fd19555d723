//! Every minute: follows one chain, or several at once, to the tip and tells payments what came (R15, R22).

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use shared::app::{App, Error};
use shared::chain::node::Node;
use shared::chain::{Chain, Chains, Internal};
use shared::settings::{optional, required, urls};
use shared::watch::{Outcome, Source, WatchList, Watcher};
use shared::{metric, task};
use tokio::sync::Mutex;

/// A run ends by itself before this; what a node holds up is left for the next one, so that it holds up no other chain.
const RUN_TIMEOUT: Duration = Duration::from_secs(50);

/// A chain with its node and what is known of its addresses. Nothing of it is shared with another chain.
struct Watched {
    chain: Chain,
    node: Node,
    // Lambda calls one process one at a time; the lock only says so to the compiler.
    list: Mutex<WatchList>,
}

fn main() -> task::Outcome {
    // Before the first event, so that a deployment with a wrong setting does not start.
    let watched = watched()?;
    task::serve(|app, _event| watch(app, &watched))
}

/// The one that `CHAIN` names, or all for which there is a node.
fn watched() -> Result<Vec<Watched>, Error> {
    let chains = Chains::parse(&required("CHAINS")?)?;
    let urls = match optional("CHAIN") {
        Some(chain) => [(chain, required("RPC_URL")?)].into(),
        None => urls("RPC_URLS")?,
    };
    let watched = |(name, url): (&String, &String)| {
        let chain = chains.named(name).ok_or_else(|| format!("{name} is not one of CHAINS"))?.clone();
        let node = Node::new(&chain, url)?;
        Ok(Watched { chain, node, list: Mutex::default() })
    };
    urls.iter().map(watched).collect()
}

/// Follows all of them at once; one that fails fails the call, after the others have done their work.
async fn watch(app: &App, watched: &[Watched]) -> task::Result {
    let runs = watched.iter().map(|watched| async move { (watched, run(app, watched).await) });
    let (mut done, mut failed) = (Map::new(), Vec::new());
    for (Watched { chain, .. }, ran) in join_all(runs).await {
        match ran {
            Ok(outcome) => {
                done.insert(chain.id.to_string(), reply(&outcome));
            }
            Err(error) => failed.push(format!("{}: {}", chain.id, causes(error.as_ref()))),
        }
    }
    if failed.is_empty() { Ok(Value::Object(done)) } else { Err(failed.join("; ").into()) }
}

async fn run(app: &App, watched: &Watched) -> Result<Outcome, Error> {
    let Watched { chain, node, list } = watched;
    let source = node.on(chain).ok_or("the node is of another family")?;
    let watcher = Watcher { chain, source: &source, store: &app.store, clock: app.clock };
    let mut list = list.lock().await;
    // Cut off, a run is like one that died: the next repeats it whole.
    let ran = tokio::time::timeout(RUN_TIMEOUT, watcher.run(&mut list)).await;
    let outcome = ran.map_err(|_| "the run took too long")??;
    let uncompared = if chain.internal == Internal::Balances { list.uncompared() } else { 0 };
    tell(app, chain, &outcome, (source.take_unchecked(), uncompared));
    Ok(outcome)
}

/// Each metric by its chain, to look at, and for all chains together, which is what alarms listen to: a chain more needs
/// no alarm more.
fn tell(app: &App, chain: &Chain, outcome: &Outcome, (unchecked, uncompared): (u64, usize)) {
    let uncompared = u64::try_from(uncompared).unwrap_or(u64::MAX);
    if let Some(held) = &outcome.held {
        metric::count("HeldBlocks", None, app.clock);
        let dimensions = [("Chain", chain.id.as_str()), ("Reason", held.reason)];
        metric::count_by("HeldBlocks", &dimensions, app.clock);
    }
    for dimension in [Some(("Chain", chain.id.as_str())), None] {
        metric::seconds("WatcherLagSeconds", outcome.lag_seconds, dimension, app.clock);
        if outcome.node_behind {
            metric::count("NodeBehind", dimension, app.clock);
        }
        if outcome.fork_too_deep {
            metric::count("ForkTooDeep", dimension, app.clock);
        }
        if outcome.unreadable > 0 {
            metric::count("UnreadableTransfers", dimension, app.clock);
        }
        if unchecked > 0 {
            metric::count("UncheckedBlocks", dimension, app.clock);
        }
        if uncompared > 0 {
            metric::counted("UncomparedAddresses", uncompared, dimension, app.clock);
        }
    }
}

fn reply(outcome: &Outcome) -> Value {
    json!({
        "height": outcome.height,
        "scanned": outcome.scanned,
        "found": outcome.found,
        "lost": outcome.lost,
        "caught_up": outcome.caught_up,
        "node_behind": outcome.node_behind,
        "fork_too_deep": outcome.fork_too_deep,
    })
}

/// An error and everything below it, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
