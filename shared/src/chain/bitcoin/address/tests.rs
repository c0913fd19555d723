//! Published vectors (BIP84, BIP173, BIP350, SLIP-132), and the mistakes that payers and merchants make.

use bitcoin::NetworkKind;
use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::Secp256k1;
use proptest::prelude::*;

use super::*;
use crate::chain::address::{AddressKey, ExtendedKey};

/// The seed of "abandon abandon … about" (BIP39, without a passphrase), from which BIP84's vectors come.
const SEED: &str = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc19a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4";

/// BIP84's account 0 and SLIP-132's on the test network.
const ZPUB: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
const VPUB: &str = "vpub5Y6cjg78GGuNLsaPhmYsiw4gYX3HoQiRBiSwDaBXKUafCt9bNwWQiitDk5VZ5BVxYnQdwoTyXSs2JHRPAgjAvtbBrf8ZhDYe2jWAqvZVnsc";
const ZPRV: &str = "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE";

fn on(hrp: &str) -> Network {
    Network::with_hrp(hrp).unwrap()
}

fn address(key: &str, index: u32, hrp: &str) -> String {
    key.parse::<ExtendedKey>().unwrap().witness_address(index, on(hrp)).unwrap()
}

fn script(address: &str, hrp: &str) -> Result<String, AddressError> {
    bitcoin_script(address, on(hrp)).map(|script| script.to_lower_hex_string())
}

/// The same key with another version, as wallets of other currencies write it.
fn versioned(version: &str, key: &str) -> String {
    let bytes = base58::decode_check(key).unwrap();
    base58::encode_check(&[&Vec::from_hex(version).unwrap(), &bytes[4..]].concat())
}

