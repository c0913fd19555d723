//! Watching Bitcoin and Litecoin, against real nodes: addresses, blocks, what waits for one, and what a re-organisation does.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use shared::chain::address::{AddressKey, ExtendedKey};
use shared::chain::bitcoin::Network;
use shared::chain::bitcoin::block::{Block, BlockError};
use shared::chain::bitcoin::node::Node;
use shared::chain::bitcoin::rpc::BitcoinRpc;
use shared::chain::bitcoin::scan::{Wanted, scan_block, scan_tx};
use shared::chain::bitcoin::tx::Tx;
use shared::chain::block::{Found, Header, OutPoint, ScannedBlock, Txid};
use shared::chain::rpc::RpcError;
use shared::chain::{Chain, Chains};
use shared::watch::Source;
use tests::bitcoind::{Bitcoind, Currency, in_units};

/// The account of BIP84's vectors as a test network's wallet shows it: `m/84'/1'/0'` of "abandon … about".
const TPUB: &str = "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M";

const CURRENCIES: [Currency; 2] = [Currency::Bitcoin, Currency::Litecoin];

/// A node, and a gateway that watches two addresses.
struct World {
    node: Bitcoind,
    rpc: BitcoinRpc,
    chain: Chain,
    network: Network,
    ours: [String; 2],
}

impl World {
    async fn start(currency: Currency) -> Option<World> {
        let node = Bitcoind::start(currency).await?;
        let (name, test_hrp) = match currency {
            Currency::Bitcoin => ("bitcoin", "tb"),
            Currency::Litecoin => ("litecoin", "tltc"),
        };
        let chains = json!([{
            "chain": name, "family": "bitcoin", "hrp": currency.hrp(), "test_hrp": test_hrp,
            "coins": [{ "coin": "X", "asset": "native", "decimals": 8, "rate": "X", "minimum_usd": "1.00" }],
            "confirmations": [{ "blocks": 2 }],
        }]);
        let chain = Chains::parse(&chains.to_string()).unwrap().iter().next().unwrap().clone();
        let network = Network::with_hrp(currency.hrp()).unwrap();
        let key: ExtendedKey = TPUB.parse().unwrap();
        let ours = [0, 1].map(|index| key.witness_address(index, network).unwrap());
        let rpc = BitcoinRpc::new(&node.url()).unwrap();
        Some(World { node, rpc, chain, network, ours })
    }

    fn lookup(&self, key: &AddressKey) -> Option<usize> {
        let known = self.ours.iter().map(|address| self.network.witness_key(address).unwrap());
        known.into_iter().position(|known| known == *key)
    }

    async fn scan(&self, number: u64) -> ScannedBlock<usize> {
        let hash = self.rpc.hash_at(number).await.unwrap().unwrap();
        let bytes = self.rpc.block(hash).await.unwrap();
        let block = Block::parse(&bytes, hash).unwrap();
        let wanted = Wanted {
            lookup: |key: &_| self.lookup(key),
            awaits: |_: &_| false,
            is_destination: |_: &_| false,
        };
        scan_block(&self.chain, self.network, &block, number, &wanted)
    }

    async fn tip(&self) -> ScannedBlock<usize> {
        self.scan(self.node.height().await).await
    }

    async fn waiting(&self) -> Vec<Txid> {
        self.rpc.mempool().await.unwrap().iter().copied().collect()
    }

    fn key(&self, tx: &str, vout: usize) -> String {
        format!("{}:{tx}:{vout}", self.chain.id)
    }
}

/// Keys, addresses and amounts, and whose they are.
fn money(found: &[Found<usize>]) -> Vec<(String, String, u128, usize)> {
    let money = |found: &Found<usize>| {
        let movement = &found.movement;
        (movement.key.clone(), movement.address.clone(), found.units.0, movement.watched)
    };
    found.iter().map(money).collect()
}

#[tokio::test]
async fn r24_the_node_derives_the_same_addresses() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        let described = world.node.call("getdescriptorinfo", json!([format!("wpkh({TPUB}/0/*)")])).await;
        let range = json!([described["descriptor"], [0, 99]]);
        let theirs = world.node.call("deriveaddresses", range).await;
        let key: ExtendedKey = TPUB.parse().unwrap();
        let ours: Vec<String> =
            (0..100).map(|index| key.witness_address(index, world.network).unwrap()).collect();
        assert_eq!(theirs, json!(ours), "{currency:?}");
    }
}

