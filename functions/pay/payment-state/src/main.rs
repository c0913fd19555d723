//! The `payment-state` function.

fn main() -> shared::http::Outcome {
    shared::http::serve_public(payment_state::payment_state)
}
