//! A payment's life as its merchant sees it, made to happen in test mode: R15–R24.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::money::BasisPoints;
use tests::answer::Answer;
use tests::product::shared;

const TEN_DAYS: u64 = 864_000;

fn approve() -> Value {
    json!({ "scenario": "approve_identity" })
}

fn choose(coin: &str) -> Value {
    json!({ "scenario": "choose_coin", "coin": coin })
}

fn transfer(percent: u64, id: &str) -> Value {
    json!({ "scenario": "transfer", "percent": percent, "transfer_id": id })
}

fn unconfirmed(percent: u64, id: &str) -> Value {
    json!({ "scenario": "transfer", "percent": percent, "transfer_id": id, "confirmed": false })
}

fn advance(seconds: u64) -> Value {
    json!({ "scenario": "advance", "seconds": seconds })
}

/// Status, received and overpaid.
fn sums(answer: &Answer) -> (Value, Value, Value) {
    let payment = answer.payment();
    (payment["status"].clone(), payment["amount_received_usd"].clone(), payment["overpaid_usd"].clone())
}

fn seconds_between(from: &Value, to: &Value) -> u64 {
    let seconds = |time: &Value| -> u64 {
        let clock = &time.as_str().unwrap()[11..19];
        clock.split(':').fold(0_u64, |sum, part| sum.saturating_mul(60).saturating_add(part.parse().unwrap()))
    };
    seconds(to).saturating_add(86_400).saturating_sub(seconds(from)).rem_euclid(86_400)
}

#[test]
fn r16_money_moves_a_payment_along() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("100").await;
        let due = |n| sums(n);
        let answer = shop.test.play(&id, &[approve(), choose("USDC")]).await;
        assert_eq!(due(&answer), (json!("pending"), json!(0.0), json!(0.0)));
        let answer = shop.test.play(&id, &[transfer(40, "a")]).await;
        assert_eq!(due(&answer), (json!("partially_paid"), json!(40.0), json!(0.0)));
        assert_eq!(answer.field("paid_at"), json!(null));
        let answer = shop.test.play(&id, &[transfer(60, "b")]).await;
        assert_eq!(due(&answer), (json!("paid"), json!(100.0), json!(0.0)));
        assert!(answer.field("paid_at").is_string());
        let answer = shop.test.play(&id, &[transfer(1, "c")]).await;
        assert_eq!(due(&answer), (json!("overpaid"), json!(101.0), json!(1.0)));
        assert_eq!(answer.field("transfers").as_array().unwrap().len(), 3);
    });
}

#[test]
fn r16_a_reorganisation_takes_money_back_and_its_return_counts_once() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("100").await;
        shop.test.play(&id, &[approve(), choose("ETH"), transfer(60, "a"), transfer(50, "b")]).await;
        let reorg = json!({ "scenario": "reorg", "transfer_id": "b" });
        let answer = shop.test.play(&id, &[reorg.clone(), reorg]).await;
        assert_eq!(sums(&answer), (json!("partially_paid"), json!(60.0), json!(0.0)));
        assert_eq!(answer.field("paid_at"), json!(null));
        let states: Vec<_> =
            answer.field("transfers").as_array().unwrap().iter().map(|t| t["state"].clone()).collect();
        assert_eq!(states, ["counted", "lost"]);
        let confirm = json!({ "scenario": "confirm", "transfer_id": "b" });
        let answer = shop.test.play(&id, &[confirm.clone(), transfer(50, "b"), confirm]).await;
        assert_eq!(sums(&answer), (json!("overpaid"), json!(110.0), json!(10.0)));
    });
}

#[test]
fn r17_cancel_says_what_stands_in_its_way() {
    shared(async |product| {
        let shop = product.shop().await;
        let made = async |scenarios: &[Value]| {
            let id = shop.test.created("10").await;
            shop.test.play(&id, scenarios).await;
            id
        };
        let start = [approve(), choose("ETH")];
        for (then, status) in [
            (vec![transfer(100, "a")], "paid"),
            (vec![transfer(110, "a")], "overpaid"),
            (vec![advance(TEN_DAYS)], "expired"),
        ] {
            let id = made(&[&start[..], &then].concat()).await;
            let detail = format!("Payment is {status} and cannot be cancelled");
            shop.test.cancel(&id).await.assert_refused(400, "payment_state", &detail);
        }
        let coming = made(&[&start[..], &[unconfirmed(10, "a")]].concat()).await;
        let detail = "A transfer was seen and is not yet counted, so the payment cannot be cancelled";
        shop.test.cancel(&coming).await.assert_refused(400, "payment_state", detail);
        let partial = made(&[&start[..], &[transfer(30, "a")]].concat()).await;
        let cancelled = shop.test.cancel(&partial).await;
        assert_eq!(sums(&cancelled), (json!("cancelled"), json!(3.0), json!(0.0)));
        assert!(cancelled.field("cancelled_at").is_string());
        let again = shop.test.cancel(&partial).await;
        assert_eq!((again.status, again.text), (200, cancelled.text.clone()));
    });
}

