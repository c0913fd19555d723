//! The `simulate-payment` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(simulate_payment::SCOPE, simulate_payment::simulate_payment)
}
