//! Who may call what, and what everybody gets who may not: R1–R4, R10, R13, R25, R26.

use local::Options;
use serde_json::{Value, json};
use shared::account::AccountState;
use shared::chain::address::TEST_XPUB;
use shared::keys::{ApiKey, Scope};
use shared::moment::Timestamp;
use shared::payment::Mode;
use tests::answer::Answer;
use tests::database;
use tests::product::{Caller, PAYMENTS, Product, alone, shared};
use tests::program::try_operator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SWEEP: &str = r#"{"coin": "ETH", "to": "0x00000000000000000000000000000000DeaDBeef"}"#;

/// A command about a refund that there is not.
fn refund_of(mut command: Value) -> Value {
    command["refund_id"] = json!("11111111-1");
    command["amount"] = json!("1");
    command
}

/// Each endpoint that wants a key, on a payment.
async fn every_call(caller: &Caller, id: &str) -> Vec<Answer> {
    vec![
        caller.create(&json!({ "title": "Order", "amount_usd": 1 })).await,
        caller.read(id).await,
        caller.list("").await,
        caller.cancel(id).await,
        caller.accept_late(id).await,
        caller.explain(id).await,
        caller.get("/api/v1/wallets").await,
        caller.post("/api/v1/wallets/sweep", SWEEP).await,
        caller.call("DELETE", &format!("{PAYMENTS}/{id}"), &[], Vec::new()).await,
        caller.simulate(id, &json!({ "scenario": "pay" })).await,
        caller.refunds("POST", id, "", &json!({})).await,
        caller.refunds("GET", id, "", &Value::Null).await,
        caller.refunds("POST", id, "/ETH/confirm", &refund_of(json!({ "address": "0x" }))).await,
        caller.refunds("POST", id, "/ETH/transaction", &refund_of(json!({ "tx_id": "0x" }))).await,
        caller.refunds("POST", id, "/ETH/withdraw", &refund_of(json!({}))).await,
        caller.get(&format!("{PAYMENTS}/{id}/transfers")).await,
    ]
}

fn assert_no_key(answer: &Answer) {
    answer.assert_refused(401, "invalid_api_key", "Invalid or missing API key");
    assert_eq!(answer.header("www-authenticate"), "APIKey");
}

#[test]
fn r1_checks_run_in_their_order() {
    shared(async |product| {
        let shop = product.shop().await;
        let nobody = product.caller_with(None);
        // The route before the key.
        nobody.get("/api/v1/nothing").await.assert_refused(404, "not_found", "Not found");
        nobody.call("PUT", PAYMENTS, &[], Vec::new()).await.assert_refused(
            405,
            "method_not_allowed",
            "Method not allowed",
        );
        // The key before the parameters.
        assert_no_key(&nobody.post(PAYMENTS, "{").await);
        assert_no_key(&nobody.list("limit=0").await);
        // The scope before the parameters.
        let reader = product.key(&shop.account.merchant, Mode::Test, &[Scope::PaymentsRead], None).await;
        let reader = product.caller(&reader);
        reader.post(PAYMENTS, "{").await.assert_refused(403, "missing_scope", "Key lacks permission");
        // The parameters before the resource.
        let unknown = "11111111";
        let misspelt = shop.test.simulate(unknown, &json!({ "scenario": "pays" })).await;
        assert_eq!((misspelt.status, misspelt.header("x-error-code")), (400, "invalid_parameter"));
        // The resource before its state.
        shop.test.cancel(unknown).await.assert_refused(404, "payment_not_found", "Payment not found");
        // The account before the scope.
        let store = product.local.store();
        let disabled = product.shop().await;
        let reader = product.key(&disabled.account.merchant, Mode::Test, &[Scope::PaymentsRead], None).await;
        store.set_account_state(&disabled.account.merchant, AccountState::Disabled).await.unwrap();
        let refused = product.caller(&reader).create(&json!({})).await;
        refused.assert_refused(403, "account_disabled", "Account is disabled");
    });
}

