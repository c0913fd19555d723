//! What another version wrote into a payment's item: attributes and words that this version does not know, and keeps (R45).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::text;

/// An attribute that this version does not know.
const ATTRIBUTE: &str = "tomorrow";

/// A word that it does not know either.
const WORD: &str = "iris";

/// Where in an item there is a place for such, and where something was written.
#[derive(Clone, Debug, Default)]
pub struct Unknown {
    places: BTreeSet<String>,
    written: BTreeSet<String>,
}

impl Unknown {
    /// Of an item.
    pub fn of(item: &Value) -> Unknown {
        let mut unknown = Unknown::default();
        unknown.look("the item".to_owned(), item);
        for (name, place) in places(item) {
            unknown.look(name, &item.pointer(&place).unwrap_or(&Value::Null)["M"]);
        }
        unknown.places.insert("the word".to_owned());
        if text(item, "kyc_method") == WORD {
            unknown.written.insert("the word".to_owned());
        }
        unknown
    }

    fn look(&mut self, name: String, map: &Value) {
        if !map[ATTRIBUTE].is_null() {
            self.written.insert(name.clone());
        }
        self.places.insert(name);
    }

    /// Places in which something was written before and is no more, though they are there.
    pub fn known_of<'a>(&'a self, before: &'a Unknown) -> impl Iterator<Item = &'a String> {
        let is_gone = |place: &&String| self.places.contains(*place) && !self.written.contains(*place);
        before.written.iter().filter(is_gone)
    }

    /// Whether anything was written.
    pub fn is_there(&self) -> bool {
        !self.written.is_empty()
    }
}

/// The maps in an item that are not its entries by name: what names each, and where it is.
fn places(item: &Value) -> Vec<(String, String)> {
    let mut places = Vec::new();
    for (name, by) in [("addresses", ["address", "address"]), ("quotes", ["coin", "at"])] {
        for (place, entry) in item[name]["L"].as_array().into_iter().flatten().enumerate() {
            let by = by.map(|by| entry["M"][by].to_string()).concat();
            places.push((format!("{name} {by}"), format!("/{name}/L/{place}")));
        }
    }
    for name in ["transfers", "refunds"] {
        for (key, entry) in item[name]["M"].as_object().into_iter().flatten() {
            // A new refund of the same coin is another one.
            let secret = text(&entry["M"], "secret");
            let path = key.replace('~', "~0").replace('/', "~1");
            places.push((format!("{name} {key} {secret}"), format!("/{name}/M/{path}")));
        }
    }
    places
}

/// Writes into an item what a later version might, in some of the places that `picks`.
pub fn write(item: &mut Value, mut picks: impl FnMut() -> bool) {
    let new = json!({ "M": { "deep": { "L": [{ "N": "1" }, { "SS": ["a", "b"] }] } } });
    for (_, place) in places(item) {
        if picks()
            && let Some(entry) = item.pointer_mut(&place)
        {
            entry["M"][ATTRIBUTE] = new.clone();
        }
    }
    item[ATTRIBUTE] = new;
    // Which document is asked for does not matter any more.
    if text(item, "kyc_status") == "approved" && picks() {
        item["kyc_method"] = json!({ "S": WORD });
    }
}

/// Takes out again what is in the maps of an item.
pub fn erase(item: &mut Value) {
    for (_, place) in places(item) {
        if let Some(entry) = item.pointer_mut(&place).and_then(|entry| entry["M"].as_object_mut()) {
            entry.remove(ATTRIBUTE);
        }
    }
}
