//! The `get-payment` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(get_payment::SCOPE, get_payment::get_payment)
}
