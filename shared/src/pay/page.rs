//! The pay page's HTML, its one style and its one script, and the policy that lets a browser run nothing else.

use std::fmt::Display;

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use qrcode::types::QrError;
use qrcode::{Color, EcLevel, QrCode};
use sha2::{Digest, Sha256};

use super::{PayView, Step};
use crate::json::Time;
use crate::moment::DAY_SECONDS;
use crate::money::Cents;
use crate::payment::{KycMethod, KycStatus, Status, TransferState};

/// Inlined, so that the page is one request and needs nobody else.
pub(super) const STYLE: &str = include_str!("../../templates/pay/style.css");

/// Inlined as well.
pub(super) const SCRIPT: &str = include_str!("../../templates/pay/script.js");

/// A description longer than this is folded away, so that address and amount stay in sight.
const DESCRIPTION_SHOWN: usize = 140;

/// Modules of white around a QR code, without which scanners do not find it (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

const HOUR_SECONDS: u64 = 60 * 60;

/// The page of one payment.
#[derive(Debug, Template)]
#[template(path = "pay/payment.html")]
pub struct PayPage<'a> {
    view: &'a PayView,
    qr: Option<String>,
    /// The link of a token as a second code, for wallets that read all of it.
    link_qr: Option<String>,
    fixed_rates: bool,
}

/// A page that says one thing: there is no such payment, or a choice was refused.
#[derive(Debug, Template)]
#[template(path = "pay/message.html")]
pub struct Message<'a> {
    /// In a few words.
    pub title: &'a str,
    /// In a sentence or two.
    pub text: &'a str,
    /// The payment to go back to, by its short code.
    pub back: Option<String>,
}

impl<'a> PayPage<'a> {
    /// The page for `view`; `fixed_rates` says that prices follow no market.
    pub fn new(view: &'a PayView, fixed_rates: bool) -> Result<PayPage<'a>, QrError> {
        let link = view.payment_link.as_deref();
        let (first, second) = match view.wallet_address.as_deref() {
            Some(address) if view.scans_address => (link.map(|_| address), link),
            Some(_) | None => (link, None),
        };
        let (qr, link_qr) = (first.map(qr_code).transpose()?, second.map(qr_code).transpose()?);
        Ok(PayPage { view, qr, link_qr, fixed_rates })
    }

    /// The payment's state in a few words: heading, browser's title and what a screen reader announces.
    fn headline(&self) -> &'static str {
        match self.view.step {
            Step::Verify => match self.view.kyc_status {
                KycStatus::UnderReview => "Your identity is being checked",
                KycStatus::Rejected => "Your identity could not be verified",
                KycStatus::NotStarted | KycStatus::InProgress | KycStatus::Approved => "Verify your identity",
            },
            Step::Choose | Step::Send | Step::Renew if self.view.may_come_back => {
                "The network took your transfer back"
            }
            Step::Choose => "Choose how to pay",
            Step::Send if self.part_came() => "Send the rest",
            Step::Send => "Send your payment",
            Step::Renew if self.part_came() => "Part of it has arrived",
            Step::Renew => "The price is no longer held",
            Step::Confirm => "Your payment is on its way",
            Step::Close => "The time to pay is over",
            Step::End => match self.view.status {
                Status::Paid => "Paid",
                Status::Overpaid => "Paid, with more than was due",
                Status::Cancelled => "Cancelled",
                Status::Refunded => "Refunded",
                Status::Expired | Status::KycRequired | Status::Pending | Status::PartiallyPaid => "Expired",
            },
        }
    }

    /// Whether some of what is due was sent already, counted or not.
    fn part_came(&self) -> bool {
        self.view.still_due_usd != self.view.amount_due_usd
    }

    /// Whether the payer might send again what may still come back.
    fn asks_again(&self) -> bool {
        self.view.may_come_back
            && match self.view.step {
                Step::Choose | Step::Send | Step::Renew => true,
                Step::Verify | Step::Confirm | Step::Close | Step::End => false,
            }
    }

    /// Whether there is still something that the payer can do before the payment's time is over.
    fn is_open(&self) -> bool {
        let is_stuck = self.view.kyc_status == KycStatus::Rejected && self.view.kyc_attempts_left == 0;
        !self.view.ended && self.view.step != Step::Close && !is_stuck
    }

    /// How many transfers are not in the list.
    fn transfers_left_out(&self) -> u64 {
        let listed = u64::try_from(self.view.transfers.len()).unwrap_or(u64::MAX);
        self.view.transfers_total.saturating_sub(listed)
    }

    fn is_paid(&self) -> bool {
        self.view.status.is_paid()
    }