#[test]
fn r17_of_a_cancel_and_a_payment_at_once_one_wins_and_both_see_it() {
    shared(async |product| {
        let shop = product.shop().await;
        for _ in 0..8 {
            let id = shop.test.created("10").await;
            shop.test.play(&id, &[approve(), choose("ETH")]).await;
            let pay = transfer(100, "a");
            let (cancelled, paid) = tokio::join!(shop.test.cancel(&id), shop.test.simulate(&id, &pay));
            let last = shop.test.read(&id).await;
            // Whoever wins, the money is on record.
            assert_eq!(last.field("amount_received_usd"), json!(10.0));
            if cancelled.status == 200 {
                assert_eq!(
                    (cancelled.field("status"), last.field("status")),
                    (json!("cancelled"), json!("cancelled"))
                );
                assert_eq!((paid.field("status"), last.field("late")), (json!("cancelled"), json!(true)));
            } else {
                cancelled.assert_refused(400, "payment_state", "Payment is paid and cannot be cancelled");
                assert_eq!((paid.field("status"), last.field("status")), (json!("paid"), json!("paid")));
            }
        }
    });
}

#[test]
fn r18_a_rejected_payer_may_try_three_times_in_all() {
    shared(async |product| {
        let shop = product.shop().await;
        let reject = json!({ "scenario": "reject_identity", "reason": "unreadable" });
        let (unlucky, lucky) = (shop.test.created("10").await, shop.test.created("10").await);
        for _ in 0..3 {
            assert_eq!(
                shop.test.play(&unlucky, std::slice::from_ref(&reject)).await.field("kyc_status"),
                "rejected"
            );
        }
        let detail = "Identity was rejected and no attempts are left";
        for scenario in [&approve(), &reject, &json!({ "scenario": "pay" })] {
            shop.test.simulate(&unlucky, scenario).await.assert_refused(400, "payment_state", detail);
        }
        assert_eq!(shop.test.read(&unlucky).await.field("status"), "kyc_required");
        let approved = shop.test.play(&lucky, &[reject.clone(), reject, approve(), approve()]).await;
        assert_eq!(
            (approved.field("kyc_status"), approved.field("status")),
            (json!("approved"), json!("pending"))
        );
        let late = shop.test.simulate(&lucky, &json!({ "scenario": "reject_identity" })).await;
        late.assert_refused(400, "payment_state", "Identity is approved");
    });
}

#[test]
fn r19_a_coin_needs_identity_and_is_settled_while_money_is_on_its_way() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let early = shop.test.simulate(&id, &choose("ETH")).await;
        early.assert_refused(400, "payment_state", "Identity must be approved before a coin can be chosen");
        let first = shop.test.play(&id, &[approve(), choose("ETH")]).await.payment();
        let second = shop.test.play(&id, &[choose("USDC")]).await.payment();
        // One address serves every network and token of the family.
        assert_eq!(first["wallet_address"], second["wallet_address"]);
        assert_eq!((&first["selected_coin"], &second["selected_coin"]), (&json!("ETH"), &json!("USDC")));
        assert_eq!((&first["coin_amount"], &second["coin_amount"]), (&json!("0.004"), &json!("10")));
        shop.test.play(&id, &[unconfirmed(10, "a")]).await;
        let settled = shop.test.simulate(&id, &choose("ETH")).await;
        let detail = "A transfer was seen and is not yet counted, so the coin cannot be changed";
        settled.assert_refused(400, "payment_state", detail);
        // A new quote in the same coin is for the rest.
        let rest = shop.test.play(&id, &[choose("USDC")]).await.payment();
        assert_eq!((&rest["selected_coin"], &rest["coin_amount"]), (&json!("USDC"), &json!("9")));
    });
}

#[test]
fn r19_the_rest_can_be_paid_in_another_coin_once_what_came_counts() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let confirm = json!({ "scenario": "confirm", "transfer_id": "a" });
        shop.test.play(&id, &[approve(), choose("USDC"), unconfirmed(10, "a"), confirm]).await;
        let rest = shop.test.play(&id, &[choose("ETH")]).await.payment();
        assert_eq!((&rest["selected_coin"], &rest["coin_amount"]), (&json!("ETH"), &json!("0.0036")));
        let paid = shop.test.play(&id, &[transfer(90, "b")]).await;
        assert_eq!(sums(&paid), (json!("paid"), json!(10.0), json!(0.0)));
        let coins: Vec<_> =
            paid.field("transfers").as_array().unwrap().iter().map(|one| one["coin"].clone()).collect();
        assert_eq!(coins, ["USDC", "ETH"]);
    });
}

