//! The `withdraw-refund` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(withdraw_refund::SCOPE, withdraw_refund::withdraw_refund)
}
