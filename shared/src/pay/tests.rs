//! What a payer sees, and what nobody may see there (R27; contract, section 4).

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::page::{grouped, qr_code};
use super::*;
use crate::chain::CoinId;
use crate::money::{BasisPoints, Rate};
use crate::payment::tests::arb_payment;
use crate::payment::tests::refunds::given_back;
use crate::payment::{
    BlockAt, Code, Event, Fee, FeePaidBy, GivenAddress, IdentityStep, LIFETIME_SECONDS, MerchantId, Metadata,
    Mode, Movement, Offer, PaymentId, QUOTE_SECONDS, Report, Request, Sequence, Standing, Terms, TransferId,
    Window,
};

const CREATED: Timestamp = Timestamp(1_800_000_000);
const ADDRESS: &str = "0x52908400098527886E0F7030069857D2E4169EE7";
const TOKEN: &str = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
const CONFIRMATIONS: u32 = 12;

/// The most that a page may weigh besides its QR code.
const PAGE_BYTES: usize = 20_000;

/// The most that a QR code may weigh.
const CODE_BYTES: usize = 9_000;

fn at(seconds: u64) -> Timestamp {
    CREATED.plus(seconds)
}

fn chains() -> Chains {
    Chains::parse(
        r#"[{"chain":"ethereum","family":"evm","chain_id":1,"test_chain_id":11155111,"coins":[
            {"coin":"ETH","asset":"native","decimals":18,"rate":"ETH","minimum_usd":"1.00"},
            {"coin":"USDC","asset":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","decimals":6,"rate":"USDC","minimum_usd":"1.00"}],
            "confirmations":[{"blocks":12}]}]"#,
    )
    .unwrap()
}

fn rate(coin: &str) -> Rate {
    if coin == "ETH" { "2431.17" } else { "1.0002" }.parse().unwrap()
}

fn offers(coins: Vec<OfferedCoin>) -> Offers {
    Offers { coins, refused: Vec::new() }
}

fn offered() -> Vec<OfferedCoin> {
    let offer = |(chain, coin): (&Chain, &crate::chain::Coin)| OfferedCoin {
        coin: coin.id.clone(),
        chain: chain.id.clone(),
        rate: rate(coin.id.as_str()),
    };
    chains().coins().map(offer).collect()
}

