//! Every route of the gateway, as the template has them. Each is also served with a trailing slash (R10).

/// A method on a path, and the function that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// In capitals.
    pub method: &'static str,
    /// With `{…}` where any one segment fits.
    pub path: &'static str,
    /// The function's name.
    pub function: &'static str,
}

const fn route(method: &'static str, path: &'static str, function: &'static str) -> Route {
    Route { method, path, function }
}

/// All routes; whatever else is called gets `no-route`.
pub const ROUTES: [Route; 9] = [
    route("POST", "/api/v1/payments", "create-payment"),
    route("GET", "/api/v1/payments", "list-payments"),
    route("GET", "/api/v1/payments/{id}", "get-payment"),
    route("POST", "/api/v1/payments/{id}/cancel", "cancel-payment"),
    route("DELETE", "/api/v1/payments/{id}", "cancel-payment"),
    route("POST", "/api/v1/test/payments/{id}/simulate", "simulate-payment"),
    route("GET", "/pay/{code}", "pay-page"),
    route("GET", "/pay/{code}/state", "payment-state"),
    route("POST", "/pay/{code}/coin", "choose-coin"),
];

/// The methods that `path` knows; none for a path that does not exist.
pub fn methods(path: &str) -> Vec<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    ROUTES.into_iter().filter(|route| fits(route.path, path)).map(|route| route.method).collect()
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    let same =
        |(wanted, given): (&&str, &&str)| (wanted.starts_with('{') && !given.is_empty()) || wanted == given;
    pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
}
