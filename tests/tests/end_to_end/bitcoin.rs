//! Bitcoins and litecoins from quote to `paid`, and every awkward way in which they come, on real nodes.

use serde_json::{Value, json};
use shared::clock::Clock;
use tests::bitcoind::{Bitcoind, Currency};
use tests::live_bitcoin::LiveBitcoin;
use tests::shop::text;

const DAY_SECONDS: u64 = 24 * 60 * 60;

async fn bitcoin() -> Option<LiveBitcoin> {
    LiveBitcoin::start(Currency::Bitcoin).await
}

/// The transfers' transactions and states.
fn states(payment: &Value) -> Vec<(&str, &str)> {
    let transfers = payment["transfers"].as_array().unwrap().iter();
    transfers
        .map(|transfer| (transfer["tx_id"].as_str().unwrap(), transfer["state"].as_str().unwrap()))
        .collect()
}

fn state(payment: &Value) -> (&str, f64) {
    (payment["status"].as_str().unwrap(), payment["amount_received_usd"].as_f64().unwrap())
}

#[tokio::test]
async fn a_live_payment_is_paid_in_bitcoins_and_in_litecoins() {
    for (currency, confirmations) in [(Currency::Bitcoin, 1), (Currency::Litecoin, 6)] {
        let Some(live) = LiveBitcoin::start(currency).await else { return };
        let (code, quoted) = live.quoted("49.99").await;
        let tx = live.node.send(&quoted.address, quoted.units).await;
        live.watch().await;
        let seen = live.shop.get(&code).await;
        assert_eq!(
            (state(&seen), states(&seen)),
            (("pending", 0.0), vec![(tx.as_str(), "seen")]),
            "{currency:?}"
        );

        if confirmations > 1 {
            live.mine(confirmations - 1).await;
            let confirming = live.shop.get(&code).await;
            assert_eq!(
                (state(&confirming), states(&confirming)),
                (("pending", 0.0), vec![(tx.as_str(), "confirming")])
            );
            assert_eq!(confirming["transfers"][0]["confirmations_required"], confirmations);
        }
        live.mine(1).await;
        let paid = live.shop.get(&code).await;
        assert_eq!(
            (state(&paid), states(&paid)),
            (("paid", 49.99), vec![(tx.as_str(), "counted")]),
            "{currency:?}"
        );
        assert_eq!(paid["overpaid_usd"], json!(0.0));
        live.end().await;
    }
}

#[tokio::test]
async fn larger_payments_wait_for_more_confirmations() {
    let Some(live) = bitcoin().await else { return };
    for (amount, confirmations) in [("999.99", 1), ("1000", 2), ("9999.99", 2), ("10000", 6)] {
        let (code, quoted) = live.quoted(amount).await;
        live.node.send(&quoted.address, quoted.units).await;
        for below in 0..confirmations {
            assert_eq!(live.shop.get(&code).await["status"], "pending", "{amount} at {below}");
            live.mine(1).await;
        }
        let payment = live.shop.get(&code).await;
        assert_eq!(payment["status"], "paid", "{amount}: {payment}");
    }
    live.end().await;
}

#[tokio::test]
async fn a17_a_bitcoin_for_twenty_dollars_counts_as_deep_as_a_bitcoin() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("20").await;
    live.node.send(&quoted.address, 100_000_000).await;
    for confirmations in 0..6 {
        let payment = live.shop.get(&code).await;
        assert_eq!(state(&payment), ("pending", 0.0), "at {confirmations}: {payment}");
        live.mine(1).await;
    }
    let payment = live.shop.get(&code).await;
    assert_eq!((state(&payment).0, &payment["overpaid_usd"]), ("overpaid", &json!(59_978.8)), "{payment}");
    assert_eq!(payment["transfers"][0]["confirmations_required"], 6);
    live.end().await;
}

#[tokio::test]
async fn a10_a_block_whose_clock_is_twenty_minutes_ahead_takes_no_quote_away() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("60").await;
    live.node.send(&quoted.address, quoted.units).await;
    // Mined before anybody saw it wait.
    live.node.set_time(Clock::default().now().plus(20 * 60)).await;
    live.mine(1).await;
    let paid = live.shop.get(&code).await;
    assert_eq!(
        (state(&paid), &paid["transfers"][0]["rate_usd"]),
        (("paid", 60.0), &json!("60000.00")),
        "{paid}"
    );
    assert_eq!(live.shop.page_state(&code).await["step"], "end");
    live.end().await;
}

