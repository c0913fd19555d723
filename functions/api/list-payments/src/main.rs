//! The `list-payments` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(list_payments::SCOPE, list_payments::list_payments)
}
