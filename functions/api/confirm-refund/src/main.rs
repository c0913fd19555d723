//! The `confirm-refund` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(confirm_refund::SCOPE, confirm_refund::confirm_refund)
}
