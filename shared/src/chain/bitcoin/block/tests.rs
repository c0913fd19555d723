//! Blocks as a full library writes them, read by us; blocks that lie; and Litecoin's, which that library cannot write.

use bitcoin::absolute::LockTime;
use bitcoin::block::Version;
use bitcoin::consensus::serialize;
use bitcoin::hex::FromHex;
use bitcoin::pow::CompactTarget;
use bitcoin::{
    Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
};
use proptest::prelude::*;

use super::super::network::Network;
use super::super::scan::{Wanted, scan_block};
use super::*;
use crate::chain::address::AddressKey;
use crate::chain::block::{Origin, Spent};
use crate::money::Units;

/// The block after Bitcoin's first, as every node has it.
const BLOCK_1: &str = "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e362990101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0104ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae1390813a627c66fb8be7947be63c52da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000";
const BLOCK_1_HASH: &str = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048";

fn tx(inputs: Vec<(OutPoint, usize)>, outputs: Vec<(u64, Vec<u8>)>) -> Transaction {
    let input = |(previous_output, items): (OutPoint, usize)| TxIn {
        previous_output,
        script_sig: ScriptBuf::from_bytes(vec![7; items]),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&vec![vec![9_u8; 71]; items]),
    };
    let output = |(units, script): (u64, Vec<u8>)| TxOut {
        value: Amount::from_sat(units),
        script_pubkey: ScriptBuf::from_bytes(script),
    };
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::from_consensus(77),
        input: inputs.into_iter().map(input).collect(),
        output: outputs.into_iter().map(output).collect(),
    }
}

fn spends(byte: u8) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([byte; 32]), vout: byte.into() }
}

fn block(txdata: Vec<Transaction>) -> bitcoin::Block {
    let header = bitcoin::block::Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::from_byte_array([3; 32]),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_700_000_000,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 5,
    };
    let mut block = bitcoin::Block { header, txdata };
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    block
}

fn hash(block: &bitcoin::Block) -> Hash256 {
    Hash256(block.block_hash().to_byte_array())
}

fn pays(byte: u8) -> Vec<u8> {
    [&[0x00, 0x14], [byte; 20].as_slice()].concat()
}

fn three() -> bitcoin::Block {
    let coinbase = tx(vec![(OutPoint::null(), 1)], vec![(50, pays(1)), (0, vec![0x6a])]);
    let one = tx(vec![(spends(2), 0), (spends(4), 0)], vec![(10, pays(1)), (11, pays(1)), (12, vec![0x51])]);
    let other = tx(vec![(spends(5), 2)], vec![(20, pays(2))]);
    block(vec![coinbase, one, other])
}

#[test]
fn the_first_block_after_the_first_is_read() {
    let (bytes, mut hash) = (Vec::from_hex(BLOCK_1).unwrap(), <[u8; 32]>::from_hex(BLOCK_1_HASH).unwrap());
    hash.reverse();
    let block = Block::parse(&bytes, Hash256(hash)).unwrap();
    assert_eq!(block.header().at(1).timestamp, Timestamp(1_231_469_665));
    let (txid, tx) = block.transactions().next().unwrap();
    assert_eq!(txid.to_string(), "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098");
    let (vout, output) = tx.outputs().next().unwrap();
    assert_eq!((tx.kind(), vout, output.units), (Kind::Coinbase, 0, Units(50_0000_0000)));
    assert_eq!(output.key_hash(), None);
}