#[test]
fn r20_a_spread_is_fixed_when_the_payment_is_made() {
    shared(async |product| {
        let shop = product.shop().await;
        let store = product.local.store();
        let before = shop.live.created("10").await;
        let spread = BasisPoints::new(100).unwrap();
        assert!(store.set_spread(&shop.account.merchant, spread).await.unwrap());
        // Functions remember accounts for a while; another account's calls know its spread from the start.
        let other = product.shop().await;
        store.set_spread(&other.account.merchant, spread).await.unwrap();
        let id = other.test.created("99").await;
        let chosen = other.test.play(&id, &[approve(), choose("USDC")]).await.payment();
        assert_eq!((&chosen["coin_amount"], &chosen["rate_usd"]), (&json!("100"), &json!("0.99")));
        let paid = other.test.play(&id, &[transfer(50, "a"), advance(901), transfer(50, "b")]).await;
        assert_eq!(sums(&paid), (json!("paid"), json!(99.0), json!(0.0)));
        let rates: Vec<_> =
            paid.field("transfers").as_array().unwrap().iter().map(|one| one["rate_usd"].clone()).collect();
        assert_eq!(rates, ["0.99", "0.99"], "the quote's and the market's");
        assert_eq!(shop.live.read(&before).await.field("status"), "kyc_required");
    });
}

#[test]
fn r20_a_quote_holds_15_minutes() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        let chosen = shop.test.play(&id, &[approve(), choose("ETH")]).await.payment();
        assert_eq!(seconds_between(&chosen["updated_at"], &chosen["rate_expires_at"]), 900);
        assert_eq!(chosen["rate_usd"], "2500.00");
        let renewed = shop.test.play(&id, &[advance(901), choose("ETH")]).await.payment();
        assert_eq!(seconds_between(&renewed["updated_at"], &renewed["rate_expires_at"]), 900);
        assert!(seconds_between(&chosen["rate_expires_at"], &renewed["rate_expires_at"]) >= 901);
        let paid = shop.test.play(&id, &[advance(901), transfer(100, "a")]).await;
        // No quote held, so that the minute's accepted rate counts.
        assert_eq!(sums(&paid), (json!("paid"), json!(10.0), json!(0.0)));
        assert_eq!(paid.field("transfers")[0]["rate_usd"], "2500.00");
    });
}

#[test]
fn r21_the_quoted_units_settle_the_dollars_exactly() {
    shared(async |product| {
        let shop = product.shop().await;
        // At 0.97 USD none of these is a whole number of units, so that the quote is rounded up and its ratio counts.
        for amount in ["1.01", "33.33", "49.99", "1234567.89"] {
            let id = shop.test.created(amount).await;
            let expected: Value = serde_json::from_str(amount).unwrap();
            let paid = shop.test.play(&id, &[approve(), choose("USDT"), transfer(100, "a")]).await;
            assert_eq!(sums(&paid), (json!("paid"), expected, json!(0.0)), "{amount}");
            assert_eq!(paid.field("transfers")[0]["amount"], paid.field("coin_amount"));
        }
        let id = shop.test.created("10").await;
        let almost = json!({ "scenario": "transfer", "percent": 99.9 });
        let short = shop.test.play(&id, &[approve(), choose("ETH"), almost]).await;
        // The tolerance is 0 unless the deployment says otherwise; what came is rounded down.
        assert_eq!(sums(&short), (json!("partially_paid"), json!(9.99), json!(0.0)));
    });
}

#[test]
fn r22_a_transfer_counts_once_however_often_it_is_told() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        shop.test.play(&id, &[approve(), choose("ETH"), unconfirmed(50, "a")]).await;
        let again: Vec<_> = (0..10)
            .map(|_| {
                let (caller, id) = (shop.test.clone(), id.clone());
                tokio::spawn(async move { caller.simulate(&id, &transfer(50, "a")).await })
            })
            .collect();
        for call in again {
            // Ten at once may lose too many races for one item; then they are told to try again.
            let answer = call.await.unwrap();
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text);
        }
        let last = shop.test.play(&id, &[transfer(50, "a")]).await;
        assert_eq!(sums(&last), (json!("partially_paid"), json!(5.0), json!(0.0)));
        assert_eq!(last.field("transfers").as_array().unwrap().len(), 1);
    });
}