#[tokio::test]
async fn r22_each_output_to_us_counts_under_its_own_key() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        let [one, other] = &world.ours;
        let (stranger, another) = (world.node.own_address().await, world.node.own_address().await);
        let batch = [
            (stranger, 30_000),
            (one.clone(), 10_001),
            (other.clone(), 1_0000_0002),
            (another, 40_000),
            (one.clone(), 100_000),
        ];
        let tx = world.node.send_many(&batch).await;
        world.node.mine(1).await;
        let mut expected = vec![
            (world.key(&tx, 1), one.clone(), 10_001, 0),
            (world.key(&tx, 2), other.clone(), 1_0000_0002, 1),
            (world.key(&tx, 4), one.clone(), 100_000, 0),
        ];
        let mut found = money(&world.tip().await.found);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{currency:?}");
    }
}

#[tokio::test]
async fn a_block_is_read_as_the_node_reads_it() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        // Old and new forms of inputs and outputs, several of each.
        for form in ["legacy", "p2sh-segwit", "bech32"] {
            let address = world.node.call("getnewaddress", json!(["", form])).await;
            world.node.send(address.as_str().unwrap(), 5_0000_0000).await;
        }
        world.node.mine(1).await;
        world.node.send(&world.ours[0], 140_0000_0000).await;
        world.node.mine(1).await;
        let number = world.node.height().await;
        for number in [0, 1, number - 1, number] {
            let hash = world.rpc.hash_at(number).await.unwrap().unwrap();
            let bytes = world.rpc.block(hash).await.unwrap();
            let block = Block::parse(&bytes, hash).unwrap();
            let told = world.node.call("getblockhash", json!([number])).await;
            let told = world.node.call("getblock", json!([told, 2])).await;
            let ours: Vec<Value> =
                block.transactions().map(|(txid, tx)| transaction(&txid.to_string(), tx)).collect();
            let theirs: Vec<Value> = told["tx"].as_array().unwrap().iter().map(told_transaction).collect();
            assert_eq!(ours, theirs, "{currency:?} {number}");
            assert_eq!(block.header().at(number).timestamp.0, told["time"]);
            let half = Block::parse(&bytes[..bytes.len() - 1], hash);
            assert_eq!(half.map(drop), Err(BlockError::Malformed));
        }
    }
}

fn transaction(txid: &str, tx: &Tx<'_>) -> Value {
    let spent = tx.inputs().filter(|spent| !spent.is_null());
    let inputs: Vec<Value> = spent.map(|spent| json!([spent.txid.to_string(), spent.vout])).collect();
    let outputs: Vec<Value> = tx
        .outputs()
        .map(|(vout, output)| {
            let units = u64::try_from(output.units.0).unwrap();
            json!([vout, units, hex(output.script())])
        })
        .collect();
    json!({ "txid": txid, "inputs": inputs, "outputs": outputs })
}

fn hex(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 0x0f].map(|digit| char::from_digit(digit.into(), 16).unwrap());
    bytes.iter().flat_map(digits).collect()
}

fn told_transaction(tx: &Value) -> Value {
    let inputs = tx["vin"].as_array().unwrap().iter().filter(|input| input["coinbase"].is_null());
    let inputs: Vec<Value> = inputs.map(|input| json!([input["txid"], input["vout"]])).collect();
    let outputs: Vec<Value> = tx["vout"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| {
            let units = u64::try_from(in_units(&output["value"])).unwrap();
            json!([output["n"], units, output["scriptPubKey"]["hex"]])
        })
        .collect();
    json!({ "txid": tx["txid"], "inputs": inputs, "outputs": outputs })
}

