//! The `name-refund-transaction` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(name_refund_transaction::SCOPE, name_refund_transaction::name_refund_transaction)
}
