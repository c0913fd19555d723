//! A call: who makes it, when, and what it says.

use std::collections::HashMap;
use std::sync::Arc;

use lambda_http::http::Method;
use lambda_http::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::{Body, Request, RequestExt};

use super::event::Target;
use super::{ApiError, Result, routes};
use crate::account::{Account, AccountState};
use crate::app::App;
use crate::keys::{ApiKey, KeyHash, Scope};
use crate::moment::Timestamp;
use crate::payment::{Code, Fields, IdempotencyKey, InvalidParameter, Mode, Name, Payment};
use crate::store::Found;

/// Larger bodies are refused (R7).
const MAX_BODY: usize = 64 * 1_024;

/// Characters that are repeated of an unknown parameter's name.
const SHOWN_NAME: usize = 50;

/// A call by `Who`; nobody in particular until it is authenticated.
#[derive(Debug)]
pub struct Call<Who> {
    /// Who makes it.
    pub who: Who,
    /// When it came.
    pub at: Timestamp,
    /// Its name in answers and logs (R13).
    pub request_id: String,
    target: Target,
    request: Request,
}

/// The owner of a valid key.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub account: Arc<Account>,
    /// Which payments the key makes and sees.
    pub mode: Mode,
    /// The key's hash.
    pub key: KeyHash,
}

impl Caller {
    /// Whether a payment is visible to the key: its account's, in its mode (R4).
    pub fn owns(&self, payment: &Payment) -> bool {
        *payment.merchant() == self.account.merchant && payment.mode() == self.mode
    }
}

impl Call<()> {
    /// A request that came from nowhere, without a path and a query.
    pub fn new(request: Request, at: Timestamp) -> Call<()> {
        Call::of_event(request, Target::default(), at)
    }

    /// A request as it came, and what it was made to.
    pub(super) fn of_event(request: Request, target: Target, at: Timestamp) -> Call<()> {
        let request_id =
            request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default();
        Call { who: (), at, request_id, target, request }
    }

    /// The same call, with the parameters that its path has.
    #[must_use]
    pub fn with_path(self, parameters: HashMap<String, String>) -> Call<()> {
        Call { request: self.request.with_path_parameters(parameters), ..self }
    }

    /// The call of a known key's owner, or the reason to refuse it: key, account, scope, query, in that order (R1).
    pub async fn authenticate(self, app: &App, scope: Scope) -> Result<Call<Caller>> {
        let who = self.caller(app, scope, self.at).await?;
        self.check_form()?;
        self.check_query()?;
        let Call { at, request_id, target, request, .. } = self;
        Ok(Call { who, at, request_id, target, request })
    }
}

impl<Who> Call<Who> {
    /// Who calls, by what is known at `now` of the key that the call carries.
    pub async fn caller(&self, app: &App, scope: Scope, now: Timestamp) -> Result<Caller> {
        let text = self.header("x-api-key").ok_or(ApiError::Unauthenticated)?;
        let key = ApiKey::parse(text).map_err(|_| ApiError::Unauthenticated)?;
        let hash = key.hash();
        let key = app.callers.known(&app.store, &hash, now).await?.ok_or(ApiError::Unauthenticated)?;
        if !key.is_valid(now) {
            return Err(ApiError::Unauthenticated);
        }
        let account =
            app.accounts.known(&app.store, &key.merchant, now).await?.ok_or(ApiError::Unauthenticated)?;
        if account.state == AccountState::Disabled {
            return Err(ApiError::AccountDisabled);
        }
        if !key.scopes.contains(&scope) {
            return Err(ApiError::MissingScope);
        }
        Ok(Caller { account, mode: key.mode, key: hash })
    }

    /// A header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The method and path as they were called.
    pub fn target(&self) -> (&str, &str) {
        (self.request.method().as_str(), &self.target.path)
    }

    /// Refuses a query with characters that no URL has: whoever sent it means something else than was read.
    pub fn check_form(&self) -> Result<()> {
        let rule = "must be percent-encoded: it has characters that a URL cannot have";
        let refused = || InvalidParameter::new("The query", rule).into();
        if self.target.is_malformed { Err(refused()) } else { Ok(()) }
    }

