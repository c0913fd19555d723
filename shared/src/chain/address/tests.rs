//! Published vectors, the keys that a developer's chain is born with, and what must be refused.

use bitcoin::base58;
use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::{NetworkKind, XOnlyPublicKey};
use proptest::prelude::*;

use super::*;

/// The account of "test test test test test test test test test test test junk", which anvil and hardhat start with.
const ANVIL_XPUB: &str = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP";

/// That mnemonic's seed (BIP39, without a passphrase).
const ANVIL_SEED: &str = "9dfc3c64c2f8bede1533b6a79f8570e5943e0b8fd1cf77107adf7b72cef42185d564a3aee24cab43f80e3c4538087d70fc824eabbad596a23c97b6ee8322ccc0";

/// Vector 2 of BIP32: the chain `m`, its child `m/0`, and the secret of the first.
const BIP32_M: &str = "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB";
const BIP32_M_0: &str = "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH";
const BIP32_M_SECRET: &str = "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso3pGz6ssrdK4PFmM8NSpSBHNqPqm55Qn3LqFtT2emdEXVYsCzC2U";

fn key(text: &str) -> ExtendedKey {
    text.parse().unwrap()
}

/// The key's 78 bytes after `change`, as text with a right checksum.
fn changed(change: impl Fn(&mut [u8])) -> String {
    let mut bytes = base58::decode_check(ANVIL_XPUB).unwrap();
    change(&mut bytes);
    base58::encode_check(&bytes)
}

/// The account's private key; only a test may hold one.
fn anvil_account() -> Xpriv {
    let seed = Vec::<u8>::from_hex(ANVIL_SEED).unwrap();
    let path: DerivationPath = "m/44'/60'/0'".parse().unwrap();
    Xpriv::new_master(NetworkKind::Main, &seed).unwrap().derive_priv(&Secp256k1::new(), &path).unwrap()
}

