//! Transactions of Bitcoin and its like for somebody else to sign (BIP174): what they spend, to whom, and by which keys.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use super::address::KeyOrigin;
use crate::money::Units;

/// Inputs of one transaction: with more, no node would pass it on.
pub const MAX_INPUTS: usize = 500;

/// Below this an output costs more to spend than it holds, and nodes refuse it; the greatest of their limits.
pub const DUST: Units = Units(546);

/// Bytes of a transaction that hold neither inputs nor outputs; of an input that spends a key's witness output; of an
/// output beside its script. Those that the witness discount touches are rounded up.
const FRAME_BYTES: u64 = 11;
const INPUT_BYTES: u64 = 68;
const OUTPUT_BYTES: u64 = 9;

/// An output that can be spent, paying to a key's hash (BIP84).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spendable {
    /// `txid:vout`.
    pub outpoint: OutPoint,
    /// How much it holds.
    pub units: Units,
    /// The script that it pays to.
    pub script: Vec<u8>,
    /// Which key signs, where that is known.
    pub key: Option<KeyOrigin>,
}

/// What is to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// To whom.
    pub script: Vec<u8>,
    /// Exactly this.
    pub units: Units,
    /// The network's fee for a thousand bytes' thousandth; none leaves the fee to whoever signs.
    pub fee_per_byte: Option<u64>,
    /// Where the rest goes.
    pub change: Option<Vec<u8>>,
}

/// A transaction that moves everything to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many outputs it spends.
    pub inputs: usize,
    /// What arrives.
    pub units: Units,
    /// The transaction, in base64.
    pub psbt: String,
}

/// Why there is no transaction to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPsbt {
    /// The outputs hold less than is to be paid, or are too many.
    #[error("the outputs do not hold the amount")]
    NotCovered,
    /// The rest would be lost to the fee.
    #[error("without an address for the change the rest would be lost to the fee")]
    NoChange,
    /// More than there are units.
    #[error("the amount is larger than the chain can express")]
    TooLarge,
}

/// The transaction that makes a payment from `spendable`, in base64: the first of them always, then the largest.
///
/// Whoever asks again when more has come gets another transaction, and as both spend the first, only one of them can ever
/// be in a block.
///
/// What is paid arrives whole: the fee comes from the change, or from inputs that the signer's wallet adds. Beyond
/// the fee that was asked for, only what is too little to be change is left to the miners.
pub fn spend(mut spendable: Vec<Spendable>, spending: &Spending) -> Result<String, NoPsbt> {
    if let Some((_, rest)) = spendable.split_first_mut() {
        rest.sort_unstable_by_key(|output| (std::cmp::Reverse(output.units), output.outpoint));
    }
    spendable.truncate(MAX_INPUTS);
    let (inputs, total) = select(&spendable, spending);
    let surplus = total.0.checked_sub(spending.units.0).ok_or(NoPsbt::NotCovered)?;
    let fee = u128::from(fee(inputs.len(), spending));
    let mut outputs = vec![(spending.script.clone(), spending.units)];
    let rest = Units(surplus.saturating_sub(fee));
    match &spending.change {
        Some(script) if rest >= DUST => outputs.push((script.clone(), rest)),
        Some(_) => {}
        None if rest == Units(0) => {}
        None => return Err(NoPsbt::NoChange),
    }
    let outputs = outputs.into_iter().map(|(script, units)| output(script, units));
    unsigned(inputs, outputs.collect::<Result<_, _>>()?)
}

/// The transaction that moves `spendable` to whom `script` pays, less the fee.
///
/// An output that is worth less than its place in the transaction costs is left where it is.
pub fn sweep(mut spendable: Vec<Spendable>, script: Vec<u8>, fee_per_byte: u64) -> Result<Swept, NoPsbt> {
    let place = u128::from(INPUT_BYTES.saturating_mul(fee_per_byte));
    spendable.retain(|output| output.units.0 > place);
    spendable.truncate(MAX_INPUTS);
    let inputs = spendable.len();
    let nothing = Spending { script, units: Units(0), fee_per_byte: Some(fee_per_byte), change: None };
    let total = spendable.iter().fold(Units(0), |sum, output| sum.plus(output.units));
    let rest = total.0.checked_sub(fee(inputs, &nothing).into()).map(Units);
    let units = rest.filter(|units| *units >= DUST).ok_or(NoPsbt::NotCovered)?;
    let psbt = spend(spendable, &Spending { units, ..nothing })?;
    Ok(Swept { inputs, units, psbt })
}

