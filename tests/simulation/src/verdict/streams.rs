//! The end of what follows the payments: wallets and volume say what the payments say.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::json;
use shared::payment::{MerchantId, Mode, Payment};
use shared::wallet::{Owner, Wallet};

use crate::actors::World;
use crate::desk::{MERCHANT, STAGE, VOLUME};

/// More wallets than any history has.
const WALLETS: usize = 1_000;

/// What is wrong with the wallets of these payments.
pub fn wallets(world: &World, payments: &[Payment]) -> Vec<String> {
    let owner = Owner { merchant: MerchantId::new(MERCHANT), mode: Mode::Live };
    let store = &world.apps[STAGE].store;
    let mut reading = pin!(store.wallets(&owner, None, WALLETS));
    let Poll::Ready(Ok((noted, _))) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        return vec!["the wallets cannot be read".to_owned()];
    };
    let noted: BTreeMap<String, Wallet> =
        noted.into_iter().map(|noted| (noted.wallet.given.address.clone(), noted.wallet)).collect();
    let mut wrong = Vec::new();
    for wallet in payments.iter().flat_map(Payment::wallets) {
        let address = &wallet.given.address;
        if noted.get(address) != Some(&wallet) {
            wrong.push(format!("{wallet:?} was noted as {:?}", noted.get(address)));
        }
        let reach = pin!(store.reach(&wallet.given.xpub)).poll(&mut Context::from_waker(Waker::noop()));
        let is_reached =
            matches!(reach, Poll::Ready(Ok(reach)) if reach.highest_used >= Some(wallet.given.index));
        if wallet.has_money() && !is_reached {
            wrong.push(format!("nobody looks as far as {address}, which has money"));
        }
    }
    wrong
}

/// What is wrong with the volume: each payment that was ever paid counts once.
pub fn volume(world: &World) -> Option<String> {
    let state = world.net.lock();
    let account = state.item("Accounts", &json!({ "account": { "S": MERCHANT } }))?;
    let months = account.as_object()?.iter().filter(|(name, _)| name.starts_with(VOLUME));
    let counted: u64 = months.filter_map(|(_, sum)| sum["N"].as_str()?.parse::<u64>().ok()).sum();
    let paid: u64 = state.record.payments().values().filter(|it| it.was_paid).map(|it| it.due.0).sum();
    (counted != paid).then(|| format!("counted {counted} cents of volume, but {paid} were paid (R14)"))
}