#[tokio::test]
async fn r21_too_few_bitcoins_are_a_part_and_the_rest_settles_exactly() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("60").await;
    assert_eq!(quoted.units, 100_000);
    live.node.send(&quoted.address, 40_000).await;
    live.mine(1).await;
    assert_eq!(state(&live.shop.get(&code).await), ("partially_paid", 24.0));
    let rest = live.choose(&code).await;
    assert_eq!((&rest.address, rest.units), (&quoted.address, 60_000));
    live.node.send(&rest.address, rest.units).await;
    live.mine(1).await;
    assert_eq!(state(&live.shop.get(&code).await), ("paid", 60.0));
    live.end().await;
}

#[tokio::test]
async fn r21_too_many_bitcoins_are_an_excess() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("60").await;
    live.node.send(&quoted.address, quoted.units + 5_000).await;
    live.mine(1).await;
    let payment = live.shop.get(&code).await;
    assert_eq!((state(&payment), &payment["overpaid_usd"]), (("overpaid", 63.0), &json!(3.0)));
    live.end().await;
}

#[tokio::test]
async fn r22_a_batch_pays_several_payments_and_one_of_them_by_many_outputs() {
    let Some(live) = bitcoin().await else { return };
    let (one, of_one) = live.quoted("60").await;
    let (other, of_other) = live.quoted("30").await;
    let stranger = live.node.own_address().await;
    let part = |units| (of_one.address.clone(), units);
    let outputs =
        [part(20_000), (stranger, 77_000), (of_other.address, of_other.units), part(20_000), part(60_000)];
    let tx = live.node.send_many(&outputs).await;
    live.mine(1).await;
    let payment = live.shop.get(&one).await;
    assert_eq!((state(&payment), states(&payment)), (("paid", 60.0), vec![(tx.as_str(), "counted"); 3]));
    let mut ids: Vec<_> =
        payment["transfers"].as_array().unwrap().iter().map(|transfer| transfer["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, [0, 3, 4].map(|vout| json!(format!("bitcoin:{tx}:{vout}"))));
    assert_eq!(state(&live.shop.get(&other).await), ("paid", 30.0));
    live.end().await;
}

#[tokio::test]
async fn r22_newly_minted_money_counts_when_it_can_be_spent() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    live.node.mine_to(&quoted.address, 1).await;
    live.watch().await;
    let payment = live.shop.get(&code).await;
    let transfer = &payment["transfers"][0];
    assert_eq!((state(&payment), &transfer["state"]), (("pending", 0.0), &json!("confirming")));
    let required = transfer["confirmations_required"].as_u64().unwrap();
    assert!(required >= 100, "{required}");
    live.mine(required - 2).await;
    assert_eq!(state(&live.shop.get(&code).await), ("pending", 0.0));
    live.mine(1).await;
    assert_eq!(live.shop.get(&code).await["status"], "overpaid");
    live.end().await;
}

#[tokio::test]
async fn r22_a_reorganisation_takes_bitcoins_back_and_their_return_counts_once() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    let tx = live.node.send(&quoted.address, quoted.units).await;
    live.mine(3).await;
    let paid = live.shop.get(&code).await;
    assert_eq!(state(&paid), ("paid", 49.99));

    live.node.reorg(3).await;
    live.watch().await;
    let taken = live.shop.get(&code).await;
    assert_eq!((state(&taken), &taken["paid_at"]), (("pending", 0.0), &Value::Null));
    assert_ne!(states(&taken), [(tx.as_str(), "counted")]);

    live.mine(1).await;
    let again = live.shop.get(&code).await;
    assert_eq!((state(&again), states(&again)), (("paid", 49.99), vec![(tx.as_str(), "counted")]));
    assert_eq!(again["transfers"][0]["credited_usd"], paid["transfers"][0]["credited_usd"]);
    live.end().await;
}

#[tokio::test]
async fn litecoins_count_that_come_out_of_the_extension_block_and_beside_one() {
    let Some(live) = LiveBitcoin::start(Currency::Litecoin).await else { return };
    live.node.begin_extension_block(5_000_000_000).await;
    live.watch().await;
    let (out, from_inside) = live.quoted("49.99").await;
    let (beside, from_outside) = live.quoted("20").await;
    live.node.send_out_of_extension_block(&from_inside.address, from_inside.units).await;
    let tx = live.node.send(&from_outside.address, from_outside.units).await;
    live.watch().await;
    let waiting = (live.shop.get(&out).await, live.shop.get(&beside).await);
    assert!(states(&waiting.0).is_empty(), "what waits inside names nobody outside");
    assert_eq!(states(&waiting.1), [(tx.as_str(), "seen")]);
    live.mine(6).await;
    let paid = (live.shop.get(&out).await, live.shop.get(&beside).await);
    assert_eq!((state(&paid.0), state(&paid.1)), (("paid", 49.99), ("paid", 20.0)));
    assert_eq!((states(&paid.0).len(), states(&paid.1)), (1, vec![(tx.as_str(), "counted")]));
    // Another block may pay it out by another transaction: the former one is lost, and it counts once.
    let first = live.node.height().await - 5;
    let hash = live.node.call("getblockhash", json!([first])).await;
    live.node.call("invalidateblock", json!([hash])).await;
    live.mine(8).await;
    let again = live.shop.get(&out).await;
    assert_eq!(state(&again), ("paid", 49.99));
    live.end().await;
}

