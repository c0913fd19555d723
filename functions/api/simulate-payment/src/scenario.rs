//! The scenarios and their fields, checked before anything happens.

use shared::chain::CoinId;
use shared::moment::DAY_SECONDS;
use shared::money::{BasisPoints, Cents};
use shared::payment::{Fields, InvalidParameter};

/// Characters of a transfer's id.
const MAX_TRANSFER_ID: usize = 64;

/// Characters of a reason.
const MAX_REASON: usize = 500;

/// The longest step of time: past everything that a payment waits for.
const MAX_ADVANCE_SECONDS: u64 = 366 * DAY_SECONDS;

/// The most that one transfer can be of what is due.
const MAX_PERCENT: u64 = 1_000;

/// One thing that can be made to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The reviewer or BankID says yes.
    ApproveIdentity,
    /// The reviewer or BankID says no.
    RejectIdentity,
    /// The payer chooses a coin; `None`: the first offered, or the selected one again.
    ChooseCoin(Option<CoinId>),
    /// Money arrives.
    Transfer(Arrival),
    /// A transfer gets its confirmations.
    Confirm(String),
    /// The chain takes a transfer away.
    Reorg(String),
    /// Time passes.
    Advance(u64),
    /// The short way to `paid`, in this coin if there is still one to choose.
    Pay(Option<CoinId>),
    /// The chain shows a confirmed refund's transaction, deep enough; `None`: of the only coin that waits for one.
    Refund(Option<CoinId>),
}

/// Money that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How much.
    pub size: Size,
    /// Whether it has its confirmations at once.
    pub confirmed: bool,
    /// Its name; `None` makes a new one.
    pub transfer_id: Option<String>,
}

/// How much money arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Hundredths of a percent of what is due.
    Share(u64),
    /// So many dollars.
    Usd(Cents),
    /// What is still missing.
    Rest,
}

impl Arrival {
    /// What is still missing, confirmed.
    pub fn rest() -> Arrival {
        Arrival { size: Size::Rest, confirmed: true, transfer_id: None }
    }
}

impl Scenario {
    const NAMES: &str = "must be one of approve_identity, reject_identity, choose_coin, transfer, confirm, reorg, \
                         advance, pay, refund";

    /// Reads a request's body.
    pub fn parse(body: &str) -> Result<Scenario, InvalidParameter> {
        let fields = Fields::parse(body)?;
        let invalid = || InvalidParameter::new("scenario", Scenario::NAMES);
        let name: String = fields.get("scenario", Scenario::NAMES)?.ok_or_else(invalid)?;
        let takes: &[&str] = match name.as_str() {
            "approve_identity" | "reject_identity" => &["scenario", "reason"],
            "choose_coin" | "pay" | "refund" => &["scenario", "coin"],
            "transfer" => &["scenario", "percent", "amount_usd", "confirmed", "transfer_id"],
            "confirm" | "reorg" => &["scenario", "transfer_id"],
            "advance" => &["scenario", "seconds"],
            _ => return Err(invalid()),
        };
        fields.only(takes)?;
        match name.as_str() {
            "approve_identity" => reason(&fields).map(|()| Scenario::ApproveIdentity),
            "reject_identity" => reason(&fields).map(|()| Scenario::RejectIdentity),
            "choose_coin" => coin(&fields).map(Scenario::ChooseCoin),
            "transfer" => arrival(&fields).map(Scenario::Transfer),
            "confirm" => known_transfer(&fields).map(Scenario::Confirm),
            "reorg" => known_transfer(&fields).map(Scenario::Reorg),
            "advance" => seconds(&fields).map(Scenario::Advance),
            "pay" => coin(&fields).map(Scenario::Pay),
            "refund" => coin(&fields).map(Scenario::Refund),
            _ => Err(invalid()),
        }
    }
}

fn reason(fields: &Fields) -> Result<(), InvalidParameter> {
    let rule = "must be a string of at most 500 characters";
    let text: Option<String> = fields.get("reason", rule)?;
    let fits = text.is_none_or(|text| text.chars().count() <= MAX_REASON);
    if fits { Ok(()) } else { Err(InvalidParameter::new("reason", rule)) }
}

fn coin(fields: &Fields) -> Result<Option<CoinId>, InvalidParameter> {
    let rule = "must be the name of a coin";
    let Some(name) = fields.get::<String>("coin", rule)? else { return Ok(None) };
    CoinId::new(&name).map(Some).ok_or_else(|| InvalidParameter::new("coin", rule))
}

fn arrival(fields: &Fields) -> Result<Arrival, InvalidParameter> {
    let size = match (fields.raw("percent"), fields.amount("amount_usd")?) {
        (Some(_), Some(_)) => return Err(InvalidParameter::new("percent", "must not come with amount_usd")),
        (Some(percent), None) => Size::Share(share(percent)?),
        (None, Some(amount)) => Size::Usd(amount),
        (None, None) => Size::Share(BasisPoints::WHOLE.get()),
    };
    Ok(Arrival {
        size,
        confirmed: fields.get("confirmed", "must be true or false")?.unwrap_or(true),
        transfer_id: transfer_id(fields)?,
    })
}

/// A percentage is read like an amount of money: two decimals, rounded half-up.
fn share(percent: &str) -> Result<u64, InvalidParameter> {
    let invalid = || InvalidParameter::new("percent", "must be a number from 0.01 to 1000");
    let hundredths = Cents::parse_amount(percent).map_err(|_| invalid())?;
    let most = MAX_PERCENT.saturating_mul(100);
    if hundredths.0 <= most { Ok(hundredths.0) } else { Err(invalid()) }
}

fn transfer_id(fields: &Fields) -> Result<Option<String>, InvalidParameter> {
    let rule = "must have 1 to 64 letters, digits, `-` or `_`";
    let Some(id) = fields.get::<String>("transfer_id", rule)? else { return Ok(None) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !id.is_empty() && id.len() <= MAX_TRANSFER_ID && id.bytes().all(plain);
    fits.then_some(Some(id)).ok_or_else(|| InvalidParameter::new("transfer_id", rule))
}

/// The id that `transfer` was given, or the one that the API shows.
fn known_transfer(fields: &Fields) -> Result<String, InvalidParameter> {
    let id: Option<String> = fields.get("transfer_id", "must be a string")?;
    id.ok_or_else(|| InvalidParameter::new("transfer_id", "is required"))
}

fn seconds(fields: &Fields) -> Result<u64, InvalidParameter> {
    let invalid = |rule: &str| InvalidParameter::new("seconds", rule);
    let rule = "must be a whole number from 1 to 31622400";
    let seconds: u64 = fields.get("seconds", rule)?.ok_or_else(|| invalid("is required"))?;
    if (1..=MAX_ADVANCE_SECONDS).contains(&seconds) { Ok(seconds) } else { Err(invalid(rule)) }
}
