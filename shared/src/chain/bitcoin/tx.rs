//! Transactions as nodes exchange them (BIP144), read in place: nothing is copied, and nothing is allocated per output.
//!
//! Litecoin's extension blocks (MWEB) are stepped over: they pay nobody whose address has a script.

#[cfg(test)]
mod tests;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};

use super::reader::{Reader, double_sha256};
use crate::chain::address::AddressKey;
use crate::money::Units;

/// After this byte in place of the number of inputs comes the byte of flags.
const MARKER: u8 = 0;

/// Each input has a witness.
const WITNESS: u8 = 1;

/// The transaction has a part within the extension block, or makes up for it.
const EXTENSION: u8 = 8;

/// Transaction and place: 32 and 4 bytes.
const OUTPOINT_BYTES: usize = 36;

/// Money, and who may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// How much, in the smallest unit.
    pub units: Units,
    script: &'a [u8],
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub struct Tx<'a> {
    version: &'a [u8],
    /// Inputs and outputs with their numbers: with version and lock time, all that decides the name.
    body: &'a [u8],
    lock_time: &'a [u8],
    kind: Kind,
}

/// Where a transaction's money comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Outputs of earlier transactions.
    Ordinary,
    /// It is newly minted, with the block's fees.
    Coinbase,
    /// Litecoin's extension block pays it out.
    Extension,
}

impl<'a> Tx<'a> {
    /// One that stands alone, as nodes tell those that wait for a block.
    pub fn parse(bytes: &'a [u8]) -> Option<Tx<'a>> {
        let mut reader = Reader::new(bytes);
        let (version, body, flags) = Tx::read_body(&mut reader)?;
        let lock_time = if flags & EXTENSION == EXTENSION {
            // What belongs to the extension block has no length of its own, but only the lock time follows it.
            bytes.last_chunk::<4>()?.as_slice()
        } else {
            let lock_time = reader.take(4)?;
            reader.is_empty().then_some(lock_time)?
        };
        Some(Tx { version, body, lock_time, kind: Kind::Ordinary })
    }

    /// The next one of a block.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Tx<'a>> {
        let (version, body, flags) = Tx::read_body(reader)?;
        let extension = flags & EXTENSION == EXTENSION;
        if extension && reader.byte()? != 0 {
            // In a block those parts are gathered elsewhere; only the place where they were is left.
            return None;
        }
        let mut tx = Tx { version, body, lock_time: reader.take(4)?, kind: Kind::Ordinary };
        if extension {
            tx.kind = Kind::Extension;
        } else if tx.inputs().any(|spent| spent.is_null()) {
            tx.kind = Kind::Coinbase;
        }
        Some(tx)
    }

    /// Version, inputs and outputs, and flags; steps over the witnesses.
    fn read_body(reader: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8], u8)> {
        let version = reader.take(4)?;
        let flags = if reader.peek()? == MARKER {
            reader.byte()?;
            reader.byte()?
        } else {
            0
        };
        if !matches!(flags, 0 | WITNESS | EXTENSION) && flags != WITNESS | EXTENSION {
            return None;
        }
        let start = reader.clone();
        let inputs = reader.count()?;
        for _ in 0..inputs {
            read_input(reader)?;
        }
        for _ in 0..reader.count()? {
            Output::read(reader)?;
        }
        let body = start.up_to(reader);
        if flags & WITNESS == WITNESS {
            for _ in 0..inputs {
                for _ in 0..reader.count()? {
                    reader.script()?;
                }
            }
        }
        Some((version, body, flags))
    }

    /// Its name: the hash of all but the witnesses.
    pub fn txid(&self) -> Txid {
        Txid::from_byte_array(double_sha256(&[self.version, self.body, self.lock_time]))
    }

    /// Where its money comes from.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it spends.
    pub fn inputs(&self) -> impl Iterator<Item = OutPoint> + use<'a> {
        let mut reader = Reader::new(self.body);
        let count = reader.count().unwrap_or_default();
        (0..count).map_while(move |_| read_input(&mut reader))
    }

    /// What it pays, with the places.
    pub fn outputs(&self) -> impl Iterator<Item = (u32, Output<'a>)> + use<'a> {
        let mut reader = Reader::new(self.body);
        let inputs = reader.count().unwrap_or_default();
        let behind_inputs = (0..inputs).try_for_each(|_| read_input(&mut reader).map(drop));
        let count = behind_inputs.and_then(|()| reader.count()).unwrap_or_default();
        (0_u32..).zip(0..count).map_while(move |(vout, _)| Some((vout, Output::read(&mut reader)?)))
    }
}

fn read_input(reader: &mut Reader<'_>) -> Option<OutPoint> {
    let (txid, vout) = reader.take(OUTPOINT_BYTES)?.split_first_chunk::<32>()?;
    reader.script()?;
    reader.take(4)?;
    Some(OutPoint { txid: Txid::from_byte_array(*txid), vout: u32::from_le_bytes(*vout.first_chunk()?) })
}

impl<'a> Output<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Output<'a>> {
        let units = u64::from_le_bytes(*reader.take(8)?.first_chunk()?);
        Some(Output { units: Units(units.into()), script: reader.script()? })
    }

    /// The key's hash, if the output pays to one in the form that we give out (P2WPKH, BIP141).
    pub fn key_hash(&self) -> Option<AddressKey> {
        let hash = self.script.strip_prefix(&[0x00, 0x14])?;
        <[u8; 20]>::try_from(hash).ok().map(AddressKey)
    }

    /// What a spender must satisfy.
    pub fn script(&self) -> &'a [u8] {
        self.script
    }
}
