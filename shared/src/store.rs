//! DynamoDB: one file per table, and what their calls share.

mod accounts;
mod addresses;
pub mod attribute;
mod chains;
mod given;
mod keys;
mod payments;
mod places;
mod position;
mod rates;
mod retries;
#[cfg(test)]
pub(crate) mod testing;
mod transaction;
mod turns;
mod unknown;
mod unreadable;
mod wallets;

pub use addresses::{WATCHED_SECONDS, Watched};
pub use chains::{
    AwaitedPayout, BlockHash, BlockState, Cursor, Held, Market, Note, Onward, Outlying, RestPlace, Rival,
    Sighting, TouchedBlock, TouchedPayout, TouchedTransfer,
};
pub(crate) use chains::{Part, TRANSFERS_TOLD, latest, parts};
pub use given::{Given, Look, ScanPlace};
pub use payments::{Created, DUE_PAGE, DUE_SHARDS, Found, Listing, Page, PageRequest};
pub use places::Place;
pub use retries::{PUT_OFF, PutOff, SweepStart};
pub use turns::Turn;

pub use position::Position;
pub use wallets::{NotedWallet, Reach};

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::settings::{SettingsError, required};

/// Losing this many races for one item in a row means something is wrong, not busy.
const ATTEMPTS: usize = 8;

/// How long a start waits for its connection.
const OPENED_WITHIN: Duration = Duration::from_secs(1);

/// The tables, and a way to them.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Tables,
    unreadable: unreadable::Unreadable,
}

/// The tables' names.
#[derive(Clone, Debug)]
pub struct Tables {
    /// One item per payment.
    pub payments: String,
    /// One item per API key.
    pub keys: String,
    /// One item per account, and one per extended key.
    pub accounts: String,
    /// Addresses given out.
    pub addresses: String,
    /// What was seen on each chain, and rates.
    pub chains: String,
}

impl Tables {
    /// Reads the names from the environment.
    pub fn from_env() -> Result<Tables, SettingsError> {
        Ok(Tables {
            payments: required("PAYMENTS_TABLE")?,
            keys: required("KEYS_TABLE")?,
            accounts: required("ACCOUNTS_TABLE")?,
            addresses: required("ADDRESSES_TABLE")?,
            chains: required("CHAINS_TABLE")?,
        })
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Others changed the same item each time that we tried to.
    #[error("the item was changed by others {ATTEMPTS} times in a row")]
    Contended,
    /// The table refuses for now: throttled.
    #[error("the table is throttled")]
    Throttled,
    /// The call failed.
    #[error("the table could not be reached: {0}")]
    Unavailable(String),
    /// An item is not what was written.
    #[error("an item of the table cannot be read: {0}")]
    Malformed(String),
}

impl Store {
    /// Over a client that is already set up.
    pub fn new(client: Client, tables: Tables) -> Store {
        Store { client, tables, unreadable: unreadable::Unreadable::default() }
    }

    /// Opens a connection before the first call: Lambda does not throttle a function while it starts.
    ///
    /// Reads a payment that does not exist, and waits no longer than a second for the answer: what goes wrong shows again,
    /// and is told, at the first call.
    pub async fn open_connection(&self) {
        let read = self.client.get_item().table_name(&self.tables.payments).key("code", attribute::s("-"));
        match tokio::time::timeout(OPENED_WITHIN, read.send()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = %failed(error), "no connection at the start"),
            Err(_) => tracing::warn!("no connection at the start in time"),
        }
    }
}

/// Whether a write on a condition was done; `false` when the condition did not hold.
fn is_done<T, E, R>(written: Result<T, SdkError<E, R>>) -> Result<bool, StoreError>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// What a call's failure means, without the item that it carried.
fn failed<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    const THROTTLED: [&str; 3] =
        ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];
    match error.code() {
        Some(code) if THROTTLED.contains(&code) => StoreError::Throttled,
        Some(code) => StoreError::Unavailable(format!("{code}: {}", error.message().unwrap_or_default())),
        None => StoreError::Unavailable(DisplayErrorContext(error).to_string()),
    }
}