/// 403 for what a key may not do; for what it may, just the answer that a payment deserves which the calls before left
/// cancelled and without money.
#[test]
fn r25_a_key_does_only_what_its_scopes_say() {
    shared(async |product| {
        let shop = product.shop().await;
        for (scopes, expected) in [
            (
                &[Scope::PaymentsRead][..],
                [403, 200, 200, 403, 403, 200, 403, 403, 403, 403, 403, 200, 403, 403, 403, 200],
            ),
            (
                &[Scope::PaymentsWrite],
                [201, 403, 403, 200, 400, 403, 403, 403, 200, 400, 403, 403, 403, 403, 403, 403],
            ),
            (
                &[Scope::Refunds],
                [403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 400, 403, 404, 404, 404, 403],
            ),
            (
                &[Scope::Wallets],
                [403, 403, 403, 403, 403, 403, 200, 200, 403, 403, 403, 403, 403, 403, 403, 403],
            ),
            (&[Scope::Webhooks, Scope::FeesRead], [403; 16]),
            // A shop's website: it takes money in and gives none away.
            (
                &[Scope::PaymentsRead, Scope::PaymentsWrite],
                [201, 200, 200, 200, 400, 200, 403, 403, 200, 400, 403, 200, 403, 403, 403, 200],
            ),
            (&Scope::ALL, [201, 200, 200, 200, 400, 200, 200, 200, 200, 400, 400, 200, 404, 404, 404, 200]),
        ] {
            let id = shop.test.created("5").await;
            shop.test.cancel(&id).await;
            let key = product.key(&shop.account.merchant, Mode::Test, scopes, None).await;
            let answers = every_call(&product.caller(&key), &id).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, expected, "{scopes:?}");
            for answer in answers.iter().filter(|answer| answer.status == 403) {
                answer.assert_refused(403, "missing_scope", "Key lacks permission");
            }
        }
    });
}

/// A later version may know more scopes than this one, and both run side by side.
#[test]
fn r25_a_stored_scope_that_is_not_known_is_left_out() {
    shared(async |product| {
        let shop = product.shop().await;
        let key = product.key(&shop.account.merchant, Mode::Test, &[Scope::PaymentsRead], None).await;
        let update = |scopes: Value| {
            json!({
                "TableName": product.table("KeysTable"), "Key": { "key_hash": { "S": key.hash().as_str() } },
                "UpdateExpression": "SET scopes = :scopes", "ExpressionAttributeValues": { ":scopes": { "L": scopes } },
            })
        };
        let scopes = json!([{ "S": "audit:read" }, { "S": "payments:read" }, { "S": "" }]);
        database::call(product.local.dynamodb_endpoint(), "UpdateItem", &update(scopes)).await;
        let caller = product.caller(&key);
        assert_eq!(caller.list("").await.status, 200);
        caller.create(&json!({})).await.assert_refused(403, "missing_scope", "Key lacks permission");
        let only = product.key(&shop.account.merchant, Mode::Test, &[], None).await;
        product.caller(&only).list("").await.assert_refused(403, "missing_scope", "Key lacks permission");
    });
}

