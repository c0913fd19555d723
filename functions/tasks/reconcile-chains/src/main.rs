//! Once a day: compares what the chains paid and hold with the record, and raises an alarm where they differ.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use shared::app::{App, Error};
use shared::chain::node::Node;
use shared::chain::{Chain, Chains};
use shared::reconcile::{Reconciled, Reconciler, read_again};
use shared::settings::{optional, required, urls};
use shared::{metric, task};

/// A run ends by itself before this; what a node holds up is left for the next one, so that it holds up no other chain.
const RUN_TIMEOUT: Duration = Duration::from_secs(880);

/// Differences told in the log at most: whoever has more knows by then that something is wrong as a whole.
const TOLD: usize = 100;

/// A chain with its node.
struct Kept {
    chain: Chain,
    /// The same as its blocks are read again.
    again: Chain,
    node: Node,
}

fn main() -> task::Outcome {
    // Before the first event, so that a deployment with a wrong setting does not start.
    let kept = kept()?;
    task::serve(|app, _event| reconcile(app, &kept))
}

/// All chains for which there is a node.
fn kept() -> Result<Vec<Kept>, Error> {
    let chains = Chains::parse(&required("CHAINS")?)?;
    let kept = |(name, url): (&String, &String)| {
        let chain = chains.named(name).ok_or_else(|| format!("{name} is not one of CHAINS"))?.clone();
        let node = Node::new(&chain, url)?;
        Ok(Kept { again: read_again(&chain), chain, node })
    };
    nodes()?.iter().map(kept).collect()
}

/// The one with a setting of its own, and those that share one.
fn nodes() -> Result<BTreeMap<String, String>, Error> {
    let mut nodes = urls("RPC_URLS")?;
    if let Some(url) = optional("RPC_URL_ETHEREUM") {
        nodes.insert("ethereum".to_owned(), url);
    }
    Ok(nodes)
}

/// Compares all of them at once; one that fails fails the call, after the others have done their work. What it found by then
/// is told all the same.
async fn reconcile(app: &App, kept: &[Kept]) -> task::Result {
    let runs = kept.iter().map(|kept| async move {
        let mut reconciled = Reconciled::default();
        let ran = run(app, kept, &mut reconciled).await;
        (kept, reconciled, ran)
    });
    let (mut done, mut failed) = (Map::new(), Vec::new());
    for (Kept { chain, .. }, reconciled, ran) in join_all(runs).await {
        tell(app, chain, &reconciled);
        done.insert(chain.id.to_string(), reply(&reconciled));
        failed.extend(ran.err().map(|error| format!("{}: {}", chain.id, causes(error.as_ref()))));
    }
    if failed.is_empty() { Ok(Value::Object(done)) } else { Err(failed.join("; ").into()) }
}

async fn run(app: &App, kept: &Kept, reconciled: &mut Reconciled) -> Result<(), Error> {
    let Kept { chain, again, node } = kept;
    let source = node.on(again).ok_or("the node is of another family")?;
    let reconciler = Reconciler { chain, source: &source, store: &app.store, clock: app.clock };
    let ran = tokio::time::timeout(RUN_TIMEOUT, reconciler.run(reconciled)).await;
    Ok(ran.map_err(|_| "the run took too long")??)
}

/// A line of the log for each difference, and metrics by chain and for all chains together, which the alarms listen to. A
/// block that nobody could compare may hide a difference, and counts as one.
fn tell(app: &App, chain: &Chain, reconciled: &Reconciled) {
    for difference in reconciled.differences.iter().take(TOLD) {
        let (code, what) = (difference.code, &difference.what);
        tracing::error!(chain = %chain.id, %code, difference = %what, "the chain and the record differ");
    }
    let differences = reconciled.differences.len().saturating_add(reconciled.unread);
    let counted = [
        ("ReconciliationDifferences", number(differences)),
        ("ReconciliationLagBlocks", reconciled.behind),
        ("ReconciledAddresses", number(reconciled.addresses)),
    ];
    for dimension in [Some(("Chain", chain.id.as_str())), None] {
        for (name, number) in counted {
            metric::counted(name, number, dimension, app.clock);
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn reply(reconciled: &Reconciled) -> Value {
    json!({
        "blocks": reconciled.blocks,
        "unread": reconciled.unread,
        "behind": reconciled.behind,
        "addresses": reconciled.addresses,
        "differences": reconciled.differences.len(),
    })
}

/// An error and everything below it, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
