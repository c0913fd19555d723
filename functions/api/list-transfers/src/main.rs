//! The `list-transfers` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(list_transfers::SCOPE, list_transfers::list_transfers)
}
