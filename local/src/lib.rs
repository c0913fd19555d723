//! The whole product on one machine: what `cargo local` starts and what the tests drive.

mod clock;
mod stop;
pub mod template;