    /// Refuses a `GET` with a parameter that its route does not take: a filter that is not understood must not widen what
    /// comes back (R8). What other methods find in a query is ignored, like unknown fields of a body.
    pub fn check_query(&self) -> Result<()> {
        let (method, path) = self.target();
        if method != Method::GET.as_str() {
            return Ok(());
        }
        let known = routes::query_of(method, path);
        let names = self.target.query.iter().map(|(name, _)| name);
        match names.into_iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(unknown(name, known)),
        }
    }

    /// A parameter of the query, with those of the same name joined by commas.
    pub fn query(&self, name: &str) -> Option<String> {
        let named = self.target.query.iter().filter(|(other, _)| other == name);
        let values: Vec<_> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// A parameter of the path.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.request.path_parameters_ref()?.first(name)
    }

    /// Which payment the path names (R4).
    pub fn name(&self, parameter: &str) -> Result<Name> {
        let text = self.parameter(parameter).ok_or(ApiError::PaymentNotFound)?;
        text.parse().map_err(|_| ApiError::PaymentNotFound)
    }

    /// Which payment the path of a payer's call names: by its short code only (R27).
    pub fn code(&self) -> Result<Code> {
        let text = self.parameter("code").ok_or(ApiError::PaymentNotFound)?;
        text.parse().map_err(|_| ApiError::PaymentNotFound)
    }

    /// The base of links: the deployment's, or else the API's own address. Never the `Host` header, which anybody can
    /// forge.
    pub fn base_url(&self, app: &App) -> String {
        let own = || format!("https://{}.{}", self.target.api, app.settings.api_domain);
        app.settings.public_url.clone().unwrap_or_else(own)
    }

    /// The body's text, if it says that it is JSON or says nothing (R7). It may be empty.
    pub fn json(&self) -> Result<&str> {
        if self.header(CONTENT_ENCODING.as_str()).is_some_and(is_encoded) {
            let rule = "must not be sent: the request body must not be compressed";
            return Err(InvalidParameter::new("Content-Encoding", rule).into());
        }
        if self.media_type().is_some_and(|media_type| !is_json(media_type)) {
            return Err(InvalidParameter::new("Content-Type", "must be application/json").into());
        }
        json_text(self.bytes()).map_err(|rule| InvalidParameter::new("The request body", rule).into())
    }

    /// A field of the body of a call that a page's form or a script makes.
    pub fn field(&self, name: &'static str) -> Result<Option<String>> {
        if self.sends_json() {
            return Ok(Fields::parse(self.json()?)?.get(name, "must be a string")?);
        }
        let form = self.text().filter(|text| text.len() <= MAX_BODY).unwrap_or_default();
        let field = form_urlencoded::parse(form.as_bytes()).find(|(key, _)| key == name);
        Ok(field.map(|(_, value)| value.into_owned()))
    }

    /// Whether the caller is a script that wants JSON and not a browser that wants a page.
    pub fn wants_json(&self) -> bool {
        let accepts = self.header(ACCEPT.as_str()).unwrap_or_default();
        self.sends_json() || accepts.contains("application/json")
    }

    fn sends_json(&self) -> bool {
        self.media_type().is_some_and(is_json)
    }

    fn media_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE.as_str()).map(|value| value.split(';').next().unwrap_or_default().trim())
    }

    /// The body as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()).ok()
    }

    fn bytes(&self) -> &[u8] {
        match self.request.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            Body::Empty | _ => &[],
        }
    }

    /// The caller's own name for a request, if it has one (R9).
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>> {
        let Some(header) = self.request.headers().get("idempotency-key") else { return Ok(None) };
        let key = header.to_str().ok().and_then(IdempotencyKey::new);
        let rule = "must be 1 to 255 visible ASCII characters";
        key.map(Some).ok_or_else(|| InvalidParameter::new("Idempotency-Key", rule).into())
    }
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let name: String = name.chars().take(SHOWN_NAME).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    InvalidParameter::new(
        format!("`{name}`"),
        format!("is not a parameter of this call, which takes {known}"),
    )
    .into()
}

/// Whether a body is in another form than its own.
fn is_encoded(encoding: &str) -> bool {
    let encoding = encoding.trim();
    !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")
}

/// The text of a body that can be JSON, or the rule that it breaks. Raw zero bytes are in no JSON, and in everything that is
/// written in UTF-16 or UTF-32.
fn json_text(bytes: &[u8]) -> std::result::Result<&str, &'static str> {
    if bytes.len() > MAX_BODY {
        return Err("must be at most 64 KiB");
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err("must not begin with a byte order mark");
    }
    if bytes.starts_with(b"\x1f\x8b") {
        return Err("must not be compressed");
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
        return Err("must be UTF-8, and is UTF-16 or UTF-32");
    }
    std::str::from_utf8(bytes).map_err(|_| "must be UTF-8")
}

fn is_json(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json")
}

impl Call<Caller> {
    /// The caller's payment that the path names; any other is not found (R4).
    pub async fn payment(&self, app: &App) -> Result<Payment> {
        Ok(self.find(app).await?.payment)
    }

    /// The same, ready to be changed.
    pub async fn find(&self, app: &App) -> Result<Found> {
        let name = self.name("id")?;
        let found = app.store.find_payment(name.code()).await?;
        let own = |found: &Found| name.names(found.payment.id()) && self.who.owns(&found.payment);
        found.filter(own).ok_or(ApiError::PaymentNotFound)
    }

    /// Changes the caller's payment that the path names.
    pub async fn change(&self, app: &App, decide: impl Fn(&Payment) -> Result<Payment>) -> Result<Payment> {
        app.store.change_found(self.find(app).await?, decide).await
    }
}
