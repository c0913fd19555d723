//! The account, keys and payments that the sample events below `events/` speak of.
//!
//! Their keys are made of fixed bytes and open nothing but a database on this machine.

use std::collections::BTreeMap;

use shared::account::{Account, AccountState};
use shared::chain::address::{AddressError, ExtendedKey, NOBODYS_XPUB};
use shared::chain::{ChainId, CoinId};

use shared::keys::{ApiKey, KeyRecord, Scope};
use shared::moment::Timestamp;
use shared::money::{BasisPoints, Cents, Decimals, Rate};
use shared::payment::{
    BlockAt, ClaimSecret, Event, Fee, FeePaidBy, GivenAddress, IdentityStep, KycMethod, MerchantId, Mode,
    Movement, Offer, Payment, PaymentId, Refusal, Report, Request, Secret, Sequence, Standing, Terms,
    TransferId,
};
use shared::store::{Store, StoreError};

/// What had happened to a payment before the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// Nothing.
    New,
    /// Identity is approved.
    Approved,
    /// A coin is chosen.
    Chosen,
    /// It is paid.
    Paid,
    /// It was withdrawn, and then its money came.
    Late,
    /// The same, and a claim link is out.
    Asked,
    /// The same, and the payer gave an address.
    Claimed,
}

/// The payments that the events name.
const PAYMENTS: [(&str, Past); 11] = [
    ("019cd2a1-7c40-7abc-80de-f01234567890", Past::New),
    ("019cd2a1-7c40-7abc-81de-f01234567891", Past::New),
    ("019cd2a1-7c40-7abc-82de-f01234567892", Past::Paid),
    ("019cd2a1-7c40-7abc-83de-f01234567893", Past::Paid),
    ("019cd2a1-7c40-7abc-84de-f01234567894", Past::New),
    ("019cd2a1-7c40-7abc-85de-f01234567895", Past::Chosen),
    ("019cd2a1-7c40-7abc-86de-f01234567896", Past::Approved),
    ("019cd2a1-7c40-7abc-90de-f01234567a00", Past::Late),
    ("019cd2a1-7c40-7abc-91de-f01234567a01", Past::Late),
    ("019cd2a1-7c40-7abc-92de-f01234567a02", Past::Claimed),
    ("019cd2a1-7c40-7abc-93de-f01234567a03", Past::Asked),
];

/// The secret of the claim links.
const CLAIM_SECRET: [u8; 16] = [7; 16];

/// The address that the payer gave.
const PAYERS_ADDRESS: &str = "0x52908400098527886E0F7030069857D2E4169EE7";

/// The block that holds what was paid.
const SAMPLE_HEIGHT: u64 = 20_000_000;

/// The account of the events.
const MERCHANT: &str = "mer_demo";

/// Why the samples are not there.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sample does not do what its events say.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key of nobody gives no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A sample is mistyped.
    #[error("a sample is mistyped: {0}")]
    Mistyped(&'static str),
}

/// Writes the samples where they are not there yet; the payments' ids, in the order of their names.
pub async fn prepare(store: &Store, now: Timestamp) -> Result<Vec<PaymentId>, SampleError> {
    let merchant = MerchantId::new(MERCHANT);
    if store.insert_account(&account(merchant.clone())).await? {
        for (mode, byte) in [(Mode::Test, 1), (Mode::Live, 2)] {
            store.insert_key(&key(&merchant, mode, byte, now)).await?;
        }
        for (id, past) in PAYMENTS {
            let payment = payment(store, &merchant, parsed(id)?, past, now).await?;
            store.insert_payment(&payment).await?;
        }
    }
    PAYMENTS.into_iter().map(|(id, _)| parsed(id)).collect()
}

fn parsed(id: &'static str) -> Result<PaymentId, SampleError> {
    id.parse().map_err(|_| SampleError::Mistyped(id))
}

fn account(merchant: MerchantId) -> Account {
    Account {
        merchant,
        name: "Demo shop".to_owned(),
        state: AccountState::Enabled,
        secret: Secret::new([3; 32]),
        fee_rate: None,
        fee_minimum: None,
        free_volume: None,
        spread: BasisPoints::ZERO,
        xpubs: BTreeMap::new(),
        volume_used: Cents::ZERO,
    }
}

