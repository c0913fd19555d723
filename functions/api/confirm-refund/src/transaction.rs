//! The transaction that a wallet of Bitcoin and its like signs to pay a refund from what the payer sent.

use shared::account::Account;
use shared::app::App;
use shared::chain::address::ExtendedKey;
use shared::chain::bitcoin::{Network, bitcoin_script};
use shared::chain::psbt::{Spendable, Spending, spend};
use shared::chain::{Chain, Family};
use shared::payment::{Mode, Payment, Refund, Transfer, TransferState};
use shared::wallet::outpoint;

/// The highest fee for a virtual byte: tenfold what was ever needed.
pub const MAX_FEE_RATE: u64 = 1_000;

/// Where the network's fee comes from.
pub struct Funding {
    /// For each virtual byte; none leaves it to the wallet.
    pub fee_per_byte: Option<u64>,
    /// The merchant's own address for what is left over.
    pub change: Option<String>,
}

/// The transaction in base64; `None` where there is none: on other chains, for transfers that were only simulated, when
/// something would be left over that has nowhere to go, and after another refund, whose transaction spent some of the
/// same outputs.
pub fn unsigned(
    app: &App,
    account: &Account,
    payment: &Payment,
    refund: &Refund,
    chain: &Chain,
    funding: &Funding,
) -> Option<String> {
    if refund.is_followup() {
        return None;
    }
    let network = match (chain.family, payment.mode()) {
        (Family::Evm { .. }, _) => return None,
        (Family::Bitcoin { network, .. }, Mode::Live) => network,
        (Family::Bitcoin { test_network, .. }, Mode::Test) => test_network,
    };
    let xpub = match payment.mode() {
        Mode::Live => account.xpubs.get(chain.family.name()).map(String::as_str),
        Mode::Test => app.settings.test_xpub.as_deref(),
    };
    let key = xpub.and_then(|xpub| xpub.parse::<ExtendedKey>().ok());
    let counted = payment.transfers().filter(|transfer| {
        transfer.movement().coin == *refund.coin() && payment.state(transfer) == TransferState::Counted
    });
    let mut counted: Vec<_> = counted.collect();
    // The oldest first: whoever confirms again is to get a transaction that cannot be there beside the first.
    counted.sort_by_key(|transfer| (transfer.deep_since(), transfer.movement().id.clone()));
    let counted = counted.into_iter();
    let spendable = counted.filter_map(|transfer| spendable(payment, transfer, key.as_ref(), network));
    let script = |address: &str| bitcoin_script(address, network).ok();
    let change = match funding.change.as_deref() {
        Some(address) => Some(script(address)?),
        None => None,
    };
    let units = refund.units();
    let spending =
        Spending { script: script(refund.address()?)?, units, fee_per_byte: funding.fee_per_byte, change };
    spend(spendable.collect(), &spending).ok()
}

/// The output that a transfer is, by its key `chain:txid:vout`. Its signer is known as long as the account still has the
/// extended key that the address came from.
fn spendable(
    payment: &Payment,
    transfer: &Transfer,
    key: Option<&ExtendedKey>,
    network: Network,
) -> Option<Spendable> {
    let movement = transfer.movement();
    let given = payment.addresses().iter().find(|given| given.address == movement.address);
    let origin = given.zip(key).filter(|(given, key)| given.xpub == key.fingerprint());
    Some(Spendable {
        outpoint: outpoint(&movement.id)?,
        units: movement.units,
        script: bitcoin_script(&movement.address, network).ok()?,
        key: origin.and_then(|(given, key)| key.origin(given.index).ok()),
    })
}
