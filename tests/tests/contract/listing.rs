//! Lists: filters, pages by offset and by cursor, and what is refused (R8).

use serde_json::json;
use tests::product::{Shop, shared};

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
        ] {
            shop.test.list(query).await.assert_refused(400, "invalid_parameter", detail);
        }
        for query in ["limit=1", "limit=200", "offset=0", "offset=10000", "status=", "cursor=", "unknown=1"] {
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
