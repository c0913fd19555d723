//! What the API shows: the promise to its callers (contract, section 2).

use serde::Serialize;
use serde_json::value::RawValue;

use super::ListQuery;
use crate::explain::Explanation;
use crate::json::{Time, Usd};
use crate::moment::Timestamp;
use crate::payment::{Payment, Transfer};
use crate::store::Page;

/// The body of every answer about one payment.
#[derive(Debug, Serialize)]
pub struct OnePayment {
    success: bool,
    payment: PaymentView,
}

/// The body of an answer that explains a payment.
#[derive(Debug, Serialize)]
pub struct OneExplanation {
    success: bool,
    explanation: Explanation,
}

/// The body of a page of a payment's transfers.
#[derive(Debug, Serialize)]
pub struct TransfersPage {
    success: bool,
    transfers: Vec<TransferView>,
    transfers_total: u64,
    limit: usize,
    has_more: bool,
    next_cursor: Option<String>,
}

/// A list's answer.
#[derive(Debug, Serialize)]
pub struct PageView {
    success: bool,
    payments: Vec<PaymentView>,
    limit: usize,
    offset: usize,
    has_more: bool,
    next_cursor: Option<String>,
}

/// A payment, the same everywhere. What does not apply yet is `null`.
#[derive(Debug, Serialize)]
pub struct PaymentView {
    id: String,
    short_code: String,
    title: String,
    description: Option<String>,
    metadata: Option<Box<RawValue>>,
    amount_usd: Usd,
    amount_received_usd: Usd,
    amount_due_usd: Usd,
    overpaid_usd: Usd,
    status: &'static str,
    pay_url: String,
    fee_usd: Usd,
    fee_paid_by: &'static str,
    fee_free_tier: bool,
    kyc_method: &'static str,
    allow_bankid: bool,
    kyc_status: &'static str,
    selected_coin: Option<String>,
    wallet_address: Option<String>,
    coin_amount: Option<String>,
    rate_usd: Option<String>,
    rate_expires_at: Option<Time>,
    transfers: Vec<TransferView>,
    transfers_total: u64,
    refunded_usd: Usd,
    late: bool,
    livemode: bool,
    created_at: Time,
    updated_at: Time,
    expires_at: Time,
    paid_at: Option<Time>,
    cancelled_at: Option<Time>,
    refunded_at: Option<Time>,
}

/// A transfer, as the API shows it.
#[derive(Debug, Serialize)]
pub struct TransferView {
    id: String,
    coin: String,
    chain: String,
    tx_id: String,
    address: String,
    amount: String,
    credited_usd: Option<Usd>,
    rate_usd: Option<String>,
    state: &'static str,
    confirmations: u32,
    confirmations_required: u32,
    first_seen_at: Option<Time>,
    late: bool,
}

impl OnePayment {
    /// The answer about `payment` at `now`, with links under `base_url`.
    pub fn new(payment: &Payment, base_url: &str, now: Timestamp) -> Result<OnePayment, serde_json::Error> {
        Ok(OnePayment { success: true, payment: PaymentView::new(payment, base_url, now)? })
    }
}

impl OneExplanation {
    /// The answer with that explanation.
    pub fn new(explanation: Explanation) -> OneExplanation {
        OneExplanation { success: true, explanation }
    }
}

impl TransfersPage {
    /// The answer with these of the transfers of `payment`; `next_cursor` continues it.
    pub fn new(
        payment: &Payment,
        transfers: &[Transfer],
        limit: usize,
        next_cursor: Option<String>,
    ) -> TransfersPage {
        TransfersPage {
            success: true,
            transfers: transfers.iter().map(|transfer| TransferView::new(payment, transfer)).collect(),
            transfers_total: payment.transfers_total(),
            limit,
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

impl PageView {
    /// The answer to `query`, with links under `base_url`; `next_cursor` continues the list.
    pub fn new(
        page: &Page,
        query: &ListQuery,
        next_cursor: Option<String>,
        base_url: &str,
        now: Timestamp,
    ) -> Result<PageView, serde_json::Error> {
        let view = |payment| PaymentView::new(payment, base_url, now);
        Ok(PageView {
            success: true,
            payments: page.payments.iter().map(view).collect::<Result<_, _>>()?,
            limit: query.page.limit,
            offset: query.page.offset,
            has_more: next_cursor.is_some(),
            next_cursor,
        })
    }
}

impl PaymentView {
    fn new(payment: &Payment, base_url: &str, now: Timestamp) -> Result<PaymentView, serde_json::Error> {
        let (terms, request) = (payment.terms(), &payment.terms().request);
        let (selection, quote) = (payment.selection(), payment.quote());
        let code = payment.id().code();
        let metadata =
            request.metadata.as_ref().map(|metadata| RawValue::from_string(metadata.as_json().to_owned()));
        let shown = payment.shown_transfers();
        let decimals = quote.map(|quote| quote.decimals);
        Ok(PaymentView {
            id: payment.id().to_string(),
            short_code: code.to_string(),
            title: request.title.clone(),
            description: request.description.clone(),
            metadata: metadata.transpose()?,
            amount_usd: Usd(request.amount),
            amount_received_usd: Usd(payment.received()),
            amount_due_usd: Usd(terms.due()),
            overpaid_usd: Usd(payment.overpaid()),
            status: payment.status(now).as_str(),
            pay_url: format!("{base_url}/pay/{code}"),
            fee_usd: Usd(terms.fee.usd),
            fee_paid_by: request.fee_paid_by.as_str(),
            fee_free_tier: terms.fee.free_tier,
            kyc_method: request.kyc_method.as_str(),
            allow_bankid: request.allow_bankid,
            kyc_status: payment.identity().status.as_str(),
            selected_coin: selection.map(|selected| selected.coin.to_string()),
            wallet_address: selection.map(|selected| selected.address.clone()),
            coin_amount: quote.zip(decimals).map(|(quote, decimals)| quote.units.display(decimals)),
            rate_usd: quote.map(|quote| quote.rate.to_string()),
            rate_expires_at: quote.map(|quote| Time(quote.until)),
            transfers: shown.map(|transfer| TransferView::new(payment, transfer)).collect(),
            transfers_total: payment.transfers_total(),
            refunded_usd: Usd(payment.refunded()),
            late: payment.has_late_money(),
            livemode: payment.is_live(),
            created_at: Time(terms.created_at),
            updated_at: Time(payment.updated_at()),
            expires_at: Time(terms.expires_at()),
            paid_at: payment.paid_at().map(Time),
            cancelled_at: payment.cancelled_at().map(Time),
            refunded_at: payment.refunded_at().map(Time),
        })
    }
}

impl TransferView {
    /// How `payment` shows one of its transfers.
    pub fn new(payment: &Payment, transfer: &Transfer) -> TransferView {
        let movement = transfer.movement();
        let credit = payment.credit_of(transfer);
        let is_own = payment.is_own(transfer);
        TransferView {
            id: movement.id.to_string(),
            coin: movement.coin.to_string(),
            chain: movement.chain.to_string(),
            tx_id: movement.tx_id.clone(),
            address: movement.address.clone(),
            amount: movement.units.display(movement.decimals),
            credited_usd: credit.map(|credit| Usd(credit.floor())),
            rate_usd: transfer
                .price(payment.quotes())
                .rate()
                .filter(|_| !is_own)
                .map(|rate| rate.to_string()),
            state: payment.state(transfer).as_str(),
            confirmations: transfer.confirmations(),
            confirmations_required: movement.confirmations_required,
            first_seen_at: transfer.first_seen().map(Time),
            late: payment.is_late(transfer),
        }
    }
}
