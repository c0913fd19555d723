//! Each command: read, one step, say what was done.

use clap::{Subcommand, ValueEnum};
use shared::account::AccountState;
use shared::admin::{self, NewKey};
use shared::app::Error;
use shared::chain::address::{AddressError, ExtendedKey, TEST_XPUB};
use shared::chain::bitcoin::Network;
use shared::clock::Clock;
use shared::keys::{KeyRecord, Scope};
use shared::moment::{DAY_SECONDS, Timestamp};
use shared::money::BasisPoints;
use shared::payment::{IdentityStep, MerchantId, Mode, Name, Payment};
use shared::settings::optional;
use shared::store::Store;

use crate::output;

/// Characters of a name.
const MAX_NAME: usize = 100;

/// A fifth: more than any market moves within a quote, and far from a typing error that gives a coin away.
const MAX_SPREAD: u64 = 2_000;

/// `operator account …`
#[derive(Subcommand)]
pub enum AccountCommand {
    /// Opens an account.
    Create {
        /// What you call the merchant.
        name: String,
    },
    /// Lists the accounts.
    List,
    /// Refuses every call of an account, within 30 seconds. Payers' money on its way is still watched.
    Disable {
        /// The account's id.
        account: String,
    },
    /// Lets an account call again.
    Enable {
        /// The account's id.
        account: String,
    },
    /// Sets how much less than the market's rate a coin is worth to the account's new payments.
    Spread {
        /// The account's id.
        account: String,
        /// In hundredths of a percent: 50 makes payers send half a percent more. 0 takes it back.
        #[arg(value_parser = clap::value_parser!(u64).range(..=MAX_SPREAD))]
        basis_points: u64,
    },
}

/// `operator key …`
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Makes a key and prints it: the only time that it is shown.
    Create {
        /// The account's id.
        account: String,
        /// Real money or a rehearsal.
        #[arg(long, value_enum, default_value = "test")]
        mode: KeyMode,
        /// What the merchant calls the key.
        #[arg(long, default_value = "key")]
        name: String,
        /// What it may do, once for each: payments:read, payments:write, refunds, wallets, webhooks or fees:read; without this,
        /// everything. A shop's website needs the first two, with which nobody can give money back.
        #[arg(long = "scope", value_parser = scope)]
        scopes: Vec<Scope>,
        /// After so many days it is refused.
        #[arg(long)]
        expires_in_days: Option<u64>,
    },
    /// Lists an account's keys.
    List {
        /// The account's id.
        account: String,
    },
    /// Takes a key back, within 30 seconds.
    Revoke {
        /// The account's id.
        account: String,
        /// The key's first characters, as `list` shows them.
        key: String,
    },
}

/// `operator xpub …`
#[derive(Subcommand)]
pub enum XpubCommand {
    /// Gives an account the extended public key that its live payments are paid to.
    Set {
        /// The account's id.
        account: String,
        /// The family of chains.
        #[arg(value_enum)]
        family: XpubFamily,
        /// The account's extended public key (m/44'/60'/0' for evm, m/84'/0'/0' for bitcoin, m/84'/2'/0' for litecoin),
        /// never a private one.
        xpub: String,
    },
}

/// `operator identity …`
#[derive(Subcommand)]
pub enum IdentityCommand {
    /// Shows where a payment's identity check is.
    Show {
        /// The payment's id or short code.
        payment: String,
    },
    /// Says yes: the payer may choose a coin.
    Approve {
        /// The payment's id or short code.
        payment: String,
    },
    /// Says no: the payer may try again while attempts are left.
    Reject {
        /// The payment's id or short code.
        payment: String,
    },
}

/// Chains that share addresses, and so an extended key.
#[derive(Clone, Copy, ValueEnum)]
pub enum XpubFamily {
    /// Ethereum and its like.
    Evm,
    /// Bitcoin.
    Bitcoin,
    /// Litecoin.
    Litecoin,
}

impl XpubFamily {
    fn name(self) -> &'static str {
        match self {
            XpubFamily::Evm => "evm",
            XpubFamily::Bitcoin => Network::Bitcoin.currency(),
            XpubFamily::Litecoin => Network::Litecoin.currency(),
        }
    }

    fn address(self, key: &ExtendedKey, index: u32) -> Result<String, AddressError> {
        match self {
            XpubFamily::Evm => key.evm_address(index).map(|address| address.to_string()),
            XpubFamily::Bitcoin => key.witness_address(index, Network::Bitcoin),
            XpubFamily::Litecoin => key.witness_address(index, Network::Litecoin),
        }
    }
}

/// Which payments a key makes and sees.
#[derive(Clone, Copy, ValueEnum)]
pub enum KeyMode {
    /// Real money.
    Live,
    /// A rehearsal.
    Test,
}

impl AccountCommand {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        match self {
            AccountCommand::Create { name } => {
                let account = admin::open_account(store, checked_name(&name)?).await?;
                println!("{}", output::account(&account));
            }
            AccountCommand::List => {
                for account in store.accounts(now()).await? {
                    println!("{}", output::account(&account));
                }
            }
            AccountCommand::Disable { account } => set_state(store, &account, AccountState::Disabled).await?,
            AccountCommand::Enable { account } => set_state(store, &account, AccountState::Enabled).await?,
            AccountCommand::Spread { account, basis_points } => {
                let merchant = known_account(store, &account).await?;
                let spread = BasisPoints::new(basis_points).ok_or("a spread is at most the whole")?;
                store.set_spread(&merchant, spread).await?;
                println!("{account} keeps {basis_points} basis points; payments made from in 30 seconds on");
            }
        }
        Ok(())
    }
}