#[test]
fn r22_every_order_of_what_the_chain_reports_gives_the_same_payment() {
    shared(async |product| {
        let shop = product.shop().await;
        let confirm = |id: &str| json!({ "scenario": "confirm", "transfer_id": id });
        let orders = [
            vec![unconfirmed(50, "a"), unconfirmed(60, "b"), confirm("a"), confirm("b")],
            vec![unconfirmed(60, "b"), confirm("b"), transfer(50, "a"), unconfirmed(60, "b"), confirm("b")],
            vec![transfer(60, "b"), transfer(50, "a"), transfer(60, "b")],
        ];
        let mut seen = BTreeSet::new();
        for order in orders {
            let id = shop.test.created("10").await;
            let last = shop.test.play(&id, &[&[approve(), choose("USDC")], &order[..]].concat()).await;
            seen.insert(format!("{:?}", sums(&last)));
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
    });
}

#[test]
fn r23_money_after_the_end_is_late_and_changes_no_status() {
    shared(async |product| {
        let shop = product.shop().await;
        for (end, status) in [(Some(advance(TEN_DAYS)), "expired"), (None, "cancelled")] {
            let id = shop.test.created("10").await;
            let chosen = shop.test.play(&id, &[approve(), choose("ETH")]).await.payment();
            match end {
                Some(end) => assert_eq!(shop.test.play(&id, &[end]).await.field("status"), "expired"),
                None => assert_eq!(shop.test.cancel(&id).await.field("status"), "cancelled"),
            }
            let late = shop.test.play(&id, &[transfer(100, "a")]).await;
            assert_eq!(sums(&late), (json!(status), json!(10.0), json!(0.0)));
            let late = late.payment();
            assert_eq!((&late["late"], &late["transfers"][0]["late"]), (&json!(true), &json!(true)));
            assert_eq!(late["paid_at"], json!(null));
            for date in ["created_at", "expires_at"] {
                assert_eq!(late[date], chosen[date], "{date}");
            }
        }
    });
}

#[test]
fn r16_late_money_that_covers_what_is_due_can_be_accepted() {
    shared(async |product| {
        let shop = product.shop().await;
        for end in ["expire", "cancel"] {
            let id = shop.test.created("10").await;
            shop.test.play(&id, &[approve(), choose("ETH")]).await;
            let open = shop.test.accept_late(&id).await;
            open.assert_refused(400, "payment_state", "Payment is pending and has no late money to accept");
            match end {
                "expire" => shop.test.play(&id, &[advance(TEN_DAYS)]).await,
                _ => shop.test.cancel(&id).await,
            };
            let covers = "The money received does not cover what is due";
            shop.test.accept_late(&id).await.assert_refused(400, "payment_state", covers);
            shop.test.play(&id, &[transfer(60, "a"), unconfirmed(50, "b")]).await;
            shop.test.accept_late(&id).await.assert_refused(400, "payment_state", covers);
            shop.test.play(&id, &[transfer(50, "b")]).await;
            let accepted = shop.test.accept_late(&id).await;
            assert_eq!(sums(&accepted), (json!("overpaid"), json!(11.0), json!(1.0)), "{end}");
            let accepted = accepted.payment();
            assert_eq!((&accepted["late"], &accepted["paid_at"]), (&json!(true), &accepted["updated_at"]));
            assert_eq!(shop.test.accept_late(&id).await.payment(), accepted, "twice is once");
            assert_eq!(shop.test.list("status=overpaid&limit=1").await.listed(), std::slice::from_ref(&id));
            let cancel = shop.test.cancel(&id).await;
            cancel.assert_refused(400, "payment_state", "Payment is overpaid and cannot be cancelled");
        }
    });
}

#[test]
fn r16_accepted_money_that_a_reorganisation_takes_is_late_money_again_when_it_returns() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("10").await;
        shop.test.play(&id, &[approve(), choose("ETH"), advance(TEN_DAYS), transfer(100, "a")]).await;
        assert_eq!(shop.test.accept_late(&id).await.field("status"), "paid");
        let lost = shop.test.play(&id, &[json!({ "scenario": "reorg", "transfer_id": "a" })]).await;
        assert_eq!(sums(&lost), (json!("pending"), json!(0.0), json!(0.0)));
        assert_eq!(lost.field("paid_at"), json!(null));
        let back = shop.test.play(&id, &[transfer(100, "a")]).await;
        assert_eq!(sums(&back), (json!("paid"), json!(10.0), json!(0.0)), "it stays accepted");
    });
}

#[test]
fn r24_each_address_is_given_to_one_payment() {
    shared(async |product| {
        let (shop, other) = (product.shop().await, product.shop().await);
        let calls: Vec<_> = (0..8)
            .map(|n: u32| {
                let caller = if n.is_multiple_of(2) { shop.test.clone() } else { other.test.clone() };
                tokio::spawn(async move {
                    let id = caller.created("10").await;
                    caller.play(&id, &[approve(), choose("ETH")]).await.field("wallet_address")
                })
            })
            .collect();
        let mut addresses = BTreeSet::new();
        for call in calls {
            addresses.insert(call.await.unwrap().as_str().unwrap().to_owned());
        }
        assert_eq!(addresses.len(), 8);
        assert!(addresses.iter().all(|address| address.len() == 42 && address.starts_with("0x")));
    });
}
