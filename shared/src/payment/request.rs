//! What a merchant asks for, checked whole before anything happens (R5, R6, R7).

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::money::Cents;

/// Characters in a title.
const MAX_TITLE: usize = 200;
/// Characters in a description.
const MAX_DESCRIPTION: usize = 2_000;
/// Keys in the metadata.
const MAX_METADATA_KEYS: usize = 50;
/// Bytes of the metadata as JSON without white space.
const MAX_METADATA_BYTES: usize = 8 * 1_024;

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

/// A JSON object as its owner wrote it, without the white space: types, order and digits kept (R6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(String);

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

impl Metadata {
    /// Checks the object and takes the white space out of it.
    pub fn parse(json: &str) -> Result<Metadata, InvalidParameter> {
        let invalid = |rule: String| InvalidParameter::new("metadata", rule);
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json).map_err(|_| invalid("must be an object".to_owned()))?;
        if object.len() > MAX_METADATA_KEYS {
            return Err(invalid(format!("must have at most {MAX_METADATA_KEYS} keys")));
        }
        let compact = compact(json);
        if compact.len() > MAX_METADATA_BYTES {
            return Err(invalid("must be at most 8 KiB as JSON".to_owned()));
        }
        Ok(Metadata(compact))
    }

    /// The object as JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// Valid JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |character: &char| {
        let kept = in_string || !matches!(character, ' ' | '\t' | '\n' | '\r');
        match (in_string, escaped, character) {
            (true, false, '\\') => escaped = true,
            (true, false, '"') => in_string = false,
            (false, _, '"') => in_string = true,
            (true, true, _) => escaped = false,
            (true | false, false, _) | (false, true, _) => {}
        }
        kept
    };
    json.chars().filter(keep).collect()
}

impl Request {
    /// Reads a request's body.
    pub fn parse(body: &str) -> Result<Request, InvalidParameter> {
        let fields = Fields::parse(body)?;
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

    /// Knows the same request again (R9): over everything, after defaults and rounding.
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
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(invalid("must have at most 2000 characters"));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(invalid("must not contain control characters other than line feed and tab"));
    }
    Ok(Some(text))
}

/// The fields of a JSON object, each as it was written.
#[derive(Debug)]
pub struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Anything but a JSON object is refused (R7).
    pub fn parse(body: &'a str) -> Result<Fields<'a>, InvalidParameter> {
        serde_json::from_str(body).map(Fields).map_err(|error| {
            let rule = if error.is_data() { "must be a JSON object" } else { "is not valid JSON" };
            InvalidParameter::new("The request body", rule)
        })
    }

    /// The field's JSON, unless absent or `null`.
    pub fn raw(&self, field: &str) -> Option<&'a str> {
        self.0.get(field).map(|json| json.get()).filter(|json| *json != "null")
    }

    /// The field's value, unless absent or `null`.
    pub fn get<T: Deserialize<'a>>(
        &self,
        field: &'static str,
        rule: &str,
    ) -> Result<Option<T>, InvalidParameter> {
        let read = self.raw(field).map(serde_json::from_str).transpose();
        read.map_err(|_| InvalidParameter::new(field, rule))
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
