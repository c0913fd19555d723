//! The networks of Bitcoin and its like, told apart by the prefix of their addresses (BIP173).

use bitcoin::bech32::{self, Hrp};

use crate::chain::address::{AddressError, AddressKey};
use crate::money::Units;

/// A network on which addresses have a prefix of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// Where bitcoins are money.
    Bitcoin,
    /// Where they are none.
    BitcoinTest,
    /// Everybody's own.
    BitcoinRegtest,
    /// Where litecoins are money.
    Litecoin,
    /// Where they are none.
    LitecoinTest,
    /// Everybody's own.
    LitecoinRegtest,
}

impl Network {
    pub(super) const ALL: [Network; 6] = [
        Network::Bitcoin,
        Network::BitcoinTest,
        Network::BitcoinRegtest,
        Network::Litecoin,
        Network::LitecoinTest,
        Network::LitecoinRegtest,
    ];

    /// The prefix of its addresses.
    pub fn hrp(self) -> &'static str {
        match self {
            Network::Bitcoin => "bc",
            Network::BitcoinTest => "tb",
            Network::BitcoinRegtest => "bcrt",
            Network::Litecoin => "ltc",
            Network::LitecoinTest => "tltc",
            Network::LitecoinRegtest => "rltc",
        }
    }

    /// The network with that prefix.
    pub fn with_hrp(hrp: &str) -> Option<Network> {
        Network::ALL.into_iter().find(|network| network.hrp() == hrp)
    }

    /// What its links and extended keys are called: `bitcoin` (BIP21), `litecoin`.
    pub fn currency(self) -> &'static str {
        match self {
            Network::Bitcoin | Network::BitcoinTest | Network::BitcoinRegtest => "bitcoin",
            Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest => "litecoin",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Network::Bitcoin => "Bitcoin",
            Network::BitcoinTest => "Bitcoin's test network",
            Network::BitcoinRegtest => "Bitcoin's regression test",
            Network::Litecoin => "Litecoin",
            Network::LitecoinTest => "Litecoin's test network",
            Network::LitecoinRegtest => "Litecoin's regression test",
        }
    }

    /// The hashes of block 0 of all networks with its prefix, as people write them: Bitcoin's testnet 3, testnet 4 and
    /// signet share theirs.
    pub(super) fn genesis(self) -> &'static [&'static str] {
        match self {
            Network::Bitcoin => &["000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"],
            Network::BitcoinTest => &[
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
                "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
                "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
            ],
            Network::BitcoinRegtest => &["0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"],
            Network::Litecoin => &["12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"],
            Network::LitecoinTest => &["4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"],
            Network::LitecoinRegtest => &["530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"],
        }
    }

    /// The network whose block 0 has that hash.
    pub(super) fn with_genesis(hash: &str) -> Option<Network> {
        Network::ALL.into_iter().find(|network| network.genesis().contains(&hash))
    }

    /// The first byte of its older addresses that stand for a key's hash. The test networks share theirs.
    pub(super) fn key_hash_version(self) -> u8 {
        match self {
            Network::Bitcoin => 0x00,
            Network::Litecoin => 0x30,
            Network::BitcoinTest
            | Network::BitcoinRegtest
            | Network::LitecoinTest
            | Network::LitecoinRegtest => 0x6f,
        }
    }

    /// The first bytes of its older addresses that stand for a script's hash. Litecoin's once began like Bitcoin's, and
    /// its nodes still pay to those.
    pub(super) fn script_hash_versions(self) -> &'static [u8] {
        match self {
            Network::Bitcoin => &[0x05],
            Network::BitcoinTest | Network::BitcoinRegtest => &[0xc4],
            Network::Litecoin => &[0x32, 0x05],
            Network::LitecoinTest | Network::LitecoinRegtest => &[0x3a, 0xc4],
        }
    }

    /// The least that nodes pass on to an address of ours: 98 bytes to make and spend such an output, at the rate below
    /// which their defaults call it dust.
    pub fn dust(self) -> Units {
        match self {
            Network::Bitcoin | Network::BitcoinTest | Network::BitcoinRegtest => Units(294),
            Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest => Units(2_940),
        }
    }

    /// The mean time between its blocks.
    pub fn block_seconds(self) -> u64 {
        match self {
            Network::Bitcoin | Network::BitcoinTest | Network::BitcoinRegtest => 600,
            Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest => 150,
        }
    }

    /// The key's hash in an address that we gave out: version 0, twenty bytes (BIP141).
    pub fn witness_key(self, address: &str) -> Result<AddressKey, AddressError> {
        let (hrp, version, program) = bech32::segwit::decode(address).map_err(|_| AddressError::NoAddress)?;
        let program = <[u8; 20]>::try_from(program).map_err(|_| AddressError::NoAddress)?;
        let ours = hrp.as_str().eq_ignore_ascii_case(self.hrp()) && version == bech32::segwit::VERSION_0;
        ours.then_some(AddressKey(program)).ok_or(AddressError::NoAddress)
    }

    /// The address of a key's hash.
    pub fn witness_address(self, key: AddressKey) -> Result<String, AddressError> {
        let hrp = Hrp::parse(self.hrp()).map_err(|_| AddressError::NoAddress)?;
        bech32::segwit::encode_v0(hrp, &key.0).map_err(|_| AddressError::NoAddress)
    }
}
