//! The page of a claim link: where a payer says to which address money goes back.

use askama::Template;

use super::network;
use super::page::{SCRIPT, STYLE};
use crate::chain::{Chain, DestinationError};
use crate::moment::Timestamp;
use crate::payment::{Payment, Refund, RefundStatus};

/// What the payer has typed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    #[default]
    Empty,
    /// Something that cannot be used.
    Wrong {
        /// What was typed.
        text: String,
        /// Why not.
        problem: DestinationError,
    },
    /// The address that the payment itself was sent to.
    Own {
        /// What was typed.
        text: String,
    },
    /// An address to look at once more, because it cannot be changed.
    Look {
        /// As it will be kept.
        address: String,
    },
}

/// The page of one refund.
#[derive(Debug, Template)]
#[template(path = "pay/claim.html")]
pub struct ClaimPage<'a> {
    payment: &'a Payment,
    refund: &'a Refund,
    status: RefundStatus,
    network: String,
    amount: String,
    path: &'a str,
    form: Form,
}

impl<'a> ClaimPage<'a> {
    /// The page for `refund` at `now`, which stands at `path`.
    pub fn new(
        payment: &'a Payment,
        refund: &'a Refund,
        chain: &Chain,
        path: &'a str,
        form: Form,
        now: Timestamp,
    ) -> ClaimPage<'a> {
        ClaimPage {
            payment,
            refund,
            status: payment.refund_status(refund, now),
            network: network(payment, chain),
            amount: refund.units().display(refund.decimals()),
            path,
            form,
        }
    }

    /// Where the refund stands, in a few words.
    fn headline(&self) -> &'static str {
        match (self.status, &self.form) {
            (RefundStatus::Requested, Form::Look { .. }) => "Is this your address?",
            (RefundStatus::Requested, Form::Empty | Form::Wrong { .. } | Form::Own { .. }) => {
                "Where should your money go?"
            }
            (RefundStatus::Claimed, _) => "The shop has your address",
            (RefundStatus::Confirmed, _) => "Your refund is being prepared",
            (RefundStatus::Sent, _) => "Your refund is on its way",
            (RefundStatus::Completed, _) => "Your refund has arrived",
            (RefundStatus::Expired | RefundStatus::Withdrawn, _) => "This link is not valid",
        }
    }

    fn typed(&self) -> &str {
        match &self.form {
            Form::Wrong { text, .. } | Form::Own { text } => text,
            Form::Empty | Form::Look { .. } => "",
        }
    }

    fn problem(&self) -> Option<String> {
        match &self.form {
            Form::Wrong { problem, .. } => Some(format!("This cannot be used: {problem}.")),
            Form::Own { .. } => Some("This is the address that the payment was sent to.".to_owned()),
            Form::Empty | Form::Look { .. } => None,
        }
    }

    /// Whether it says that what was typed cannot be used.
    pub fn is_refused(&self) -> bool {
        self.asks() && self.problem().is_some()
    }

    fn asks(&self) -> bool {
        self.status == RefundStatus::Requested
    }

    fn to_look_at(&self) -> Option<&str> {
        match &self.form {
            Form::Look { address } if self.asks() => Some(address),
            Form::Look { .. } | Form::Empty | Form::Wrong { .. } | Form::Own { .. } => None,
        }
    }
}