#[test]
fn c18_every_answer_is_for_https_alone_and_nothing_but_what_it_says() {
    shared(async |product| {
        let shop = product.shop().await;
        let nobody = product.caller_with(None);
        let id = shop.test.created("5").await;
        let code = shop.test.read(&id).await.field("short_code").as_str().unwrap().to_owned();
        shop.test.simulate(&id, &json!({ "scenario": "approve_identity" })).await;
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let chosen = format!("/pay/{code}/coin");
        for answer in [
            shop.test.read(&id).await,
            shop.test.list("page=1").await,
            nobody.list("").await,
            nobody.get("/nothing").await,
            nobody.get(&format!("/pay/{code}")).await,
            nobody.get(&format!("/pay/{code}/state")).await,
            nobody.get("/pay/11111111").await,
            nobody.get("/refund/11111111/x").await,
            nobody.call("POST", &chosen, &form, b"coin=ETH".to_vec()).await,
        ] {
            assert_eq!(answer.headers.get_all("strict-transport-security").iter().count(), 1);
            assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
            assert_eq!(answer.headers.get_all("x-content-type-options").iter().count(), 1);
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    });
}

#[test]
fn r2_every_key_that_opens_nothing_is_answered_alike() {
    shared(async |product| {
        let shop = product.shop().await;
        let merchant = &shop.account.merchant;
        let good = shop.test.key.clone().unwrap();
        let unknown = ApiKey::new(Mode::Test, [9; 32]);
        let expired = product.key(merchant, Mode::Test, &Scope::ALL, Some(Timestamp(1))).await;
        let revoked = product.key(merchant, Mode::Test, &Scope::ALL, None).await;
        product.local.store().revoke_key(&revoked.hash(), Timestamp(1)).await.unwrap();
        let broken = format!("{}x", &good[..good.len().checked_sub(1).unwrap()]);
        let bad = [
            None,
            Some(""),
            Some("junk"),
            Some(&good[1..]),
            Some(broken.as_str()),
            Some(unknown.reveal()),
            Some(expired.reveal()),
            Some(revoked.reveal()),
        ];
        let mut bodies = Vec::new();
        for key in bad {
            let answer = product.caller_with(key).list("").await;
            assert_no_key(&answer);
            bodies.push(answer.text);
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1);
        for answer in every_call(&product.caller_with(None), "11111111").await {
            assert_no_key(&answer);
        }
    });
}

#[test]
fn r2_the_name_of_the_header_may_be_in_any_case() {
    shared(async |product| {
        let shop = product.shop().await;
        let key = shop.test.key.clone().unwrap();
        for name in ["x-api-key", "X-API-KEY", "X-Api-Key"] {
            let nobody = product.caller_with(None);
            assert_eq!(nobody.call("GET", PAYMENTS, &[(name, &key)], Vec::new()).await.status, 200);
        }
    });
}

#[test]
fn r3_a_disabled_account_is_refused_every_call_until_it_is_enabled() {
    shared(async |product| {
        let shop = product.shop().await;
        let store = product.local.store();
        store.set_account_state(&shop.account.merchant, AccountState::Disabled).await.unwrap();
        for answer in every_call(&shop.test, "11111111").await {
            answer.assert_refused(403, "account_disabled", "Account is disabled");
        }
        // Its live key too: no mode is a way around.
        shop.live.list("").await.assert_refused(403, "account_disabled", "Account is disabled");
    });
}

#[test]
fn r4_a_payment_that_is_not_the_callers_never_was() {
    shared(async |product| {
        let (shop, rival) = (product.shop().await, product.shop().await);
        let made = shop.test.create(&json!({ "title": "Order", "amount_usd": 5 })).await.payment();
        let (id, code) = (made["id"].as_str().unwrap(), made["short_code"].as_str().unwrap());
        for other in [&rival.test, &rival.live, &shop.live] {
            for name in [id, code] {
                for answer in [
                    other.read(name).await,
                    other.cancel(name).await,
                    other.accept_late(name).await,
                    other.explain(name).await,
                ] {
                    answer.assert_refused(404, "payment_not_found", "Payment not found");
                }
                let simulated = other.simulate(name, &json!({ "scenario": "pay" })).await;
                simulated.assert_refused(404, "payment_not_found", "Payment not found");
            }
            assert_eq!(other.list("").await.listed(), Vec::<String>::new());
        }
        assert_eq!(shop.test.read(id).await.field("status"), "kyc_required");
    });
}

#[test]
fn r4_an_id_is_known_in_both_forms_and_compared_in_full() {
    shared(async |product| {
        let shop = product.shop().await;
        let made = shop.test.create(&json!({ "title": "Order", "amount_usd": 5 })).await.payment();
        let (id, code) = (made["id"].as_str().unwrap(), made["short_code"].as_str().unwrap());
        for name in [id, &id.to_uppercase(), code] {
            assert_eq!(shop.test.read(name).await.payment(), made, "{name}");
        }
        // The same code below another time: the key is found, and it is another payment.
        let other_time = format!("{}{}", if id.starts_with('0') { '1' } else { '0' }, &id[1..]);
        let other_case: String = code
            .chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let wrong = [
            other_time.as_str(),
            &id.replace('-', ""),
            &format!("%7B{id}%7D"),
            &format!("urn:uuid:{id}"),
            &other_case,
            &code[1..],
            &format!("{code}1"),
            &format!("{code}%20"),
            &format!("%20{code}"),
            "%00",
            "%FF",
            "0OIl0OIl",
            "zzzzzzzz",
            "%E2%82%AC",
            &"1".repeat(2_000),
        ];
        for name in wrong {
            shop.test.read(name).await.assert_refused(404, "payment_not_found", "Payment not found");
        }
    });
}

#[test]
fn r10_a_trailing_slash_makes_no_difference() {
    shared(async |product| {
        let shop = product.shop().await;
        let body = r#"{"title": "Order", "amount_usd": 5}"#;
        let made = shop.test.post(&format!("{PAYMENTS}/"), body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let made = made.payment();
        let id = made["id"].as_str().unwrap();
        assert_eq!(shop.test.get(&format!("{PAYMENTS}/{id}/")).await.payment(), made);
        assert_eq!(shop.test.get(&format!("{PAYMENTS}/?limit=1")).await.listed(), [id]);
        let simulate = format!("/api/v1/test/payments/{id}/simulate/");
        let approved = shop.test.post(&simulate, r#"{"scenario": "approve_identity"}"#).await;
        assert_eq!(approved.field("status"), "pending");
        let cancelled = shop.test.post(&format!("{PAYMENTS}/{id}/cancel/"), "").await;
        assert_eq!(cancelled.field("status"), "cancelled");
        let again = shop.test.call("DELETE", &format!("{PAYMENTS}/{id}/"), &[], Vec::new()).await;
        assert_eq!(again.payment(), cancelled.payment());
        assert_no_key(&product.caller_with(None).get(&format!("{PAYMENTS}/{id}/")).await);
    });
}

#[test]
fn r10_what_is_no_route_says_so() {
    shared(async |product| {
        let shop = product.shop().await;
        for path in
            ["/", "/api", "/api/v1", "/api/v2/payments", "/api/v1/payments/a/b", "/pay", "/API/V1/PAYMENTS"]
        {
            shop.test.get(path).await.assert_refused(404, "not_found", "Not found");
        }
        for (method, path, allow) in [
            ("PUT", "/api/v1/payments", "POST, GET"),
            ("DELETE", "/api/v1/payments/", "POST, GET"),
            ("POST", "/api/v1/payments/11111111", "GET, DELETE"),
            ("GET", "/api/v1/payments/11111111/cancel", "POST"),
            ("GET", "/api/v1/test/payments/11111111/simulate", "POST"),
            ("PATCH", "/pay/11111111", "GET"),
        ] {
            let answer = shop.test.call(method, path, &[], Vec::new()).await;
            answer.assert_refused(405, "method_not_allowed", "Method not allowed");
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
        }
    });
}

#[test]
fn r13_a_500_says_nothing_and_the_log_says_why() {
    shared(async |product| {
        let shop = product.shop().await;
        let item = json!({ "code": { "S": "22222222" }, "version": { "S": "broken on purpose" } });
        let broken = json!({ "TableName": product.table("PaymentsTable"), "Item": item });
        database::call(product.local.dynamodb_endpoint(), "PutItem", &broken).await;
        let answer = shop.test.read("22222222").await;
        answer.assert_refused(500, "internal", "Internal server error");
        let (request_id, log) = (answer.header("x-request-id"), product.local.log());
        let told = log.iter().find(|line| line.contains(request_id) && line.contains("\"cause\""));
        assert!(told.is_some_and(|line| line.contains("cannot be read")), "{request_id}: {log:#?}");
        let key = shop.test.key.clone().unwrap();
        assert!(log.iter().all(|line| !line.contains(&key)), "a key is in the log");
    });
}

#[test]
fn r13_every_answer_has_a_request_id_of_its_own() {
    shared(async |product| {
        let shop = product.shop().await;
        let answers = [shop.test.list("").await, shop.test.list("").await, shop.test.get("/nothing").await];
        let ids: std::collections::BTreeSet<_> =
            answers.iter().map(|answer| answer.header("x-request-id")).collect();
        assert_eq!((ids.len(), ids.contains("")), (3, false));
        assert_eq!(answers[0].header("x-error-code"), "");
    });
}

#[test]
fn r25_only_the_hash_of_a_key_is_kept() {
    shared(async |product| {
        let shop = product.shop().await;
        assert_eq!(shop.test.list("").await.status, 200);
        let scan = json!({ "TableName": product.table("KeysTable") });
        let kept = database::call(product.local.dynamodb_endpoint(), "Scan", &scan).await.to_string();
        for key in [&shop.test.key, &shop.live.key] {
            let key = ApiKey::parse(key.as_ref().unwrap()).unwrap();
            assert!(kept.contains(key.hash().as_str()));
            assert!(!kept.contains(key.reveal()));
        }
    });
}

/// How long a process may remember is a unit test of `shared`, with a clock of its own; here nobody has to wait,
/// because the processes of the other functions have never seen the key.
#[test]
fn r26_a_revoked_key_opens_nothing_to_whoever_asks_the_table() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("5").await;
        let key = ApiKey::parse(shop.test.key.as_ref().unwrap()).unwrap();
        assert!(product.local.store().revoke_key(&key.hash(), Timestamp(1)).await.unwrap());
        assert_no_key(&shop.test.read(&id).await);
        assert_no_key(&shop.test.cancel(&id).await);
        assert_no_key(&shop.test.list("").await);
        assert_no_key(&shop.test.get(&format!("{PAYMENTS}/{id}/")).await);
    });
}