/// As few as cover amount and fee; all of them if none do.
fn select<'a>(spendable: &'a [Spendable], spending: &Spending) -> (&'a [Spendable], Units) {
    let mut total = Units(0);
    for (count, output) in (1..).zip(spendable) {
        total = total.plus(output.units);
        if total >= spending.units.plus(Units(fee(count, spending).into())) {
            return (spendable.get(..count).unwrap_or(spendable), total);
        }
    }
    (spendable, total)
}

/// What the network asks for a transaction with so many inputs.
fn fee(inputs: usize, spending: &Spending) -> u64 {
    let length =
        |script: &Vec<u8>| u64::try_from(script.len()).unwrap_or(u64::MAX).saturating_add(OUTPUT_BYTES);
    let inputs = u64::try_from(inputs).unwrap_or(u64::MAX).saturating_mul(INPUT_BYTES);
    let outputs = length(&spending.script).saturating_add(spending.change.as_ref().map_or(0, length));
    let bytes = FRAME_BYTES.saturating_add(inputs).saturating_add(outputs);
    bytes.saturating_mul(spending.fee_per_byte.unwrap_or(0))
}

fn output(script: Vec<u8>, units: Units) -> Result<TxOut, NoPsbt> {
    let value = u64::try_from(units.0).map_err(|_| NoPsbt::TooLarge)?;
    Ok(TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from_bytes(script) })
}

fn unsigned(inputs: &[Spendable], outputs: Vec<TxOut>) -> Result<String, NoPsbt> {
    let input = |spendable: &Spendable| TxIn {
        previous_output: spendable.outpoint,
        script_sig: ScriptBuf::new(),
        // Replaceable (BIP125), because only the signer sees what the fee should be by then.
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.iter().map(input).collect(),
        output: outputs,
    };
    let mut psbt = Psbt::from_unsigned_tx(transaction).map_err(|_| NoPsbt::NotCovered)?;
    for (input, spendable) in psbt.inputs.iter_mut().zip(inputs) {
        input.witness_utxo = Some(output(spendable.script.clone(), spendable.units)?);
        let origins = spendable.key.iter().map(|key| (key.public_key, (key.fingerprint, key.path.clone())));
        input.bip32_derivation = origins.collect::<BTreeMap<_, _>>();
    }
    Ok(BASE64_STANDARD.encode(psbt.serialize()))
}

#[cfg(test)]
mod tests {
    //! What is paid arrives whole, and nothing is lost to the fee that nobody asked for.

    use proptest::prelude::*;

    use super::*;
    use crate::chain::address::{ExtendedKey, NOBODYS_XPUB};

    fn spendable(number: u8, units: u128) -> Spendable {
        let key: ExtendedKey = NOBODYS_XPUB.parse().unwrap();
        let key = key.origin(number.into()).unwrap();
        let hash = bitcoin::CompressedPublicKey(key.public_key).wpubkey_hash();
        let script = ScriptBuf::new_p2wpkh(&hash).into_bytes();
        let txid = bitcoin::hashes::Hash::from_byte_array([number; 32]);
        Spendable { outpoint: OutPoint { txid, vout: 1 }, units: Units(units), script, key: Some(key) }
    }

    fn spending(units: u128, fee_per_byte: Option<u64>, change: bool) -> Spending {
        let script = |byte| [&[0, 20][..], &[byte; 20]].concat();
        Spending { script: script(1), units: Units(units), fee_per_byte, change: change.then(|| script(2)) }
    }

    fn read(text: &str) -> Psbt {
        Psbt::deserialize(&BASE64_STANDARD.decode(text).unwrap()).unwrap()
    }

    fn paid(psbt: &Psbt) -> (u64, u64) {
        let spent: u64 =
            psbt.inputs.iter().map(|input| input.witness_utxo.as_ref().unwrap().value.to_sat()).sum();
        let paid: u64 = psbt.unsigned_tx.output.iter().map(|output| output.value.to_sat()).sum();
        (spent, paid)
    }

