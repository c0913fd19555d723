//! Lists: filters, pages by offset and by cursor, and what is refused (R8).

use local::{Data, Options};
use serde_json::json;
use shared::admin;
use shared::http::routes::ROUTES;
use shared::keys::Scope;
use shared::moment::parse_milliseconds;
use shared::payment::Mode;
use tests::product::{PAYMENTS, Product, Shop, alone, shared};

/// Payments of one dollar each, newest first.
async fn orders(shop: &Shop<'_>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.insert(0, shop.test.created("1").await);
    }
    ids
}

#[test]
fn r8_a_list_is_newest_first_and_says_what_it_is() {
    shared(async |product| {
        let shop = product.shop().await;
        let empty = shop.test.list("").await;
        let nothing =
            r#"{"success":true,"payments":[],"limit":50,"offset":0,"has_more":false,"next_cursor":null}"#;
        assert_eq!((empty.status, empty.text.as_str()), (200, nothing));
        let ids = orders(&shop, 3).await;
        let list = shop.test.list("limit=2&offset=1").await;
        assert_eq!(list.listed(), ids[1..]);
        let body = list.json();
        let shown = ["success", "limit", "offset", "has_more", "next_cursor"].map(|field| &body[field]);
        assert_eq!(shown, [&json!(true), &json!(2), &json!(1), &json!(false), &json!(null)]);
        let first = shop.test.list("limit=2").await;
        assert_eq!((first.listed(), &first.json()["has_more"]), (ids[..2].to_vec(), &json!(true)));
        assert!(first.json()["next_cursor"].is_string());
        assert_eq!(shop.test.list("offset=3").await.listed(), Vec::<String>::new());
        assert_eq!(shop.live.list("").await.listed(), Vec::<String>::new());
    });
}

