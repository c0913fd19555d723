//! A payment's transfers, page by page, the newest first: what is asked for, and the cursor that continues it.
//!
//! What comes in between shifts nothing: a cursor names the last transfer that was told of, and how many pages lay beside
//! the payment then.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::paging::{invalid, limit};
use super::{Call, Caller, Result};
use crate::moment::Timestamp;
use crate::payment::{Code, Secret, Transfer};
use crate::store::{Found, Store};

/// Bytes of a cursor's seal.
const SEAL: usize = 16;

/// Pages read for one answer: those of the longest answer, and some of which all was told already.
const PAGES_READ: usize = 12;

/// Which part of the transfers.
#[derive(Clone, Debug)]
pub struct TransfersQuery {
    /// At most this many.
    pub limit: usize,
    after: Option<Position>,
}

/// Where the next answer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Pages from here on were not there when the list was begun: what is on them was with the payment.
    new_from: u32,
    /// The last transfer that was told of while they were, by age; none before the first.
    below: Option<(Timestamp, String)>,
    /// How many pages are still to be told; `None` while those with the payment are.
    pages: Option<u32>,
    /// How many of the last of these were told.
    told: u16,
}

impl TransfersQuery {
    /// Reads the query of a call about the payment `code`; nothing is ever clamped.
    pub fn parse(call: &Call<Caller>, code: Code) -> Result<TransfersQuery> {
        let cursor = call.query("cursor").filter(|text| !text.is_empty());
        let open = |text: String| {
            let position = open(&text, &call.who.account.secret, code);
            position.ok_or_else(|| invalid("cursor", "is not one for this list"))
        };
        Ok(TransfersQuery { limit: limit(call)?, after: cursor.map(open).transpose()? })
    }

    /// The transfers asked for, and where the next answer begins, if there is more.
    pub async fn read(&self, store: &Store, found: &Found) -> Result<(Vec<Transfer>, Option<Position>)> {
        let new_from = found.pages();
        let begin = || Position { new_from, below: None, pages: None, told: 0 };
        let mut position = self.after.clone().unwrap_or_else(begin);
        let mut told = Vec::new();
        if position.pages.is_none() {
            let in_hand = found.payment.newest_transfers().into_iter().cloned();
            let rest: Vec<Transfer> = in_hand.filter(|transfer| position.is_below(transfer)).collect();
            let is_all = rest.len() <= self.limit;
            told.extend(rest.into_iter().take(self.limit));
            let last = told.last().map(|transfer: &Transfer| {
                let (at, id) = transfer.age();
                (at, id.to_string())
            });
            position.below = last.or(position.below);
            if !is_all {
                return Ok((told, Some(position)));
            }
            position.pages = Some(found.pages());
        }
        for _ in 0..PAGES_READ {
            let Some(page) = position.pages.and_then(|pages| pages.checked_sub(1)) else {
                return Ok((told, None));
            };
            if told.len() >= self.limit {
                break;
            }
            let all = store.transfers_on_page(found, page).await?;
            let is_new = page >= position.new_from;
            let of_list = all.into_iter().filter(|transfer| !is_new || position.is_below(transfer));
            let rest: Vec<Transfer> = of_list.skip(position.told.into()).collect();
            let room = self.limit.saturating_sub(told.len());
            if rest.len() > room {
                let some = u16::try_from(room).unwrap_or(u16::MAX);
                position.told = position.told.saturating_add(some);
                told.extend(rest.into_iter().take(room));
                return Ok((told, Some(position)));
            }
            told.extend(rest);
            (position.pages, position.told) = (Some(page), 0);
        }
        let is_more = position.pages != Some(0);
        Ok((told, is_more.then_some(position)))
    }
}

impl Position {
    /// Whether a transfer is older than the last one that was told of.
    fn is_below(&self, transfer: &Transfer) -> bool {
        let (at, id) = transfer.age();
        self.below.as_ref().is_none_or(|(last, name)| (at, id.as_str()) < (*last, name.as_str()))
    }

    /// The cursor that says so, for the payment `code` and the account that has `secret`.
    pub fn cursor(&self, secret: &Secret, code: Code) -> String {
        let (at, id) = self.below.as_ref().map_or((u64::MAX, ""), |(at, id)| (at.0, id.as_str()));
        let payload = [
            &self.new_from.to_be_bytes()[..],
            &self.pages.map_or(u32::MAX, |pages| pages).to_be_bytes(),
            &self.told.to_be_bytes(),
            &at.to_be_bytes(),
            id.as_bytes(),
        ]
        .concat();
        URL_SAFE_NO_PAD.encode([&seal(secret, code, &payload)[..], &payload].concat())
    }
}

fn seal(secret: &Secret, code: Code, payload: &[u8]) -> [u8; SEAL] {
    let mac = secret.mac(&[b"transfers", code.to_string().as_bytes(), payload]);
    mac.first_chunk().copied().unwrap_or_default()
}

fn open(text: &str, secret: &Secret, code: Code) -> Option<Position> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sealed, payload) = bytes.split_first_chunk::<SEAL>()?;
    if seal(secret, code, payload) != *sealed {
        return None;
    }
    let (new_from, rest) = payload.split_first_chunk()?;
    let (pages, rest) = rest.split_first_chunk()?;
    let (told, rest) = rest.split_first_chunk()?;
    let (at, id) = rest.split_first_chunk()?;
    let at = u64::from_be_bytes(*at);
    let id = std::str::from_utf8(id).ok()?;
    Some(Position {
        new_from: u32::from_be_bytes(*new_from),
        below: (at != u64::MAX).then(|| (Timestamp(at), id.to_owned())),
        pages: Some(u32::from_be_bytes(*pages)).filter(|pages| *pages != u32::MAX),
        told: u16::from_be_bytes(*told),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_a_cursor_of_transfers_opens_for_its_payment_and_account_alone() {
        let (secret, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let code = Code::from_random(7);
        let position = Position {
            new_from: 3,
            below: Some((Timestamp(5), "bitcoin:aa:0".to_owned())),
            pages: None,
            told: 0,
        };
        for position in [position.clone(), Position { pages: Some(2), told: 49, below: None, ..position }] {
            let cursor = position.cursor(&secret, code);
            assert_eq!(open(&cursor, &secret, code), Some(position));
            assert_eq!(open(&cursor, &other, code), None);
            assert_eq!(open(&cursor, &secret, Code::from_random(8)), None);
            assert_eq!(open(cursor.get(1..).unwrap(), &secret, code), None);
        }
    }
}