#[test]
fn r24_addresses_are_those_of_bip84() {
    assert_eq!(address(ZPUB, 0, "bc"), "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
    assert_eq!(address(ZPUB, 1, "bc"), "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g");
    assert_eq!(address(VPUB, 0, "tb"), "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl");
    let litecoin: DerivationPath = "m/84'/2'/0'".parse().unwrap();
    let master = Xpriv::new_master(NetworkKind::Main, &Vec::from_hex(SEED).unwrap()).unwrap();
    let account = master.derive_priv(&Secp256k1::new(), &litecoin).unwrap();
    let account = bitcoin::bip32::Xpub::from_priv(&Secp256k1::new(), &account).to_string();
    assert_eq!(address(&account, 0, "ltc"), "ltc1qjmxnz78nmc8nq77wuxh25n2es7rzm5c2rkk4wh");
}

#[test]
fn r24_a_key_in_any_wallets_clothes_has_one_counter_and_the_same_addresses() {
    let key: ExtendedKey = ZPUB.parse().unwrap();
    for (form, version) in [
        ("xpub", "0488b21e"),
        ("tpub", "043587cf"),
        ("vpub", "045f1cf6"),
        ("Ltub", "019da462"),
        ("ttub", "0436f6e1"),
    ] {
        let other = versioned(version, ZPUB);
        assert!(other.starts_with(form), "{other}");
        assert_eq!(other.parse::<ExtendedKey>().unwrap().fingerprint(), key.fingerprint());
        assert_eq!(address(&other, 7, "bc"), address(ZPUB, 7, "bc"));
    }
}

#[test]
fn r24_a_key_whose_wallet_would_not_find_the_money_is_refused() {
    for (form, version) in [
        ("ypub", "049d7cb2"),
        ("upub", "044a5262"),
        ("Mtub", "01b26ef6"),
        ("Ypub", "0295b43f"),
        ("Zpub", "02aa7ed3"),
        ("Upub", "024289ef"),
        ("Vpub", "02575483"),
    ] {
        let other = versioned(version, ZPUB);
        assert!(other.starts_with(form), "{other}");
        assert_eq!(other.parse::<ExtendedKey>().unwrap_err(), AddressError::OtherWallet);
    }
}

#[test]
fn r24_private_keys_in_every_clothing_are_refused() {
    for version in
        ["0488ade4", "04358394", "049d7878", "045f18bc", "044a4e28", "019d9cfe", "01b26792", "0436ef7d"]
    {
        let private = versioned(version, ZPRV);
        assert_eq!(
            private.parse::<ExtendedKey>().unwrap_err(),
            AddressError::PrivateKey,
            "{}",
            &private[..4]
        );
    }
    assert_eq!(ZPRV.parse::<ExtendedKey>().unwrap_err(), AddressError::PrivateKey);
}

/// Those of BIP173 and BIP350 that have rules; the others are below.
#[test]
fn money_goes_back_to_every_form_of_segregated_witness_that_has_rules() {
    for (hrp, address, expected) in [
        ("bc", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        (
            "tb",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            "tb",
            "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
            "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
        ),
        (
            "tb",
            "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
            "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
        ),
        (
            "bc",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
    ] {
        assert_eq!(script(address, hrp).as_deref(), Ok(expected));
    }
}

#[test]
fn money_that_anyone_could_take_is_not_sent() {
    for (hrp, address) in [
        ("bc", "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y"),
        ("bc", "BC1SW50QGDZ25J"),
        ("bc", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"),
        ("bcrt", "bcrt1pfeesnyr2tx"),
    ] {
        assert_eq!(script(address, hrp), Err(AddressError::AnyoneCanSpend), "{address}");
    }
}

/// Those that BIP173 and BIP350 call invalid.
#[test]
fn a_misspelt_address_is_refused() {
    for (hrp, address) in [
        ("bc", "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut"),
        ("bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd"),
        ("tb", "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf"),
        ("bc", "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL"),
        ("bc", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh"),
        ("tb", "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47"),
        ("bc", "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4"),
        ("bc", "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R"),
        ("bc", "bc1pw5dgrnzv"),
        ("bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav"),
        ("bc", "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P"),
        ("tb", "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq"),
        ("bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf"),
        ("tb", "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j"),
        ("bc", "bc1gmk9yu"),
        ("bc", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3"),
        ("bc", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNL"),
        ("bc", ZPUB),
        ("bc", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        ("bc", "адрес"),
        ("bc", ""),
    ] {
        assert_eq!(script(address, hrp), Err(AddressError::NotAnAddressOf(on(hrp).name())), "{address}");
    }
}

#[test]
fn money_goes_back_to_the_old_forms_of_address_too() {
    let key_hash = Ok("76a91477bff20c60e522dfaa3350c39b030a5d004e839a88ac");
    assert_eq!(script("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "bc").as_deref(), key_hash);
    let bytes = |version: u8| base58::encode_check(&[&[version], [0x77; 20].as_slice()].concat());
    let (to_key, to_script) =
        (format!("76a914{}88ac", "77".repeat(20)), format!("a914{}87", "77".repeat(20)));
    for (hrp, versions, scripts) in [
        ("bc", [0x00].as_slice(), [0x05].as_slice()),
        ("tb", &[0x6f], &[0xc4]),
        ("bcrt", &[0x6f], &[0xc4]),
        ("ltc", &[0x30], &[0x32, 0x05]),
        ("tltc", &[0x6f], &[0x3a, 0xc4]),
        ("rltc", &[0x6f], &[0x3a, 0xc4]),
    ] {
        assert!(
            versions.iter().all(|version| script(&bytes(*version), hrp).as_ref() == Ok(&to_key)),
            "{hrp}"
        );
        assert!(
            scripts.iter().all(|version| script(&bytes(*version), hrp).as_ref() == Ok(&to_script)),
            "{hrp}"
        );
    }
}

#[test]
fn an_address_of_another_network_is_refused_by_name() {
    let said = |address: &str, hrp: &str| script(address, hrp).unwrap_err().to_string();
    let litecoin = address(ZPUB, 0, "ltc");
    assert_eq!(said(&litecoin, "bc"), "an address of Litecoin, not of Bitcoin");
    assert_eq!(said(&litecoin.to_uppercase(), "bc"), "an address of Litecoin, not of Bitcoin");
    let testing = "an address of Bitcoin's test network, not of Bitcoin";
    assert_eq!(said("tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl", "bc"), testing);
    assert_eq!(said("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "bc"), testing);
    let bitcoin = "an address of Bitcoin, not of Litecoin";
    assert_eq!(said("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "ltc"), bitcoin);
    assert!(said(&format!("ltcmweb1{}", "q".repeat(90)), "ltc").contains("MWEB"));
}

#[test]
fn only_the_form_that_is_given_out_is_read_back() {
    let key = |text: &str| on("bc").witness_key(text).map(|key| key.0.to_lower_hex_string());
    let given = key("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
    assert_eq!(given.as_deref(), Ok("c0cebcd6c3d3ca8c75dc5ec62ebe55330ef910e2"));
    for text in [
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl",
        "",
    ] {
        assert_eq!(key(text), Err(AddressError::NoAddress), "{text}");
    }
}

proptest! {
    #[test]
    fn an_address_survives_being_written_and_is_paid_by_its_script(hash in any::<[u8; 20]>()) {
        for network in Network::ALL {
            let address = network.witness_address(AddressKey(hash)).unwrap();
            prop_assert_eq!(network.witness_key(&address), Ok(AddressKey(hash)));
            prop_assert_eq!(bitcoin_script(&address, network), Ok([&[0x00, 0x14], hash.as_slice()].concat()));
        }
    }
}
