//! What a merchant asks for, checked whole before anything happens (R5, R6, R7).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::metadata::{HALF_A_CHARACTER, Members, Metadata};
use crate::money::Cents;

/// Characters in a title.
const MAX_TITLE: usize = 200;
/// Characters in a description.
const MAX_DESCRIPTION: usize = 2_000;
/// Characters that are repeated of an unknown field's name.
const SHOWN_NAME: usize = 50;

/// A checked request, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Shown to the payer; trimmed.
    pub title: String,
    /// Shown to the payer.
    pub description: Option<String>,
    /// What the merchant asks for, before a fee.
    pub amount: Cents,
    /// How the payer proves identity.
    pub kyc_method: KycMethod,
    /// Whether the payer may choose BankID instead of an upload.
    pub allow_bankid: bool,
    /// Who bears the fee.
    pub fee_paid_by: FeePaidBy,
    /// The merchant's own; never shown to the payer.
    pub metadata: Option<Metadata>,
}

/// How a payer proves identity (R18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KycMethod {
    /// By documents that the operator's staff reviews.
    #[default]
    IdUpload,
    /// By Swedish BankID.
    BankId,
}

/// Who bears the fee (R14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeePaidBy {
    /// It is taken from what the merchant gets.
    #[default]
    Merchant,
    /// It is added to what the payer owes.
    Payer,
}

/// A parameter and the rule it broke; the message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct InvalidParameter {
    /// Which one.
    pub field: Cow<'static, str>,
    /// What it must be.
    pub rule: String,
}

impl InvalidParameter {
    /// `field` breaks `rule`.
    pub fn new(field: impl Into<Cow<'static, str>>, rule: impl Into<String>) -> InvalidParameter {
        InvalidParameter { field: field.into(), rule: rule.into() }
    }
}

impl KycMethod {
    /// As written in the API and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            KycMethod::IdUpload => "id_upload",
            KycMethod::BankId => "bankid",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Option<KycMethod> {
        [KycMethod::IdUpload, KycMethod::BankId].into_iter().find(|method| method.as_str() == name)
    }
}

impl FeePaidBy {
    /// As written in the API and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            FeePaidBy::Merchant => "merchant",
            FeePaidBy::Payer => "payer",
        }
    }

    /// The party of that name.
    pub fn from_name(name: &str) -> Option<FeePaidBy> {
        [FeePaidBy::Merchant, FeePaidBy::Payer].into_iter().find(|party| party.as_str() == name)
    }
}

impl Request {
    /// Reads a request's body.
    pub fn parse(body: &str) -> Result<Request, InvalidParameter> {
        let fields = Fields::parse(body)?;
        currency(&fields)?;
        Ok(Request {
            title: title(&fields)?,
            amount: fields
                .amount("amount_usd")?
                .ok_or_else(|| InvalidParameter::new("amount_usd", "is required"))?,
            description: description(&fields)?,
            kyc_method: fields.choice("kyc_method", "`id_upload` or `bankid`", KycMethod::from_name)?,
            allow_bankid: fields.get("allow_bankid", "must be true or false")?.unwrap_or(false),
            fee_paid_by: fields.choice("fee_paid_by", "`merchant` or `payer`", FeePaidBy::from_name)?,
            metadata: fields.raw("metadata").map(Metadata::parse).transpose()?,
        })
    }

