//! The `choose-coin` function.

fn main() -> shared::http::Outcome {
    shared::http::serve_public(choose_coin::choose_coin)
}
