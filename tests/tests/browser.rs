//! The pay page in a real browser (R27): live, in a shop's frame, by keyboard, on a phone, in the dark, without script.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Html;
use axum::routing::get;
use fantoccini::key::Key;
use local::{Local, Options, demo};
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::browser::{Browser, visit};
use tests::program::until;
use tests::shop::{Shop, text};
use tokio::net::TcpListener;

/// More presses of the tabulator than the page has places to stop at.
const STOPS: usize = 30;

/// A running gateway with prices, and a shop in test mode.
struct World {
    local: Local,
    shop: Shop,
}

impl World {
    async fn start() -> World {
        let local = Local::start(Options::default()).await.unwrap();
        local.tick("refresh-rates").await.unwrap();
        let key = demo::demo(&local.store(), None, &[]).await.unwrap().test;
        let shop = Shop::new(local.base_url(), &key);
        World { local, shop }
    }

    /// A payment, by its code and its link.
    async fn payment(&self) -> (String, String) {
        let payment = self.shop.create("49.99").await;
        (text(&payment["short_code"]), text(&payment["pay_url"]))
    }

    async fn approved(&self) -> (String, String) {
        let (code, url) = self.payment().await;
        self.play(&code, "approve_identity").await;
        (code, url)
    }

    async fn play(&self, code: &str, scenario: &str) -> Value {
        self.shop.simulate(code, &json!({ "scenario": scenario })).await
    }
}

/// Whatever happens to the page from now on without a reload, it is still this one.
async fn mark(browser: &Browser) {
    browser.run("window.marker = 'same page'; return null").await;
}

async fn is_marked(browser: &Browser) -> bool {
    browser.run("return window.marker || null").await == "same page"
}

#[tokio::test]
async fn r27_the_open_page_follows_a_payment_to_paid() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.payment().await;
        browser.open(&url).await;
        browser.shows("Order #1234").await;
        browser.shows("TEST").await;
        browser.shows("49.99").await;
        mark(browser).await;

        world.play(&code, "approve_identity").await;
        browser.element("#coin-ETH").await;
        assert!(is_marked(browser).await, "approval reloads the page");

        browser.click("#coin-ETH").await;
        let address = browser.element("#copy-address").await.attr("data-copy").await.unwrap().unwrap();
        let payment = world.shop.get(&code).await;
        assert_eq!(payment["wallet_address"], address);
        browser.shows(&address).await;
        browser.shows(&text(&payment["coin_amount"])).await;
        assert!(browser.element("figure svg").await.is_displayed().await.unwrap());
        let link = browser.element("#open-wallet").await.attr("href").await.unwrap().unwrap();
        assert!(link.starts_with(&format!("ethereum:{address}@11155111?value=")), "{link}");
        mark(browser).await;

        let transfer = json!({ "scenario": "transfer", "transfer_id": "one", "confirmed": false });
        world.shop.simulate(&code, &transfer).await;
        browser.shows("Seen, not in a block yet").await;
        let confirm = json!({ "scenario": "confirm", "transfer_id": "one" });
        assert_eq!(world.shop.simulate(&code, &confirm).await["status"], "paid");
        browser.shows("The payment is complete").await;
        assert!(is_marked(browser).await, "money reloads the page");
        assert_eq!(browser.complaints().await, Vec::<Value>::new());
        assert!(browser.client().get_all_cookies().await.unwrap().is_empty());
        world.local.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn r27_an_unknown_code_gives_a_page_that_says_so() {
    visit(async |browser| {
        let world = World::start().await;
        for code in ["11111111", "no-such-code"] {
            browser.open(&format!("{}/pay/{code}", world.shop.base_url())).await;
            browser.shows("Payment not found").await;
        }
        world.local.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn r27_the_page_works_in_a_shops_frame() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.approved().await;
        browser.open(&shop_with_frame(&url, "", &[]).await).await;
        browser.element("iframe").await.enter_frame().await.unwrap();
        assert!(fits(browser).await);
        mark(browser).await;
        assert_eq!(browser.run("return window.self === window.top").await, false);

        browser.click("#coin-USDC").await;
        browser.element("#copy-address").await;
        mark(browser).await;
        world.play(&code, "pay").await;
        browser.shows("The payment is complete").await;
        assert!(is_marked(browser).await && fits(browser).await);
        world.local.shutdown().await;
    })
    .await;
}

