//! The `note-wallets` function.

fn main() -> shared::task::Outcome {
    shared::task::serve(note_wallets::note_wallets)
}
