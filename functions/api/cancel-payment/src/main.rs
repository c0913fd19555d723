//! The `cancel-payment` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(cancel_payment::SCOPE, cancel_payment::cancel_payment)
}
