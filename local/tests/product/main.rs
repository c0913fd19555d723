//! The local product with small functions of its own: runtime API, gateway, schedules, streams, and its own death.

#[cfg(test)]
mod command;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod http;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
