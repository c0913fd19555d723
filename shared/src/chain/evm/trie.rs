//! The root by which a block's header binds an ordered list: that of a Merkle-Patricia trie whose keys are the places.

#[cfg(test)]
mod tests;

use sha3::{Digest, Keccak256};

use super::rlp::List;
use crate::chain::block::Hash256;

/// The root of a list without items.
pub(super) const EMPTY_ROOT: Hash256 = Hash256([
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e, 0x5b,
    0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
]);

/// Nodes shorter than this stand in their parent themselves, and longer ones by their hash.
const HASH_BYTES: usize = 32;

/// An item with what is left of its key's half bytes.
type Entry<'a> = (Vec<u8>, &'a [u8]);

/// The root of the items in their order.
pub(super) fn ordered_root(items: &[Vec<u8>]) -> Hash256 {
    if items.is_empty() {
        return EMPTY_ROOT;
    }
    let mut entries: Vec<Entry<'_>> =
        items.iter().enumerate().map(|(place, item)| (key(place), item.as_slice())).collect();
    entries.sort_unstable();
    keccak(&node(&entries, 0))
}

pub(super) fn keccak(bytes: &[u8]) -> Hash256 {
    Hash256(Keccak256::digest(bytes).into())
}

/// The key of a place: the half bytes of its encoding.
fn key(place: usize) -> Vec<u8> {
    let encoded = List::default().number(&place.to_be_bytes()).items();
    encoded.into_iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).collect()
}

/// The node over these entries, which are sorted and share the first `depth` half bytes of their keys.
fn node(entries: &[Entry<'_>], depth: usize) -> Vec<u8> {
    let rest = |(key, _): &Entry<'_>| key.get(depth..).unwrap_or_default().to_vec();
    match entries {
        [] => List::default().bytes(&[]).items(),
        [entry] => List::default().bytes(&path(&rest(entry), true)).bytes(entry.1).end(),
        [first, .., last] => {
            // They are sorted: what the first and the last share, all share.
            let (first, last) = (rest(first), rest(last));
            let shared: Vec<u8> =
                first.into_iter().zip(last).map_while(|(one, other)| (one == other).then_some(one)).collect();
            if shared.is_empty() {
                return branch(entries, depth);
            }
            let below = branch(entries, depth.saturating_add(shared.len()));
            List::default().bytes(&path(&shared, false)).encoded(&reference(below)).end()
        }
    }
}

/// Sixteen children, by the next half byte. None of our keys ends where another goes on, so that it never has a value.
fn branch(entries: &[Entry<'_>], depth: usize) -> Vec<u8> {
    let children = (0..16_u8).fold(List::default(), |children, digit| {
        let from = entries.partition_point(|(key, _)| key.get(depth).is_some_and(|next| *next < digit));
        let to = entries.partition_point(|(key, _)| key.get(depth).is_some_and(|next| *next <= digit));
        let below = entries.get(from..to).unwrap_or_default();
        children.encoded(&reference(node(below, depth.saturating_add(1))))
    });
    children.bytes(&[]).end()
}

fn reference(node: Vec<u8>) -> Vec<u8> {
    if node.len() < HASH_BYTES { node } else { List::default().bytes(&keccak(&node).0).items() }
}

/// Half bytes as a node has them, with a mark that says whether it is a leaf and whether their number is odd.
fn path(digits: &[u8], is_leaf: bool) -> Vec<u8> {
    let mark = if is_leaf { 0x20 } else { 0 };
    let (first, rest) = match digits {
        [odd, rest @ ..] if !digits.len().is_multiple_of(2) => (mark | 0x10 | odd, rest),
        even => (mark, even),
    };
    let (pairs, _) = rest.as_chunks::<2>();
    std::iter::once(first).chain(pairs.iter().map(|[high, low]| (high << 4) | low)).collect()
}