impl KeyCommand {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        match self {
            KeyCommand::Create { account, mode, name, scopes, expires_in_days } => {
                let merchant = known_account(store, &account).await?;
                let expires_at = expires_in_days.map(|days| now().plus(days.saturating_mul(DAY_SECONDS)));
                let scopes = if scopes.is_empty() { Scope::ALL.to_vec() } else { scopes };
                let mode = match mode {
                    KeyMode::Live => Mode::Live,
                    KeyMode::Test => Mode::Test,
                };
                let name = checked_name(&name)?.to_owned();
                let key = admin::make_key(store, NewKey { merchant, mode, name, scopes, expires_at }, now())
                    .await?;
                println!("{}", key.reveal());
                eprintln!("This is the only time that the key is shown.");
            }
            KeyCommand::List { account } => {
                let merchant = known_account(store, &account).await?;
                for key in store.keys_of(&merchant).await? {
                    println!("{}", output::key(&key, now()));
                }
            }
            KeyCommand::Revoke { account, key } => {
                let record = the_key(store, &account, &key).await?;
                store.revoke_key(&record.hash, now()).await?;
                println!("{}… is revoked; within 30 seconds nobody accepts it", record.shown);
            }
        }
        Ok(())
    }
}

impl XpubCommand {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        let XpubCommand::Set { account, family, xpub } = self;
        let merchant = known_account(store, &account).await?;
        let key: ExtendedKey = xpub.parse()?;
        refuse_test_key(&key)?;
        store.set_xpub(&merchant, family.name(), &xpub).await?;
        println!("The first addresses of this key; compare them with your wallet:");
        for index in 0..3 {
            println!("  {index}  {}", family.address(&key, index)?);
        }
        Ok(())
    }
}

impl IdentityCommand {
    /// Does it.
    pub async fn run(self, store: &Store) -> Result<(), Error> {
        let payment = match self {
            IdentityCommand::Show { payment } => {
                let name: Name = payment.parse()?;
                let found = store.payment(name.code()).await?;
                found.filter(|payment| name.names(payment.id())).ok_or("there is no such payment")?
            }
            IdentityCommand::Approve { payment } => decide(store, &payment, IdentityStep::Approve).await?,
            IdentityCommand::Reject { payment } => decide(store, &payment, IdentityStep::Reject).await?,
        };
        println!("{}", output::identity(&payment, now()));
        Ok(())
    }
}

/// Takes the steps that the payer has still to take, and then decides (R18).
async fn decide(store: &Store, payment: &str, decision: IdentityStep) -> Result<Payment, Error> {
    let name: Name = payment.parse()?;
    let now = now();
    let decide = |payment: &Payment| -> Result<Payment, Error> {
        if !name.names(payment.id()) {
            return Err("there is no such payment".into());
        }
        Ok(payment.decide_identity(decision, now)?)
    };
    store.change_payment(name.code(), decide).await?.ok_or_else(|| "there is no such payment".into())
}

async fn set_state(store: &Store, account: &str, state: AccountState) -> Result<(), Error> {
    let merchant = known_account(store, account).await?;
    store.set_account_state(&merchant, state).await?;
    println!("{account} is {}; within 30 seconds everywhere", state.as_str());
    Ok(())
}

/// Whatever is sent to an address of a test key is lost, or anybody's: the product's own is public.
fn refuse_test_key(key: &ExtendedKey) -> Result<(), Error> {
    let deployments = optional("TEST_XPUB");
    for known in [Some(TEST_XPUB), deployments.as_deref()].into_iter().flatten() {
        // The same key in other clothes (zpub, tpub) has the same addresses.
        if known.parse::<ExtendedKey>()?.fingerprint() == key.fingerprint() {
            return Err("this is the test key, from which test payments have their addresses: nobody could spend what is sent to it".into());
        }
    }
    Ok(())
}

async fn known_account(store: &Store, account: &str) -> Result<MerchantId, Error> {
    let merchant = MerchantId::new(account);
    let found = store.account(&merchant, now()).await?;
    found.map(|account| account.merchant).ok_or_else(|| format!("there is no account {account}").into())
}

async fn the_key(store: &Store, account: &str, shown: &str) -> Result<KeyRecord, Error> {
    let merchant = known_account(store, account).await?;
    let shown = shown.trim_end_matches('…');
    let mut named = store.keys_of(&merchant).await?.into_iter().filter(|key| key.shown == shown);
    match (named.next(), named.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err("the account has no such key".into()),
        (Some(_), Some(_)) => {
            Err("two keys begin like this; revoke the account's keys one by one from its list".into())
        }
    }
}

fn checked_name(name: &str) -> Result<&str, Error> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
    if fits {
        Ok(name)
    } else {
        Err("a name has 1 to 100 characters and none that control a terminal".into())
    }
}

fn scope(name: &str) -> Result<Scope, String> {
    Scope::from_name(name)
        .ok_or_else(|| format!("must be one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

fn now() -> Timestamp {
    Clock::from_env().now()
}