/// As an event of API Gateway, which hands out the query as the client sent it.
#[test]
fn c12_a_query_that_no_url_can_have_is_refused_and_ends_nothing() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("5").await;
        let code = shop.test.read(&id).await.field("short_code").as_str().unwrap().to_owned();
        let detail = "The query must be percent-encoded: it has characters that a URL cannot have";
        let payment = format!("{PAYMENTS}/{id}");
        let calls = [
            ("get-payment", "GET", payment.as_str()),
            ("list-payments", "GET", PAYMENTS),
            ("create-payment", "POST", PAYMENTS),
            ("pay-page", "GET", &format!("/pay/{code}")),
            ("payment-state", "GET", &format!("/pay/{code}/state")),
            ("no-route", "GET", &format!("{PAYMENTS}/")),
        ];
        for (function, method, path) in calls {
            for query in ["a b", "x=\"1\"", "x=<", ">", "limit=1 ", "\u{0}", "é"] {
                let event = json!({
                    "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
                    "headers": { "host": "pay.example.com", "x-api-key": shop.test.key },
                    "requestContext": {
                        "apiId": "a", "domainName": "pay.example.com", "requestId": "r", "stage": "$default",
                        "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1" },
                    },
                    "pathParameters": { "id": id, "code": code }, "isBase64Encoded": false,
                });
                let reply = product.local.invoke(function, event).await.unwrap();
                assert_eq!(reply["statusCode"], 400, "{function} {query:?}: {reply}");
                let body: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
                assert_eq!(body, json!({ "detail": detail }), "{function} {query:?}");
            }
        }
        // And over HTTP, where a client that encodes nothing asks.
        for query in ["x=\"", "x=<", "x=>", "limit=1 2"] {
            let request = format!(
                "GET {PAYMENTS}?{query} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nConnection: close\r\n\r\n",
                shop.test.key.as_ref().unwrap()
            );
            let answer = sent(product.local.base_url(), &request).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{query}: {answer}");
        }
    });
}

