//! What an item holds that this version does not know is kept, attributes and words (R45): versions run side by side.
//!
//! An item that is read and written again goes through three forms: as it was, as this version understood it, and as it is
//! to be. What the first has and the second has not was put there by another version, and goes over to the third.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, as_map};

/// Entries of a list are the same when what they have of these is the same.
const NAMED_BY: [&str; 4] = ["coin", "at", "address", "required"];

/// What tells one entry from the next that takes its place under the same name.
const ONE: &str = "secret";

/// Maps that are kept or replaced whole: parts of one value, of which each alone means nothing.
const VALUES: [&str; 1] = ["standing"];

/// Carries over into `new` what `old` holds and `understood`, which is what this version reads in `old`, does not. What
/// `new` has no place for any more is gone: whoever takes out an entry takes out what is in it.
pub fn keep(old: &Item, understood: &Item, new: &mut Item) {
    for (name, was) in old {
        match (understood.get(name), new.get_mut(name)) {
            (Some(understood), Some(new)) => keep_value(name, was, understood, new),
            (None, None) => {
                new.insert(name.clone(), was.clone());
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}

/// The same for the value under one name: a word that was understood as another, because it is not known, stays as it was
/// until it changes.
pub fn keep_value(name: &str, old: &AttributeValue, understood: &AttributeValue, new: &mut AttributeValue) {
    match (old, understood, new) {
        (AttributeValue::M(old), AttributeValue::M(understood), AttributeValue::M(new))
            if !VALUES.contains(&name) =>
        {
            if understood.get(ONE) == new.get(ONE) {
                keep(old, understood, new);
            }
        }
        (AttributeValue::L(old), AttributeValue::L(understood), AttributeValue::L(new)) => {
            keep_entries(old, understood, new);
        }
        (old, understood, new) if old != understood && *new == *understood => *new = old.clone(),
        (_, _, _) => {}
    }
}

fn keep_entries(old: &[AttributeValue], understood: &[AttributeValue], new: &mut [AttributeValue]) {
    for (old, understood) in old.iter().zip(understood) {
        let (AttributeValue::M(old), AttributeValue::M(understood)) = (old, understood) else { continue };
        let same = |entry: &&mut Item| NAMED_BY.iter().all(|name| entry.get(*name) == understood.get(*name));
        if let Some(entry) = new.iter_mut().filter_map(as_map).find(same) {
            keep(old, understood, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::attribute::{n, s};

    fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn map<const N: usize>(attributes: [(&str, AttributeValue); N]) -> AttributeValue {
        AttributeValue::M(item(attributes))
    }

    #[test]
    fn b1_what_is_not_known_of_a_refund_is_not_of_the_next_of_its_coin() {
        let refund = |secret: &str, more: bool| {
            let mut refund = item([("secret", s(secret))]);
            refund.extend(more.then(|| ("tomorrow".to_owned(), n(1))));
            map([("BTC", AttributeValue::M(refund))])
        };
        for (secret, is_kept) in [("one", true), ("two", false)] {
            let mut new = item([("refunds", refund(secret, false))]);
            keep(
                &item([("refunds", refund("one", true))]),
                &item([("refunds", refund("one", false))]),
                &mut new,
            );
            assert_eq!(new, item([("refunds", refund(secret, is_kept))]));
        }
    }

    #[test]
    fn b1_what_is_not_known_is_kept_in_nested_maps_and_in_entries_that_moved() {
        let quote = |at, more: bool| {
            let mut quote = item([("coin", s("ETH")), ("at", n(at)), ("until", n(at + 9))]);
            quote.extend(more.then(|| ("floor".to_owned(), n(at))));
            AttributeValue::M(quote)
        };
        let old = item([
            ("title", s("Order")),
            ("region", s("eu")),
            ("due", n(1)),
            ("quotes", AttributeValue::L(vec![quote(1, true), quote(2, true)])),
            ("map", map([("a", map([("known", n(1)), ("new", n(2))]))])),
            ("ending", s("archived")),
        ]);
        let understood = item([
            ("title", s("Order")),
            ("due", n(1)),
            ("quotes", AttributeValue::L(vec![quote(1, false), quote(2, false)])),
            ("map", map([("a", map([("known", n(1))]))])),
            ("ending", s("expired")),
        ]);
        let mut new = item([
            ("title", s("Order")),
            ("quotes", AttributeValue::L(vec![quote(2, false), quote(3, false)])),
            ("map", map([("a", map([("known", n(3))])), ("b", map([("known", n(1))]))])),
            ("ending", s("expired")),
        ]);
        keep(&old, &understood, &mut new);
        let wanted = item([
            ("title", s("Order")),
            ("region", s("eu")),
            ("quotes", AttributeValue::L(vec![quote(2, true), quote(3, false)])),
            ("map", map([("a", map([("known", n(3)), ("new", n(2))])), ("b", map([("known", n(1))]))])),
            ("ending", s("archived")),
        ]);
        assert_eq!(new, wanted);
        let mut changed = item([("ending", s("refunded"))]);
        keep(&old, &understood, &mut changed);
        assert_eq!(changed.get("ending"), Some(&s("refunded")), "a word that changes is not held back");
    }
}
