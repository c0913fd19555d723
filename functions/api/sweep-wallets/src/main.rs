//! The `sweep-wallets` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(sweep_wallets::SCOPE, sweep_wallets::sweep_wallets)
}