fn payment(mode: Mode, title: &str, description: Option<&str>) -> Payment {
    let request = Request {
        title: title.into(),
        description: description.map(Into::into),
        amount: Cents(4_999),
        kyc_method: KycMethod::IdUpload,
        allow_bankid: true,
        fee_paid_by: FeePaidBy::Payer,
        metadata: Some(Metadata::parse(r#"{"internal_note":"margin is 80 %"}"#).unwrap()),
    };
    let fee = Fee { usd: Cents(50), free_tier: false };
    let terms = Terms {
        request,
        fee,
        tolerance: BasisPoints::ZERO,
        spread: BasisPoints::ZERO,
        created_at: CREATED,
        idempotency: None,
    };
    let id = PaymentId::new(CREATED.0 * 1_000, [7; 10], Code::from_random(8_675_309_123));
    Payment::new(id, MerchantId::new("mer_northwind"), mode, terms)
}

fn approved(mode: Mode) -> Payment {
    let steps = [IdentityStep::Start, IdentityStep::Submit, IdentityStep::Approve];
    let new = payment(mode, "Order #1234", Some("Two tickets, row 7"));
    steps.into_iter().fold(new, |payment, step| payment.apply(Event::Identity(step), at(1)).unwrap())
}

fn choose(payment: &Payment, coin: &str, seconds: u64) -> Payment {
    let address = GivenAddress { family: "evm".into(), address: ADDRESS.into(), xpub: "f".into(), index: 0 };
    let coin = CoinId::new(coin).unwrap();
    let decimals = chains().coin(&coin).unwrap().1.decimals;
    let rate = rate(coin.as_str());
    payment.apply(Event::Choose(Offer { coin, decimals, rate, address }), at(seconds)).unwrap()
}

fn chosen(mode: Mode, coin: &str) -> Payment {
    choose(&approved(mode), coin, 60)
}

/// `percent` of what the newest quote asks for, in one transfer that lies `confirmations` deep.
fn sent(payment: &Payment, percent: u128, confirmations: u32, seconds: u64) -> Payment {
    let quote = payment.quote().unwrap();
    let number = payment.transfers().count() as u64;
    let movement = Movement {
        id: TransferId::new(format!("ethereum:0x{number}:native:{ADDRESS}:0")),
        coin: quote.coin.clone(),
        decimals: quote.decimals,
        chain: ChainId::new("ethereum").unwrap(),
        tx_id: format!("0x{:064x}", 0x5eed_u64 + number),
        address: ADDRESS.into(),
        units: Units(quote.units.0 * percent / 100),
        confirmations_required: CONFIRMATIONS,
    };
    let block = BlockAt { height: 100, time: at(seconds) };
    let standing = Standing::InBlock { block, confirmations };
    let rates = vec![(at(seconds).minute(), quote.rate)];
    let report = Report { movement, sequence: Sequence(number), at: at(seconds), standing, rates };
    payment.apply(Event::Reported(report), at(seconds)).unwrap()
}

fn view(payment: &Payment, now: Timestamp) -> PayView {
    PayView::new(payment, &chains(), &offers(offered()), now).unwrap()
}

fn state(payment: &Payment, now: Timestamp) -> Value {
    serde_json::to_value(view(payment, now)).unwrap()
}

fn page(payment: &Payment, now: Timestamp) -> String {
    PayPage::new(&view(payment, now), false).unwrap().render().unwrap()
}

/// Sent in full, mined, and then no longer in any block.
fn taken_back(payment: &Payment) -> Payment {
    let sent = sent(payment, 100, 3, 120);
    let known = sent.transfers().last().unwrap();
    let standing = Standing::Lost { block: known.first_block(), at: at(200) };
    let movement = known.movement().clone();
    let report = Report { movement, sequence: Sequence(9), at: at(200), standing, rates: vec![] };
    sent.apply(Event::Reported(report), at(200)).unwrap()
}

fn closed(payment: &Payment) -> Payment {
    let windows = vec![Window { chain: ChainId::new("ethereum").unwrap(), height: 1_000 }];
    payment.apply(Event::Expire { windows, complete: true }, at(LIFETIME_SECONDS + 60)).unwrap()
}

/// Every step of a payment's life: its name, the payment, when, and the words that its page must show.
fn stories() -> Vec<(&'static str, Payment, Timestamp, &'static str)> {
    use IdentityStep::{Reject, Start, Submit};
    use Mode::{Live, Test};
    let eth = chosen(Live, "ETH");
    let identity = |steps: &[IdentityStep]| {
        let new = payment(Live, "Order #1234", None);
        steps.iter().fold(new, |payment, step| payment.apply(Event::Identity(*step), at(1)).unwrap())
    };
    let over = LIFETIME_SECONDS + 60;
    vec![
        ("verify", payment(Live, "Order #1234", None), at(5), "must know who you are"),
        ("verify-test", payment(Test, "Order #1234", None), at(5), "approve_identity"),
        ("verify-begun", identity(&[Start]), at(5), "You have begun to identify yourself"),
        ("verify-review", identity(&[Start, Submit]), at(5), "nothing more for you to do"),
        ("verify-no-attempts", identity(&[Start, Submit, Reject].repeat(3)), at(5), "No attempts are left"),
        ("verify-rejected", identity(&[Start, Submit, Reject]), at(5), "2 attempts are left"),
        ("choose", approved(Live), at(30), "≈ 0.020767 ETH"),
        ("choose-test", approved(Test), at(30), "≈ 50.479 USDC"),
        ("send-eth", eth.clone(), at(90), "Open in wallet"),
        ("send-eth-test", chosen(Test, "ETH"), at(90), "Ethereum test network (chain id 11155111)"),
        ("send-usdc", chosen(Live, "USDC"), at(90), "50.479905"),
        ("renew", eth.clone(), at(60 + QUOTE_SECONDS), "Get the new amount"),
        ("renew-rest", sent(&eth, 60, CONFIRMATIONS, 120), at(180), "20.20 USD are still to pay"),
        (
            "send-rest",
            choose(&sent(&eth, 60, CONFIRMATIONS, 120), "ETH", 200),
            at(210),
            "30.29 of 50.49 USD counted, 20.20 USD still to pay",
        ),
        (
            "send-rest-coming",
            sent(&eth, 40, 3, 120),
            at(180),
            "0.00 of 50.49 USD counted, 20.19 USD on the way, 30.30",
        ),
        ("taken-back", taken_back(&eth), at(240), "Please do not send it again"),
        ("confirm", sent(&eth, 100, 3, 120), at(180), "3 of 12 confirmations"),
        ("close", eth.clone(), at(LIFETIME_SECONDS), "Please send nothing any more"),
        ("paid", sent(&eth, 100, CONFIRMATIONS, 120), at(300), "The payment is complete"),
        ("overpaid", sent(&eth, 140, CONFIRMATIONS, 120), at(300), "20.19 USD more than was due"),
        ("expired", closed(&eth), at(over), "The time to pay is over"),
        (
            "expired-late",
            sent(&closed(&eth), 50, CONFIRMATIONS, over),
            at(over + 60),
            "some of it after the end",
        ),
        ("cancelled", eth.apply(Event::Cancel, at(100)).unwrap(), at(120), "The shop has withdrawn"),
        (
            "refunded",
            given_back(&sent(&closed(&eth), 50, CONFIRMATIONS, over), over + 9),
            at(over + 60),
            "was sent back to you",
        ),
    ]
}

#[test]
fn r27_every_state_has_its_page() {
    for (name, payment, now, words) in stories() {
        let page = page(&payment, now);
        assert!(page.contains(words), "{name} does not say {words:?}");
        assert_eq!(page.contains("data-ended"), !payment.status(now).is_open(), "{name}");
        assert_eq!(page.contains("<strong>TEST</strong>"), !payment.is_live(), "{name}");
        let codes: usize = page.split("<svg ").skip(1).map(|rest| rest.find("</svg>").unwrap()).sum();
        assert!(page.len() - codes < PAGE_BYTES, "{name} weighs {} bytes", page.len() - codes);
        assert!(codes < 2 * CODE_BYTES, "{name} has codes of {codes} bytes");
    }
}

#[test]
fn r27_fixed_prices_are_told() {
    let view = view(&approved(Mode::Live), at(30));
    let page = |fixed| PayPage::new(&view, fixed).unwrap().render().unwrap();
    assert!(page(true).contains("not from a market") && !page(false).contains("not from a market"));
}

#[test]
fn r27_title_and_description_are_text_and_never_markup() {
    let nasty = r#"</title><script>alert("1")</script>' &amp; <img src=x onerror=y>"#;
    let hostile = page(&payment(Mode::Live, nasty, Some(nasty)), at(5));
    let harmless = page(&payment(Mode::Live, "Order", Some("Order")), at(5));
    for markup in ["<script", "</title", "<img", "<bdi>"] {
        assert_eq!(hostile.matches(markup).count(), harmless.matches(markup).count(), "{markup}");
    }
    assert!(hostile.contains("&#38;amp;"), "what looks like an entity stays what was written");
}

#[test]
fn r27_text_that_turns_the_direction_turns_only_itself() {
    let page = page(&payment(Mode::Live, "Order \u{202e}fdp.exe", None), at(5));
    let (head, body) = page.split_once("<body>").unwrap();
    assert!(!head.contains('\u{202e}'));
    assert!(body.contains("<bdi>Order \u{202e}fdp.exe</bdi>"));
}

#[test]
fn r27_the_policy_names_the_hashes_of_what_the_page_holds_and_nothing_else_is_inline() {
    let policy = content_security_policy();
    let page = page(&chosen(Mode::Live, "ETH"), at(90));
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (_, rest) = page.split_once(open).unwrap();
        let (text, after) = rest.split_once(close).unwrap();
        assert!(!after.contains(open));
        let hash = BASE64_STANDARD.encode(Sha256::digest(text));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{open}");
    }
    for inline in [" style=\"", " onclick=", " onload=", "javascript:", "unsafe-"] {
        assert!(!page.contains(inline) && !policy.contains(inline), "{inline}");
    }
}

/// A quote in ETH holds, and a token comes to the same address for which there is no price yet.
#[test]
fn a9_what_has_no_price_yet_is_said_to_be_on_its_way() {
    let payment = chosen(Mode::Live, "ETH");
    let movement = Movement {
        id: TransferId::new(format!("ethereum:0x1:{TOKEN}:{ADDRESS}:0")),
        coin: CoinId::new("USDC").unwrap(),
        decimals: Decimals::new(6).unwrap(),
        chain: ChainId::new("ethereum").unwrap(),
        tx_id: format!("0x{:064x}", 1),
        address: ADDRESS.into(),
        units: Units(20_000_000),
        confirmations_required: CONFIRMATIONS,
    };
    for confirmations in [1, CONFIRMATIONS] {
        let standing = Standing::InBlock { block: BlockAt { height: 100, time: at(120) }, confirmations };
        let (sequence, movement) = (Sequence(1), movement.clone());
        let report = Report { movement, sequence, at: at(120), standing, rates: Vec::new() };
        let coming = payment.apply(Event::Reported(report), at(120)).unwrap();
        let view = view(&coming, at(130));
        assert_eq!((view.step, view.payment_link), (Step::Confirm, None));
        let page = page(&coming, at(130));
        assert!(page.contains("Please send nothing more") && !page.contains("still to pay"), "{page}");
    }
}

#[test]
fn the_state_shows_these_fields_and_nothing_of_the_merchant() {
    let payment = sent(&chosen(Mode::Live, "ETH"), 10, 1, 120);
    let state = state(&payment, at(130));
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(&state),
        "short_code title description livemode status step kyc_status kyc_attempts_left kyc_method allow_bankid \
         amount_due_usd fee_usd amount_received_usd on_its_way_usd still_due_usd awaits_price overpaid_usd selected_coin network wallet_address \
         coin_amount rate_usd rate_expires_at payment_link coins not_offered transfers may_come_back late ended expires_at server_time fingerprint"
    );
    assert_eq!(names(&state["coins"][0]), "coin network rate_usd estimate");
    assert_eq!(
        names(&state["transfers"][0]),
        "coin network tx_id amount credited_usd state confirmations confirmations_required late"
    );
    let shown = [state.to_string(), page(&payment, at(130))].concat();
    for secret in ["80 %", "internal_note", "northwind", &payment.id().to_string()] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn r11_the_state_writes_money_and_moments_like_the_api() {
    let payment = chosen(Mode::Live, "ETH");
    let text = serde_json::to_string(&view(&payment, at(90))).unwrap();
    let state = state(&payment, at(90));
    assert!(text.contains(r#""amount_due_usd":50.49,"fee_usd":0.50,"amount_received_usd":0.00,"#));
    assert_eq!(state["rate_expires_at"], Value::from(at(60 + QUOTE_SECONDS).to_string()));
    assert_eq!(state["coin_amount"], "0.02076778");
}

#[test]
fn a_live_link_names_the_live_chain_and_a_test_link_the_test_chain() {
    let link = |mode, coin| state(&chosen(mode, coin), at(90))["payment_link"].as_str().unwrap().to_owned();
    let (eth, usdc) = ("20767780000000000", "50479905");
    assert_eq!(link(Mode::Live, "ETH"), format!("ethereum:{ADDRESS}@1?value={eth}"));
    assert_eq!(link(Mode::Test, "ETH"), format!("ethereum:{ADDRESS}@11155111?value={eth}"));
    assert_eq!(
        link(Mode::Live, "USDC"),
        format!("ethereum:{TOKEN}@1/transfer?address={ADDRESS}&uint256={usdc}")
    );
    assert_eq!(
        link(Mode::Test, "USDC"),
        format!("ethereum:{TOKEN}@11155111/transfer?address={ADDRESS}&uint256={usdc}")
    );
}

/// Wallets that read half of a token's link take the contract for the recipient (c4).
#[test]
fn r27_the_first_code_of_a_token_is_the_address_alone() {
    let figure = |text: &str| format!("<figure>{}", qr_code(text).unwrap());
    for mode in [Mode::Live, Mode::Test] {
        let usdc = chosen(mode, "USDC");
        let (shown, view) = (page(&usdc, at(90)), view(&usdc, at(90)));
        let link = view.payment_link.as_deref().unwrap();
        let (first, second) = (shown.find(&figure(ADDRESS)).unwrap(), shown.find(&figure(link)).unwrap());
        let label = shown.find("Not every wallet reads all of this link").unwrap();
        assert!(first < label && label < second && second < shown.find(r#"id="open-wallet""#).unwrap());
        let eth = chosen(mode, "ETH");
        let link = state(&eth, at(90))["payment_link"].as_str().unwrap().to_owned();
        assert_eq!(page(&eth, at(90)).matches("<figure>").count(), 1);
        assert!(page(&eth, at(90)).contains(&figure(&link)));
    }
}

#[test]
fn r27_who_sees_a_transfer_taken_back_is_told_so_before_how_to_send_again() {
    let payment = taken_back(&chosen(Mode::Live, "ETH"));
    let shown = page(&payment, at(240));
    let told = shown.find("The network took your transfer back</h2>").unwrap();
    assert!(told < shown.find(r#"<details id="again">"#).unwrap());
    assert!(shown.find(r#"<details id="again">"#).unwrap() < shown.find("Send exactly").unwrap());
    let given_up = at(200 + AWAITED_SECONDS);
    assert!(!page(&payment, given_up).contains("took your transfer back"), "nobody waits for ever");
}

#[test]
fn c11_who_can_do_nothing_more_is_not_told_how_long_the_payment_is_open() {
    let told = |name: &str| {
        let story = stories().into_iter().find(|(story, ..)| *story == name).unwrap();
        page(&story.1, story.2).contains("Open for another")
    };
    assert!(told("verify-rejected") && told("send-eth"));
    assert!(!told("verify-no-attempts") && !told("close") && !told("paid"));
}

#[test]
fn c11_a_fee_in_the_total_is_named_and_one_that_the_merchant_pays_is_not() {
    assert!(page(&approved(Mode::Live), at(30)).contains("includes a payment fee of 0.50 USD"));
    let payment = approved(Mode::Live);
    let mut terms = payment.terms().clone();
    terms.request.fee_paid_by = FeePaidBy::Merchant;
    let merchants = Payment::new(payment.id(), payment.merchant().clone(), Mode::Live, terms);
    assert_eq!(state(&merchants, at(30))["fee_usd"], Value::Null);
    assert!(!page(&merchants, at(30)).contains("fee of"));
}

#[test]
fn c11_large_amounts_are_written_in_groups() {
    let written = |cents| grouped(&Usd(Cents(cents)));
    assert_eq!(written(25_000_000), "250,000.00");
    assert_eq!(
        (written(99_999), written(100_000), written(1)),
        ("999.99".into(), "1,000.00".into(), "0.01".into())
    );
    assert_eq!(written(99_999_999_999), "999,999,999.99");
}

#[test]
fn r20_a_lapsed_quote_gives_no_link_and_no_code_to_scan() {
    let payment = chosen(Mode::Live, "ETH");
    let lapses = 60 + QUOTE_SECONDS;
    let scanned = |now| page(&payment, now).contains("<figure>");
    assert!(scanned(at(lapses - 1)) && !scanned(at(lapses)));
    assert_eq!(state(&payment, at(lapses))["payment_link"], Value::Null);
    let advanced =
        chosen(Mode::Test, "ETH").apply(Event::Advance { seconds: QUOTE_SECONDS }, at(61)).unwrap();
    assert_eq!(state(&advanced, at(62))["step"], "renew");
}

#[test]
fn nobody_is_asked_to_send_twice_what_is_on_its_way() {
    let payment = sent(&chosen(Mode::Live, "ETH"), 100, 1, 120);
    assert_eq!(state(&payment, at(130))["step"], "confirm");
    assert!(!can_choose(&payment, at(130)));
    let part = sent(&chosen(Mode::Live, "ETH"), 40, 1, 120);
    assert_eq!(
        (&state(&part, at(130))["step"], &state(&part, at(130))["payment_link"]),
        (&"renew".into(), &Value::Null)
    );
}

#[test]
fn r19_while_money_is_on_its_way_only_its_coin_can_be_chosen_and_then_any() {
    let coins = |payment: &Payment| {
        let lines = view(payment, at(130)).coins;
        lines.into_iter().map(|line| line.coin).collect::<Vec<_>>().join(" ")
    };
    let payment = chosen(Mode::Live, "ETH");
    assert_eq!((coins(&payment).as_str(), coins(&sent(&payment, 40, 1, 120)).as_str()), ("ETH USDC", "ETH"));
    let counted = sent(&payment, 40, CONFIRMATIONS, 120);
    assert_eq!(coins(&counted), "ETH USDC");
    assert!(page(&counted, at(130)).contains("Pay with another coin"));
}

#[test]
fn the_fingerprint_changes_with_what_is_visible_and_not_with_time() {
    let print = |payment: &Payment, seconds| view(payment, at(seconds)).fingerprint;
    let payment = chosen(Mode::Live, "ETH");
    assert_eq!(print(&payment, 90), print(&payment, 91));
    assert_ne!(print(&payment, 90), print(&payment, 60 + QUOTE_SECONDS));
    let at_other_rates = |payment: &Payment| {
        let rate = "3.00".parse().unwrap();
        let moved: Vec<_> = offered().into_iter().map(|offer| OfferedCoin { rate, ..offer }).collect();
        PayView::new(payment, &chains(), &offers(moved), at(90)).unwrap().fingerprint
    };
    assert_eq!(print(&payment, 90), at_other_rates(&payment));
    assert_ne!(print(&approved(Mode::Live), 90), at_other_rates(&approved(Mode::Live)));
    let one = sent(&payment, 100, 1, 120);
    let two = sent(&payment, 100, 2, 120);
    assert_ne!(print(&one, 130), print(&two, 130));
}

#[test]
fn a_coin_that_is_configured_no_more_is_still_shown_but_has_no_link() {
    let view =
        PayView::new(&chosen(Mode::Live, "ETH"), &Chains::default(), &Offers::default(), at(90)).unwrap();
    assert_eq!((view.payment_link.as_deref(), view.wallet_address.as_deref()), (None, Some(ADDRESS)));
}

#[test]
fn an_estimate_has_five_digits() {
    let shown = |units, decimals| estimate(Units(units), Decimals::new(decimals).unwrap());
    assert_eq!(shown(20_767_778_476_042_399, 18), "0.020767");
    assert_eq!(shown(50_479_905, 6), "50.479");
    assert_eq!(shown(1_234_567_890_000, 6), "1234567");
    assert_eq!(shown(12_345_600_000, 6), "12345");
    assert_eq!(shown(1_000_000, 6), "1");
    assert_eq!(shown(1, 18), "0.000000000000000001");
    assert_eq!(shown(0, 18), "0");
}

proptest! {
    #[test]
    fn every_history_has_a_page_and_a_link_only_while_there_is_something_to_send(
        payment in arb_payment(), seconds in 0..2 * LIFETIME_SECONDS,
    ) {
        let now = payment.terms().created_at.plus(seconds);
        let view = view(&payment, now);
        prop_assert_eq!(view.payment_link.is_some(), view.step == Step::Send && view.selected_coin.is_some());
        prop_assert_eq!(view.ended, !payment.status(now).is_open());
        prop_assert!(PayPage::new(&view, true).unwrap().render().is_ok());
    }
}
