//! The `accept-late` function.

fn main() -> shared::http::Outcome {
    shared::http::serve(accept_late::SCOPE, accept_late::accept_late)
}