fn key(merchant: &MerchantId, mode: Mode, byte: u8, now: Timestamp) -> KeyRecord {
    let key = ApiKey::new(mode, [byte; 32]);
    KeyRecord {
        hash: key.hash(),
        merchant: merchant.clone(),
        mode,
        scopes: Scope::ALL.to_vec(),
        name: "events".to_owned(),
        shown: key.shown(),
        created_at: now,
        expires_at: None,
        revoked_at: None,
        last_used_day: None,
    }
}

async fn payment(
    store: &Store,
    merchant: &MerchantId,
    id: PaymentId,
    past: Past,
    now: Timestamp,
) -> Result<Payment, SampleError> {
    let request = Request {
        title: "Order #1041".to_owned(),
        description: Some("2 × T-shirt".to_owned()),
        amount: Cents(4_999),
        kyc_method: KycMethod::IdUpload,
        allow_bankid: false,
        fee_paid_by: FeePaidBy::Merchant,
        metadata: None,
    };
    let fee = Fee { usd: Cents(50), free_tier: false };
    let terms = Terms {
        request,
        fee,
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at: now,
        idempotency: None,
    };
    let mut payment = Payment::new(id, merchant.clone(), Mode::Test, terms);
    if past == Past::New {
        return Ok(payment);
    }
    payment = payment.decide_identity(IdentityStep::Approve, now)?;
    if past == Past::Approved {
        return Ok(payment);
    }
    let address = address(store, id).await?;
    payment = payment.apply(Event::Choose(offer(address)?), now)?;
    if past == Past::Chosen {
        return Ok(payment);
    }
    let paid = paid(&payment, now)?;
    if past == Past::Paid {
        return Ok(payment.apply(Event::Reported(paid), now)?);
    }
    let cancelled = payment.apply(Event::Cancel, now)?;
    let late = cancelled.apply(Event::Reported(paid), now)?;
    Ok(refund(past).into_iter().try_fold(late, |payment, event| payment.apply(event, now))?)
}

/// What was done to give its money back.
fn refund(past: Past) -> Vec<Event> {
    let secret = ClaimSecret::new(CLAIM_SECRET).hash();
    let ask = CoinId::new("ETH").map(|coin| Event::RequestRefund { coin, units: None, secret });
    let claim = Event::ClaimRefund { secret, address: PAYERS_ADDRESS.to_owned() };
    match past {
        Past::New | Past::Approved | Past::Chosen | Past::Paid | Past::Late => Vec::new(),
        Past::Asked => ask.into_iter().collect(),
        Past::Claimed => ask.into_iter().chain([claim]).collect(),
    }
}

async fn address(store: &Store, id: PaymentId) -> Result<GivenAddress, SampleError> {
    let key: ExtendedKey = NOBODYS_XPUB.parse()?;
    let index = store.next_index(&key.fingerprint(), &id.to_string()).await?;
    let address = key.evm_address(index)?.to_string();
    let given = GivenAddress { family: "evm".to_owned(), address, xpub: key.fingerprint(), index };
    store.claim_address(&given, id.code()).await?;
    Ok(given)
}

fn offer(address: GivenAddress) -> Result<Offer, SampleError> {
    let mistyped = SampleError::Mistyped;
    Ok(Offer {
        coin: CoinId::new("ETH").ok_or(mistyped("ETH"))?,
        decimals: Decimals::new(18).ok_or(mistyped("18"))?,
        rate: Rate::new(250_000_000_000).ok_or(mistyped("2500"))?,
        address,
    })
}

/// The whole quoted amount, deep enough.
fn paid(payment: &Payment, now: Timestamp) -> Result<Report, SampleError> {
    let missing = || SampleError::Mistyped("a quote");
    let quote = payment.quote().ok_or_else(missing)?;
    let address = payment.selection().ok_or_else(missing)?.address.clone();
    let movement = Movement {
        id: TransferId::new(format!("ethereum:sample:native:{}:0", address.to_lowercase())),
        coin: quote.coin.clone(),
        decimals: quote.decimals,
        chain: ChainId::new("ethereum").ok_or_else(missing)?,
        tx_id: "sample".to_owned(),
        address,
        units: quote.units,
        confirmations_required: 12,
    };
    let block = BlockAt { height: SAMPLE_HEIGHT, time: now };
    let standing = Standing::InBlock { block, confirmations: 12 };
    Ok(Report { movement, sequence: Sequence(1), at: now, standing, rates: Vec::new() })
}
