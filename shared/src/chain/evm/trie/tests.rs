//! Roots of lists that others have worked out.

use bitcoin::hex::DisplayHex;

use super::*;

fn root(items: &[Vec<u8>]) -> String {
    ordered_root(items).0.to_lower_hex_string()
}

#[test]
fn the_root_of_nothing_is_the_well_known_one() {
    assert_eq!(keccak(&[0x80]), EMPTY_ROOT);
    assert_eq!(ordered_root(&[]), EMPTY_ROOT);
}

/// Worked out by the `trie` library of the Ethereum Foundation: item `n` is the byte `n`, `1 + n % 40` times.
#[test]
fn roots_are_those_of_another_implementation() {
    let known = [
        (1, "7da536f7df63a0dfb481590e53be0e3063d9b798925cc3d479a3eb3155d0b394"),
        (2, "47a291e1f0920ea2b564d3d828c0f3a4691bc9f2b15813c5a3a3e7e3d6bd17ef"),
        (17, "fd0acc349d10c623311c31910cd43892a036fc692b96340a9ae1ff4225ef8feb"),
        (128, "2695ae12f944ae911270fc0457218c115d5eda80c662f5a1de95ca0737c37da5"),
        (129, "348c5a76e430d703e4d02e80941e91081af2211e693d506e08efa096c2566ac4"),
        (300, "bf867fe948c8078a13533331868c82048c1a9acc7f36d2170117d9ddf235e1e8"),
    ];
    for (items, expected) in known {
        let items: Vec<Vec<u8>> =
            (0..items).map(|n: usize| vec![u8::try_from(n % 256).unwrap(); 1 + n % 40]).collect();
        assert_eq!(root(&items), expected, "{}", items.len());
    }
}
