//! What the command prints.

use shared::account::Account;
use shared::keys::KeyRecord;
use shared::moment::{DAY_SECONDS, Timestamp};
use shared::payment::Payment;

/// A line of the account list.
pub fn account(account: &Account) -> String {
    let families: Vec<_> = account.xpubs.keys().map(String::as_str).collect();
    let receives = if families.is_empty() { "no extended key".to_owned() } else { families.join(", ") };
    let spread = match account.spread.get() {
        0 => String::new(),
        basis_points => format!("  spread {basis_points} basis points"),
    };
    let (id, state) = (account.merchant.as_str(), account.state.as_str());
    format!("{id}  {state:8}  {:24}  {receives}{spread}", account.name)
}

/// A line of the key list: never more of the key than its first characters (R25).
pub fn key(key: &KeyRecord, now: Timestamp) -> String {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", day(at)),
        (None, Some(at)) if at <= now => format!("expired {}", day(at)),
        (None, Some(at)) => format!("until {}", day(at)),
        (None, None) => "valid".to_owned(),
    };
    let used = key.last_used_day.map(|day| Timestamp(day.saturating_mul(DAY_SECONDS)));
    let used = used.map_or_else(|| "never used".to_owned(), |at| format!("used {}", day(at)));
    format!("{}…  {state}  {used}  {}  {}", key.shown, scopes.join(","), key.name)
}

/// What a reviewer needs to know of a payment.
pub fn identity(payment: &Payment, now: Timestamp) -> String {
    let identity = payment.identity();
    format!(
        "{}  {}  identity {} after {} of 3 attempts  {} USD  {}",
        payment.id().code(),
        payment.status(now).as_str(),
        identity.status.as_str(),
        identity.attempts,
        payment.terms().due(),
        payment.terms().request.title,
    )
}

/// What became of a payment that was told of money again: how it stands, and each transfer that is not as it was.
pub fn recovered(before: &Payment, after: &Payment, now: Timestamp) -> String {
    let (was, is) = (before.status(now).as_str(), after.status(now).as_str());
    let (had, has) = (before.received(), after.received());
    let late = if after.has_late_money() { ", late" } else { "" };
    let mut lines = vec![format!("{}  {was} -> {is}, received {had} -> {has} USD{late}", after.id().code())];
    for transfer in after.transfers() {
        let movement = transfer.movement();
        if before.transfer(&movement.id) != Some(transfer) {
            let amount = movement.units.display(movement.decimals);
            let state = after.state(transfer).as_str();
            lines.push(format!("  {amount} {} in {}: {state}", movement.coin, movement.tx_id));
        }
    }
    lines.join("\n")
}

fn day(at: Timestamp) -> String {
    at.to_string().chars().take("2026-03-09".len()).collect()
}
