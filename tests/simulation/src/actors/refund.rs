//! What merchants and payers do about money that goes back.

use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::http::{Call, Reply, Result};
use shared::payment::ClaimSecret;

use super::{Order, World, refused};
use crate::bugs::Bug;
use crate::net::Seat;
use crate::record::refund::Refund;

/// A refund that a merchant was told the claim link of.
#[derive(Clone, Debug)]
pub struct Link {
    /// Whose.
    pub order: Order,
    /// The coin's place in the settings.
    pub coin: usize,
    /// The secret in the link.
    secret: String,
    /// The refund as its merchant saw it.
    seen: Seen,
    /// Where its payer wants the money.
    pub address: String,
    /// Whether its payer was told that this is settled.
    pub claimed: bool,
    /// Whether its merchant was told that this is the address.
    pub confirmed: bool,
}

/// What a merchant saw of a refund and says again, so that no other is meant.
#[derive(Clone, Debug)]
pub struct Seen {
    id: String,
    amount: String,
}

impl Link {
    /// The secret's hash, as it is written.
    pub fn hash(&self) -> String {
        let secret: Option<ClaimSecret> = self.secret.parse().ok();
        secret.map(|secret| URL_SAFE_NO_PAD.encode(secret.hash().to_bytes())).unwrap_or_default()
    }

    /// The refund as it was written last.
    pub fn written(&self, world: &World) -> Option<Refund> {
        world.net.lock().record.story(&self.hash()).map(|story| story.refund.clone())
    }
}

impl World {
    fn coin_call(&self, seat: Seat, order: &Order, coin: usize, body: &Value) -> Call<()> {
        let coin = self.chain.coins[coin].id.to_string();
        let path = HashMap::from([("id".to_owned(), order.id.clone()), ("coin".to_owned(), coin)]);
        self.call(seat, Method::POST, None, body).with_path(path)
    }

    /// A refund as it was written last, for whoever reads a payment's refunds.
    fn reads(&self, order: &Order, coin: usize) -> Option<Seen> {
        let state = self.net.lock();
        let payment = state.record.payments().get(&order.code.to_string())?;
        let refund = payment.refunds.values().find(|refund| refund.coin == coin)?;
        let amount = shared::money::Units(refund.units).display(self.chain.coins[coin].decimals);
        Some(Seen { id: format!("{}-{}", order.code, refund.number), amount })
    }

    /// What a merchant's command says of the refund that it is about: what the merchant saw.
    fn says(&self, link: &Link, mut body: Value) -> Value {
        let bug = self.net.lock().bugs.which();
        let whichever = self.reads(&link.order, link.coin).filter(|_| bug == Some(Bug::RefundUnnamed));
        let Seen { id, amount } = whichever.unwrap_or_else(|| link.seen.clone());
        body["refund_id"] = json!(id);
        body["amount"] = json!(amount);
        body
    }

    /// A merchant needs it no more.
    pub fn forget_link(&self, link: &Link) {
        self.links.borrow_mut().retain(|other| other.secret != link.secret);
    }

    fn update_link(&self, link: &Link, update: impl Fn(&mut Link)) {
        self.links.borrow_mut().iter_mut().filter(|other| other.secret == link.secret).for_each(update);
    }

    /// Holds a process to its word about a refund.
    fn promise_refund(&self, what: &str, link: &Link, kept: impl Fn(&Refund) -> bool) {
        let mut state = self.net.lock();
        if !state.record.story(&link.hash()).is_some_and(|story| kept(&story.refund)) {
            let code = link.order.code;
            state.violation(format!("payment {code}: {what} was acknowledged and is not written"));
        }
    }
}

