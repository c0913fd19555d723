//! Every route of the gateway, as the template has them. Each is also served with a trailing slash (R10).

use std::collections::HashMap;

/// A method on a path, and the function that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// In capitals.
    pub method: &'static str,
    /// With `{…}` where any one segment fits.
    pub path: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// The parameters of the query that a `GET` takes. Any other is refused (R8), except on pages, whose links mail
    /// programs and social networks extend by parameters of their own.
    pub query: &'static [&'static str],
}

const fn route(method: &'static str, path: &'static str, function: &'static str) -> Route {
    Route { method, path, function, query: &[] }
}

impl Route {
    const fn takes(self, query: &'static [&'static str]) -> Route {
        Route { query, ..self }
    }
}

/// All routes; whatever else is called gets `no-route`.
pub const ROUTES: [Route; 23] = [
    route("POST", "/api/v1/payments", "create-payment"),
    route("GET", "/api/v1/payments", "list-payments").takes(&[
        "status",
        "created_after",
        "created_before",
        "limit",
        "offset",
        "cursor",
    ]),
    route("GET", "/api/v1/payments/{id}", "get-payment").takes(&["wait"]),
    route("GET", "/api/v1/payments/{id}/transfers", "list-transfers").takes(&["limit", "cursor"]),
    route("POST", "/api/v1/payments/{id}/cancel", "cancel-payment"),
    route("DELETE", "/api/v1/payments/{id}", "cancel-payment"),
    route("POST", "/api/v1/payments/{id}/accept-late", "accept-late"),
    route("GET", "/api/v1/payments/{id}/explain", "explain-payment"),
    route("POST", "/api/v1/payments/{id}/refunds", "request-refund"),
    route("GET", "/api/v1/payments/{id}/refunds", "list-refunds"),
    route("POST", "/api/v1/payments/{id}/refunds/{coin}/confirm", "confirm-refund"),
    route("POST", "/api/v1/payments/{id}/refunds/{coin}/transaction", "name-refund-transaction"),
    route("POST", "/api/v1/payments/{id}/refunds/{coin}/withdraw", "withdraw-refund"),
    route("DELETE", "/api/v1/payments/{id}/refunds/{coin}", "withdraw-refund"),
    route("GET", "/api/v1/wallets", "list-wallets").takes(&["limit", "cursor"]),
    route("POST", "/api/v1/wallets/sweep", "sweep-wallets"),
    route("POST", "/api/v1/test/payments/{id}/simulate", "simulate-payment"),
    route("GET", "/pay/{code}", "pay-page"),
    route("GET", "/pay/{code}/state", "payment-state"),
    route("POST", "/pay/{code}/coin", "choose-coin"),
    route("GET", "/pay/{code}/coin", "choose-coin"),
    route("GET", "/refund/{code}/{secret}", "refund-page"),
    route("POST", "/refund/{code}/{secret}", "refund-page"),
];

/// The methods that `path` knows; none for a path that does not exist.
pub fn methods(path: &str) -> Vec<&'static str> {
    let path = without_slash(path);
    ROUTES
        .into_iter()
        .filter(|route| parameters(route.path, path).is_some())
        .map(|route| route.method)
        .collect()
}

/// The parameters that a call's route takes in its query.
pub fn query_of(method: &str, path: &str) -> &'static [&'static str] {
    let path = without_slash(path);
    let mut of_method = ROUTES.into_iter().filter(|route| route.method == method);
    of_method.find(|route| parameters(route.path, path).is_some()).map_or(&[], |route| route.query)
}

/// The route of a call that came with a trailing slash, and its path's parameters.
pub fn slashed(method: &str, path: &str) -> Option<(Route, HashMap<String, String>)> {
    let path = path.strip_suffix('/')?;
    let mut of_method = ROUTES.into_iter().filter(|route| route.method == method);
    of_method.find_map(|route| Some((route, parameters(route.path, path)?)))
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// What stands where the pattern has `{…}`; `None` if the path does not fit.
fn parameters(pattern: &str, path: &str) -> Option<HashMap<String, String>> {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    if pattern.len() != path.len() {
        return None;
    }
    let mut found = HashMap::new();
    for (wanted, given) in pattern.into_iter().zip(path) {
        match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !given.is_empty() => {
                found.insert(name.to_owned(), given.to_owned());
            }
            None if wanted == given => {}
            Some(_) | None => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    //! R10.

    use super::*;

    #[test]
    fn r10_a_path_knows_its_methods_with_and_without_a_slash() {
        assert_eq!(methods("/api/v1/payments"), ["POST", "GET"]);
        assert_eq!(methods("/api/v1/payments/"), ["POST", "GET"]);
        assert_eq!(methods("/api/v1/payments/abc"), ["GET", "DELETE"]);
        for unknown in
            ["/", "", "/api/v1", "/api/v1/payments//", "/api/v1/payments/a/b", "/pay/", "/API/v1/payments"]
        {
            assert!(methods(unknown).is_empty(), "{unknown}");
        }
    }

    #[test]
    fn r10_a_slashed_call_finds_its_route_and_parameters() {
        let (route, found) = slashed("POST", "/api/v1/payments/abc/cancel/").unwrap();
        assert_eq!((route.function, found["id"].as_str()), ("cancel-payment", "abc"));
        assert!(slashed("POST", "/api/v1/payments/abc/cancel").is_none());
        assert!(slashed("PUT", "/api/v1/payments/").is_none());
    }
}