#[tokio::test]
async fn r20_a_replacement_with_a_higher_fee_is_a_new_transfer_and_counts_once() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    let slow = live.node.send(&quoted.address, quoted.units).await;
    live.watch().await;
    assert_eq!(states(&live.shop.get(&code).await), [(slow.as_str(), "seen")]);
    let quick = live.node.bump_fee(&slow).await;
    live.watch().await;
    let replaced = live.shop.get(&code).await;
    let mut seen = states(&replaced);
    seen.sort_by_key(|(_, state)| *state);
    assert_eq!(seen, [(slow.as_str(), "lost"), (quick.as_str(), "seen")]);

    live.mine(6).await;
    let paid = live.shop.get(&code).await;
    let mut counted = states(&paid);
    counted.sort_by_key(|(_, state)| *state);
    assert_eq!(counted, [(quick.as_str(), "counted"), (slow.as_str(), "lost")]);
    assert_eq!(state(&paid), ("paid", 49.99));
    live.end().await;
}

/// A signed transaction that spends these outputs of the wallet and pays one address, and nothing else.
async fn spending(node: &Bitcoind, outputs: &[(&str, usize)], to: &str, units: u128) -> String {
    let inputs: Vec<Value> = outputs
        .iter()
        .map(|(tx, vout)| json!({ "txid": tx, "vout": vout, "sequence": 0xffff_fffd_u32 }))
        .collect();
    let amount = format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
    let raw = node.call("createrawtransaction", json!([inputs, [{ to: amount }]])).await;
    let signed = node.call("signrawtransactionwithwallet", json!([raw])).await;
    assert_eq!(signed["complete"], true, "{signed}");
    text(&signed["hex"])
}

#[tokio::test]
async fn a16_r17_a_rival_that_spends_any_one_input_ends_the_waiting_once_it_is_buried() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("999.99").await;
    let each = quoted.units / 12 + 1_000;
    let mut purse = Vec::new();
    for _ in 0..12 {
        purse.push((live.node.own_address().await, each));
    }
    let split = live.node.send_many(&purse).await;
    live.mine(1).await;
    let inputs: Vec<(&str, usize)> = (0..12).map(|vout| (split.as_str(), vout)).collect();
    let paying = spending(&live.node, &inputs, &quoted.address, quoted.units).await;
    let tx = live.node.resend(&paying).await;
    live.watch().await;
    assert_eq!(states(&live.shop.get(&code).await), [(tx.as_str(), "seen")]);

    let own = live.node.own_address().await;
    let rival = spending(&live.node, &inputs[9..10], &own, each - 30_000).await;
    live.node.resend(&rival).await;
    live.mine(5).await;
    assert_eq!(states(&live.shop.get(&code).await), [(tx.as_str(), "lost")]);
    assert_eq!(live.shop.cancel(&code).await.status, 400, "it might come back");
    live.mine(3).await;
    let cancelled = live.shop.cancel(&code).await;
    assert_eq!((cancelled.status, &cancelled.payment()["status"]), (200, &json!("cancelled")));
    live.end().await;
}

