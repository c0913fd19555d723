//! Single transactions: published ones, Litecoin's with a part in the extension block, and what is none.

use bitcoin::hex::FromHex;

use super::*;

/// The example of native P2WPKH in BIP143, signed.
const SIGNED: &str = "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000";

fn signed() -> Vec<u8> {
    Vec::from_hex(SIGNED).unwrap()
}

#[test]
fn a_published_transaction_is_read() {
    let bytes = signed();
    let tx = Tx::parse(&bytes).unwrap();
    let library: bitcoin::Transaction = bitcoin::consensus::deserialize(&bytes).unwrap();
    assert_eq!(tx.txid(), library.compute_txid());
    let inputs: Vec<_> = tx.inputs().map(|spent| spent.to_string()).collect();
    assert_eq!(
        inputs,
        [
            "9f96ade4b41d5433f4eda31e1738ec2b36f6e7d1420d94a6af99801a88f7f7ff:0",
            "8ac60eb9575db5b2d987e29f301b5b819ea83a5c6579d282d189cc04b8e151ef:1",
        ]
    );
    let outputs: Vec<_> = tx.outputs().map(|(vout, output)| (vout, output.units.0)).collect();
    assert_eq!(outputs, [(0, 112_340_000), (1, 223_450_000)]);
}

/// A wallet that moves money into the extension block says so behind the witnesses, in a form without a length.
#[test]
fn litecoins_transaction_with_a_part_in_the_extension_block_keeps_its_name() {
    let plain = signed();
    let name = Tx::parse(&plain).unwrap().txid();
    let mut extended = plain.clone();
    extended[5] |= EXTENSION;
    let lock_time = extended.split_off(extended.len() - 4);
    for part in [&[0][..], &[1, 2, 3], &[0xff; 500]] {
        let bytes = [extended.as_slice(), part, &lock_time].concat();
        let tx = Tx::parse(&bytes).unwrap();
        assert_eq!((tx.txid(), tx.outputs().count()), (name, 2));
    }
}

#[test]
fn what_is_no_transaction_is_refused() {
    let bytes = signed();
    for length in 0..bytes.len() {
        assert!(Tx::parse(&bytes[..length]).is_none(), "{length}");
    }
    assert!(Tx::parse(&[bytes.as_slice(), &[0]].concat()).is_none());
    let unknown_flag = [&bytes[..5], &[2], &bytes[6..]].concat();
    assert!(Tx::parse(&unknown_flag).is_none());
    let wasteful_number = [&bytes[..6], &[0xfd, 2, 0], &bytes[7..]].concat();
    assert!(Tx::parse(&wasteful_number).is_none());
    let endless = [&bytes[..6], &[0xff; 9], &bytes[7..]].concat();
    assert!(Tx::parse(&endless).is_none());
}