#[test]
fn r8_a_cursor_continues_where_it_ended_while_payments_arrive() {
    shared(async |product| {
        let shop = product.shop().await;
        let ids = orders(&shop, 5).await;
        let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
        // Three pages hold five; a fourth would be an endless list.
        for _ in 0..3 {
            let page = shop.test.list(&query).await;
            seen.extend(page.listed());
            shop.test.created("1").await;
            let next = page.json()["next_cursor"].clone();
            assert_eq!(page.json()["has_more"], json!(next.is_string()));
            match next.as_str() {
                Some(cursor) => query = format!("limit=2&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, ids);
        // An offset counts from the newest, so that it moves along with them.
        assert_eq!(shop.test.list("limit=5&offset=3").await.listed(), ids);
    });
}

#[test]
fn r8_statuses_are_filtered_by_one_or_by_many() {
    shared(async |product| {
        let shop = product.shop().await;
        let [paid, pending, cancelled, open] = orders(&shop, 4).await.try_into().unwrap();
        shop.test.simulate(&paid, &json!({ "scenario": "pay" })).await;
        shop.test.simulate(&pending, &json!({ "scenario": "approve_identity" })).await;
        shop.test.cancel(&cancelled).await;
        for (status, ids) in [
            ("paid", vec![&paid]),
            ("pending", vec![&pending]),
            ("cancelled", vec![&cancelled]),
            ("kyc_required", vec![&open]),
            ("cancelled,paid", vec![&paid, &cancelled]),
            ("paid,%20kyc_required,paid", vec![&paid, &open]),
            ("paid&status=pending", vec![&paid, &pending]),
            ("overpaid", vec![]),
            ("refunded,expired,partially_paid", vec![]),
            ("", vec![&paid, &pending, &cancelled, &open]),
        ] {
            let listed = shop.test.list(&format!("status={status}")).await.listed();
            assert_eq!(listed.iter().collect::<Vec<_>>(), ids, "{status}");
        }
        let page = shop.test.list("status=cancelled,paid&limit=1").await;
        let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
        let next = shop.test.list(&format!("status=paid,cancelled&limit=1&cursor={cursor}")).await;
        assert_eq!((page.listed(), next.listed()), (vec![paid], vec![cancelled]));
    });
}

#[test]
fn r8_wrong_parameters_are_refused_and_never_clamped() {
    shared(async |product| {
        let shop = product.shop().await;
        let limit = "limit must be a whole number from 1 to 200";
        let offset = "offset must be a whole number, at least 0";
        let after = "created_after must be a time like 2026-03-09T14:30:00Z, or seconds since 1970";
        let before = "created_before must be a time like 2026-03-09T14:30:00Z, or seconds since 1970";
        let statuses = "status must be one or more of kyc_required, pending, partially_paid, paid, overpaid, expired, \
                        cancelled, refunded";
        for (query, detail) in [
            ("limit=0", limit),
            ("limit=201", limit),
            ("limit=-1", limit),
            ("limit=1.5", limit),
            ("limit=", limit),
            ("limit=ten", limit),
            ("limit=99999999999999999999999", limit),
            ("limit=1&limit=2", limit),
            ("offset=-1", offset),
            ("offset=1.0", offset),
            ("offset=%2B1", offset),
            ("offset=10001", "offset must be at most 10000; use cursor to go further"),
            ("status=done", statuses),
            ("status=PAID", statuses),
            ("status=paid,", statuses),
            ("cursor=junk", "cursor is not one for this list"),
            ("cursor=&cursor=", "cursor is not one for this list"),
            ("created_after=yesterday", after),
            ("created_after=1773066600123", after),
            ("created_after=-1", after),
            ("created_after=2026-03-09", after),
            ("created_after=1&created_after=2", after),
            ("created_before=1.5", before),
        ] {
            shop.test.list(query).await.assert_refused(400, "invalid_parameter", detail);
        }
        for query in [
            "limit=1",
            "limit=200",
            "offset=0",
            "offset=10000",
            "status=",
            "cursor=",
            "created_after=",
            "created_before=",
        ] {
            assert_eq!(shop.test.list(query).await.status, 200, "{query}");
        }
    });
}

#[test]
fn r8_a_cursor_is_for_its_own_list_only() {
    shared(async |product| {
        let (shop, rival) = (product.shop().await, product.shop().await);
        orders(&shop, 2).await;
        let cursor = shop.test.list("limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
        let changed = format!("{}{}", if cursor.starts_with('A') { 'B' } else { 'A' }, &cursor[1..]);
        let elsewhere = "cursor is not one for this list";
        for answer in [
            shop.test.list(&format!("cursor={cursor}&status=paid")).await,
            shop.test.list(&format!("cursor={changed}")).await,
            shop.test.list(&format!("cursor={}", &cursor[..10])).await,
            shop.test.list(&format!("cursor={cursor}A")).await,
            shop.live.list(&format!("cursor={cursor}")).await,
            rival.test.list(&format!("cursor={cursor}")).await,
        ] {
            answer.assert_refused(400, "invalid_parameter", elsewhere);
        }
        let both = shop.test.list(&format!("cursor={cursor}&offset=0")).await;
        both.assert_refused(400, "invalid_parameter", "cursor must not come with offset");
    });
}

/// Every `GET` that is there, so that one that comes later is asked too. Pages are not: their links grow parameters on the
/// way to the payer.
#[test]
fn r8_a_parameter_that_a_call_does_not_know_is_named_and_never_ignored() {
    shared(async |product| {
        let shop = product.shop().await;
        let id = shop.test.created("1").await;
        let code = shop.test.read(&id).await.field("short_code").as_str().unwrap().to_owned();
        let gets = ROUTES.iter().filter(|route| route.method == "GET");
        let mut asked = 0_usize;
        // Pages open whatever a mail program added to their link; see below.
        let is_page = |function: &str| matches!(function, "pay-page" | "refund-page" | "choose-coin");
        for route in gets.filter(|route| !is_page(route.function)) {
            let known = if route.query.is_empty() { "none".to_owned() } else { route.query.join(", ") };
            let path = route.path.replace("{id}", &id).replace("{code}", &code);
            for (query, name) in [
                ("status[]=paid&status[]=overpaid", "status[]"),
                ("status%5B%5D=paid", "status[]"),
                ("status[0]=paid", "status[0]"),
                ("page=2", "page"),
                ("LIMIT=5", "LIMIT"),
                ("limit =5", "limit "),
                ("created_at=1", "created_at"),
                ("x", "x"),
                ("=1", ""),
            ] {
                for path in [path.clone(), format!("{path}/")] {
                    let answer = shop.test.get(&format!("{path}?{}", query.replace(' ', "%20"))).await;
                    let detail = format!("`{name}` is not a parameter of this call, which takes {known}");
                    answer.assert_refused(400, "invalid_parameter", &detail);
                }
            }
            asked = asked.saturating_add(1);
        }
        assert!(asked >= 6, "{asked}");
        // Before the resource, and after key and scope (R1).
        shop.test.get(&format!("{PAYMENTS}/11111111?x=1")).await.refusal(400);
        product.caller_with(None).list("page=2").await.refusal(401);
        let writer = product.key(&shop.account.merchant, Mode::Test, &[Scope::PaymentsWrite], None).await;
        product.caller(&writer).list("page=2").await.refusal(403);
        // A link that a mail program extended still opens its page.
        let page = format!("/pay/{code}?utm_source=mail&fbclid=x&status[]=paid");
        assert_eq!(product.caller_with(None).get(&page).await.status, 200);
        // What is written is in the body alone.
        assert_eq!(shop.test.post(&format!("{PAYMENTS}/{id}/cancel?x=1"), "").await.status, 200);
    });
}

#[test]
fn r8_a_list_is_bounded_in_time() {
    alone(async {
        // A product of its own for each moment, over one database: nobody waits for the clock.
        let folder = tempfile::tempdir().unwrap();
        let at = async |offset| {
            let mut options = Options { data: Data::Folder(folder.path().to_owned()), ..Options::default() };
            options.clock_offset_seconds = offset;
            Product::start(options).await
        };
        let product = at(0).await;
        let account = admin::open_account(&product.local.store(), "Shop").await.unwrap();
        let mut made: Vec<(String, String)> = Vec::new();
        product.local.shutdown().await;
        for offset in [0, 1_000, 2_000] {
            let product = at(offset).await;
            let payment = product.shop_of(account.clone()).await.test.create(&order()).await.payment();
            let text = |field: &str| payment[field].as_str().unwrap().to_owned();
            made.push((text("id"), text("created_at")));
            product.local.shutdown().await;
        }
        let product = at(3_000).await;
        let shop = product.shop_of(account.clone()).await;
        let [(first, _), (second, shown), (third, _)] = made.as_slice() else { panic!("{made:?}") };
        let (encoded, zulu) = (shown.replace('+', "%2B"), shown.replace("+00:00", "Z"));
        let time = parse_milliseconds(shown).unwrap().div_euclid(1_000);
        let (next, last) = (time.checked_add(1).unwrap(), time.checked_sub(1).unwrap());
        for (query, ids) in [
            (format!("created_after={time}"), vec![third, second]),
            (format!("created_after={next}"), vec![third]),
            (format!("created_after={shown}"), vec![third, second]),
            (format!("created_after={encoded}"), vec![third, second]),
            (format!("created_after={zulu}"), vec![third, second]),
            (format!("created_before={time}"), vec![first]),
            (format!("created_before={next}"), vec![second, first]),
            (format!("created_after={time}&created_before={next}"), vec![second]),
            (format!("created_after={last}&created_before={time}"), vec![]),
            (format!("created_after={next}&created_before={last}"), vec![]),
            (format!("created_after={time}&status=kyc_required"), vec![third, second]),
            (format!("created_before={next}&status=kyc_required,paid"), vec![second, first]),
            (format!("created_before={next}&status=paid"), vec![]),
            (format!("created_after=0&created_before={time}&offset=1"), vec![]),
        ] {
            assert_eq!(shop.test.list(&query).await.listed().iter().collect::<Vec<_>>(), ids, "{query}");
        }
        // A cursor belongs to its bounds.
        let page = shop.test.list(&format!("created_after={time}&limit=1")).await;
        let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
        let next_page = shop.test.list(&format!("created_after={time}&limit=1&cursor={cursor}")).await;
        assert_eq!((page.listed(), next_page.listed()), (vec![third.clone()], vec![second.clone()]));
        for other in [format!("created_after={next}"), format!("created_before={time}"), String::new()] {
            let answer = shop.test.list(&format!("{other}&limit=1&cursor={cursor}")).await;
            answer.assert_refused(400, "invalid_parameter", "cursor is not one for this list");
        }
        product.local.shutdown().await;
    });
}

fn order() -> serde_json::Value {
    json!({ "title": "Order", "amount_usd": 1 })
}