/// What comes back for bytes that no HTTP client would send.
async fn sent(base_url: &str, request: &str) -> String {
    let address = base_url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn c20_links_never_come_from_the_host_that_a_client_names() {
    alone(async {
        let mut options = Options::default();
        // As the template leaves it unless there is a domain of one's own.
        options.environment.insert("PUBLIC_URL".into(), String::new());
        options.environment.insert("API_DOMAIN".into(), "execute-api.eu-north-1.amazonaws.com".into());
        let product = Product::start(options).await;
        let shop = product.shop().await;
        let body = r#"{"title": "Order", "amount_usd": 5}"#;
        for forged in ["evil.example", "evil.example:443", "local.evil.example", "["] {
            let headers =
                [("Host", forged), ("X-Forwarded-Host", forged), ("Forwarded", "host=evil.example")];
            let made = shop.test.call("POST", PAYMENTS, &headers, body.into()).await;
            let link = made.field("pay_url").as_str().unwrap().to_owned();
            let code = made.field("short_code").as_str().unwrap().to_owned();
            assert_eq!(link, format!("https://local.execute-api.eu-north-1.amazonaws.com/pay/{code}"));
            for path in [format!("/pay/{code}"), format!("/pay/{code}/state")] {
                let page = product.caller_with(None).call("GET", &path, &headers, Vec::new()).await;
                assert!(page.status == 200 && !page.text.contains("evil"), "{}", page.text);
            }
        }
        product.local.shutdown().await;
    });
}

/// The same key as wallets write it: xpub, zpub for native segwit, and tpub and vpub for test networks.
#[test]
fn c21_the_public_test_key_takes_no_live_money_in_any_clothes() {
    shared(async |product| {
        let account = product.shop().await.account;
        let (endpoint, id) = (product.local.dynamodb_endpoint(), account.merchant.as_str());
        for clothes in [
            TEST_XPUB,
            "zpub6qKJA3qD7NEXiCQ9zqJpPYNShcAHBrRRpiZQc7soP7pdeMiQP5Jw6rtEh376gwUzS7awwEjpKia1jLxxoLYmHgWZ5ZzsV8w3ynhPtpUnWB6",
            "tpubDC2Q4xK4XH72HQCmnJifBHWogny3HzwVY87GPt9Ay1pmHSkewypu1BEntfGiDd8PQjtF3s4ZwVgxexESkoZyaebeQVMKzqxK2JAWsn77jEC",
            "vpub5XzEwP9YWe4cK1dgfQAKZBzS1jaVRNTSAGUXUYJFs6K7RxTVNSegccFgcDGkhJsJoZ7iwLMaV59pCCWhvYti6jn9cDDB9Vf6ttSpLZtKQRm",
        ] {
            for family in ["evm", "bitcoin", "litecoin"] {
                let said = try_operator(endpoint, &["xpub", "set", id, family, clothes]).await.unwrap_err();
                assert!(said.contains("this is the test key"), "{clothes}: {said}");
            }
        }
        let found = product.local.store().account(&account.merchant, Timestamp(1)).await.unwrap().unwrap();
        assert!(found.xpubs.is_empty(), "{:?}", found.xpubs);
        try_operator(endpoint, &["xpub", "set", id, "evm", tests::anvil::ANVIL_XPUB]).await.unwrap();
    });
}

#[test]
fn r25_the_operator_gives_a_key_the_scopes_that_are_asked_for() {
    shared(async |product| {
        let account = product.shop().await.account;
        let (endpoint, id) = (product.local.dynamodb_endpoint(), account.merchant.as_str());
        let website = ["key", "create", id, "--scope", "payments:read", "--scope", "payments:write"];
        let website = product.caller_with(Some(&try_operator(endpoint, &website).await.unwrap()));
        let payment = website.created("5").await;
        let refused = website.refunds("POST", &payment, "", &json!({})).await;
        refused.assert_refused(403, "missing_scope", "Key lacks permission");
        assert_eq!(website.get("/api/v1/wallets").await.status, 403);
        let all = try_operator(endpoint, &["key", "create", id]).await.unwrap();
        assert_eq!(product.caller_with(Some(&all)).get("/api/v1/wallets").await.status, 200);
        let wrong = try_operator(endpoint, &["key", "create", id, "--scope", "refund"]).await.unwrap_err();
        assert!(
            wrong.contains("payments:read, payments:write, refunds, wallets, webhooks, fees:read"),
            "{wrong}"
        );
    });
}
