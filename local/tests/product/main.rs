//! The local product with small functions of its own: runtime API, gateway, schedules, streams, and its own death.

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod command;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod http;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