/// A merchant asks for a refund: all that can go back, or `units`.
pub async fn request(
    world: Rc<World>,
    seat: Seat,
    order: Order,
    coin: usize,
    units: Option<u128>,
    address: String,
) {
    let app = &world.apps[seat];
    let wanted = &world.chain.coins[coin];
    let amount = units.map(|units| shared::money::Units(units).display(wanted.decimals));
    let body = json!({ "coin": wanted.id.to_string(), "amount": amount });
    let call = world.coin_call(seat, &order, coin, &body);
    let answered = async {
        request_refund::request_refund(app, call.authenticate(app, request_refund::SCOPE).await?).await
    };
    let refund = match answered.await {
        Ok(reply) => refund_of(reply),
        Err(error) => return refused(&world, seat, "ask for a refund", &error),
    };
    let secret =
        refund["claim_url"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned();
    let field = |name: &str| refund[name].as_str().unwrap_or_default().to_owned();
    let seen = Seen { id: field("id"), amount: field("amount") };
    let link = Link { order, coin, secret, seen, address, claimed: false, confirmed: false };
    world.promise_refund("a refund", &link, |_| true);
    let mut links = world.links.borrow_mut();
    links.retain(|other| other.order.code != link.order.code || other.coin != coin);
    links.push(link);
}

/// Its payer names an address.
pub async fn claim(world: Rc<World>, seat: Seat, link: Link) {
    let app = &world.apps[seat];
    let path = HashMap::from([
        ("code".to_owned(), link.order.code.to_string()),
        ("secret".to_owned(), link.secret.clone()),
    ]);
    let body = json!({ "address": link.address, "sure": "yes" });
    let call = world.call(seat, Method::POST, None, &body).with_path(path);
    let status =
        refund_page::refund_page(app, call).await.map(|reply| reply.into_response("simulation").status());
    if status.is_ok_and(|status| status == StatusCode::SEE_OTHER) {
        world.promise_refund("an address", &link, |refund| refund.address.as_ref() == Some(&link.address));
        world.update_link(&link, |link| link.claimed = true);
    } else {
        world.net.lock().tell(|| format!("{seat}: claim a refund: refused"));
    }
}

/// The merchant confirms that address, and may name the transaction already.
pub async fn confirm(world: Rc<World>, seat: Seat, link: Link, named: Option<String>) {
    let app = &world.apps[seat];
    let body = world.says(&link, json!({ "address": link.address, "tx_id": named }));
    let call = world.coin_call(seat, &link.order, link.coin, &body);
    let answered = async {
        confirm_refund::confirm_refund(app, call.authenticate(app, confirm_refund::SCOPE).await?).await
    };
    if accepted(&world, seat, "confirm a refund", Box::pin(answered).await) {
        world.promise_refund("a confirmation", &link, |refund| refund.confirmed_at.is_some());
        world.update_link(&link, |link| link.confirmed = true);
    }
}

/// The merchant names the transaction that pays it.
pub async fn name(world: Rc<World>, seat: Seat, link: Link, tx_id: String) {
    let app = &world.apps[seat];
    let body = world.says(&link, json!({ "tx_id": tx_id }));
    let call = world.coin_call(seat, &link.order, link.coin, &body);
    let answered = async {
        let call = call.authenticate(app, name_refund_transaction::SCOPE).await?;
        name_refund_transaction::name_refund_transaction(app, call).await
    };
    accepted(&world, seat, "name a transaction", answered.await);
}

/// The merchant takes it back; one whose link it never learned too.
pub async fn withdraw(world: Rc<World>, seat: Seat, order: Order, coin: usize, link: Option<Link>) {
    let app = &world.apps[seat];
    let body = match &link {
        Some(link) => world.says(link, json!({})),
        None => match world.reads(&order, coin) {
            Some(Seen { id, amount }) => json!({ "refund_id": id, "amount": amount }),
            None => return,
        },
    };
    let call = world.coin_call(seat, &order, coin, &body);
    let answered = async {
        withdraw_refund::withdraw_refund(app, call.authenticate(app, withdraw_refund::SCOPE).await?).await
    };
    if accepted(&world, seat, "withdraw a refund", answered.await)
        && let Some(link) = link
    {
        world.promise_refund("a withdrawal", &link, |refund| refund.withdrawn_at.is_some());
        world.forget_link(&link);
    }
}

fn accepted(world: &World, seat: Seat, what: &str, answered: Result) -> bool {
    answered.inspect_err(|error| refused(world, seat, what, error)).is_ok()
}

fn refund_of(reply: Reply) -> Value {
    let body = reply.into_response("simulation").into_body();
    serde_json::from_str::<Value>(&body).unwrap_or_default()["refund"].take()
}
