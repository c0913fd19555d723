//! The `request-refund` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(request_refund::SCOPE, request_refund::request_refund)
}