#[test]
fn r24_addresses_are_those_that_every_wallet_derives() {
    let account = Xpub::from_priv(&Secp256k1::new(), &anvil_account());
    assert_eq!(account.to_string(), ANVIL_XPUB);
    let address = |index| key(ANVIL_XPUB).evm_address(index).unwrap().to_string();
    assert_eq!(address(0), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert_eq!(address(1), "0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
    assert_eq!(address(9), "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720");
}

#[test]
fn r24_the_receiving_chain_is_bip32s_child_zero() {
    assert_eq!(key(BIP32_M).receiving.to_string(), BIP32_M_0);
}

#[test]
fn r24_a_private_key_is_refused_and_not_repeated() {
    let secret = anvil_account().to_string();
    let test_secret = Xpriv { network: NetworkKind::Test, ..anvil_account() }.to_string();
    for text in [BIP32_M_SECRET, &secret, &test_secret, "zprvAWgYBBk7JR8GjrTXpg", "xprvbroken"] {
        let refused = text.parse::<ExtendedKey>().unwrap_err();
        assert_eq!(refused, AddressError::PrivateKey);
        let said = format!("{refused} {refused:?}");
        assert!(!said.contains(&text[4..]), "{said}");
    }
}

#[test]
fn r24_what_is_no_extended_public_key_is_refused() {
    let wrong_version = changed(|bytes| bytes[0] = 0x05);
    let no_point = changed(|bytes| bytes[45] = 0x04);
    let not_on_the_curve =
        changed(|bytes| bytes[46..78].copy_from_slice(&[[0; 31].as_slice(), &[7]].concat()));
    let too_deep = changed(|bytes| bytes[4] = 254);
    let root_with_a_parent = changed(|bytes| bytes[4] = 0);
    let wrong_checksum = format!("{}Q", &ANVIL_XPUB[..110]);
    let phrase = "test test test test test test test test test test test junk";
    for text in [
        "",
        "xpub",
        phrase,
        &wrong_version,
        &no_point,
        &not_on_the_curve,
        &too_deep,
        &root_with_a_parent,
        &wrong_checksum,
        &format!(" {ANVIL_XPUB}"),
        &ANVIL_XPUB[..110],
        ANVIL_SEED,
        "ключ",
    ] {
        assert_eq!(text.parse::<ExtendedKey>().unwrap_err(), AddressError::NoExtendedKey, "{text}");
    }
}

#[test]
fn r24_one_key_in_other_clothes_has_one_fingerprint_and_the_same_addresses() {
    let as_tpub = changed(|bytes| bytes[..4].copy_from_slice(&[0x04, 0x35, 0x87, 0xcf]));
    assert!(as_tpub.starts_with("tpub"));
    let elsewhere = changed(|bytes| bytes[4..13].copy_from_slice(&[5, 1, 2, 3, 4, 0, 0, 0, 9]));
    for other in [&as_tpub, &elsewhere] {
        assert_eq!(key(other).fingerprint(), key(ANVIL_XPUB).fingerprint());
        assert_eq!(key(other).evm_address(3), key(ANVIL_XPUB).evm_address(3));
    }
}

#[test]
fn r24_another_point_or_chain_code_is_another_fingerprint() {
    let other_code = changed(|bytes| bytes[13] ^= 1);
    let other_point = changed(|bytes| bytes[45] ^= 1);
    let mut prints = [ANVIL_XPUB, BIP32_M, &other_code, &other_point].map(|text| key(text).fingerprint());
    assert!(prints.iter().all(|print| print.len() == FINGERPRINT_DIGITS));
    prints.sort();
    assert!(prints.is_sorted_by(|one, next| one < next), "{prints:?}");
}

#[test]
fn r24_an_index_past_the_normal_ones_has_no_address() {
    assert!(key(ANVIL_XPUB).evm_address(0x7fff_ffff).is_ok());
    for index in [0x8000_0000, u32::MAX] {
        assert_eq!(key(ANVIL_XPUB).evm_address(index), Err(AddressError::NoSuchIndex));
    }
}

#[test]
fn r24_an_extended_key_is_not_printed() {
    let printed = format!("{:?}", key(ANVIL_XPUB));
    assert_eq!(printed, format!("ExtendedKey({})", key(ANVIL_XPUB).fingerprint()));
}

/// A hash that nobody chose, raised until it is a point's first half: no one knows the point's secret.
#[test]
fn r24_the_default_test_key_has_no_private_key() {
    let hash = |phrase: &str| <[u8; 32]>::from(Sha256::digest(phrase));
    let point = (0_u32..)
        .map(|n| hash(&format!("CryptoGap: test payments go to nobody, {n}")))
        .find_map(|x| XOnlyPublicKey::from_slice(&x).ok())
        .unwrap();
    let nobodys = Xpub {
        network: NetworkKind::Main,
        depth: 3,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Hardened { index: 0 },
        public_key: point.public_key(bitcoin::secp256k1::Parity::Even),
        chain_code: hash("CryptoGap: the chain code of nobody").into(),
    };
    assert_eq!(NOBODYS_XPUB, nobodys.to_string());
    assert!(key(NOBODYS_XPUB).evm_address(0).is_ok());
}

/// The vectors of EIP-55.
const CHECKSUMMED: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn an_address_is_written_with_its_checksum_and_read_in_any_case() {
    for text in CHECKSUMMED {
        let address: EvmAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(address.to_lower_hex(), text.to_lowercase());
        assert_eq!(text.to_lowercase().parse(), Ok(address));
        assert_eq!(format!("0x{}", text[2..].to_uppercase()).parse(), Ok(address));
    }
}

#[test]
fn an_address_with_a_mistyped_digit_is_refused() {
    for text in ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAec"] {
        assert_eq!(text.parse::<EvmAddress>(), Err(AddressError::WrongChecksum));
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let digits = "52908400098527886e0f7030069857d2e4169ee7";
    for text in [
        "",
        "0x",
        digits,
        &format!("0X{digits}"),
        &format!("0x{}", &digits[1..]),
        &format!("0x{digits}0"),
        &format!("0x{}g", &digits[1..]),
        &format!(" 0x{digits}"),
        &format!("0x+{}", &digits[1..]),
    ] {
        assert_eq!(text.parse::<EvmAddress>(), Err(AddressError::NoAddress), "{text}");
    }
}

#[test]
fn a_word_is_an_address_only_with_twelve_zeros_before_it() {
    let mut word = [0x11; 32];
    assert_eq!(EvmAddress::in_word(word), None);
    word[..12].fill(0);
    assert_eq!(EvmAddress::in_word(word), Some(EvmAddress([0x11; 20])));
    word[11] = 1;
    assert_eq!(EvmAddress::in_word(word), None);
}

proptest! {
    #[test]
    fn an_address_survives_being_written(bytes in any::<[u8; 20]>()) {
        let address = EvmAddress(bytes);
        prop_assert_eq!(address.to_string().parse(), Ok(address));
        prop_assert_eq!(address.to_lower_hex().parse(), Ok(address));
    }
}
