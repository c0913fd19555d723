//! The payer's identity: steps, decisions, and how often one may try (R18).

use super::Refusal;

/// How often a payer may try in all.
const MAX_ATTEMPTS: u8 = 3;

/// How far the payer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KycStatus {
    /// Nothing was done yet.
    #[default]
    NotStarted,
    /// The payer has begun.
    InProgress,
    /// Documents wait for the operator's staff.
    UnderReview,
    /// Proven.
    Approved,
    /// Refused; the payer may try again while attempts are left.
    Rejected,
}

impl KycStatus {
    const ALL: [KycStatus; 5] = [
        KycStatus::NotStarted,
        KycStatus::InProgress,
        KycStatus::UnderReview,
        KycStatus::Approved,
        KycStatus::Rejected,
    ];

    /// As written in the API and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            KycStatus::NotStarted => "not_started",
            KycStatus::InProgress => "in_progress",
            KycStatus::UnderReview => "under_review",
            KycStatus::Approved => "approved",
            KycStatus::Rejected => "rejected",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<KycStatus> {
        KycStatus::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// One thing that happens to an identity check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityStep {
    /// The payer begins an attempt.
    Start,
    /// The payer hands in documents.
    Submit,
    /// The reviewer, or BankID, says yes.
    Approve,
    /// The reviewer, or BankID, says no.
    Reject,
}

/// The identity check of one payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// How far it has come.
    pub status: KycStatus,
    /// Attempts begun.
    pub attempts: u8,
}

impl Identity {
    /// The check after `step`. A step that was already taken changes nothing.
    pub fn step(self, step: IdentityStep) -> Result<Identity, Refusal> {
        use IdentityStep::{Approve, Reject, Start, Submit};
        use KycStatus::{Approved, InProgress, NotStarted, Rejected, UnderReview};
        let to = |status| Ok(Identity { status, ..self });
        match (self.status, step) {
            (NotStarted | Rejected, Start) if self.attempts >= MAX_ATTEMPTS => Err(Refusal::NoAttemptsLeft),
            (NotStarted | Rejected, Start) => {
                Ok(Identity { status: InProgress, attempts: self.attempts.saturating_add(1) })
            }
            (InProgress, Submit) => to(UnderReview),
            (InProgress | UnderReview, Approve) => to(Approved),
            (InProgress | UnderReview, Reject) => to(Rejected),
            (InProgress, Start) | (UnderReview, Submit) | (Approved, Approve) | (Rejected, Reject) => {
                Ok(self)
            }
            (NotStarted | Rejected, Submit | Approve)
            | (NotStarted, Reject)
            | (UnderReview, Start)
            | (Approved, Start | Submit | Reject) => Err(Refusal::IdentityStep { status: self.status }),
        }
    }

    /// How often the payer may still begin an attempt.
    pub fn attempts_left(self) -> u8 {
        MAX_ATTEMPTS.saturating_sub(self.attempts)
    }

    /// What the payer has still to do before anybody can decide.
    pub(super) fn steps_to_decision(self) -> &'static [IdentityStep] {
        match self.status {
            KycStatus::NotStarted | KycStatus::Rejected => &[IdentityStep::Start, IdentityStep::Submit],
            KycStatus::InProgress => &[IdentityStep::Submit],
            KycStatus::UnderReview | KycStatus::Approved => &[],
        }
    }
}
