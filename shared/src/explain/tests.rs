//! What is said of a payment at the turns of its life, to the letter.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chain::{ChainId, CoinId};
use crate::moment::DAY_SECONDS;
use crate::payment::tests::{arb_payment, at, chosen, counted};
use crate::payment::{Event, LIFETIME_SECONDS, Window};

fn chains() -> Chains {
    Chains::parse(
        r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
            {"coin":"ETH","asset":"native","decimals":2,"rate":"ETH","minimum_usd":"1.00"}],
            "confirmations":[{"below_usd":"10.00","blocks":1},{"below_usd":"10000.00","blocks":3},{"finalized":64}]}]"#,
    )
    .unwrap()
}

fn explain(payment: &Payment, seconds: u64) -> Value {
    serde_json::to_value(Explanation::new(payment, &chains(), &Offers::default(), at(seconds))).unwrap()
}

/// Sentences with moments told in seconds since the payment was made: `+60`.
fn said(payment: &Payment, seconds: u64) -> Vec<String> {
    let explanation = explain(payment, seconds);
    let sentences = explanation["sentences"].as_array().unwrap().iter();
    sentences.map(|sentence| relative(sentence.as_str().unwrap())).collect()
}

fn relative(sentence: &str) -> String {
    let moments =
        [0, 10, 60, 70, 910, LIFETIME_SECONDS, LIFETIME_SECONDS + 60, LIFETIME_SECONDS + 3 * DAY_SECONDS];
    moments.into_iter().fold(sentence.to_owned(), |text, seconds| {
        text.replace(&at(seconds).to_string(), &format!("+{seconds}"))
    })
}

fn closed(height: u64) -> Event {
    let chain = ChainId::new("ethereum").unwrap();
    Event::Expire { windows: vec![Window { chain, height }], complete: true }
}

#[test]
fn a_payment_that_waits() {
    assert_eq!(
        said(&chosen(), 20),
        [
            "The payment is pending because identity is approved and no money counts yet.",
            "100.00 USD are due; the merchant pays the fee of 1.00 USD.",
            "Money first seen before +864000 is in time.",
            "The quote of +10 asked for 0.04 ETH to settle 100.00 USD at 2500.00 USD; it holds until +910, and \
             nothing was sent at it.",
        ]
    );
}

#[test]
fn a_payment_paid_at_its_quote() {
    assert_eq!(
        said(&counted(&chosen(), 0, 4, 60), 70),
        [
            "The payment is paid because 100.00 USD count, which covers the 100.00 USD that are due; since +60.",
            "100.00 USD are due; the merchant pays the fee of 1.00 USD.",
            "0.04 ETH on ethereum in transaction 0x0 was first seen in block 5, whose time is +60.",
            "The quote of +10 held then, so it is worth 100.00 USD exactly.",
            "It counts, because it has 3 confirmations because the amount due is below 10000.00 USD.",
            "It came in time.",
            "The quote of +10 asked for 0.04 ETH to settle 100.00 USD at 2500.00 USD; it holds until +910, and 1 \
             transfer has its rate.",
        ]
    );
}

#[test]
fn a_payment_whose_money_came_late() {
    let expired = chosen().apply(closed(7), at(LIFETIME_SECONDS)).unwrap();
    let late = counted(&expired, 0, 4, LIFETIME_SECONDS + 60);
    let sentences = said(&late, LIFETIME_SECONDS + 60);
    assert_eq!(
        sentences[0],
        "The payment is expired because 100.00 USD were due and its ten days ended on +864000 without it."
    );
    assert_eq!(sentences[2], "On ethereum the window closed at block 7: money in later blocks is late.");
    assert!(
        sentences[4]
            .starts_with("No quote of its coin held then, so the accepted rate of that minute counts, ")
    );
    assert_eq!(
        sentences[6],
        "It is late because the payment had ended when it was first seen, and changes no status until the merchant \
         accepts it."
    );
    let accepted = late.apply(Event::AcceptLate, at(LIFETIME_SECONDS + 60)).unwrap_or_else(|_| {
        counted(&late, 1, 4, LIFETIME_SECONDS + 60)
            .apply(Event::AcceptLate, at(LIFETIME_SECONDS + 60))
            .unwrap()
    });
    let sentences = said(&accepted, LIFETIME_SECONDS + 60);
    assert!(sentences.contains(&"The merchant accepted late money on +864060.".to_owned()));
    assert!(sentences.iter().any(|sentence| sentence.ends_with("; the merchant accepted it.")));
}

#[test]
fn the_data_says_what_the_sentences_say() {
    let explanation = explain(&counted(&chosen(), 0, 3, 60), 70);
    let transfer = &explanation["transfers"][0];
    assert_eq!(
        (&transfer["credited_usd_exact"], &transfer["priced_by"]["kind"]),
        (&"75/1".into(), &"quote".into())
    );
    let rule = json!({ "from_usd": 10.0, "below_usd": 10_000.0, "blocks": 3, "finalized": false });
    assert_eq!(transfer["confirmation_rule"], rule);
    assert_eq!(explanation["quotes"][0]["prices"][0], transfer["id"]);
    assert_eq!(explanation["amounts"]["still_due_usd"], json!(25.0));
    assert!(CoinId::new(explanation["quotes"][0]["coin"].as_str().unwrap()).is_some());
}

proptest! {
    #[test]
    fn every_history_can_be_explained_and_every_ruling_that_is_cited_is_told(
        payment in arb_payment(), seconds in 0..2 * LIFETIME_SECONDS,
    ) {
        let explanation = Explanation::new(&payment, &chains(), &Offers::default(), at(seconds));
        prop_assert_eq!(explanation.status, payment.status(at(seconds)).as_str());
        for conclusion in explanation.conclusions() {
            prop_assert!(conclusion.sentence.ends_with('.'), "{}", conclusion.sentence);
            for cited in conclusion.rulings {
                prop_assert!(explanation.rulings.contains_key(cited), "{cited}");
            }
        }
        for (line, transfer) in explanation.transfers.iter().zip(payment.transfers()) {
            let late = line.because.iter().any(|one| one.sentence.starts_with("It is late"));
            prop_assert_eq!(late, payment.is_late(transfer));
        }
    }
}