#[tokio::test]
async fn headers_tell_height_parent_and_time() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        let tip = world.rpc.tip().await.unwrap();
        let height = world.node.height().await;
        assert_eq!((tip.number, world.rpc.header(height).await.unwrap()), (height, Some(tip)));
        assert_eq!(world.rpc.header(height + 1).await.unwrap(), None);
        let parent: Header = world.rpc.header(height - 1).await.unwrap().unwrap();
        assert_eq!(tip.parent_hash, parent.hash);
        assert_ne!(tip.hash.0[..8], parent.hash.0[..8], "what is kept of hashes tells blocks apart");
        assert_eq!(world.tip().await.header, tip);
    }
}

#[tokio::test]
async fn a_node_of_another_network_is_refused_by_name() {
    let Some(world) = World::start(Currency::Bitcoin).await else { return };
    let node = Node::new(&world.node.url()).unwrap();
    for network in ["bc", "tb", "ltc", "rltc"] {
        let network = Network::with_hrp(network).unwrap();
        match node.on(&world.chain, network).tip().await {
            Err(RpcError::Network { expected, found }) => {
                assert_eq!((expected.as_str(), found.as_str()), (network.name(), world.network.name()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(node.on(&world.chain, world.network).tip().await.unwrap().number, world.node.height().await);
}

#[tokio::test]
async fn what_waits_for_a_block_is_seen_and_may_vanish() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        assert_eq!(world.waiting().await, []);
        let tx = world.node.send(&world.ours[0], 70_000).await;
        let names = world.waiting().await;
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), std::slice::from_ref(&tx));
        let raw = world.rpc.transactions(&names).await.unwrap().remove(0).unwrap();
        let waiting = Tx::parse(&raw).unwrap();
        let found = scan_tx(&world.chain, world.network, names[0], &waiting, |key| world.lookup(key));
        assert_eq!(money(&found), [(world.key(&tx, 0), world.ours[0].clone(), 70_000, 0)]);

        let rival = world.node.rival(&tx).await;
        let rival = world.node.resend(&rival).await;
        assert_eq!(world.rpc.transactions(&names).await.unwrap(), [None]);
        let left = world.waiting().await;
        assert_eq!(left.iter().map(ToString::to_string).collect::<Vec<_>>(), [rival]);
        let raw = world.rpc.transactions(&left).await.unwrap().remove(0).unwrap();
        let inputs: Vec<_> = Tx::parse(&raw).unwrap().inputs().collect();
        assert_eq!(inputs, waiting.inputs().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn r22_a_reorganisation_takes_money_that_comes_back_under_its_key() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        world.node.send(&world.ours[0], 70_000).await;
        world.node.mine(1).await;
        let before = world.tip().await;
        let height = before.header.number;
        world.node.reorg(1).await;
        let without = world.scan(height).await;
        assert_eq!(money(&without.found), []);
        assert_eq!(without.header.parent_hash, before.header.parent_hash);
        assert_ne!(without.header.hash, before.header.hash);
        world.node.mine(1).await;
        assert_eq!(money(&world.tip().await.found), money(&before.found));
        assert_eq!(world.node.height().await, height + 2);
    }
}

#[tokio::test]
async fn an_output_is_unspent_until_a_transaction_that_waits_spends_it() {
    for currency in CURRENCIES {
        let Some(world) = World::start(currency).await else { return };
        let own = world.node.own_address().await;
        let tx = world.node.send(&own, 70_000).await;
        world.node.mine(1).await;
        let outputs = [0, 1, 7].map(|vout| format!("{tx}:{vout}").parse::<OutPoint>().unwrap());
        assert_eq!(world.rpc.unspent(&outputs).await.unwrap(), [true, true, false], "{currency:?}");
        let input = json!([{ "txid": tx, "vout": 0 }]);
        let spending = world.node.call("createrawtransaction", json!([input, [{ own: "0.0006" }]])).await;
        let signed = world.node.call("signrawtransactionwithwallet", json!([spending])).await;
        world.node.resend(signed["hex"].as_str().unwrap()).await;
        assert_eq!(world.rpc.unspent(&outputs).await.unwrap(), [false, true, false], "{currency:?}");
        assert_eq!(world.rpc.unspent(&outputs[..1]).await.unwrap(), [false], "{currency:?}");
        world.node.mine(1).await;
        assert_eq!(world.rpc.unspent(&outputs).await.unwrap(), [false, true, false], "{currency:?}");
    }
}
