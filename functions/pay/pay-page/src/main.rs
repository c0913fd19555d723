//! The `pay-page` function.

fn main() -> shared::http::Outcome {
    shared::http::serve_public(pay_page::pay_page)
}
