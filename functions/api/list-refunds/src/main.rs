//! The `list-refunds` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(list_refunds::SCOPE, list_refunds::list_refunds)
}
