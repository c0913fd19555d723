//! What a list is asked for: filters, limits, and the cursor that continues it (R8).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{ApiError, Call, Caller, Result};
use crate::moment::parse_milliseconds;
use crate::payment::{InvalidParameter, PaymentId, Secret, Status};
use crate::store::{Created, Listing, PageRequest};

/// What a page holds unless the caller says otherwise.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Deeper offsets would read more keys than a page is worth.
const MAX_OFFSET: usize = 10_000;

/// Bytes of a cursor: a position, a hash of the filters, and the seal over both.
const POSITION: usize = 16;
const FILTERS: usize = 8;
const SEAL: usize = 16;

/// A checked query.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// What is listed.
    pub listing: Listing,
    /// Which part of it.
    pub page: PageRequest,
}

impl ListQuery {
    /// Reads the query; nothing is ever clamped.
    pub fn parse(call: &Call<Caller>) -> Result<ListQuery> {
        let (account, mode) = (&call.who.account, call.who.mode);
        let created = created(call)?;
        let listing =
            Listing { merchant: account.merchant.clone(), mode, statuses: statuses(call)?, created };
        let limit = limit(call)?;
        let offset = whole_number(call, "offset", "must be a whole number, at least 0")?;
        if offset.is_some_and(|offset| offset > MAX_OFFSET) {
            return Err(invalid("offset", "must be at most 10000; use cursor to go further"));
        }
        let cursor = call.query("cursor").filter(|text| !text.is_empty());
        if cursor.is_some() && offset.is_some() {
            return Err(invalid("cursor", "must not come with offset"));
        }
        let open = |text: String| open_cursor(&text, &account.secret, &listing);
        let before =
            cursor.map(|text| open(text).ok_or_else(|| invalid("cursor", "is not one for this list")));
        let page = PageRequest { limit, offset: offset.unwrap_or(0), before: before.transpose()? };
        Ok(ListQuery { listing, page })
    }

    /// The cursor that continues the list before `position`.
    pub fn cursor(&self, secret: &Secret, position: PaymentId) -> String {
        let filters = filters(&self.listing);
        let seal = seal(secret, position, filters);
        URL_SAFE_NO_PAD.encode([&position.to_bytes()[..], &filters, &seal].concat())
    }
}

/// How many a page is to hold; never clamped.
pub(super) fn limit(call: &Call<Caller>) -> Result<usize> {
    let rule = "must be a whole number from 1 to 200";
    let limit = whole_number(call, "limit", rule)?.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) { Ok(limit) } else { Err(invalid("limit", rule)) }
}

pub(super) fn invalid(field: &'static str, rule: &str) -> ApiError {
    InvalidParameter::new(field, rule).into()
}

fn whole_number(call: &Call<Caller>, field: &'static str, rule: &str) -> Result<Option<usize>> {
    let Some(text) = call.query(field) else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().unwrap_or(usize::MAX));
    number.map(Some).ok_or_else(|| invalid(field, rule))
}

fn statuses(call: &Call<Caller>) -> Result<Vec<Status>> {
    let text = call.query("status").unwrap_or_default();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let named = text.split(',').map(|name| Status::from_name(name.trim()));
    let mut statuses: Vec<Status> = named.collect::<Option<_>>().ok_or_else(|| {
        let names = Status::ALL.map(Status::as_str).join(", ");
        invalid("status", &format!("must be one or more of {names}"))
    })?;
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

fn created(call: &Call<Caller>) -> Result<Created> {
    Ok(Created { from: moment(call, "created_after")?, before: moment(call, "created_before")? })
}

/// A moment in milliseconds; empty is none. Forms read the `+` of an offset that was not encoded as a space.
fn moment(call: &Call<Caller>, field: &'static str) -> Result<Option<u64>> {
    let text = call.query(field).filter(|text| !text.is_empty());
    let rule = "must be a time like 2026-03-09T14:30:00Z, or seconds since 1970";
    let read = |text: String| parse_milliseconds(&text.replace(' ', "+"));
    text.map(|text| read(text).ok_or_else(|| invalid(field, rule))).transpose()
}

fn filters(listing: &Listing) -> [u8; FILTERS] {
    let names: Vec<_> = listing.statuses.iter().map(|status| status.as_str()).collect();
    let mut text = format!("{}?{}", listing.mode.as_str(), names.join(","));
    // Nothing is added for what is not asked for, so that cursors from before there were bounds go on.
    for (name, bound) in [("from", listing.created.from), ("before", listing.created.before)] {
        text.extend(bound.map(|bound| format!("&{name}={bound}")));
    }
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.first_chunk().copied().unwrap_or_default()
}

fn seal(secret: &Secret, position: PaymentId, filters: [u8; FILTERS]) -> [u8; SEAL] {
    let mac = secret.mac(&[b"cursor", &position.to_bytes(), &filters]);
    mac.first_chunk().copied().unwrap_or_default()
}

fn open_cursor(text: &str, secret: &Secret, listing: &Listing) -> Option<PaymentId> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (position, rest) = bytes.split_first_chunk::<POSITION>()?;
    let (filtered_by, sealed) = rest.split_first_chunk::<FILTERS>()?;
    let position = PaymentId::from_bytes(*position);
    let authentic = seal(secret, position, *filtered_by) == *sealed;
    (authentic && *filtered_by == filters(listing)).then_some(position)
}