    /// How the payer proves identity, after "you will".
    fn identification(&self) -> &'static str {
        match (self.view.kyc_method, self.view.allow_bankid) {
            (KycMethod::BankId, _) => "identify yourself with BankID",
            (KycMethod::IdUpload, true) => "identify yourself with an identity document or with BankID",
            (KycMethod::IdUpload, false) => "identify yourself with an identity document",
        }
    }

    /// For the browser's own title bar, where no style can isolate text that turns the writing direction around.
    fn plain_title(&self) -> String {
        let turns = |character: &char| matches!(character, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        self.view.title.chars().filter(|character| !turns(character)).collect()
    }

    fn description_is_long(&self) -> bool {
        let long = |text: &String| text.chars().count() > DESCRIPTION_SHOWN || text.lines().count() > 2;
        self.view.description.as_ref().is_some_and(long)
    }

    /// How many steps of the line are behind the payer: identity, coin, payment, done.
    fn place(&self) -> usize {
        match self.view.step {
            Step::Verify => 0,
            Step::Choose => 1,
            Step::Send | Step::Renew | Step::Confirm | Step::Close => 2,
            Step::End => 4,
        }
    }

    /// Coins other than the one that is selected.
    fn other_coins(&self) -> Vec<&super::CoinLine> {
        let selected = self.view.selected_coin.as_deref();
        self.view.coins.iter().filter(|line| Some(line.coin.as_str()) != selected).collect()
    }

    /// Why there is nothing to choose, for people.
    fn nothing_to_choose(&self) -> &'static str {
        match self.view.not_offered {
            Some("no_extended_key") => {
                "The shop has not said yet where its coins are to be sent, so nothing can be paid here. Please ask the shop."
            }
            Some("below_minimum") => {
                "The amount is too small to be sent in any coin that is offered here. Please ask the shop."
            }
            Some("chain_not_watched" | "chain_not_current") => {
                "The network cannot be watched right now, so what you sent would not be seen. This page tries again by itself."
            }
            Some("rate_unavailable") => {
                "There is no current price for any coin, so nothing can be offered right now. This page tries again by itself."
            }
            Some(_) | None => "Nothing can be offered right now. This page tries again by itself.",
        }
    }

    /// Why the coin that was chosen cannot be chosen again, for people.
    fn not_again(&self) -> Option<&'static str> {
        let why = match self.view.not_offered? {
            "no_extended_key" => "The shop has not said where this coin is to be sent.",
            "below_minimum" => "What is left is too small to be sent in this coin.",
            "chain_not_watched" | "chain_not_current" => {
                "Its network cannot be watched right now, so what you sent would not be seen."
            }
            _ => "There is no current price for this coin. This page tries again by itself.",
        };
        Some(why)
    }

    /// What a developer can call next on a test payment.
    fn test_scenarios(&self) -> &'static [&'static str] {
        match self.view.step {
            Step::Verify => &["approve_identity", "reject_identity", "pay"],
            Step::Choose => &["choose_coin", "pay"],
            Step::Send | Step::Renew => &["transfer", "advance", "pay"],
            Step::Confirm => &["confirm", "reorg"],
            Step::Close | Step::End => &[],
        }
    }

    fn left_of_rate(&self) -> String {
        self.view.rate_expires_at.map_or_else(String::new, |until| self.left_until(until))
    }

    fn left_of_payment(&self) -> String {
        self.left_until(self.view.expires_at)
    }

    fn left_until(&self, moment: Time) -> String {
        left(moment.0.since(self.view.server_time.0))
    }
}

/// `14:59`, `3 h 20 min`, `9 d 4 h`: the same words that the script counts down with.
fn left(seconds: u64) -> String {
    let (hours, minutes) = (seconds.div_euclid(HOUR_SECONDS), seconds.div_euclid(60));
    if seconds >= DAY_SECONDS {
        format!("{} d {} h", seconds.div_euclid(DAY_SECONDS), hours.rem_euclid(24))
    } else if seconds >= HOUR_SECONDS {
        format!("{hours} h {} min", minutes.rem_euclid(60))
    } else {
        format!("{minutes}:{:02}", seconds.rem_euclid(60))
    }
}

/// An amount for people to read: `250,000.00`.
pub(super) fn grouped(amount: &impl Display) -> String {
    let text = amount.to_string();
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in (0..whole.len()).rev().zip(whole.chars()) {
        grouped.push(digit);
        if place > 0 && place.is_multiple_of(3) {
            grouped.push(',');
        }
    }
    grouped + rest
}

/// A text as a QR code: an SVG image that can stand in a page, a path for each run of dark modules.
pub(super) fn qr_code(text: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let (width, modules) = (code.width(), code.into_colors());
    let mut runs = Vec::new();
    for (y, row) in (QUIET_ZONE..).zip(modules.chunks(width)) {
        let mut x = QUIET_ZONE;
        for run in row.chunk_by(|one, next| one == next) {
            if run.first() == Some(&Color::Dark) {
                let length = run.len();
                runs.push(format!("M{x} {y}h{length}v1h-{length}z"));
            }
            x = x.saturating_add(run.len());
        }
    }
    let path = runs.concat();
    let size = width.saturating_add(QUIET_ZONE).saturating_add(QUIET_ZONE);
    Ok(format!(
        "<svg aria-hidden=\"true\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}

/// The policy for a payment's page: only its own style and script, by their hashes, and calls to where it came from.
///
/// Any site may frame it: the page stands in shops' iframes and holds no session to be misused.
pub fn content_security_policy() -> String {
    policy("*")
}

/// The policy for a page that stands alone: nobody can lay another over it.
pub fn unframed_policy() -> String {
    policy("'none'")
}

fn policy(frame_ancestors: &str) -> String {
    let (style, script) = (source_hash(STYLE), source_hash(SCRIPT));
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors {frame_ancestors}"
    )
}

fn source_hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}
