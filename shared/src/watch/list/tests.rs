//! Which addresses are compared.

use std::collections::BTreeSet;

use super::newest::NEWEST;
use super::*;

/// Addresses whose order by bytes is the opposite of that in which they are listed.
fn address(number: usize) -> AddressKey {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&(!number).to_be_bytes());
    AddressKey(key)
}

fn listed(numbers: impl IntoIterator<Item = usize>) -> WatchList {
    let mut list = WatchList::default();
    for number in numbers {
        list.insert(address(number), Code::from_random(0));
    }
    list
}

fn compared(list: &WatchList) -> BTreeSet<AddressKey> {
    list.compared().into_iter().collect()
}

#[test]
fn r22_the_newest_addresses_are_compared_whatever_their_bytes_and_whenever_they_were_listed() {
    let list = listed(0..3 * NEWEST);
    assert_eq!(compared(&list), (2 * NEWEST..3 * NEWEST).map(address).collect());
    assert_eq!(list.uncompared(), 2 * NEWEST);
    let few = listed(0..NEWEST);
    assert_eq!((few.compared().len(), few.uncompared()), (NEWEST, 0));
}

#[test]
fn r22_an_address_that_is_listed_again_is_new_again_and_drives_out_one_alone() {
    // As every refresh does, which looks back a little.
    let again = std::iter::repeat_n(3, NEWEST);
    let list = listed((0..NEWEST).chain(again).chain([NEWEST]));
    assert_eq!(compared(&list), (1..=NEWEST).map(address).collect());
    let list = listed((0..NEWEST).chain([0, NEWEST]));
    assert_eq!(compared(&list), [0].into_iter().chain(2..=NEWEST).map(address).collect());
}

#[test]
fn r22_all_are_compared_once_each_where_that_is_asked_for() {
    // Of the first some thousands, the list keeps a sorted and a new entry.
    let mut list = listed((0..4 * NEWEST).chain(0..NEWEST));
    list.compare_all();
    assert_eq!(list.compared().len(), 4 * NEWEST);
    assert_eq!((compared(&list).len(), list.uncompared()), (4 * NEWEST, 0));
}