    #[test]
    fn all_goes_back_whole_and_the_wallet_adds_the_fee() {
        let psbt =
            read(&spend(vec![spendable(1, 700), spendable(2, 300)], &spending(1_000, None, false)).unwrap());
        assert_eq!((psbt.inputs.len(), psbt.outputs.len(), paid(&psbt)), (2, 1, (1_000, 1_000)));
        let (key, (_, path)) = psbt.inputs[0].bip32_derivation.first_key_value().unwrap();
        let script = &psbt.inputs[0].witness_utxo.as_ref().unwrap().script_pubkey;
        assert_eq!(*script, ScriptBuf::new_p2wpkh(&bitcoin::CompressedPublicKey(*key).wpubkey_hash()));
        assert_eq!(path.to_string(), "0/1");
    }

    #[test]
    fn an_excess_goes_back_with_change_or_not_at_all() {
        let outputs = || vec![spendable(1, 50_000), spendable(2, 20_000)];
        assert_eq!(spend(outputs(), &spending(10_000, None, false)), Err(NoPsbt::NoChange));
        assert_eq!(spend(outputs(), &spending(70_001, None, true)), Err(NoPsbt::NotCovered));
        let psbt = read(&spend(outputs(), &spending(10_000, Some(10), true)).unwrap());
        assert_eq!((psbt.inputs.len(), psbt.outputs.len()), (1, 2));
        // 11 + 68 + 2 × 31 bytes.
        assert_eq!(paid(&psbt), (50_000, 50_000 - 1_410));
    }

    #[test]
    fn what_is_asked_for_again_spends_what_the_first_answer_spent() {
        let first = read(&spend(vec![spendable(1, 700)], &spending(600, None, true)).unwrap());
        let more = vec![spendable(1, 700), spendable(2, 9_000)];
        let again = read(&spend(more, &spending(600, None, true)).unwrap());
        assert_eq!(first.unsigned_tx.input[0].previous_output, again.unsigned_tx.input[0].previous_output);
    }

    proptest! {
        #[test]
        fn a_sweep_moves_all_but_the_fee_and_leaves_what_is_not_worth_its_place(
            outputs in prop::collection::vec(1..100_000_u128, 1..20), fee_per_byte in 1..200_u64,
        ) {
            let all: Vec<_> = (1..).zip(outputs.clone()).map(|(number, units)| spendable(number, units)).collect();
            let worth: Vec<u128> =
                outputs.into_iter().filter(|units| *units > u128::from(fee_per_byte.saturating_mul(68))).collect();
            let to = spending(0, Some(fee_per_byte), false);
            let swept = sweep(all, to.script.clone(), fee_per_byte);
            let left = worth.iter().sum::<u128>().checked_sub(fee(worth.len(), &to).into());
            prop_assert_eq!(swept.is_ok(), left.is_some_and(|left| left >= 546));
            let Ok(swept) = swept else { return Ok(()) };
            let psbt = read(&swept.psbt);
            let (spent, paid) = paid(&psbt);
            prop_assert_eq!((psbt.inputs.len(), psbt.outputs.len()), (swept.inputs, 1));
            prop_assert_eq!((u128::from(spent), u128::from(paid)), (worth.iter().sum(), swept.units.0));
            prop_assert_eq!(Some(swept.units.0), left);
        }

        #[test]
        fn nothing_is_lost_to_the_fee(
            outputs in prop::collection::vec(1..1_000_000_u128, 1..8),
            units in 1..2_000_000_u128,
            fee_per_byte in prop::option::of(1..50_u64),
            change: bool,
        ) {
            let outputs: Vec<_> = (1..).zip(outputs).map(|(number, units)| spendable(number, units)).collect();
            let spending = spending(units, fee_per_byte, change);
            if let Ok(text) = spend(outputs, &spending) {
                let psbt = read(&text);
                let (spent, paid) = paid(&psbt);
                prop_assert_eq!(u128::from(psbt.unsigned_tx.output[0].value.to_sat()), units);
                prop_assert!(paid <= spent);
                let (lost, asked) = (spent.saturating_sub(paid), fee(psbt.inputs.len(), &spending));
                prop_assert!(lost < asked.saturating_add(546) && (change || lost <= asked));
            }
        }
    }
}
