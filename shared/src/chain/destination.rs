//! Where money may be sent back to: an address of the coin's network, in one form; and the transaction that does it.

use super::address::{AddressError, EvmAddress};
use super::bitcoin::bitcoin_script;
use super::{Asset, Chain, Family};
use crate::payment::Mode;

/// The longest address that any network has.
const MAX_ADDRESS: usize = 120;

/// Why nothing is sent to an address; fit for whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is none, or of another network.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Longer than any.
    #[error("too long for an address")]
    TooLong,
    /// The zero address: what is sent there is gone.
    #[error("an address that nobody has")]
    Nobody,
    /// A token's contract keeps what is sent to it for ever.
    #[error("the address of a token's contract, which would keep the money")]
    Contract,
}

impl Chain {
    /// An address as it is kept and compared: EVM ones with their checksum, witness ones in lower case.
    pub fn destination(&self, text: &str, mode: Mode) -> Result<String, DestinationError> {
        let text = text.trim();
        if text.len() > MAX_ADDRESS {
            return Err(DestinationError::TooLong);
        }
        match self.family {
            Family::Evm { .. } => self.account(text.parse()?),
            Family::Bitcoin { network, test_network } => {
                let network = if mode == Mode::Live { network } else { test_network };
                bitcoin_script(text, network)?;
                let lower = text.to_ascii_lowercase();
                let is_witness = lower.starts_with(&format!("{}1", network.hrp()));
                Ok(if is_witness { lower } else { text.to_owned() })
            }
        }
    }

    fn account(&self, address: EvmAddress) -> Result<String, DestinationError> {
        if address == EvmAddress([0; 20]) {
            return Err(DestinationError::Nobody);
        }
        let contract = Asset::Token(address.to_lower_hex());
        if self.coins.iter().any(|coin| coin.asset == contract) {
            return Err(DestinationError::Contract);
        }
        Ok(address.to_string())
    }

    /// A transaction's id as the chain's watcher writes it; `None` for what can be none.
    pub fn transaction_id(&self, text: &str) -> Option<String> {
        const DIGITS: usize = 64;
        let lower = text.trim().to_ascii_lowercase();
        let digits = match self.family {
            Family::Evm { .. } => lower.strip_prefix("0x")?,
            Family::Bitcoin { .. } => &lower,
        };
        let is_hash = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then_some(lower)
    }
}

#[cfg(test)]
mod tests {
    //! Money that is sent to a wrong address does not come back.

    use super::*;
    use crate::chain::Chains;

    fn chains() -> Chains {
        Chains::parse(
            r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
                {"coin":"USDC","asset":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","decimals":6,"rate":"USDC","minimum_usd":"1.00"}],
                "confirmations":[{"blocks":12}]},
                {"chain":"bitcoin","family":"bitcoin","hrp":"bc","test_hrp":"tb","coins":[
                {"coin":"BTC","asset":"native","decimals":8,"rate":"BTC","minimum_usd":"1.00"}],
                "confirmations":[{"blocks":1}]}]"#,
        )
        .unwrap()
    }

    fn destination(chain: &str, text: &str, mode: Mode) -> Result<String, DestinationError> {
        chains().named(chain).unwrap().destination(text, mode)
    }

    #[test]
    fn an_account_is_kept_with_its_checksum_however_it_was_written() {
        let kept = "0x52908400098527886E0F7030069857D2E4169EE7";
        for written in [kept, &kept.to_lowercase(), &format!("  {kept}\n")] {
            assert_eq!(destination("ethereum", written, Mode::Live), Ok(kept.into()), "{written}");
        }
        let zero = format!("0x{}", "0".repeat(40));
        let token = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
        for (wrong, why) in [
            ("0x52908400098527886E0F7030069857D2E4169eE7", AddressError::WrongChecksum.into()),
            ("0x52908400098527886E0F7030069857D2E4169EE", AddressError::NoAddress.into()),
            (zero.as_str(), DestinationError::Nobody),
            (token, DestinationError::Contract),
            (&"x".repeat(121), DestinationError::TooLong),
        ] {
            assert_eq!(destination("ethereum", wrong, Mode::Live), Err(why), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_of_the_network_of_its_mode() {
        let (live, test) =
            ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx");
        assert_eq!(destination("bitcoin", &live.to_uppercase(), Mode::Live), Ok(live.into()));
        assert_eq!(destination("bitcoin", test, Mode::Test), Ok(test.into()));
        assert!(destination("bitcoin", test, Mode::Live).is_err());
        assert!(destination("bitcoin", live, Mode::Test).is_err());
        let hash = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2";
        assert_eq!(destination("bitcoin", hash, Mode::Live), Ok(hash.into()));
        assert!(destination("bitcoin", &hash.to_lowercase(), Mode::Live).is_err());
    }

    #[test]
    fn a_transaction_has_sixty_four_digits() {
        let (chains, digits) = (chains(), "AB".repeat(32));
        let id = |chain: &str, text: &str| chains.named(chain).unwrap().transaction_id(text);
        assert_eq!(id("bitcoin", &digits), Some(digits.to_lowercase()));
        assert_eq!(id("ethereum", &format!("0x{digits}")), Some(format!("0x{}", digits.to_lowercase())));
        for wrong in ["", "0x", &digits, &format!("0x{digits}0"), &format!("0x{}", "z".repeat(64))] {
            assert_eq!(id("ethereum", wrong), None, "{wrong}");
        }
    }
}
