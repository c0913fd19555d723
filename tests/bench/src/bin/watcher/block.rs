//! How long a full block of Bitcoin takes, from the node's answer to the transfers in it.

use std::hint::black_box;
use std::time::Duration;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid, Witness, transaction,
};
use shared::app::Error;
use shared::chain::Family;
use shared::chain::address::AddressKey;
use shared::chain::bitcoin::block as raw;
use shared::chain::bitcoin::scan::{Wanted, scan_block};
use shared::chain::block::Hash256;
use shared::payment::Code;
use shared::watch::WatchList;
use tokio::time::Instant;

use crate::quiet::{address, chain};

const TRANSACTIONS: u64 = 2_000;
const OUTPUTS: u64 = 4;
const WATCHED: u64 = 10_000;
/// Every so many outputs, one is ours.
const OURS: u64 = 200;
const ROUNDS: usize = 51;

pub fn measure() -> Result<String, Error> {
    let chain = chain("bitcoin")?;
    let Family::Bitcoin { network, .. } = chain.family else {
        return Err("not a chain of Bitcoin's kind".into());
    };
    let block = full_block();
    let (hex, hash) = (serialize_hex(&block), Hash256(block.block_hash().to_byte_array()));
    let mut list = WatchList::default();
    for number in 0..WATCHED {
        list.insert(AddressKey(address(number)), Code::from_random(number));
    }
    let wanted = Wanted {
        lookup: |key: &AddressKey| list.code(key),
        awaits: |outpoint: &OutPoint| list.awaits(outpoint),
        is_destination: |script: &[u8]| list.is_destination(script),
    };
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let bytes = Vec::<u8>::from_hex(black_box(&hex))?;
        let block = raw::Block::parse(&bytes, hash)?;
        found = black_box(scan_block(&chain, network, &block, 1, &wanted)).found.len();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let milliseconds = |time: Option<&Duration>| time.copied().unwrap_or_default().as_micros();
    let outputs = TRANSACTIONS.saturating_mul(OUTPUTS);
    Ok(format!(
        "{outputs} outputs in {} bytes against {WATCHED} addresses, {found} of them ours; from the node's hex to the \
         transfers, hash and Merkle root checked, {ROUNDS} rounds:\n\n\
         | least | median | most |\n|--:|--:|--:|\n| {} µs | {} µs | {} µs |\n",
        hex.len().div_euclid(2),
        milliseconds(times.first()),
        milliseconds(times.get(ROUNDS.div_euclid(2))),
        milliseconds(times.last()),
    ))
}

fn full_block() -> Block {
    let txdata: Vec<Transaction> = (0..TRANSACTIONS).map(transaction).collect();
    let header = Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_800_000_000,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata };
    block.header.merkle_root = block.compute_merkle_root().unwrap_or(TxMerkleNode::all_zeros());
    block
}

/// Two inputs with signatures, as wallets make them.
fn transaction(number: u64) -> Transaction {
    let input = |vout| TxIn {
        previous_output: OutPoint { txid: txid(number), vout },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0x30; 71].as_slice(), [0x02; 33].as_slice()]),
    };
    let output = |place: u64| {
        let place = number.saturating_mul(OUTPUTS).saturating_add(place);
        // Those of strangers lie far beyond ours.
        let owner = if place.is_multiple_of(OURS) { place } else { place.saturating_add(1_000_000_000) };
        let script = [&[0, 20], address(owner).as_slice()].concat();
        TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::from_bytes(script) }
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(0), input(1)],
        output: (0..OUTPUTS).map(output).collect(),
    }
}

fn txid(number: u64) -> Txid {
    let mut bytes = [0x77; 32];
    for (to, from) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    Txid::from_byte_array(bytes)
}
