//! Words of providers, as they were met.

use super::*;

fn said(method: &'static str, code: i64, message: &str) -> Option<Limit> {
    limit(&RpcError::Node { method, code, message: message.to_owned() })
}

#[test]
fn a12_too_large_an_answer_is_told_apart_from_too_many_questions() {
    let too_large = [
        (-32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2]."),
        (
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit",
        ),
        (-32602, "query exceeds max results 20000, retry with the range 24383075-24383096"),
        (-32000, "logs matched by query exceeds limit of 10000"),
        (-32005, "query timeout exceeded. Consider reducing your block range"),
        (-32614, "eth_getLogs is limited to a 10,000 block range"),
        (-32600, "block range is too wide"),
        (-32005, "Limit exceeded"),
        (-32005, ""),
        (-32008, "Response is too big"),
        (-32003, "response too large"),
        (-32020, "backend response too large"),
        (-32000, "response size should not greater than 10000000 bytes"),
        (-32005, "too many logs requested"),
    ];
    for (code, message) in too_large {
        assert_eq!(said("eth_getLogs", code, message), Some(Limit::Size), "{message}");
    }
    let too_many = [
        (-32005, "daily request count exceeded, request rate limited"),
        (-32005, "project ID request rate exceeded"),
        (-32005, "You've exceeded the RPS limit available on the current plan."),
        (-32005, "rate limit exceeded"),
        (-32007, "15/second request limit reached - reduce calls per second or upgrade your account"),
        (429, "Your app has exceeded its compute units per second capacity."),
        (-32016, "over rate limit"),
        (-32029, "Too Many Requests"),
        (-32029, ""),
        (-32090, "Too many requests, reason: call rate limit exhausted, retry in 10s"),
        (15, "Too many request, try again later"),
        (-32009, "Server is busy, try again later"),
        (-32000, "too many concurrent requests"),
    ];
    for (code, message) in too_many {
        for method in ["eth_getLogs", "eth_getBlockByNumber"] {
            assert_eq!(said(method, code, message), Some(Limit::Pace), "{message}");
        }
    }
    assert_eq!(said("eth_getBlockByNumber", -32005, "limit exceeded"), Some(Limit::Pace));
}

#[test]
fn what_tells_of_no_limit_is_none() {
    for (code, message) in [
        (-32000, "header not found"),
        (-32601, "the method eth_getBlockReceipts does not exist/is not available"),
        (-32000, "missing trie node 7a (path )"),
        (-8, "Block height out of range"),
        (-5, "No such mempool transaction"),
        (-28, "Loading block index…"),
    ] {
        assert_eq!(said("eth_getLogs", code, message), None, "{message}");
    }
}

#[test]
fn a_status_without_words_tells_of_a_limit_too() {
    for (status, told) in [
        (429, Some(Limit::Pace)),
        (503, Some(Limit::Pace)),
        (413, Some(Limit::Size)),
        (403, None),
        (500, None),
        (502, None),
    ] {
        assert_eq!(limit(&RpcError::Status(status)), told, "{status}");
    }
}
