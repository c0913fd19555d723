//! The whole product on one machine: what `cargo local` starts and what the tests drive.
//! The template is what runs: tables, routes, schedules and streams are read from it.

mod binaries;
mod clock;
mod database;
pub mod demo;
mod folder;
mod gateway;
mod lambda;
mod log;
mod options;
mod product;
pub mod samples;
mod schedule;
mod stop;
mod streams;
pub mod template;

pub use binaries::{BuildError, build_functions, workspace};
pub use database::DatabaseError;
pub use folder::{FolderError, write_private};
pub use lambda::InvokeError;
pub use options::{Data, FIXED_RATES, Options};
pub use product::{DatabaseOnly, Local, StartError};
pub use streams::NotDelivered;
