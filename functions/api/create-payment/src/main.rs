//! The `create-payment` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(create_payment::SCOPE, create_payment::create_payment)
}
