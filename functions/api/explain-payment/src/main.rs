//! The `explain-payment` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(explain_payment::SCOPE, explain_payment::explain_payment)
}