/// A frame with an origin of its own, and a shop's page that shares memory between threads.
#[tokio::test]
async fn r27_c5_the_page_works_in_a_sandbox_and_where_embedders_must_be_allowed() {
    let sandbox = r#"sandbox="allow-scripts allow-forms""#;
    let isolated =
        [("cross-origin-embedder-policy", "require-corp"), ("cross-origin-opener-policy", "same-origin")];
    for (attributes, headers) in [(sandbox, &[][..]), ("", &isolated), (sandbox, &isolated)] {
        visit(async |browser| {
            let world = World::start().await;
            let (code, url) = world.approved().await;
            browser.open(&shop_with_frame(&url, attributes, headers).await).await;
            browser.element("iframe").await.enter_frame().await.unwrap();
            browser.click("#coin-ETH").await;
            browser.element("#copy-address").await;
            mark(browser).await;
            world.play(&code, "pay").await;
            browser.shows("The payment is complete").await;
            assert!(is_marked(browser).await, "the page followed by itself");
            assert!(!browser.is_shown("Scan with your wallet").await);
            world.local.shutdown().await;
        })
        .await;
    }
}

#[tokio::test]
async fn r27_c9_codes_can_be_scanned_on_a_narrow_phone_at_200_percent_text() {
    visit(async |browser| {
        let world = World::start().await;
        let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
        browser.devtools("Emulation.setDeviceMetricsOverride", phone).await;
        for coin in ["ETH", "USDC", "BTC"] {
            let (code, url) = world.approved().await;
            let scenario = json!({ "scenario": "choose_coin", "coin": coin });
            let payment = world.shop.simulate(&code, &scenario).await;
            browser.open(&url).await;
            browser.element("#copy-address").await;
            let address = text(&payment["wallet_address"]);
            let link = browser.element("#open-wallet").await.attr("href").await.unwrap().unwrap();
            let expected = if coin == "USDC" { &address } else { &link };
            for percent in ["100%", "200%"] {
                browser
                    .run(&format!("document.documentElement.style.fontSize = '{percent}'; return 0"))
                    .await;
                assert!(fits(browser).await && nothing_is_cut_off(browser).await, "{coin} {percent}");
                let scanned = browser.scan("figure svg").await;
                assert_eq!(scanned.as_ref(), Some(expected), "{coin} {percent}");
            }
            if coin == "USDC" {
                browser.click("#wallet-link summary").await;
                assert_eq!(browser.scan("#wallet-link svg").await, Some(link));
            }
        }
        world.local.shutdown().await;
    })
    .await;
}

/// Whether the card shows all of what is in it: it hides what sticks out.
async fn nothing_is_cut_off(browser: &Browser) -> bool {
    let script = "const card = document.querySelector('main').getBoundingClientRect(); \
        const parts = [...document.querySelectorAll('main *')].map((one) => one.getBoundingClientRect()); \
        return parts.every((one) => one.left >= card.left - 1 && one.right <= card.right + 1)";
    browser.run(script).await == true
}

#[tokio::test]
async fn c11_what_could_not_be_copied_is_not_said_to_be() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.approved().await;
        let payment = world.shop.simulate(&code, &json!({ "scenario": "choose_coin", "coin": "ETH" })).await;
        browser.open(&url).await;
        browser.element("#copy-address").await;
        let refuse = "Object.defineProperty(navigator, 'clipboard', { value: { writeText: () => Promise.reject() } }); \
            document.execCommand = () => false; return 0";
        browser.run(refuse).await;
        browser.click("#copy-address").await;
        until("it says so", async || browser.text("#copy-address").await == "Selected").await;
        let selected = browser.run("return getSelection().toString().trim()").await;
        assert_eq!(selected, payment["wallet_address"]);
        assert!(!browser.is_shown("Copied").await);
        world.local.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn c10_who_is_refused_a_coin_and_loads_the_address_again_comes_to_the_page() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.approved().await;
        browser.open(&url).await;
        browser.element("#coin-ETH").await;
        browser.run("document.getElementById('payment').dataset.ended = ''; return 0").await;
        world.shop.cancel(&code).await;
        browser.click("#coin-ETH").await;
        browser.shows("Payment is cancelled").await;
        let refused_at = browser.run("return location.href").await;
        assert!(refused_at.as_str().unwrap().ends_with("/coin"));
        browser.open(refused_at.as_str().unwrap()).await;
        browser.shows("The shop has withdrawn this payment").await;
        assert_eq!(browser.run("return location.href").await, url);
        world.local.shutdown().await;
    })
    .await;
}

/// A shop's page at another site, with the documented frame in it.
async fn shop_with_frame(url: &str, attributes: &str, headers: &[(&'static str, &'static str)]) -> String {
    let frame =
        format!(r#"<iframe src="{url}" width="100%" height="700" frameborder="0" {attributes}></iframe>"#);
    let page = Html(format!("<!DOCTYPE html><title>Shop</title><h1>Shop</h1>{frame}"));
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let router = Router::new().fallback(get(async move || (headers, page)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://localhost:{port}/")
}

/// Whether nothing sticks out to the right.
async fn fits(browser: &Browser) -> bool {
    let script = "const page = document.documentElement; return page.scrollWidth <= page.clientWidth";
    browser.run(script).await == true
}

#[tokio::test]
async fn r27_the_keyboard_alone_chooses_a_coin() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.approved().await;
        browser.open(&url).await;
        browser.element("#coin-USDC").await;
        tab_to(browser, "coin-USDC").await;
        let outline = "const style = getComputedStyle(document.activeElement); \
                       return style.outlineStyle !== 'none' || style.boxShadow !== 'none'";
        assert_eq!(browser.run(outline).await, true, "the focus can be seen");
        browser.press(Key::Enter).await;
        browser.element("#copy-address").await;
        assert_eq!(world.shop.get(&code).await["selected_coin"], "USDC");
        tab_to(browser, "copy-address").await;
        world.local.shutdown().await;
    })
    .await;
}

