//! A chain on which nothing happens but blocks, and lists of addresses that nobody pays.

use std::cell::Cell;

use futures_util::future::try_join_all;
use shared::app::Error;
use shared::chain::block::{Hash256, Header, ScannedBlock};
use shared::chain::rpc::RpcError;
use shared::chain::{Chain, Chains};
use shared::clock::Clock;
use shared::moment::Timestamp;
use shared::payment::Code;
use shared::store::{Store, Watched};
use shared::watch::{Source, WatchList};

/// Writes under way at once.
const AT_ONCE: u64 = 64;

const CHAINS: &str = r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
    {"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"}],
    "confirmations":[{"blocks":12}]},
    {"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
    {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
    "confirmations":[{"blocks":1}]}]"#;

/// One of two chains of a deployment.
pub fn chain(name: &str) -> Result<Chain, Error> {
    Ok(Chains::parse(CHAINS)?.named(name).ok_or("no such chain")?.clone())
}

/// A node whose chain grows on command, a block each twelve seconds.
pub struct Quiet {
    pub height: Cell<u64>,
}

/// Hours over which the addresses of a benchmark were listed: as long as they are watched, less a day.
const HOURS: u64 = 42 * 24;

/// When the address of that number was listed: longer ago than a watcher looks back at each run.
fn listed_at(now: Timestamp, number: u64) -> Timestamp {
    let hours = number.rem_euclid(HOURS).saturating_add(1);
    now.minus(hours.saturating_mul(60 * 60))
}

fn header(number: u64) -> Header {
    let hash = |number: u64| {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        Hash256(bytes)
    };
    let timestamp = Timestamp(1_800_000_000).plus(number.saturating_mul(12));
    Header { number, hash: hash(number), parent_hash: hash(number.saturating_sub(1)), timestamp }
}

impl Source for Quiet {
    async fn tip(&self) -> Result<Header, RpcError> {
        Ok(header(self.height.get()))
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        Ok((height <= self.height.get()).then(|| header(height)))
    }

    async fn finalized(&self) -> Result<Option<u64>, RpcError> {
        Ok(None)
    }

    async fn scan(&self, height: u64, _list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        let (found, unreadable, spent, payouts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(ScannedBlock { header: header(height), found, unreadable, spent, payouts })
    }
}

/// Twenty bytes of which no two numbers have the same.
pub fn address(number: u64) -> [u8; 20] {
    let mut bytes = [0xa5; 20];
    // A multiplication by an odd number is one to one, and spreads them as hashes would.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    for (to, from) in bytes.iter_mut().zip(spread) {
        *to = from;
    }
    bytes
}

/// Puts addresses on the list of watchers, as choosing a coin does.
pub async fn list(store: &Store, numbers: std::ops::Range<u64>) -> Result<(), Error> {
    let now = Clock::from_env().now();
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next.saturating_add(AT_ONCE));
        let put = (next..end).map(|number| async move {
            let address = shared::chain::address::EvmAddress(address(number)).to_string();
            let heights = [(chain("ethereum")?.id, 100)].into();
            let watched = Watched {
                address,
                code: Code::from_random(number),
                listed_at: listed_at(now, number),
                heights,
            };
            store.list_address("evm", &watched).await.map_err(Error::from)
        });
        try_join_all(put).await?;
        next = end;
    }
    Ok(())
}

/// The tables of the local product at an endpoint.
pub fn store(endpoint: &str) -> Result<Store, Error> {
    let template = std::fs::read_to_string(local::Options::default().template)?;
    let product = local::template::Product::read(&template, &std::collections::BTreeMap::new())?;
    Ok(shared::app::local_store(endpoint, product.table_names()))
}
