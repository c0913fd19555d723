//! The SDK's client, for requests that never leave the process.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::auth::{Params, ResolveAuthScheme};
use aws_sdk_dynamodb::config::endpoint::{self, Endpoint, EndpointFuture, ResolveEndpoint};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Config, ConfigBag, Region, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::auth::{AuthSchemeId, AuthSchemeOption, AuthSchemeOptionsFuture};
use shared::store::{Store, Tables};

use crate::wire::Wire;

/// A store over a client without what a simulation has no use for: signatures, retries of its own, timeouts, and a choice
/// of endpoints, each of which every request would pay for.
pub fn store(wire: Wire) -> Store {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_resolver(Here)
        .region(Region::new("simulation"))
        .allow_no_auth()
        .auth_scheme_resolver(Unsigned)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(wire)
        .build();
    let tables = Tables {
        payments: "Payments".to_owned(),
        keys: "Keys".to_owned(),
        accounts: "Accounts".to_owned(),
        addresses: "Addresses".to_owned(),
        chains: "Chains".to_owned(),
    };
    Store::new(Client::from_conf(config), tables)
}

/// Requests that never leave the process need no signature.
#[derive(Debug)]
struct Unsigned;

impl ResolveAuthScheme for Unsigned {
    fn resolve_auth_scheme<'a>(
        &'a self,
        _: &'a Params,
        _: &'a ConfigBag,
        _: &'a RuntimeComponents,
    ) -> AuthSchemeOptionsFuture<'a> {
        AuthSchemeOptionsFuture::ready(Ok(vec![AuthSchemeOption::from(AuthSchemeId::from("noAuth"))]))
    }
}

/// Their only endpoint.
#[derive(Debug)]
struct Here;

impl ResolveEndpoint for Here {
    fn resolve_endpoint<'a>(&'a self, _: &'a endpoint::Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url("http://simulation").build()))
    }
}