async fn tab_to(browser: &Browser, id: &str) {
    let mut focused = Value::Null;
    for _ in 0..STOPS {
        browser.press(Key::Tab).await;
        focused = browser.run("return document.activeElement.id").await;
        if focused == id {
            break;
        }
    }
    assert_eq!(focused, id, "the tabulator comes to it");
}

#[tokio::test]
async fn r27_the_page_is_dark_in_dark_mode_and_fits_a_phone() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.approved().await;
        world.play(&code, "choose_coin").await;
        let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
        browser.devtools("Emulation.setDeviceMetricsOverride", phone).await;
        for (scheme, is_dark) in [("light", false), ("dark", true)] {
            let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            browser.devtools("Emulation.setEmulatedMedia", feature).await;
            browser.open(&url).await;
            browser.element("#copy-address").await;
            assert!(fits(browser).await, "{scheme}");
            let brightness = "const style = getComputedStyle(document.querySelector('main')); \
                const sum = (color) => color.match(/[0-9.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b); \
                return sum(style.backgroundColor) < sum(style.color)";
            assert_eq!(browser.run(brightness).await, is_dark, "{scheme}");
        }
        world.local.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn r27_the_page_works_without_script() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, url) = world.approved().await;
        browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        browser.open(&url).await;
        browser.click("#coin-ETH").await;
        let page = "the next page has the amount to send";
        until(page, async || browser.text("main").await.contains("Send exactly")).await;
        let shown = browser.text("main").await;
        let payment = world.shop.get(&code).await;
        assert!(shown.contains(&text(&payment["wallet_address"])), "{shown}");
        assert!(shown.contains(&text(&payment["coin_amount"])), "{shown}");
        world.play(&code, "pay").await;
        browser.client().refresh().await.unwrap();
        assert!(browser.text("main").await.contains("The payment is complete"));
        world.local.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn r27_a_title_is_text_whatever_it_says() {
    visit(async |browser| {
        let world = World::start().await;
        let title = "<img src=x onerror='window.ran=1'></title><script>window.ran=1</script>";
        let request = json!({ "title": title, "description": title, "amount_usd": 1 });
        let payment = world.shop.create_with(&request).await;
        browser.open(&text(&payment["pay_url"])).await;
        browser.shows(title).await;
        assert_eq!(browser.run("return window.ran || null").await, Value::Null);
        assert_eq!(browser.run("return document.querySelectorAll('img').length").await, 0);
        assert!(browser.client().title().await.unwrap().contains(title));
        world.local.shutdown().await;
    })
    .await;
}

/// Where the refund of these tests goes.
const PAYERS_ADDRESS: &str = "0x52908400098527886E0F7030069857D2E4169EE7";

#[tokio::test]
async fn a_payer_says_by_keyboard_where_a_refund_goes() {
    visit(async |browser| {
        let world = World::start().await;
        let (code, _) = world.approved().await;
        world.play(&code, "choose_coin").await;
        world.shop.simulate(&code, &json!({ "scenario": "transfer", "percent": 50 })).await;
        world.shop.cancel(&code).await;
        let ask = world.shop.api(Method::POST, &format!("/payments/{code}/refunds"));
        let refund = Answer::of(ask.json(&json!({}))).await.refund();
        browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        browser.open(refund["claim_url"].as_str().unwrap()).await;
        let field = browser.element("#address:focus").await;
        field.send_keys("0xnonsense").await.unwrap();
        browser.press(Key::Enter).await;
        let problem = browser.text("#problem").await;
        assert_eq!(problem, "This cannot be used: not an Ethereum address.");
        let field = browser.element("#address").await;
        field.clear().await.unwrap();
        field.send_keys(&PAYERS_ADDRESS.to_lowercase()).await.unwrap();
        browser.press(Key::Enter).await;
        says(browser, "Is this your address?").await;
        assert_eq!(browser.text(".value code").await, PAYERS_ADDRESS);
        browser.press(Key::Tab).await;
        browser.element("#sure:focus").await;
        browser.press(Key::Enter).await;
        says(browser, "The shop has your address").await;
        assert_eq!(browser.text(".value code").await, PAYERS_ADDRESS);
        world.local.shutdown().await;
    })
    .await;
}

/// Waits for the page with that headline.
async fn says(browser: &Browser, headline: &str) {
    until(headline, async || browser.text("#headline").await == headline).await;
}
