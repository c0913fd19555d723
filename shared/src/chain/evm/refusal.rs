//! Whether a node that does not answer a heavy question will answer it in a minute.

use super::rpc::RpcError;
use crate::chain::rpc::{Limit, limit};

/// JSON-RPC's codes of what is no question to this node: EIP-1474's, and that of a program that fails.
const NO_QUESTION: [i64; 5] = [-32600, -32601, -32602, -32004, 3];

/// What nodes say, under all sorts of codes, who have no such method or have the block's state no more.
const GONE: [&str; 8] = [
    "missing trie node",
    "pruned",
    "historical state",
    "archive",
    "no state available",
    "method not found",
    "not supported",
    "unsupported",
];

/// Statuses of HTTP below 500 that another moment may change: a time that ran out, too early, too many.
const PASSING_STATUSES: [u16; 3] = [408, 425, 429];

/// How long a refusal lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// The node is busy, or one behind a balancer that has not seen the block yet.
    Awhile,
    /// It has no such method, or no such state any more.
    Forever,
}

/// How long the node's refusal of a heavy question lasts; `None` when it says nothing of that question.
///
/// What is not known for lasting is taken for passing: that costs a wait that has an end, and the other way round it costs
/// money of payers.
pub(super) fn lasts(error: &RpcError) -> Option<Lasts> {
    // Whoever is asked too much answers later, whatever else its words speak of.
    if limit(error) == Some(Limit::Pace) {
        return Some(Lasts::Awhile);
    }
    let forever = match error {
        RpcError::Node { code, message, .. } => NO_QUESTION.contains(code) || is_gone(message),
        RpcError::Status(status) => *status < 500 && !PASSING_STATUSES.contains(status),
        RpcError::TooLarge(_) => true,
        // Some answer `0x` about a block that they do not have.
        RpcError::Shape(_) | RpcError::Transport(_) | RpcError::Paused(_) => false,
        RpcError::Network { .. }
        | RpcError::Address
        | RpcError::Missing(_)
        | RpcError::Moved(_)
        | RpcError::Contradicts { .. } => {
            return None;
        }
    };
    Some(if forever { Lasts::Forever } else { Lasts::Awhile })
}

fn is_gone(message: &str) -> bool {
    let message = message.to_lowercase();
    GONE.iter().any(|gone| message.contains(gone))
}
