//! One refresh: ask the sources, accept what they agree on, keep it under its minute.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::NoRate;
use super::sources::Sources;
use crate::clock::Clock;
use crate::money::Rate;
use crate::store::{Store, StoreError};

/// What a refresh came to, by symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Has a rate for this minute.
    pub accepted: Vec<String>,
    /// Has none, and why.
    pub missing: BTreeMap<String, NoRate>,
}

/// Refreshes the rate of each symbol; one without a rate does not keep the others from theirs.
pub async fn refresh(
    store: &Store,
    sources: &Sources,
    symbols: &BTreeSet<String>,
    clock: Clock,
) -> Result<Refreshed, StoreError> {
    let mut accepted = Vec::new();
    let mut missing = BTreeMap::new();
    for (symbol, rate) in sources.rates(symbols).await {
        match rate {
            Ok(rate) => accepted.push((symbol, rate)),
            Err(reason) => {
                tracing::warn!(symbol, %reason, "no rate is accepted");
                missing.insert(symbol, reason);
            }
        }
    }
    // The minute is taken after the sources answered: a rate is never filed under a minute that a reader may already
    // have seen go by without one.
    let at = clock.now();
    let minute = at.minute();
    let put = async |(symbol, rate): &(String, Rate)| store.put_rate(symbol, minute, *rate).await;
    // All are tried before the first failure is told.
    join_all(accepted.iter().map(put)).await.into_iter().collect::<Result<(), StoreError>>()?;
    store.put_market(&accepted, &missing, at).await?;
    Ok(Refreshed { accepted: accepted.into_iter().map(|(symbol, _)| symbol).collect(), missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn fixed(json: &str) -> Sources {
        Sources::fixed(json).unwrap()
    }

    fn symbols() -> BTreeSet<String> {
        ["ETH", "USDC"].map(str::to_owned).into()
    }

    #[tokio::test]
    async fn r20_a_refresh_keeps_what_is_accepted_and_names_what_is_missing() {
        let store = testing::store().await;
        let sources = fixed(r#"{"ETH":"2500.00"}"#);
        let refreshed = refresh(&store, &sources, &symbols(), Clock::default()).await.unwrap();
        assert_eq!(
            refreshed,
            Refreshed {
                accepted: vec!["ETH".to_owned()],
                missing: [("USDC".to_owned(), NoRate::NotFixed)].into()
            }
        );
        let market = store.market(&[], Clock::default().now()).await.unwrap();
        assert_eq!(market.rates, [("ETH".to_owned(), "2500".parse().unwrap())].into());
        assert_eq!(
            market.rate("USDC"),
            Err(NoRate::NotFixed),
            "the reason is told to whoever asks for a quote"
        );
    }

    #[tokio::test]
    async fn refreshing_twice_comes_to_the_same() {
        let store = testing::store().await;
        let sources = fixed(r#"{"ETH":"2500.00","USDC":"1.00"}"#);
        let once = refresh(&store, &sources, &symbols(), Clock::default()).await.unwrap();
        let twice = refresh(&store, &sources, &symbols(), Clock::default()).await.unwrap();
        assert_eq!(once, twice);
    }

    #[tokio::test]
    async fn a_rate_that_was_not_kept_is_not_reported_as_accepted() {
        let store = testing::unreachable_store();
        let sources = fixed(r#"{"ETH":"2500.00","USDC":"1.00"}"#);
        let refreshed = refresh(&store, &sources, &symbols(), Clock::default()).await;
        assert!(matches!(refreshed, Err(StoreError::Unavailable(_))));
    }
}
