//! The `count-volume` function.

fn main() -> shared::task::Outcome {
    shared::task::serve(count_volume::count_volume)
}
