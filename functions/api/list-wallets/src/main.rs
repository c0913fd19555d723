//! The `list-wallets` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(list_wallets::SCOPE, list_wallets::list_wallets)
}