    /// Whether both ask for the same (R9), after defaults and rounding.
    pub fn is_same_as(&self, other: &Request) -> bool {
        let same_metadata = match (&self.metadata, &other.metadata) {
            (Some(own), Some(other)) => own.is_same_as(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_metadata
            && Request { metadata: None, ..self.clone() } == Request { metadata: None, ..other.clone() }
    }

    /// What is kept of a request to know it again, over everything as it was written. Requests that differ in how their
    /// metadata is written have different hashes; versions that know no more than the hash compare by it alone.
    pub fn hash(&self) -> [u8; 32] {
        let parts = [
            self.title.as_str(),
            self.description.as_deref().unwrap_or("\u{0}"),
            &self.amount.to_string(),
            self.kyc_method.as_str(),
            if self.allow_bankid { "bankid allowed" } else { "" },
            self.fee_paid_by.as_str(),
            self.metadata.as_ref().map_or("", Metadata::as_json),
        ];
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Amounts are in dollars, whoever sends one in anything else is not misunderstood (R5).
fn currency(fields: &Fields) -> Result<(), InvalidParameter> {
    let rule = "must be `USD`";
    let currency: Option<String> = fields.get("currency", rule)?;
    let is_ours = currency.is_none_or(|currency| currency == "USD");
    if is_ours { Ok(()) } else { Err(InvalidParameter::new("currency", rule)) }
}

fn title(fields: &Fields) -> Result<String, InvalidParameter> {
    let invalid = |rule: &str| InvalidParameter::new("title", rule);
    let text: Option<String> = fields.get("title", "must be a string")?;
    let title = text.ok_or_else(|| invalid("is required"))?.trim().to_owned();
    if title.is_empty() || title.chars().count() > MAX_TITLE {
        return Err(invalid("must have 1 to 200 characters"));
    }
    if title.chars().any(char::is_control) {
        return Err(invalid("must not contain control characters"));
    }
    Ok(title)
}

fn description(fields: &Fields) -> Result<Option<String>, InvalidParameter> {
    let invalid = |rule: &str| InvalidParameter::new("description", rule);
    let text: Option<String> = fields.get("description", "must be a string")?;
    let Some(text) = text else { return Ok(None) };
    // As forms and Windows write the end of a line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(invalid("must have at most 2000 characters"));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(invalid("must not contain control characters other than line feed and tab"));
    }
    Ok(Some(text))
}

/// The fields of a JSON object, each as it was written.
pub struct Fields<'a>(Members<'a>);

impl<'a> Fields<'a> {
    /// Anything but a JSON object is refused (R7), and so is one that readers could take for two different ones.
    pub fn parse(body: &'a str) -> Result<Fields<'a>, InvalidParameter> {
        let invalid = |rule: &str| InvalidParameter::new("The request body", rule);
        if body.trim().is_empty() {
            return Err(invalid("is empty"));
        }
        let members: Members = serde_json::from_str(body).map_err(|error| {
            let is_json = serde_json::from_str::<IgnoredAny>(body).is_ok();
            invalid(if error.is_data() {
                "must be a JSON object"
            } else if is_json {
                HALF_A_CHARACTER
            } else {
                "is not valid JSON"
            })
        })?;
        if let Some(name) = members.repeated() {
            return Err(invalid(&format!("must not have the field {name:?} twice")));
        }
        Ok(Fields(members))
    }

    /// Refuses every field but these, for calls where a slip of the pen must not be taken for a wish.
    pub fn only(&self, known: &[&str]) -> Result<(), InvalidParameter> {
        let mut names = self.0.0.iter().map(|(name, _)| name.as_str());
        match names.find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(SHOWN_NAME).collect();
                Err(InvalidParameter::new(
                    format!("`{name}`"),
                    format!("is no field here; known are {}", known.join(", ")),
                ))
            }
        }
    }

    /// The field's JSON, unless absent or `null`.
    pub fn raw(&self, field: &str) -> Option<&'a str> {
        let found = self.0.0.iter().find(|(name, _)| name == field);
        found.map(|(_, json)| json.get()).filter(|json| *json != "null")
    }

    /// The field's value, unless absent or `null`.
    pub fn get<T: Deserialize<'a>>(
        &self,
        field: &'static str,
        rule: &str,
    ) -> Result<Option<T>, InvalidParameter> {
        let Some(json) = self.raw(field) else { return Ok(None) };
        serde_json::from_str(json).map(Some).map_err(|_| {
            let half = json.starts_with('"') && serde_json::from_str::<String>(json).is_err();
            InvalidParameter::new(field, if half { HALF_A_CHARACTER } else { rule })
        })
    }

    /// The field as dollars, unless absent or `null`: a JSON number, or a string with exactly a JSON number in it (R5).
    pub fn amount(&self, field: &'static str) -> Result<Option<Cents>, InvalidParameter> {
        let Some(json) = self.raw(field) else { return Ok(None) };
        let quoted = json.starts_with('"').then(|| serde_json::from_str::<String>(json).ok()).flatten();
        let amount = Cents::parse_amount(quoted.as_deref().unwrap_or(json));
        amount.map(Some).map_err(|error| InvalidParameter::new(field, error.to_string()))
    }

    /// The field as one of a few words, or its default.
    pub fn choice<T: Default>(
        &self,
        field: &'static str,
        words: &str,
        from_name: fn(&str) -> Option<T>,
    ) -> Result<T, InvalidParameter> {
        let rule = format!("must be {words}");
        match self.get::<String>(field, &rule)? {
            None => Ok(T::default()),
            Some(name) => from_name(&name).ok_or_else(|| InvalidParameter::new(field, rule)),
        }
    }
}