#[tokio::test]
async fn a16_r17_whatever_takes_the_place_of_an_ancestor_takes_the_place_of_what_spends_it() {
    let Some(live) = bitcoin().await else { return };
    for is_replaced in [true, false] {
        let (code, quoted) = live.quoted("49.99").await;
        let own = live.node.own_address().await;
        let grandparent = live.node.send(&own, quoted.units + 4_000).await;
        let own = live.node.own_address().await;
        let parent = spending(&live.node, &[(&grandparent, 0)], &own, quoted.units + 2_000).await;
        let parent = live.node.resend(&parent).await;
        let paying = spending(&live.node, &[(&parent, 0)], &quoted.address, quoted.units).await;
        let tx = live.node.resend(&paying).await;
        live.watch().await;
        assert_eq!(states(&live.shop.get(&code).await), [(tx.as_str(), "seen")]);
        if is_replaced {
            let rival = live.node.rival(&grandparent).await;
            live.node.resend(&rival).await;
            live.mine(8).await;
            let cancelled = live.shop.cancel(&code).await;
            assert_eq!((cancelled.status, &cancelled.payment()["status"]), (200, &json!("cancelled")));
        } else {
            // Its own ancestors are no rivals, however deep they lie before it does.
            live.node.mine_only(&[&grandparent, &parent]).await;
            for _ in 0..8 {
                live.node.mine_only(&[]).await;
            }
            live.watch().await;
            assert_eq!(states(&live.shop.get(&code).await), [(tx.as_str(), "seen")]);
            assert_eq!(live.shop.cancel(&code).await.status, 400);
            live.mine(6).await;
            assert_eq!(state(&live.shop.get(&code).await), ("paid", 49.99));
        }
    }
    live.end().await;
}

#[tokio::test]
async fn r15_a_double_spend_takes_what_was_seen_away_and_the_payment_goes_on() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    let tx = live.node.send(&quoted.address, quoted.units).await;
    live.watch().await;
    let rival = live.node.rival(&tx).await;
    live.node.resend(&rival).await;
    live.watch().await;
    let vanished = live.shop.get(&code).await;
    assert_eq!((state(&vanished), states(&vanished)), (("pending", 0.0), vec![(tx.as_str(), "lost")]));

    // Once the rival lies deep enough nothing is awaited any more: the window closes without those 72 hours.
    live.mine(6).await;
    let live = live.later(10 * DAY_SECONDS + 60, r#"{"BTC":"60000.00"}"#).await;
    live.mine(1).await;
    live.tick("expire-payments").await;
    let expired = live.shop.get(&code).await;
    assert_eq!((state(&expired), states(&expired)), (("expired", 0.0), vec![(tx.as_str(), "lost")]));
    live.end().await;
}

#[tokio::test]
async fn r20_the_rate_holds_from_first_sight_though_the_block_comes_after_the_quote() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    live.node.send(&quoted.address, quoted.units).await;
    live.watch().await;
    let live = live.later(2 * 60 * 60, r#"{"BTC":"30000.00"}"#).await;
    live.mine(1).await;
    let payment = live.shop.get(&code).await;
    assert_eq!(state(&payment), ("paid", 49.99), "{payment}");
    live.end().await;
}

#[tokio::test]
async fn r23_bitcoins_after_the_end_are_late() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    let live = live.later(10 * DAY_SECONDS + 60, r#"{"BTC":"60000.00"}"#).await;
    live.mine(1).await;
    live.tick("expire-payments").await;
    assert_eq!(state(&live.shop.get(&code).await), ("expired", 0.0));
    live.node.send(&quoted.address, quoted.units).await;
    live.mine(1).await;
    live.priced(&code).await;
    let payment = live.shop.get(&code).await;
    assert_eq!((&payment["status"], &payment["late"]), (&json!("expired"), &json!(true)));
    assert_eq!(payment["transfers"][0]["late"], json!(true));
    live.end().await;
}

#[tokio::test]
async fn r23_bitcoins_after_forty_three_days_are_found_by_the_operator() {
    let Some(live) = bitcoin().await else { return };
    let (code, quoted) = live.quoted("49.99").await;
    live.watch().await;
    live.tick("expire-payments").await;
    let live = live.later(44 * DAY_SECONDS, r#"{"BTC":"60000.00"}"#).await;
    live.mine(1).await;
    live.tick("expire-payments").await;
    let from = live.node.height().await + 1;
    let tx = live.node.send(&quoted.address, quoted.units).await;
    live.mine(2).await;
    assert_eq!(live.shop.get(&code).await["transfers"], json!([]), "nobody looks at the address any more");

    let said = live.recover(&["credit", "--tx", &tx]).await;
    assert!(said.contains(&code) && said.contains(&tx), "{said}");
    live.priced(&code).await;
    let late = live.shop.get(&code).await;
    assert_eq!((&late["status"], &late["late"]), (&json!("expired"), &json!(true)));
    assert_eq!(late["amount_received_usd"], 49.99);

    let rescan = ["rescan", "--address", &quoted.address, "--from", &from.to_string()];
    let again = live.recover(&rescan).await;
    assert!(again.contains("1 transfers were known") && !again.contains(&code), "{again}");
    assert_eq!(live.shop.get(&code).await, late);
    live.end().await;
}
