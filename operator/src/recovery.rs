//! Reading parts of a chain again: what a watcher could not see, or saw too late, is told to payments as if it had.

use std::path::PathBuf;

use clap::Args;
use shared::app::Error;
use shared::chain::address::EvmAddress;
use shared::chain::node::{Node, NodeOn};
use shared::chain::{Chain, Chains, Family};
use shared::clock::Clock;
use shared::store::Store;
use shared::watch::{Source, Span, WatchList, Watcher};

use crate::output;

/// Steps of one command at most, fifty blocks each: two months of a chain with a block every twelve seconds.
const STEPS: usize = 10_000;

/// Which chain, and where to ask.
#[derive(Args)]
pub struct At {
    /// The chain's name in the settings.
    #[arg(long)]
    chain: String,
    /// The chain's node.
    #[arg(long, env = "RPC_URL", hide_env_values = true, value_name = "URL")]
    rpc_url: String,
    /// File with the chains and coins, instead of the setting CHAINS.
    #[arg(long = "chains", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The chains and coins themselves.
    #[arg(long = "chains-json", env = "CHAINS", value_name = "JSON", hide = true)]
    json: Option<String>,
}

/// `operator rescan …`
#[derive(Args)]
pub struct Rescan {
    #[command(flatten)]
    at: At,
    /// Only this address, watched or not; without it, every address that was ever given out.
    #[arg(long, required_unless_present_all = ["from", "to"])]
    address: Option<String>,
    /// The first block; of an address, the one at which its payment was made unless this says otherwise.
    #[arg(long, value_name = "HEIGHT")]
    from: Option<u64>,
    /// The last block; of an address, the last that the watcher has scanned unless this says otherwise.
    #[arg(long, value_name = "HEIGHT")]
    to: Option<u64>,
}

/// `operator credit …`
#[derive(Args)]
pub struct Credit {
    #[command(flatten)]
    at: At,
    /// The transaction.
    #[arg(long, value_name = "TXID")]
    tx: String,
}

/// `operator resume …`
#[derive(Args)]
pub struct Resume {
    #[command(flatten)]
    at: At,
    /// The block that the watcher reads next, on the chain that the node has below it.
    #[arg(long, value_name = "HEIGHT")]
    from: u64,
    /// Even if blocks above it were final: only where the whole network took them back.
    #[arg(long)]
    past_final: bool,
}

impl At {
    fn open(&self) -> Result<(Chain, Node), Error> {
        let json = match (&self.file, &self.json) {
            (Some(file), _) => {
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
            }
            (None, Some(json)) => json.clone(),
            (None, None) => return Err("name the chains: --chains FILE, or the setting CHAINS".into()),
        };
        let chains = Chains::parse(&json)?;
        let chain = chains.named(&self.chain).ok_or_else(|| format!("there is no chain {}", self.chain))?;
        Ok((chain.clone(), Node::new(chain, &self.rpc_url)?))
    }
}

impl Rescan {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        let (chain, node) = self.at.open()?;
        let source = node.on(&chain).ok_or("the node is of another family")?;
        let watcher = Watcher { chain: &chain, source: &source, store, clock: Clock::from_env() };
        let (mut list, from) = match &self.address {
            Some(address) => only(&watcher, address).await?,
            None => (WatchList::ever_given(store, &chain).await?, 0),
        };
        read_again(&watcher, &mut list, self.from.unwrap_or(from), self.to.unwrap_or(u64::MAX)).await
    }
}

impl Resume {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        let (chain, node) = self.at.open()?;
        let source = node.on(&chain).ok_or("the node is of another family")?;
        let watcher = Watcher { chain: &chain, source: &source, store, clock: Clock::from_env() };
        let done = watcher.resume(self.from, self.past_final).await?;
        println!(
            "{} was read to block {}; its watcher goes on with block {}",
            chain.id, done.was_at, done.from
        );
        if let Some((first, last)) = done.left_out() {
            println!("left out: read them at a node that has them, with rescan --from {first} --to {last}");
        }
        Ok(())
    }
}

/// An address, and the block at which its payment was made.
async fn only(watcher: &Watcher<'_, NodeOn<'_>>, address: &str) -> Result<(WatchList, u64), Error> {
    let Watcher { chain, store, .. } = *watcher;
    let address = written(chain, address)?;
    let given = store.given(&address).await?.ok_or("this address was given out to nobody")?;
    let list = WatchList::only(store, chain, &address).await?.ok_or("the address is none of this chain")?;
    let payment = store.payment(given.code).await?.ok_or("the address belongs to no payment")?;
    Ok((list, watcher.height_at(payment.terms().created_at).await?))
}

/// The address in the form in which it was given out.
fn written(chain: &Chain, address: &str) -> Result<String, Error> {
    match chain.family {
        Family::Evm { .. } => Ok(address.parse::<EvmAddress>()?.to_string()),
        Family::Bitcoin { .. } => Ok(address.to_lowercase()),
    }
}

async fn read_again(
    watcher: &Watcher<'_, NodeOn<'_>>,
    list: &mut WatchList,
    first: u64,
    last: u64,
) -> Result<(), Error> {
    let (mut from, mut known, mut changed, mut read_to) = (first, 0_usize, 0_usize, None);
    for _ in 0..STEPS {
        let step = watcher.rescan(list, Span { from, to: last, tx_id: None }).await?;
        for (before, after) in &step.changed {
            println!("{}", output::recovered(before, after, watcher.clock.now()));
        }
        known = known.saturating_add(step.known);
        changed = changed.saturating_add(step.changed.len());
        // What was read is done for good; whoever stops here goes on from the next block.
        let Some(done) = step.read_to else { break };
        read_to = Some(done);
        from = done.saturating_add(1);
        eprintln!("read to block {done}");
        if done >= last {
            break;
        }
    }
    warn_of_unchecked(watcher.source);
    match read_to {
        Some(done) => {
            println!("blocks {first} to {done}: {changed} payments changed, {known} transfers were known");
            Ok(())
        }
        None => Err("the watcher has not scanned so far yet: it will read these blocks itself".into()),
    }
}

fn warn_of_unchecked(source: &NodeOn<'_>) {
    let unchecked = source.take_unchecked();
    if unchecked > 0 {
        eprintln!(
            "in {unchecked} blocks the node could not say what contracts sent: ask one that keeps more"
        );
    }
}

impl Credit {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        let (chain, node) = self.at.open()?;
        let source = node.on(&chain).ok_or("the node is of another family")?;
        let tx = self.tx.to_lowercase();
        let height = source.height_of(&tx).await?.ok_or("no block of this chain holds the transaction")?;
        let mut list = WatchList::ever_given(store, &chain).await?;
        let watcher = Watcher { chain: &chain, source: &source, store, clock: Clock::from_env() };
        let span = Span { from: height, to: height, tx_id: Some(&tx) };
        let done = watcher.rescan(&mut list, span).await?;
        warn_of_unchecked(&source);
        if done.read_to.is_none() {
            return Err(
                format!("the watcher has not scanned block {height} yet: it will see it itself").into()
            );
        }
        for (before, after) in &done.changed {
            println!("{}", output::recovered(before, after, watcher.clock.now()));
        }
        match (done.changed.len(), done.known) {
            (0, 0) => Err("the transaction pays no address that was given out for live money".into()),
            (0, known) => {
                println!("block {height}: nothing changed, {known} transfers were known");
                Ok(())
            }
            (changed, _) => {
                println!("block {height}: {changed} payments changed");
                Ok(())
            }
        }
    }
}