#[test]
fn half_a_block_is_no_block() {
    let block = three();
    let (bytes, hash) = (serialize(&block), hash(&block));
    assert_eq!(Block::parse(&bytes, hash).unwrap().transactions().count(), 3);
    for length in 0..bytes.len() {
        assert_eq!(Block::parse(&bytes[..length], hash).unwrap_err(), BlockError::Malformed, "{length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Block::parse(&longer, hash).unwrap_err(), BlockError::Malformed);
}

#[test]
fn a_block_is_the_one_that_was_asked_for_with_all_its_transactions_and_no_others() {
    let whole = three();
    let other = Block::parse(&serialize(&whole), Hash256([1; 32])).map(drop);
    assert_eq!(other, Err(BlockError::OtherBlock));

    let lies: [fn(&mut Vec<Transaction>); 5] = [
        |txdata| drop(txdata.pop()),
        |txdata| txdata.swap(1, 2),
        |txdata| txdata[2].output[0].value = Amount::from_sat(21),
        |txdata| txdata.clear(),
        // By the tree of hashes alone, the last one twice looks like the last one once (CVE-2012-2459).
        |txdata| txdata.push(txdata[2].clone()),
    ];
    for lie in lies {
        let mut block = whole.clone();
        lie(&mut block.txdata);
        let read = Block::parse(&serialize(&block), hash(&whole)).map(drop);
        assert_eq!(read, Err(BlockError::OtherTransactions));
    }
}

/// Litecoin's last transaction of a block stands for its extension block: flag 8, and an empty place where it was.
#[test]
fn litecoins_extension_block_is_stepped_over_and_what_it_pays_out_is_read() {
    let mut block = three();
    let payout = tx(vec![(spends(6), 0)], vec![(99, vec![0x58, 0x20]), (30, pays(3))]);
    block.txdata.push(payout.clone());
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    let hash = hash(&block);
    let plain = serialize(&payout);
    let (version, rest) = plain.split_at(4);
    let (body, lock_time) = rest.split_at(rest.len() - 4);
    let whole = serialize(&block);
    let before = whole.strip_suffix(plain.as_slice()).unwrap();
    let extended =
        |place: u8, after: &[u8]| [before, version, &[0, 8], body, &[place], lock_time, after].concat();

    for after in [&[][..], &[0], &[1, 2, 3, 4]] {
        let bytes = extended(0, after);
        let block = Block::parse(&bytes, hash).unwrap();
        let (txid, tx) = block.transactions().last().unwrap();
        assert_eq!((txid, tx.kind()), (payout.compute_txid(), Kind::Extension));
        let paid: Vec<_> =
            tx.outputs().map(|(vout, output)| (vout, output.units, output.key_hash())).collect();
        assert_eq!(paid, [(0, Units(99), None), (1, Units(30), Some(AddressKey([3; 20])))]);
    }
    assert_eq!(Block::parse(&extended(1, &[]), hash).unwrap_err(), BlockError::Malformed);
}

#[test]
fn who_spends_what_is_awaited_and_what_goes_back_to_payers_is_told() {
    let chains = r#"[{"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
        {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
        "confirmations":[{"blocks":1}]}]"#;
    let chains = crate::chain::Chains::parse(chains).unwrap();
    let whole = three();
    let (bytes, chain) = (serialize(&whole), chains.iter().next().unwrap());
    let block = Block::parse(&bytes, hash(&whole)).unwrap();
    let (awaited, to) = (spends(4), [0x51]);
    let wanted = Wanted {
        lookup: |key: &AddressKey| (key.0 == [1; 20]).then_some(()),
        awaits: |outpoint: &OutPoint| *outpoint == awaited,
        is_destination: |script: &[u8]| script == to,
    };
    let scanned = scan_block(chain, Network::Bitcoin, &block, 7, &wanted);
    let one = whole.txdata[1].compute_txid().to_string();
    assert_eq!(scanned.spent, [Spent { outpoint: awaited, tx_id: one.clone() }]);
    let inputs = vec![spends(2), spends(4)];
    let [payout] = scanned.payouts.as_slice() else { panic!("{:?}", scanned.payouts) };
    assert_eq!((&payout.tx_id, payout.to.as_slice(), payout.units), (&one, to.as_slice(), Units(12)));
    assert_eq!(payout.from, Origin::Outputs(inputs.as_slice().into()));
    let found: Vec<_> =
        scanned.found.into_iter().map(|found| (found.units.0, found.is_coinbase, found.inputs)).collect();
    assert_eq!(found, [(50, true, vec![]), (10, false, inputs.clone()), (11, false, inputs)]);
}

fn any_script() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), any::<u8>().prop_map(pays)]
}

fn any_tx() -> impl Strategy<Value = Transaction> {
    let inputs = prop::collection::vec((any::<u8>().prop_map(spends), 0..3_usize), 1..5);
    let outputs = prop::collection::vec((0..21_0000_0000_0000_u64, any_script()), 0..20);
    (inputs, outputs).prop_map(|(inputs, outputs)| tx(inputs, outputs))
}

proptest! {
    #[test]
    fn a_block_is_read_as_a_full_library_reads_it(txdata in prop::collection::vec(any_tx(), 1..20)) {
        let mut names: Vec<_> = txdata.iter().map(Transaction::compute_txid).collect();
        names.sort_unstable();
        names.dedup();
        prop_assume!(names.len() == txdata.len());
        let block = block(txdata);
        let bytes = serialize(&block);
        let ours = Block::parse(&bytes, hash(&block)).unwrap();
        prop_assert_eq!(ours.transactions().count(), block.txdata.len());
        for ((txid, ours), theirs) in ours.transactions().zip(&block.txdata) {
            prop_assert_eq!(txid, theirs.compute_txid());
            prop_assert!(ours.inputs().eq(theirs.input.iter().map(|input| input.previous_output)));
            let outputs = theirs.output.iter().map(|output| {
                let script = &output.script_pubkey;
                let hash = script.is_p2wpkh().then(|| <[u8; 20]>::try_from(&script.as_bytes()[2..]).unwrap());
                (Units(output.value.to_sat().into()), script.as_bytes(), hash.map(AddressKey))
            });
            let read = ours.outputs().map(|(_, output)| (output.units, output.script(), output.key_hash()));
            prop_assert!(read.eq(outputs));
            prop_assert!(ours.outputs().map(|(vout, _)| vout).eq(0..u32::try_from(theirs.output.len()).unwrap()));
        }
    }

    #[test]
    fn a_block_with_a_changed_byte_is_refused(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let block = three();
        let mut bytes = serialize(&block);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let read = Block::parse(&bytes, hash(&block));
        // Signatures are not looked at: no name depends on them, nor what is paid to whom.
        let unsigned = |block: bitcoin::Block| {
            let strip = |tx: &Transaction| (tx.compute_txid(), tx.output.clone());
            block.txdata.iter().map(strip).collect::<Vec<_>>()
        };
        if read.is_ok() {
            let changed: bitcoin::Block = bitcoin::consensus::deserialize(&bytes).unwrap();
            prop_assert_eq!(unsigned(changed), unsigned(block));
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Tx::parse(&bytes).is_none_or(|tx| tx.outputs().count() < bytes.len()));
        prop_assert_eq!(Block::parse(&bytes, Hash256([0; 32])).map(drop).is_ok(), false);
    }
}
