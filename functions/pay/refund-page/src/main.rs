//! The `refund-page` function.

fn main() -> shared::http::Outcome {
    shared::http::serve_public(refund_page::refund_page)
}
